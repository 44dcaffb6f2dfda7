"""A cassette while it is in use: what it holds, what was played, what is being recorded.

It knows nothing of vcrpy or of any HTTP client; it decides, for each request, between replaying, recording and a miss.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from llmkit.recording import cassette, content_coding, diff, match
from llmkit.recording.addresses import AZURE, Address, Provider
from llmkit.recording.credentials import DUMMY_KEY
from llmkit.recording.errors import BrokenCassette, CassetteMiss, RecordingError
from llmkit.recording.interaction import CLOSED, Chunk, Headers, Interaction, Request, Response, header
from llmkit.recording.ledger import Ledger
from llmkit.recording.scrub import URL_HEADERS, Scrubber, credentials

Mode = Literal["none", "new_episodes", "all", "once"]
"""``none`` replays; ``new_episodes`` replays what is there and records the rest; ``all`` records everything anew;
``once`` is ``new_episodes`` where there is no file yet, else ``none``."""


def validate_mode(mode: str) -> Mode:
    """Return ``mode`` if it is one of `Mode`; ValueError with the valid ones otherwise."""
    if mode not in get_args(Mode):
        raise ValueError(f"unknown record mode {mode!r}: expected one of {', '.join(map(repr, get_args(Mode)))}")
    return mode  # type: ignore[return-value]  # mypy does not narrow by get_args


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which traffic a tape concerns itself with; all other passes by untouched.

    Traffic to other machines always is, and traffic to the provider's addresses also where they are on loopback.
    ``with_loopback`` adds all of loopback; ``passes`` names addresses that never are.
    """

    with_loopback: bool = False
    passes: Callable[[Address], bool] = lambda _: False
    provider: Callable[[], Provider] = Provider.from_environment

    def concerns(self, url: str) -> bool:
        """Tell whether a request to ``url`` is recorded and replayed."""
        address = Address.of(url)
        if address is None or self.passes(address):
            return False
        return self.with_loopback or not address.is_local or address in self.provider().addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was asked: as it is sent, and as it is compared and written."""

    sent: Request
    written: Request
    key: str


@dataclass(slots=True)
class _Entry:
    asked: Request
    key: str
    response: Response | None  # None while it is on its way
    is_new: bool
    was_played: bool = False


@dataclass(slots=True)
class Take:
    """One reply on its way into a tape; its place is kept from the moment the request was sent."""

    asked: Asked
    _tape: Tape
    _entry: _Entry
    _sent_at: float = field(default_factory=time.monotonic)
    _head: Response | None = None
    _pieces: list[bytes] = field(default_factory=list)
    _chunks: list[Chunk] = field(default_factory=list)
    _is_done: bool = False

    @property
    def has_begun(self) -> bool:
        """Whether the headers of the reply are there."""
        return self._head is not None

    def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Keep the head of the reply, which has just come."""
        self._head = Response(status=status, reason=reason, headers=headers, headers_ms=self._elapsed_ms())

    def add(self, piece: bytes) -> None:
        """Keep a piece of the body, which has just come, as it came: no coding undone."""
        if piece:
            self._pieces.append(piece)
            self._chunks.append((self._elapsed_ms(), len(piece)))

    def finish(self, ended: str = "") -> None:
        """Keep what has arrived; ``ended`` as in `Response`. Only the first call counts."""
        if self._is_done or self._head is None:
            return
        self._is_done = True
        body = b"".join(self._pieces)
        if ended == CLOSED and _is_whole(self._head.headers, body):
            ended = ""
        if ended and ended != CLOSED:
            self._chunks.append((self._elapsed_ms(), 0))  # when it broke off: a replay waits as long
        self._tape.complete(self._entry, replace(self._head, body=body, ended=ended, chunks=tuple(self._chunks)))

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._sent_at) * 1000)


def _is_whole(headers: Headers, body: bytes) -> bool:
    """Tell whether ``body`` is all there, though the client hung up before it saw the end of the connection."""
    return header(headers, "content-length") == str(len(body)) or body.rstrip().endswith(b"data: [DONE]")


