"""One request while it is being answered: what is noted of it on the way, as cheaply as can be.

A record keeps what it is handed as it is; everything that takes time is done when somebody reads. It never holds a
credential: what it is handed is looked through first.
"""

import hashlib
import math
import time
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mockserver.answers import Answer, Frame
from mockserver.forms import Form
from mockserver.surfaces import Spent
from mockserver.truth.hiding import HIDDEN, hidden, hidden_bytes, hidden_frames, hidden_text, hidden_texts
from mockserver.truth.soundness import Oddity, Soundness, oddity, soundness
from mockserver.truth.spelt import Chunks, Spelt
from mockserver.wire import compact

# the request headers that are kept
HEADERS = (
    "user-agent",
    "content-type",
    "x-stainless-retry-count",
    "x-stainless-lang",
    "x-stainless-package-version",
    "idempotency-key",
    "x-client-request-id",
    "x-ms-client-request-id",
)
Raw = bytes  # under a name that no attribute has
_GENERATED = ("", "generated", "refused")  # outcomes in which nobody but the server has chosen the words
# surfaces whose generated answers are made of this request and our own words alone: what it did not hold, they don't
_OF_THEIR_REQUEST = frozenset({"chat", "completions", "embeddings"})
_WORDS = frozenset({"surface", "operation", "outcome", "key"})  # facts whose words are the server's own

_SHARED = ("surface", "operation", "deployment", "model", "key", "stream", "outcome", "streamed")

# what travels from a worker as it is; the rest needs spelling
_PLAIN = (
    *("arrived", "started_at", "method", "path", "query", "headers", "surface", "dialect", "deployment", "model"),
    *("key", "stream", "request_id", "operation", "status", "outcome", "fault", "step", "frames", "octets"),
    *("client_left", "misses", "answered_at", "ended_at", "is_form", "response_headers", "streamed", "ending"),
)


