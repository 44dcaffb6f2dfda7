"""What is wrong with a test that passed: it went past its recordings, or its recordings past it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from llmkit._pytest.settings import Settings, Wishes
from llmkit.recording.addresses import Address
from llmkit.recording.interaction import Interaction
from llmkit.recording.matching.miss import describe
from llmkit.recording.tape import Drifted, Tape

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One test that passed, its tape, the addresses that it ``reached`` past it, and what it was ``refused``.

    ``drifts`` are those of all the tapes that it played.
    """

    tape: Tape
    wishes: Wishes
    settings: Settings
    nodeid: str
    reached: tuple[Address, ...] = ()
    refused: tuple[Interaction, ...] = ()
    drifts: tuple[Drifted, ...] = ()

    def problems(self) -> Iterator[str]:
        """Yield what fails the test, each with what to do about it."""
        allow = self.wishes.allow
        if "unintercepted" not in allow:
            yield from self._unintercepted()
        if "refusals" not in allow:
            yield from self._refusals()
        if "unplayed" not in allow and not self.wishes.name and not self.settings.records:
            yield from self._unplayed()
        yield from self._drifts()

    def _unplayed(self) -> Iterator[str]:
        unplayed = self.tape.unplayed
        if unplayed:
            count = len(self.tape.interactions)
            what = f"{len(unplayed)} of {_counted(count, 'recording')} {_are(len(unplayed))}"
            yield "\n".join(
                (
                    f"{what} unplayed: {self.nodeid} passed without them",
                    *listed([(f"interaction {place + 1} of {count}", one) for place, one in unplayed]),
                    f"  next  prune them: {self.tape.manner.remedy}",
                    "        or let them be: @pytest.mark.cassette(allow='unplayed')",
                )
            )

    def _refusals(self) -> Iterator[str]:
        if self.refused:
            verb = "recorded" if self.settings.records else "replayed"
            fate = " (not kept)" if self.settings.records else ""
            what = f"{_counted(len(self.refused), 'refusal')} {_were(len(self.refused))}"
            yield "\n".join(
                (
                    f"{what} {verb} that {self.nodeid} did not expect{fate}",
                    *listed([(f"status {one.response.status}", one) for one in self.refused]),
                    "  next  expect them with pytest.raises, or say so: @pytest.mark.cassette(allow='refusals')",
                    f"        or record again, on a better day: {self.tape.manner.remedy}",
                )
            )

    def _unintercepted(self) -> Iterator[str]:
        if self.reached:
            places = ", ".join(f"{one.host} port {one.port}" for one in self.reached)
            yield "\n".join(
                (
                    f"{self.nodeid} reached {places}, but no request was intercepted: nothing of it was recorded",
                    "  next  use a client that is recorded (openai, httpx, requests, aiohttp, urllib), name the host",
                    "        in llmkit_allowed_hosts, or say so: @pytest.mark.cassette(allow='unintercepted')",
                )
            )

    def _drifts(self) -> Iterator[str]:
        breaking = [one for one in self.drifts if one.drift.tier.name == "BREAKING"]
        if breaking:
            lines = [f"  {one}" for one in breaking]
            yield "\n".join(
                (
                    "the API no longer answers as it was recorded",
                    *lines,
                    f"  next  record it anew: pytest --record=all {shlex.quote(self.nodeid)}",
                )
            )


def listed(interactions: list[tuple[str, Interaction]]) -> Iterator[str]:
    """Yield lines that say what each of ``interactions`` asked, each with its label; of many only the first."""
    for label, one in interactions[:_MOST_SHOWN]:
        yield f"  {label}: {', '.join(describe(one.request))}"
    if len(interactions) > _MOST_SHOWN:
        yield f"  … and {len(interactions) - _MOST_SHOWN} more"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
