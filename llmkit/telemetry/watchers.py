"""The observers of one client."""

from llmkit._flow import Observer
from llmkit.errors import ConfigError
from llmkit.telemetry.learning import Learner
from llmkit.telemetry.logs import Logs, from_environment
from llmkit.telemetry.options import Telemetry
from llmkit.telemetry.prices import Settings
from llmkit.telemetry.totals import Totals
from llmkit.telemetry.tracing import OpenTelemetry
from llmkit.tokens import Calibration


class Watchers:
    """What watches the calls of a client with these settings; `observers` in the order in which they are told."""

    def __init__(self, settings: Settings, *, telemetry: Telemetry | bool) -> None:
        if not isinstance(telemetry, Telemetry | bool):
            raise ConfigError(f"telemetry = {telemetry!r}: it has to be True, False, or llmkit.telemetry.Telemetry(…)")
        self.totals = Totals(settings)
        self._learner: Learner | None = None
        self.observers: tuple[Observer, ...] = ()
        if telemetry is not False:
            self._watch(settings, Telemetry() if telemetry is True else telemetry)

    @property
    def calibration(self) -> Calibration:
        """What is known of the offsets of our token counts."""
        return Calibration() if self._learner is None else self._learner.calibration

    def _watch(self, settings: Settings, telemetry: Telemetry) -> None:
        observers: list[Observer] = [self.totals]  # first, for the others read the bills that it makes
        if telemetry.logs:
            from_environment()
            observers.append(Logs(content=telemetry.content))
        if telemetry.opentelemetry is not False:
            observers.append(OpenTelemetry(settings, telemetry))
        if telemetry.calibrate:
            self._learner = Learner(settings)
            observers.append(self._learner)
        self.observers = tuple(observers)
