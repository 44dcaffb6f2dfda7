"""What a client is to tell of its calls."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a client tells of its calls: `Client(telemetry=…)`; False there turns all of it off.

    `logs` writes to the loggers below `llmkit`. `content` puts prompts, replies and the messages of errors into logs
    and spans, which have them hidden otherwise. `opentelemetry` True makes spans and metrics, and raises ConfigError
    where opentelemetry-api is not installed; None makes them where the application has imported it; False never.
    `tracer_provider` and `meter_provider` stand in the place of the global ones. `calibrate` learns from each bill what
    our token counts are off by: `client.calibration`.
    """

    logs: bool = True
    content: bool = False
    opentelemetry: bool | None = None
    tracer_provider: Any = None
    meter_provider: Any = None
    calibrate: bool = False