class Tape:
    """The interactions of one cassette file, in use.

    Safe to use from several threads. Identical requests get their recordings in the order in which they were recorded.
    Raises `BrokenCassette` for a file that is not whole; with ``is_patient`` only when the first request is asked.
    ``remedy`` is the command that records what is missing; ``miss`` is the error to raise for that.
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: Mode = "none",
        scope: Scope | None = None,
        remedy: str = "use_cassette(…, record='new_episodes')",
        miss: type[CassetteMiss] = CassetteMiss,
        is_patient: bool = False,
    ) -> None:
        self.path = path
        self.mode: Mode = ("none" if path.exists() else "new_episodes") if mode == "once" else mode
        self.scope = scope or Scope()
        self.ledger = Ledger()
        self.misses: list[CassetteMiss] = []
        self.broken: BrokenCassette | None = None
        self._remedy = remedy
        self._miss_type = miss
        self._takes: list[Take] = []
        self._scrubber = Scrubber.from_environment()
        self._of_replies = self._scrubber
        self._saved: set[str] = set()
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []
        self._index: dict[str, list[_Entry]] = defaultdict(list)
        try:
            self._load()
        except BrokenCassette as error:
            if not is_patient:
                raise
            self.broken = error

    def _load(self) -> None:
        try:
            stored = cassette.load(self.path)
        except FileNotFoundError:
            return
        for interaction in stored:
            written = self._written(interaction.request)
            self._add(_Entry(written, match.key(written), interaction.response, is_new=False))

    @property
    def interactions(self) -> list[Interaction]:
        """What the tape holds now, old and new, without what is still on its way."""
        return [Interaction(request=e.asked, response=e.response) for e in self._entries if e.response is not None]

    @property
    def unanswered(self) -> list[Asked]:
        """The requests that were sent and got no reply: there is nothing of them to replay."""
        return [take.asked for take in self._takes if not take.has_begun]

    def ask(self, request: Request) -> Asked:
        """Take up ``request``, to be given to `play` and `take`."""
        written = self._written(request)
        return Asked(sent=request, written=written, key=match.key(written))

    def can_play(self, asked: Asked) -> bool:
        """Tell whether there is a recording of ``asked`` that was not played yet."""
        return self._next(asked) is not None

    def play(self, asked: Asked) -> Response | None:
        """Return the next recording of ``asked``, or None where it is to be recorded; raises `CassetteMiss`."""
        __tracebackhide__ = True
        if self.broken is not None:
            raise self.broken
        with self._lock:
            entry = self._next(asked)
            if entry is not None and entry.response is not None:
                entry.was_played = True
                self.ledger.replay(entry.response)
                return entry.response
        if self.mode == "none":
            raise self._miss(asked)
        return None

    def take(self, asked: Asked) -> Take:
        """Keep a place for the reply to ``asked``, which is about to be sent."""
        self._refuse_dummies(asked.sent)
        entry = _Entry(asked.written, asked.key, None, is_new=True, was_played=True)
        take = Take(asked, self, entry)
        with self._lock:
            self._add(entry)
            self._takes.append(take)
        return take

    def complete(self, entry: _Entry, response: Response) -> None:
        """Put ``response`` in the place that was kept for it, decoded and without secrets."""
        plain = content_coding.decoded(self._under_stable_names(response))
        # what a reply names as a secret is looked for in replies only: on replay its place in a request is not known
        with self._lock:
            self._of_replies = self._of_replies.knowing((*self._scrubber.secrets, *credentials(plain)))
            entry.response = self._of_replies.response(plain)
            self.ledger.record(entry.response)

    def _under_stable_names(self, response: Response) -> Response:
        """Let a redirect to the provider lead to the provider's stable name."""
        provider = self.scope.provider()
        headers = {
            name: [_stable(provider, value) if name.lower() in URL_HEADERS else value for value in values]
            for name, values in response.headers.items()
        }
        return replace(response, headers=headers)

    def save(self, *, is_complete: bool = True, is_shared: bool = False) -> bool:
        """Write what is new; tell whether there was anything.

        Unless ``is_complete``, what recorded it failed: then refusals and replies that broke off are not kept, lest
        they be replayed for ever. In mode ``all`` the new recordings replace the old ones; after a failure, or where
        the cassette ``is_shared`` with others, only those that something new stands for, so that nothing is lost.
        """
        for take in self._takes:
            take.finish(ended=CLOSED)
        new = [e for e in self._entries if e.is_new and e.response and (is_complete or _is_good(e.response))]
        if not new:
            return False
        with cassette.locked(self.path):
            kept = [] if self.mode == "all" and is_complete and not is_shared else self._stored(without=new)
            # what was learnt to be a secret after it was first seen goes now
            fresh = [
                Interaction(request=self._scrubber.request(e.asked), response=self._of_replies.response(e.response))
                for e in new
                if e.response
            ]
            cassette.save(self.path, [*kept, *fresh])
        self._saved |= {entry.key for entry in new}
        for entry in self._entries:
            entry.is_new = False
        return True

    def _stored(self, *, without: list[_Entry]) -> list[Interaction]:
        """Return what the file holds now (another process may have added to it), as far as it is to stay."""
        try:
            stored = cassette.load(self.path)
        except FileNotFoundError:
            return []
        renewed = {entry.key for entry in without} - self._saved if self.mode == "all" else set()
        return [one for one in stored if match.key(self._written(one.request)) not in renewed]

    def _add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._index[entry.key].append(entry)

    def _next(self, asked: Asked) -> _Entry | None:
        if self.mode == "all":
            return None
        return next((entry for entry in self._index.get(asked.key, ()) if not entry.was_played), None)

    def _written(self, request: Request) -> Request:
        self._learn(credentials(request))
        return self._scrubber.request(replace(request, uri=self.scope.provider().stable(request.uri)))

    def _learn(self, secrets: Iterable[str]) -> None:
        with self._lock:  # of two threads that learn at once, neither may forget what the other learnt
            self._scrubber = self._scrubber.knowing(secrets)

    def left_off(self, recorded: Response) -> CassetteMiss:
        """Return the miss for a client that reads on where it closed the connection while recording."""
        return self._missed(
            "the recording ends here: while it was made, the application closed the connection after "
            f"{len(recorded.body)} bytes. Let it read on, and record again: {self._remedy}"
        )

    def _miss(self, asked: Asked) -> CassetteMiss:
        return self._missed(
            diff.explain_miss(
                asked.written,
                [entry.asked for entry in self._entries],
                path=self.path,
                played=sum(entry.was_played for entry in self._entries),
                same=len(self._index.get(asked.key, ())),
                remedy=self._remedy,
            )
        )

    def _missed(self, message: str) -> CassetteMiss:
        miss = self._miss_type(message)
        self.misses.append(miss)
        return miss

    def _refuse_dummies(self, request: Request) -> None:
        """Send no request that is made of what replay puts where the environment has nothing."""
        address = Address.of(request.uri)
        if address is None or address.is_local:
            return
        if address == Address.of(AZURE) or any(DUMMY_KEY in value for value in credentials(request)):
            raise RecordingError(
                f"can't record {request.method} {self.scope.provider().stable(request.uri)}: the environment has no "
                "key or no endpoint for it. Set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
            )


def _stable(provider: Provider, url: str) -> str:
    return provider.stable(url) if Address.of(url) in provider.addresses else url


def _is_good(response: Response) -> bool:
    return response.status < 400 and not response.ended
