"""The content filter on its way round an answer: choices end where it finds what may not be read.

That a filtered choice ends with `content_filter` and says what came before is documented at
https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter; so is that it is billed whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver.calls import Call
from mockserver.content_filter import ContentFilter, Verdict

Payload = dict[str, Any]
_NOTHING = Verdict()


def filter_of(call: Call) -> ContentFilter:
    """The filter that the server puts around this call."""
    return call.content_filter


def screened(call: Call, choices: Iterable[Payload]) -> list[tuple[Payload, Verdict]]:
    """The choices of a whole reply as far as they may be read, each with its verdict."""
    content_filter = filter_of(call)
    return [_screened(choice, content_filter) for choice in choices]


def _screened(choice: Payload, content_filter: ContentFilter) -> tuple[Payload, Verdict]:
    text = _text(choice.get("message", choice), "content" if "message" in choice else "text")
    verdict = content_filter.of(text)
    if verdict.hit is None:
        return choice, verdict
    cut = text[: verdict.hit.start]
    ended = {**choice, "logprobs": None, "finish_reason": "content_filter"}
    if "message" in choice:
        return {**ended, "message": {**choice["message"], "content": cut}}, verdict
    return {**ended, "text": cut}, verdict


def _text(part: Mapping[str, Any], name: str) -> str:
    return str(part.get(name) or "")


def screened_stream(call: Call, chunks: Sequence[Payload]) -> list[tuple[Payload, Verdict]]:
    """The chunks of a stream as far as they may be read, each with the verdict on its choice so far."""
    content_filter = filter_of(call)
    if not content_filter.words:
        return [(chunk, _NOTHING) for chunk in chunks]
    followed: dict[int, _Followed] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            followed.setdefault(choice["index"], _Followed(content_filter)).whole += _piece(choice)
    passed = []
    for chunk in chunks:
        if not chunk["choices"]:
            passed.append((chunk, _NOTHING))
            continue
        choice = chunk["choices"][0]
        kept = followed[choice["index"]].step(choice)
        if kept is not None:
            passed.append(({**chunk, "choices": [kept[0]]}, kept[1]))
    return passed


def _piece(choice: Mapping[str, Any]) -> str:
    return _text(choice.get("delta", choice), "content" if "delta" in choice else "text")


@dataclass
class _Followed:
    """One choice of a stream, followed from chunk to chunk."""

    content_filter: ContentFilter
    whole: str = ""
    at: int = 0

    def step(self, choice: Payload) -> tuple[Payload, Verdict] | None:
        """What is let through of a chunk's choice, None where nothing of it is."""
        hit = self.content_filter.of(self.whole).hit
        piece = _piece(choice)
        start, self.at = self.at, self.at + len(piece)
        if hit is None or self.at <= hit.start:
            verdict = self.content_filter.of(self.whole, until=self.at)
            if hit is None or choice["finish_reason"] is None:
                return choice, verdict
        verdict = self.content_filter.of(self.whole)
        left = piece[: max(hit.start - start, 0)]
        if choice["finish_reason"] is not None:
            return {**_rewritten(choice, left), "finish_reason": "content_filter"}, verdict
        return (_rewritten(choice, left), _NOTHING) if left else None


def _rewritten(choice: Payload, text: str) -> Payload:
    if "delta" not in choice:
        return {**choice, "text": text}
    said = {"content": text} if choice["delta"].get("content") else {}
    return {**choice, "delta": {**choice["delta"], **said}}
