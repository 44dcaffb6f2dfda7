"""A cassette while it is in use: what it holds, what was played, what is being recorded.

It knows nothing of vcrpy or of any HTTP client; it decides, for each request, between replaying, recording and a miss.
What it records goes to its `Shelf`, which keeps the file.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, ClassVar

from llmkit.recording import waits
from llmkit.recording.addresses import AZURE, Address, Provider
from llmkit.recording.cassette import index
from llmkit.recording.cassette.shelf import Shelf
from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.errors import BrokenCassette, CassetteMiss, RecordingError, SecretLeak
from llmkit.recording.interaction import CLOSED, Interaction, Request, Response
from llmkit.recording.manner import Manner, Mode, Scope
from llmkit.recording.matching import match
from llmkit.recording.matching.miss import Miss
from llmkit.recording.replies import content_coding
from llmkit.recording.replies.ledger import Ledger
from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.credentials import DUMMY_KEY
from llmkit.recording.scrubbing.scrub import URL_HEADERS, Scrubber, credentials
from llmkit.recording.take import Asked, Take, is_no_reply

if TYPE_CHECKING:
    from llmkit.recording.replies.verify import Drift

_FIRST_REFUSAL = 400
_OURS = b"\nformat: llmkit/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """One way in which the reply to ``asked`` is no longer what was recorded."""

    asked: Request
    drift: Drift

    @property
    def is_breaking(self) -> bool:
        """Whether what reads the recorded reply may fail on today's."""
        return self.drift.tier.name == "BREAKING"

    def __str__(self) -> str:
        drift = self.drift
        return f"{self.asked.method} {self.asked.uri}  {drift.where}: {drift.recorded} → {drift.live}"


@dataclass(slots=True, eq=False, kw_only=True)
class _Entry:
    """One interaction on a tape; ``interaction`` is None while its reply is on its way.

    ``known_to`` are the scrubbers that have seen it, and ``is_kept`` says that it stays whatever comes of the test.
    """

    asked: Request
    key: str
    interaction: Interaction | None = None
    is_new: bool = False
    is_of_this_run: bool = False
    was_played: bool = False
    is_kept: bool = False
    is_refusal_expected: bool = False
    known_to: tuple[Scrubber, ...] = ()


