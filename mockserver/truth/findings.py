"""What a client is measured by, and what is found when it does not hold."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Severity = Literal["certain", "likely"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a client is measured by.

    `tolerance_s`: how much too early a retry may come. `max_attempts` for one call; no three pauses in a row shorter
    than `min_pause_s`; of four or more, one at least `growth` times the first, or `patient_s` long. From `herd` calls
    on, they must not all come back after the same pause. `rows`: how many calls were to be answered whole, or a text of
    each (an id in its prompt). `expect_repeats`: the same is asked several times on purpose. `allow_giving_up`: calls
    that end in an error which no client overlooks count as reported. `forgive_cuts`: asking again after an answer that
    was cut is no fault though it is billed twice. `ignore`: names of rules that are left out.
    """

    tolerance_s: float = 0.01
    max_attempts: int = 10
    min_pause_s: float = 0.1
    growth: float = 1.5
    patient_s: float = 5.0
    herd: int = 20
    rows: int | tuple[str, ...] | None = None
    expect_repeats: bool = False
    allow_giving_up: bool = False
    forgive_cuts: bool = True
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Measure":
        """A measure of these options; TypeError or ValueError for what is none."""
        known = [each.name for each in fields(cls)]
        for name in options:
            if name not in known:
                raise TypeError(f"a verdict has no option {name!r}; it has {', '.join(known)}")
        rows, ignore = options.get("rows"), options.get("ignore", ())
        given = dict(options) | {"ignore": (ignore,) if isinstance(ignore, str) else tuple(ignore)}
        if rows is not None and not isinstance(rows, int):
            given["rows"] = (rows,) if isinstance(rows, str) else tuple(rows)
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the client did wrong.

    `exchanges` are the numbers of those that show it, `call` the first request of the call that is meant, if it is one.
    """

    rule: str
    severity: Severity
    message: str
    exchanges: tuple[int, ...] = ()
    call: int | None = None
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """The finding as the admin API shows it."""
        return asdict(self) | {"exchanges": list(self.exchanges)}