@dataclass(slots=True, eq=False)
class Record:
    """What is known of one request so far; the names are those of `Exchange`.

    `arrived` orders the records of all processes of a machine; `marks` are the pieces of the answer as they went: how
    many frames had gone with each, and at what second after the start, one after the other.
    """

    number: int = 0
    started_at: float = 0.0
    method: str = ""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    dialect: str | None = None
    headers: tuple[str, ...] = ()
    now: Callable[[], float] = field(default=time.time, repr=False)
    arrived: float = field(default_factory=time.time)
    surface: str | None = None
    deployment: str | None = None
    model: str | None = None
    operation: str | None = None
    key: str = ""
    stream: bool = False
    request_id: str = ""
    status: int = 0
    outcome: str = ""
    fault: str | None = None
    step: int | None = None
    spent: Spent | None = None
    frames: int = 0
    octets: int = 0
    client_left: bool = False
    misses: tuple[str, ...] = ()
    answered_at: float | None = None
    ended_at: float | None = None
    is_form: bool = False
    response_headers: Mapping[str, str] = field(default_factory=dict)
    streamed: bool = False
    ending: str = ""
    marks: "array[float] | None" = None
    worker: str = ""
    attempt: int = 1
    call: int = 0
    body: Raw = field(default=b"", repr=False)
    planned: Sequence[Frame] = field(default=(), repr=False)
    made: Sequence[Frame] = field(default=(), repr=False)
    is_bare: bool = False  # its bodies have been dropped, or will be at its end
    is_grouped: bool = False
    is_touched: bool = False  # something was hidden in the request
    counted: tuple[int, int, int] | None = None
    digest: str = ""
    sound: Soundness | None = None
    odd: Oddity | None = None

    def write(self, facts: Mapping[str, Any], secrets: Collection[str] = ()) -> None:
        """Write down what is known now."""
        for name, value in facts.items():
            if name not in _WORDS:
                if value.__class__ is str:
                    value = hidden_text(value, secrets)
                elif value.__class__ is tuple and value:
                    value = hidden(value, secrets)
            setattr(self, name, value)

    def asked(self, raw: Raw, form: Form | None, *, secrets: Collection[str] = ()) -> None:
        """Keep the body of the request; of a form its fields, and of its files no more than tells them apart."""
        if form is None:
            self.body = hidden_bytes(raw, secrets)
            self.is_touched |= self.body is not raw
        else:
            self.is_form = True
            self.body = compact(hidden({"fields": form.fields, "files": _files(form)}, secrets))
            self.is_touched |= HIDDEN.encode() in self.body

    def generated(self, answer: Answer) -> None:
        """Keep what the server would say if no fault acted on it."""
        self.made = answer.frames

    def answered(self, answer: Answer, *, request_id: str, secrets: Collection[str] = ()) -> None:
        """Keep what is going to be sent."""
        self.response_headers = hidden_texts(answer.headers, secrets, has_names=False)
        self.request_id, self.streamed = request_id, answer.streamed
        self.ending = _ending(answer)
        is_same = _are_alike(self.made, answer.frames)
        self.planned = self._hidden(answer.frames, secrets)
        self.made = self.planned if is_same else self._hidden(self.made, secrets)
        self.answered_at = self.now()
        self.status = answer.status
        if answer.misses:
            self.misses = (*self.misses, *answer.misses)

    def _hidden(self, frames: Sequence[Frame], secrets: Collection[str]) -> Sequence[Frame]:
        if not frames or self._is_harmless:
            return frames
        if len(frames) == 1 and not self.streamed:
            data = frames[0].data
            clean = hidden_bytes(data, secrets)
            return frames if clean is data else (Frame(clean, frames[0].wait_s),)
        datas = [frame.data for frame in frames]
        thorough = self.is_touched or self.outcome not in _GENERATED
        cleaned = hidden_frames(datas, secrets, thorough=thorough)
        if cleaned is datas:
            return frames
        return tuple(Frame(data, frame.wait_s) for data, frame in zip(cleaned, frames, strict=True))

    @property
    def _is_harmless(self) -> bool:
        return (
            self.outcome == "generated"
            and not self.is_touched
            and self.fault is None
            and self.surface in _OF_THEIR_REQUEST
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What is noted of a request beside its own words, and the same of all that are like it."""
        return {name: getattr(self, name) for name in _SHARED}

    def poured(
        self,
        facts: Mapping[str, Any],
        frames: Sequence[Frame],
        *,
        spent: Spent,
        head: str,
        request_id: str,
    ) -> None:
        """Keep what is going to be sent of an answer from a mould, which holds nothing to hide.

        `facts` are those of a request like this one.
        """
        for name, value in facts.items():
            setattr(self, name, value)
        self.spent, self.request_id, self.response_headers = spent, request_id, Spelt(head)
        self.planned = self.made = frames
        self.answered_at = self.now()
        self.status, self.ending = 200, "whole"

    def progress(self, frames: int, size: int) -> None:
        """Write down that so many frames have gone out by now, and so many bytes."""
        self.frames, self.octets = frames, size
        if self.streamed:
            if self.marks is None:
                self.marks = array("d")
            self.marks.append(frames)
            self.marks.append(self.now() - self.started_at)

    def ended(self, now: float) -> None:
        """Write down that nothing more is sent."""
        self.ended_at = now
        if self.is_bare:
            self._strip()

    # what follows is worked out when somebody reads

    @property
    def retry_count(self) -> int | None:
        """How many retries the client says that it has made; the official SDKs say so."""
        said = self.header("x-stainless-retry-count")
        return int(said) if said.isdecimal() and said.isascii() else None

    def header(self, name: str) -> str:
        """A request header that is kept, empty if there was none."""
        return self.headers[HEADERS.index(name)] if self.headers else ""

    @property
    def totals(self) -> tuple[int, int, int]:
        """Frames planned, frames generated, bytes generated."""
        if self.counted is not None:
            return self.counted
        return len(self.planned), len(self.made), sum(len(frame.data) for frame in self.made)

    @property
    def delivered(self) -> bool:
        """Whether all that was planned has reached the socket, and ended as HTTP has it."""
        return (
            self.answered_at is not None
            and self.ending == "whole"
            and self.frames >= self.totals[0]
            and not self.client_left
            and (self.ended_at is not None or self.frames > 0)
        )

    @property
    def soundness(self) -> Soundness:
        """What the client has, by its content."""
        if self.sound is not None:
            return self.sound
        if self.made and self.planned is self.made and self.frames >= len(self.planned):
            return "whole"
        is_json = "json" in next((v for n, v in self.response_headers.items() if n.lower() == "content-type"), "json")
        return soundness(self.sent, _joined(self.made), streamed=self.streamed, is_json=is_json)

    @property
    def oddity(self) -> Oddity:
        """What a client may overlook in a stream that has come to its end."""
        if self.odd is not None:
            return self.odd
        if not self.streamed or not self.made or self.planned is self.made or not self.delivered:
            return ""
        return oddity(self.sent, _joined(self.made) or b"")

    @property
    def sent(self) -> Raw:
        """What has been sent of the body, as far as the frames went."""
        return _joined(self.planned[: self.frames]) or b""

    @property
    def complete(self) -> bool:
        """Whether the client has got a whole answer that is no refusal."""
        return 200 <= self.status < 400 and self.delivered and self.soundness == "whole"

    @property
    def fingerprint(self) -> str:
        """The digest that requests for the same thing share."""
        if not self.digest:
            made = hashlib.blake2b(f"{self.method} {self.path} {self.key}\n".encode(), digest_size=12)
            made.update(self.body)
            self.digest = made.hexdigest()
        return self.digest

    @property
    def size(self) -> int:
        """How many bytes of bodies it keeps, roughly."""
        if self.is_bare:
            return 0
        size = len(self.body)
        if isinstance(self.planned, Chunks):
            return size + self.planned.size
        for data, _ in self.planned:  # a loop, as a generator would cost twice as much
            size += len(data)
        return size

    def strip(self) -> None:
        """Drop the bodies, at once or when the answer has ended, and keep what they told."""
        if not self.is_bare:
            self.is_bare = True
            if self.ended_at is not None:
                self._strip()

    def _strip(self) -> None:
        self.counted, self.sound, self.odd, _ = self.totals, self.soundness, self.oddity, self.fingerprint
        self.body, self.planned, self.made = b"", (), ()

    def as_plain(self) -> dict[str, Any]:
        """The record as JSON has it, for another process; `from_plain` reads it."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | {
            "query": dict(self.query),
            "response_headers": dict(self.response_headers),
            "spent": asdict(self.spent) if self.spent else None,
            "marks": list(self.marks or ()),
            "body": self.body.decode("latin-1"),
            "planned": [frame.data.decode("latin-1") for frame in self.planned],
            "counted": self.totals,
            "sound": self.soundness if self.ended_at is not None else None,
            "odd": self.oddity if self.ended_at is not None else None,
            "is_bare": self.is_bare,
            "digest": self.fingerprint if self.answered_at is not None else "",
        }

    def read_plain(self, plain: Mapping[str, Any]) -> None:
        """Take over what a record was in another process."""
        for name in _PLAIN:
            setattr(self, name, plain[name])
        self.headers, self.misses = tuple(self.headers), tuple(self.misses)
        self.spent = Spent(**plain["spent"]) if plain["spent"] else None
        self.marks = array("d", plain["marks"]) if plain["marks"] else None
        self.body = plain["body"].encode("latin-1")
        self.planned = tuple(Frame(data.encode("latin-1")) for data in plain["planned"])
        self.counted = tuple(plain["counted"])
        self.sound, self.odd = plain["sound"], plain["odd"]
        self.is_bare, self.digest = plain["is_bare"], plain["digest"]