class Tape:
    """The interactions of one cassette file, in use.

    Safe to use from several threads. Identical requests get their recordings in the order in which they were recorded.
    The file is read when the first request is asked; one that is not whole raises `BrokenCassette` then, and each time
    after. ``pending`` is the file that is written instead of it, and read if it is there.
    """

    asked_of_any: ClassVar[int] = 0
    """How often any tape of this process was asked, also those that a test opens itself."""

    def __init__(
        self, path: Path, *, mode: Mode = "none", manner: Manner | None = None, pending: Path | None = None
    ) -> None:
        self.path = path
        self.mode: Mode = ("none" if path.exists() else "new_episodes") if mode == "once" else mode
        self.manner = manner or Manner()
        self.ledger = Ledger()
        self.misses: list[CassetteMiss] = []
        self.drifts: list[Drifted] = []
        self.refused: list[Interaction] = []
        self.leak: SecretLeak | None = None
        self.leak_was_told = False
        self.all_misses: list[CassetteMiss] = []
        self.was_forked = False
        self._process = os.getpid()
        self._shelf = Shelf(pending or path, first=path)
        self._takes: list[Take] = []
        self._scrubber = Scrubber.from_environment()
        self._of_replies = self._scrubber
        self._lock = threading.RLock()
        self._broken: BrokenCassette | None = None
        self._entries: list[_Entry] | None = None
        self._index: dict[str, deque[_Entry]] = defaultdict(deque)

    @property
    def scope(self) -> Scope:
        """Which traffic the tape concerns itself with."""
        return self.manner.scope

    @property
    def speed(self) -> float:
        """How fast a replay goes: 0 is at once, 1 as it was recorded."""
        return self.manner.speed

    @property
    def is_verifying(self) -> bool:
        """Whether a request that is replayed is to be sent, too, and its reply given to `compare`."""
        return self.mode == "verify"

    @property
    def only_replays(self) -> bool:
        """Whether a request that has no recording is a miss."""
        return self.mode in ("none", "verify")

    @property
    def interactions(self) -> list[Interaction]:
        """What the tape holds now, old and new, without what is still on its way."""
        return [entry.interaction for entry in self._loaded() if entry.interaction is not None]

    @property
    def unplayed(self) -> list[tuple[int, Interaction]]:
        """What was on the tape at first and was not played, each with its place."""
        if self.was_forked:
            return []  # what a forked child has played is not known here
        old = [entry for entry in self._loaded() if not entry.is_new]
        return [(n, e.interaction) for n, e in enumerate(old) if e.interaction and not e.was_played]

    @property
    def is_broken(self) -> bool:
        """Whether the file was read and is not whole."""
        return self._broken is not None

    @property
    def oldest(self) -> datetime | None:
        """When the oldest recording was made that was there at first, or None if none says."""
        old = (e.interaction for e in self._entries or () if e.interaction and not e.is_new)
        return min((one.recorded for one in old if one.recorded), default=None)

    @property
    def played(self) -> list[Interaction]:
        """What was played, and what was recorded."""
        return [e.interaction for e in self._entries or () if e.interaction and e.was_played]

    @property
    def unanswered(self) -> list[Asked]:
        """The requests that got no reply, nor an error that could be replayed instead of one."""
        return [take.asked for take in self._takes if not take.has_begun]

    def ask(self, request: Request) -> Asked:
        """Take up ``request``, to be given to `play` and `take`."""
        Tape.asked_of_any += 1
        waits.cancel()
        written = self._written(request)
        return Asked(sent=request, written=written, key=match.key(written, self.manner.rules))

    def can_play(self, asked: Asked) -> bool:
        """Tell whether there is a recording of ``asked`` that was not played yet."""
        with self._lock:
            self._loaded()
            return self._next(asked) is not None

    def play(self, asked: Asked) -> Response | None:
        """Return the next recording of ``asked``, or None where it is to be recorded; raises `CassetteMiss`."""
        __tracebackhide__ = True
        with self._lock:
            self._loaded()
            entry = self._next(asked)
            if entry is None and self.only_replays:
                raise self._miss(asked)
            if entry is None or entry.interaction is None:
                return None
            if self.is_verifying:
                self._may_send(asked)
            self._index[asked.key].popleft()
            entry.was_played = True
            return self._replayed(entry.interaction)

    def _replayed(self, interaction: Interaction) -> Response:
        response = interaction.response
        self.ledger.replay(response)
        self._note_refusal(interaction)
        is_broken_off = bool(response.ended) and not response.was_left
        if not self.speed and waits.makes_wait(response.status, response.headers, is_broken_off=is_broken_off):
            waits.owe()
        return response

    def _note_refusal(self, interaction: Interaction) -> None:
        if is_no_reply(interaction.response):
            return  # no server refused anything
        if interaction.response.status >= _FIRST_REFUSAL and not self.manner.is_refusal_expected():
            self.refused.append(interaction)

    def take(self, asked: Asked) -> Take:
        """Keep a place for the reply to ``asked``, which is about to be sent."""
        self._may_send(asked)
        # of a refusal, the body may be read only after the test has left the block that expects it
        is_expected = self.manner.is_refusal_expected()
        entry = _Entry(
            asked=asked.written, key=asked.key, is_new=True, was_played=True, is_refusal_expected=is_expected
        )
        take = Take(asked, functools.partial(self._keep, asked, entry))
        with self._lock:
            self._loaded().append(entry)
            self._takes.append(take)
        return take

    def compare(self, asked: Asked, recorded: Response, live: Response) -> None:
        """Note how ``live``, the reply that ``asked`` gets today, differs in structure from the ``recorded`` one."""
        from llmkit.recording.replies import verify  # most runs verify nothing

        plain = self._plain(live)
        with self._lock:
            self.ledger.record(plain)
            self.drifts += [Drifted(asked=asked.written, drift=drift) for drift in verify.compare(recorded, plain)]
        self.manner.after_recording(asked, Interaction(request=asked.written, response=plain))

    def left_off(self, recorded: Response) -> CassetteMiss:
        """Return the miss for a client that reads on where it closed the connection while recording."""
        return self._missed(
            "the recording ends here: while it was made, the application closed the connection after "
            f"{len(recorded.body)} bytes. Let it read on, and record again: {self.manner.remedy}"
        )

    def save(self, *, is_complete: bool = True, is_shared: bool = False, prunes: bool = False) -> bool:
        """Write what is new; tell whether there was anything to write.

        Unless ``is_complete``, what recorded it failed: then refusals and replies that broke off are not kept, lest
        they be replayed for ever. In mode ``all`` the new recordings replace the old ones; after a failure, or where
        the cassette ``is_shared`` with others, only those that something new stands for, so that nothing is lost.
        ``prunes`` lets go of what was not played, too.
        """
        for take in self._takes:
            take.finish(ended=CLOSED)
        with self._lock:
            return self._save(is_complete=is_complete, is_whole=is_complete and not is_shared, prunes=prunes)

    def holds(self, key: str) -> bool:
        """Tell whether there was a recording with that key at first."""
        return any(entry.key == key and not entry.is_new for entry in self._loaded())

    def begin_test(self) -> None:
        """Forget what an earlier test, of those that share the tape, has to answer for."""
        self.misses.clear()
        self.all_misses.clear()
        self.drifts.clear()

    def check(self) -> None:
        """Raise `BrokenCassette` if the file is there and is not whole."""
        self._loaded()

    def _save(self, *, is_complete: bool, is_whole: bool, prunes: bool) -> bool:
        if self.leak is not None:
            return False
        new = [e for e in self._entries or () if e.is_new and e.interaction is not None]
        for entry in new:
            entry.is_kept |= is_complete or bool(entry.interaction and _is_good(entry.interaction))
        ours = [entry for entry in new if entry.is_kept]
        renewed = {entry.key for entry in ours}
        old = [entry for entry in self._entries or () if not entry.is_new]
        if self.mode == "all":
            goes = [not entry.is_of_this_run and (is_whole or entry.key in renewed) for entry in old]
        else:
            prunes = prunes and is_whole and not self.was_forked  # what a forked child has played is not known
            goes = [prunes and not entry.was_played for entry in old]
        if not ours and not any(goes):
            return False
        self._shelf.write([self._fresh(entry) for entry in ours], lambda place: not goes[place])
        return True

    def _keep(self, asked: Asked, entry: _Entry, response: Response) -> None:
        """Put ``response`` in the place that was kept for it, decoded and without secrets, and save it."""
        plain = self._plain(response)
        with self._lock:
            self._learn(())
            self._of_replies = self._of_replies.knowing_all_of(self._scrubber).knowing(credentials(plain))
            entry.interaction = Interaction(
                request=entry.asked,
                response=self._of_replies.response(plain),
                recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                test=self._of_replies.text(self.manner.test),
            )
            self.ledger.record(entry.interaction.response)
            if not entry.is_refusal_expected:
                self._note_refusal(entry.interaction)
            self._look_for_leaks(entry.interaction)
            self._save(is_complete=False, is_whole=False, prunes=False)
        self.manner.after_recording(asked, entry.interaction)

    def _look_for_leaks(self, interaction: Interaction) -> None:
        """After one secret, nothing of this tape is kept: what was written before the secret came goes, too."""
        if found := leaks.find(interaction, allowed=self.manner.allowed_secrets):
            self.leak = SecretLeak([*(self.leak.leaks if self.leak else ()), *found], self.path)
            self._shelf.restore()

    def _plain(self, response: Response) -> Response:
        """Return ``response`` with its body decoded, and a redirect to the provider leading to its stable name."""
        provider = self.scope.provider()
        headers = {
            name: [_stable(provider, value) if name.lower() in URL_HEADERS else value for value in values]
            for name, values in response.headers.items()
        }
        return content_coding.decoded(replace(response, headers=headers))

    def _fresh(self, entry: _Entry) -> Interaction:
        """Return what was recorded without what was learnt to be a secret after it was first seen."""
        known_to = (self._scrubber, self._of_replies)
        one = entry.interaction
        assert one is not None  # noqa: S101 - only what has come is written
        if entry.known_to != known_to:
            request, response = self._scrubber.request(one.request), self._of_replies.response(one.response)
            if (request, response) != (one.request, one.response):
                entry.interaction = one = replace(one, request=request, response=response)
            entry.known_to = known_to
        return one

    def _loaded(self) -> list[_Entry]:
        with self._lock:
            if self._broken is not None:
                raise self._broken
            if self._entries is None:
                try:
                    self._entries = self._load()
                except BrokenCassette as error:
                    self._broken = error
                    raise
            return self._entries

    def _load(self) -> list[_Entry]:
        raw = self._shelf.read()
        if raw is None:
            self._shelf.hold(None)
            return []
        found = index.keyed(
            raw,
            self._made_with(),
            lambda: [self._keyed(one) for one in parse(self.path, raw)],
            may_keep=lambda found: _OURS in b"\n" + raw or all(self._is_clean(one) for _, one in found),
        )
        self._shelf.hold([one for _, one in found])
        entries = [self._stored(key, one) for key, one in found]
        for entry in entries:
            if self.mode != "all" or entry.is_of_this_run:
                self._index[entry.key].append(entry)
        return entries

    def _stored(self, key: str, one: Interaction) -> _Entry:
        is_of_this_run = bool(self.manner.since) and one.recorded_at >= self.manner.since
        return _Entry(asked=one.request, key=key, interaction=one, is_of_this_run=is_of_this_run)

    def _is_clean(self, one: Interaction) -> bool:
        """Tell whether ``one`` holds no secret; another recorder's may, and leave no copy in the user's cache."""
        is_scrubbed = self._scrubber.response(one.response) == one.response
        return is_scrubbed and not leaks.find(one, allowed=self.manner.allowed_secrets)

    def _keyed(self, stored: Interaction) -> index.Keyed:
        written = self._written(stored.request)
        return match.key(written, self.manner.rules), replace(stored, request=written)

    def _made_with(self) -> list[str]:
        """Return all that decides how a stored request is written and compared, without naming a secret."""
        secrets = hashlib.sha256("\0".join(sorted(self._scrubber.secrets)).encode("utf-8", "surrogatepass"))
        return [repr(self.manner.rules), repr(self.scope.provider()), secrets.hexdigest()]

    def _next(self, asked: Asked) -> _Entry | None:
        waiting = self._index.get(asked.key)
        return waiting[0] if waiting else None

    def _written(self, request: Request) -> Request:
        self._learn(credentials(request))
        return self._scrubber.known(replace(request, uri=self.scope.provider().stable(request.uri)))

    def _learn(self, secrets: Iterable[str]) -> None:
        with self._lock:  # of two threads that learn at once, neither may forget what the other learnt
            # a fixture or the application may have set a variable since
            self._scrubber = self._scrubber.knowing_environment().knowing(secrets)

    def _miss(self, asked: Asked) -> CassetteMiss:
        recorded = self._loaded()
        miss = Miss(
            asked=asked.written,
            path=self.path,
            recorded=[entry.asked for entry in recorded],
            played=[entry.was_played for entry in recorded],
            same=sum(entry.key == asked.key for entry in recorded),
            elsewhere=self.manner.elsewhere(asked.key),
            remedy=self.manner.remedy,
            rules=self.manner.rules,
        )
        return self._missed(miss.explain())

    def _missed(self, message: str) -> CassetteMiss:
        miss = (self.manner.miss_in_pool if _is_in_pool() else self.manner.miss)(message)
        if os.getpid() != self._process:
            self.manner.tell_of_miss(message)
        self.misses.append(miss)
        self.all_misses.append(miss)
        return miss

    def _may_send(self, asked: Asked) -> None:
        """Raise if ``asked`` is made of what replay puts where the environment has nothing, or must not be paid for."""
        request = asked.sent
        address = Address.of(request.uri)
        is_dummy = address == Address.of(AZURE) or any(DUMMY_KEY in value for value in credentials(request))
        if address is not None and not address.is_local and is_dummy:
            raise RecordingError(
                f"can't record {request.method} {self.scope.provider().stable(request.uri)}: the environment has no "
                "key or no endpoint for it. Set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
            )
        self.manner.before_sending(asked)


def _stable(provider: Provider, url: str) -> str:
    return provider.stable(url) if Address.of(url) in provider.addresses else url


def _is_in_pool() -> bool:
    """Tell whether this is a worker of a `multiprocessing.pool`, of threads or of processes."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the way there is
    while frame is not None:
        if frame.f_code.co_name == "worker" and frame.f_globals.get("__name__") == "multiprocessing.pool":
            return True
        frame = frame.f_back
    return False


def _is_good(interaction: Interaction) -> bool:
    return interaction.response.status < _FIRST_REFUSAL and not interaction.response.ended
