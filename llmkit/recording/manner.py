"""How a tape is played and recorded: its mode, the traffic that concerns it, and what its owner asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from llmkit.recording.addresses import Address, Provider
from llmkit.recording.errors import CassetteMiss, CassetteMissInPool
from llmkit.recording.interaction import Interaction
from llmkit.recording.matching import match
from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.leaks import Allowed
from llmkit.recording.take import Asked

Mode = Literal["none", "new_episodes", "all", "once", "verify"]
"""``none`` replays; ``new_episodes`` replays what is there and records the rest; ``all`` records everything anew;
``once`` is ``new_episodes`` where there is no file yet, else ``none``; ``verify`` replays, and sends each request as
well."""


def validate_mode(mode: str) -> Mode:
    """Return ``mode`` if it is one of `Mode`; ValueError with the valid ones otherwise."""
    if mode not in get_args(Mode):
        raise ValueError(f"unknown record mode {mode!r}: expected one of {', '.join(map(repr, get_args(Mode)))}")
    return mode  # type: ignore[return-value]  # mypy does not narrow by get_args


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which traffic a tape concerns itself with; all other passes by untouched.

    Traffic to other machines always is, and traffic to the provider's addresses also where they are on loopback.
    ``with_loopback`` adds all of loopback, ``local`` some addresses of it; ``passes`` names addresses that never are.
    """

    with_loopback: bool = False
    local: frozenset[Address] = frozenset()
    passes: Callable[[Address], bool] = lambda _: False
    provider: Callable[[], Provider] = Provider.from_environment

    def concerns(self, url: str) -> bool:
        """Tell whether a request to ``url`` is recorded and replayed."""
        address = Address.of(url)
        if address is None or self.passes(address):
            return False
        if self.with_loopback or not address.is_local or address in self.local:
            return True
        return address in self.provider().addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a tape is played and recorded.

    ``speed`` is that of a replay: 0 is at once, 1 as it was recorded, 2 twice as fast. What was recorded ``since`` (a
    date as in `Interaction`) is of this run: mode ``all`` plays it instead of recording it once more. ``remedy`` is the
    command that records what is missing, ``miss`` the error to raise for that, and ``miss_in_pool`` in a
    `multiprocessing.pool`; ``tell_of_miss`` is called for one in a forked child. ``test`` is written beside what is
    recorded to a cassette that several tests share. ``allowed_secrets`` may be written though they look like some.
    ``before_sending`` may raise, and then nothing is sent; ``after_recording`` is told what came of it. A refusal that
    comes while ``is_refusal_expected`` is not among `Tape.refused`. ``elsewhere`` names other cassettes that hold a
    request with that key.
    """

    scope: Scope = Scope()
    rules: match.Rules = match.PLAIN
    speed: float = 0.0
    since: str = ""
    remedy: str = "use_cassette(…, record='new_episodes')"
    miss: type[CassetteMiss] = CassetteMiss
    miss_in_pool: type[CassetteMiss] = CassetteMissInPool
    tell_of_miss: Callable[[str], None] = lambda _: None
    test: str = ""
    allowed_secrets: Allowed = leaks.NOTHING
    is_refusal_expected: Callable[[], bool] = lambda: False
    before_sending: Callable[[Asked], None] = lambda _: None
    after_recording: Callable[[Asked, Interaction], None] = lambda _, __: None
    elsewhere: Callable[[str], Sequence[str]] = lambda _: ()