_SEEN: dict[tuple[str | None, ...], tuple[str, ...]] = {}  # headers that come again and again, kept once


def kept_of(headers: Mapping[str, str], secrets: Collection[str]) -> tuple[str, ...]:
    """The values of `HEADERS`, empty where there is none."""
    values = tuple(map(headers.get, HEADERS))
    kept = _SEEN.get(values)
    if kept is None:
        kept = tuple(hidden_text(value or "", secrets) for value in values)
        if kept == tuple(value or "" for value in values):  # what held a credential is not remembered
            if len(_SEEN) > 1000:
                _SEEN.clear()
            _SEEN[values] = kept
    return kept


def _ending(answer: Answer) -> str:
    """How the answer ends on the wire; one whose length is a lie ends in the middle."""
    if answer.delay_s == math.inf:
        return "hang"
    if answer.ending != "whole":
        return answer.ending
    return "headless" if answer.headless else "fin" if answer.full_length is not None else "whole"


def _are_alike(made: Sequence[Frame], planned: Sequence[Frame]) -> bool:
    """Whether a plan says what was made, however late."""
    return made is planned or (
        len(made) == len(planned) and all(one.data is other.data for one, other in zip(made, planned, strict=True))
    )


def _joined(frames: Sequence[Frame]) -> Raw | None:
    return b"".join(frame.data for frame in frames) if frames else None


def _files(form: Form) -> dict[str, Any]:
    return {
        name: [
            {
                "filename": upload.filename,
                "content_type": upload.content_type,
                "size": len(upload.content),
                "digest": hashlib.blake2b(upload.content, digest_size=12).hexdigest(),
            }
            for upload in uploads
        ]
        for name, uploads in form.files.items()
    }
