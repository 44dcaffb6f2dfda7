"""Stopping, moving and starting the clock, as the admin API is asked to."""

from typing import Any

from mockserver.clock import Clock
from mockserver.scripting.options import shown

_LATEST = 253_402_300_799  # the last second of the year 9999, beyond which there are no dates to write into headers


def move(clock: Clock, *, virtual: Any = None, at: Any = None, advance_s: Any = None) -> None:
    """Stop at an instant, run again, or move on; ValueError or ClockError for what cannot be, which changes nothing."""
    if virtual is not None and not isinstance(virtual, bool):
        raise ValueError(f"virtual is {shown(virtual)}; it takes true or false")
    _check("at", at)
    _check("advance_s", advance_s)
    if virtual is False and (at is not None or advance_s is not None):
        raise ValueError("a clock that runs cannot be set or moved; leave out `virtual`, or make it true")
    start = at if at is not None else clock.now()
    if advance_s is not None and start + advance_s > _LATEST:
        raise ValueError(f"advance_s is {shown(advance_s)}; that is beyond the year 9999")
    if virtual is False:
        clock.run()
    elif virtual or at is not None:
        clock.stop(at)
    if advance_s is not None:
        clock.advance(advance_s)


def _check(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LATEST:
        raise ValueError(f"{name} is {shown(value)}; it takes a number of seconds from 0 to {_LATEST}")
