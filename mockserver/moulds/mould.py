"""A mould at work: from a request of the shape that it was cast for to the bytes of the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple

from mockserver.answers import Frame
from mockserver.calls import Call, digest_of_content
from mockserver.dialects import Dialect
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about
from mockserver.http1 import date_now
from mockserver.moulds.gaps import Draw
from mockserver.moulds.wording import Said, as_one, in_pieces
from mockserver.quotas import granted
from mockserver.state import State
from mockserver.surfaces import Spent
from mockserver.surfaces.choices import said_by_user
from mockserver.truth.spelt import Chunks
from mockserver.wire import DONE

Values = dict[bytes, Any]
_LEAST_CACHED = 1024  # tokens of a prompt from which on part of it may come from a cache, see `usage.cached_tokens`


class Head(NamedTuple):
    """The status line and headers, as a pattern, and what of them is drawn."""

    pattern: str
    draws: tuple[Draw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body, as patterns: all of it in `before`, or the frames of a stream before and after those of the text.

    `piece` is the pattern of one of those, cut where its text stands, and its pad if it has one.
    """

    before: tuple[bytes, ...]
    draws: tuple[Draw, ...]
    piece: tuple[bytes, ...] = ()
    after: tuple[bytes, ...] = ()

    @property
    def streamed(self) -> bool:
        """Whether it comes as events."""
        return bool(self.piece)

    def filled(self, values: Values, pieces: Sequence[bytes], pads: Sequence[bytes]) -> Chunks:
        """The stream with these values and pieces of text, and a pad for each frame, if any."""
        begin, end = len(self.before), len(self.before) + len(pieces)
        events = [
            *_events(self.before, values, pads[:begin]),
            *self._pieces(values, pieces, pads[begin:end]),
            *_events(self.after, values, pads[end:]),
            DONE,
        ]
        return Chunks(events)

    def _pieces(self, values: Values, texts: Sequence[bytes], pads: Sequence[bytes]) -> list[bytes]:
        """Without a pattern for each: there are many."""
        start, *rest = [part % values for part in self.piece]
        if not pads:
            (end,) = rest
            return [start + text + end for text in texts]
        middle, end = rest
        return [start + text + middle + pad + end for text, pad in zip(texts, pads, strict=True)]


def _events(patterns: Sequence[bytes], values: Values, pads: Sequence[bytes]) -> list[bytes]:
    """Each pattern with these values and a pad of its own, if there are any."""
    return [pattern % {**values, b"pad": pad} for pattern, pad in zip_longest(patterns, pads, fillvalue=b"")]


class Poured(NamedTuple):
    """What a mould makes of one request.

    `content` is the body as it goes over the socket, of `size` bytes without what HTTP puts around its chunks.
    """

    frames: Sequence[Frame]
    content: bytes
    size: int
    spent: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Mould:
    """A shape of answers; `call` is one that was answered in it.

    `framing` are the tokens of a prompt beside those of its texts, `said` what beside the messages decides what is
    generated. At most `limit` tokens are said, and `room` are left in the window for a prompt. `facts` are what the
    journal notes of each, `secrets` what it must not.
    """

    state: State
    dialect: Dialect
    call: Call
    framing: int
    said: Mapping[str, Any]
    limit: int
    room: int
    may_be_cached: bool
    facts: Mapping[str, Any]
    secrets: frozenset[str] = field(repr=False)
    head: Head
    body: Body

    def pour(self, messages: Sequence[Mapping[str, Any]], *, now: float) -> Poured | None:
        """The answer to these messages, None where they are no case for a mould."""
        model = self.call.model
        prompt = self.framing
        for message in messages:
            prompt += usage.text_length(message["content"], model=model)
        if prompt > self.room or (self.may_be_cached and prompt >= _LEAST_CACHED):
            return None
        digest = digest_of_content({**self.said, "messages": messages})
        pieces, tokens, is_cut = self._said(messages, digest)
        values: Values = {
            b"created": self.state.settings.created_at(now),
            b"finish": b"length" if is_cut else b"stop",
            b"prompt": prompt,
            b"completion": tokens,
            b"total": prompt + tokens,
        }
        if self.body.draws:
            dice = self._dice("completion", digest)
            for gap, ask, arguments in self.body.draws:
                values[gap.encode()] = ask(dice, *arguments).encode()
        spent = Spent(prompt=prompt, completion=tokens)
        if self.body.streamed:
            chunks = self._chunks(values, pieces, digest)
            return Poured(chunks, chunks.raw, chunks.size, spent)
        whole = self.body.before[0] % {**values, b"text": pieces[0]}
        return Poured((Frame(whole),), whole, len(whole), spent)

    def _said(self, messages: Sequence[Mapping[str, Any]], digest: str) -> Said:
        text = text_about(said_by_user(messages), self._dice("choice 0", digest))
        return (in_pieces if self.body.streamed else as_one)(text, limit=self.limit, model=self.call.model)

    def _chunks(self, values: Values, pieces: Sequence[bytes], digest: str) -> Chunks:
        count = len(self.body.before) + len(pieces) + len(self.body.after)
        pads = self.dialect.pads(self.call, count, self._dice("wire", digest))
        return self.body.filled(values, pieces, [pad.encode() for pad in pads])

    def _dice(self, purpose: str, digest: str) -> Dice:
        return Dice(self.state.settings.seed or 0, purpose, self.call.surface, self.call.model, digest)

    def head_of(self, number: int, request_id: str, *, poured: Poured) -> str:
        """Status line and headers of the answer to request `number`."""
        values = {"request_id": request_id, "date": date_now(), "length": poured.size}
        values |= _limits(self.dialect, self.call.deployment or self.call.model, poured.spent.total)
        dice = self.state.dice("headers", number)
        for gap, ask, arguments in self.head.draws:
            values[gap] = ask(dice, *arguments)
        return self.head.pattern % values


@lru_cache(maxsize=4096)
def _limits(dialect: Dialect, subject: str, tokens: int) -> dict[str, str]:
    """How the quotas stand after so many tokens, by the gaps that stand for it: there are no limits."""
    charge = granted(tokens, "azure" if dialect.name == "azure" else "openai", subject)
    return {gap_of(name): value for name, value in dialect.limits(charge).items()}


def gap_of(header: str) -> str:
    """The gap that a header has."""
    return header.replace("-", "_")
