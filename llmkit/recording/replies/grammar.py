"""The grammar of event streams, as the APIs of chat completions and of responses write it.

See https://html.spec.whatwg.org/multipage/server-sent-events.html, and ``chat-streaming`` and ``responses-streaming``
at https://platform.openai.com/docs/api-reference/. What a stream does against it is a fault, told by where it is.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

TURNS = frozenset({"annotations", "audio", "content", "function_call", "refusal", "tool_calls"})
"""Fields of a message that depend on how the model chose to finish."""

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")
_PAIRS = ("response.output_item", "response.content_part", "response.reasoning_summary_part")


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event: its name, its data, and that as JSON, or None if it is none."""

    event: str
    data: str
    value: Any = None


NO_JSON = object()
"""Stands for a text that is not JSON."""


def parsed(text: str) -> object:
    """Return the value of the JSON in ``text``, or `NO_JSON`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_JSON


def frames_of(text: str, *, is_cut: bool) -> Iterator[Frame]:
    """Parse an event stream; of a stream that was cut, the event that it was cut in is left out."""
    blocks = re.split(r"\r\n\r\n|\n\n|\r\r", text)
    for block in blocks[:-1] if is_cut else blocks:
        # splitlines() would also split where JSON may hold a line separator of Unicode
        lines = [line.partition(":") for line in re.split(r"\r\n|\n|\r", block)]
        event = next((value.strip() for name, _, value in lines if name == "event"), "")
        data = "\n".join(value.removeprefix(" ") for name, _, value in lines if name == "data")
        if event or data:
            value = parsed(data)
            yield Frame(event, data, None if value is NO_JSON else value)


def name_of(frame: Frame) -> str:
    """Return the name of the event, which some services only give as the ``type`` in its data; "" if it has none."""
    kind = frame.value.get("type") if isinstance(frame.value, dict) else None
    return frame.event or (kind if isinstance(kind, str) else "")


def faults_of_chunks(frames: Sequence[Frame], *, is_whole: bool) -> dict[str, str]:
    """Return what breaks the grammar of a stream of chunks, by where it does."""
    done = [index for index, frame in enumerate(frames) if frame.data.strip() == "[DONE]"]
    faults = _faults_of_frames([frame for frame in frames if frame.data.strip() != "[DONE]"])
    if is_whole and not done:
        faults["[DONE]"] = "missing"
    elif done and done[0] != len(frames) - 1:
        faults["[DONE]"] = "not the end"
    chunks = [frame.value for frame in frames if isinstance(frame.value, dict)]
    by_index: dict[int, _Choice] = {}
    for chunk in chunks:
        for choice in choices_of([chunk]):
            by_index.setdefault(index_of(choice), _Choice()).take(choice)
        if chunk.get("usage") and any(not choice.finishes for choice in by_index.values()):
            faults["usage"] = "before the finish_reason"  # of a service that reports it with each chunk
    for index, taken in by_index.items():
        faults |= {f"choices[{index}]{where}": fault for where, fault in taken.faults(is_whole=is_whole)}
    return faults


def _faults_of_frames(frames: Sequence[Frame]) -> dict[str, str]:
    faults = {}
    if any(frame.value is None for frame in frames):
        faults["data"] = "not JSON"
    if any(isinstance(frame.value, dict) and frame.value.get("error") for frame in frames):
        faults["error"] = "in the stream"
    return faults


@dataclass(slots=True)
class _Choice:
    """One choice of a stream of chunks, as it comes in."""

    finishes: list[str] = field(default_factory=list)
    has_begun: bool = False
    has_role: bool = True
    goes_on: bool = False
    arguments: dict[int, str] = field(default_factory=dict)

    def take(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self.has_role = self.has_role if self.has_begun else "role" in delta
            self.has_begun = True
        says = any(message_of(choice).get(name) for name in TURNS) or bool(choice.get("text"))
        self.goes_on = self.goes_on or (says and bool(self.finishes))
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finishes.append(finish)
        calls = message_of(choice).get("tool_calls")
        for call in only(dict, calls if isinstance(calls, list) else []):
            function, index = call.get("function"), index_of(call)
            piece = function.get("arguments") if isinstance(function, dict) else None
            self.arguments[index] = self.arguments.get(index, "") + (piece if isinstance(piece, str) else "")

    def faults(self, *, is_whole: bool) -> Iterator[tuple[str, str]]:
        if not self.has_role:
            yield ".delta.role", "not in the first delta"
        if self.goes_on:
            yield ".delta", "goes on after the finish_reason"
        if len(self.finishes) > 1:
            yield ".finish_reason", "more than once"
        if is_whole and not self.finishes:
            yield ".finish_reason", "missing"
        if is_whole and "length" not in self.finishes and not all(map(is_json, self.arguments.values())):
            yield ".delta.tool_calls[*].function.arguments", "not JSON"


def faults_of_events(frames: Sequence[Frame], *, is_whole: bool) -> dict[str, str]:
    """Return what breaks the grammar of a stream of the Responses API, by where it does."""
    faults = _faults_of_frames([frame for frame in frames if frame.data.strip() != "[DONE]"])
    names = [name_of(frame) for frame in frames]
    if names and names[0] not in ("response.created", "response.queued"):
        faults["the first event"] = repr(names[0])
    if is_whole and (not names or names[-1] not in _ENDS):
        faults["the end"] = "missing"
    faults |= {name: "in the stream" for name in ("response.failed", "error") if name in names}
    values = [frame.value for frame in frames if isinstance(frame.value, dict)]
    if any(frame.event not in ("", frame.value.get("type")) for frame in frames if isinstance(frame.value, dict)):
        faults["type"] = "not the name of the event"
    numbers = [n for value in values if isinstance(n := value.get("sequence_number"), int)]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        faults["sequence_number"] = "not ascending"
    return faults | dict(_unpaired(names, is_whole=is_whole))


def _unpaired(names: Sequence[str], *, is_whole: bool) -> Iterator[tuple[str, str]]:
    for pair in _PAIRS:
        steps = [(name == f"{pair}.added") - (name == f"{pair}.done") for name in names]
        if min(itertools.accumulate(steps), default=0) < 0:
            yield f"{pair}.done", f"before {pair}.added"
        if is_whole and sum(steps) > 0:
            yield f"{pair}.done", "missing"
    for name in {name for name in names if name.endswith(".delta")} if is_whole else ():
        if name.removesuffix("delta") + "done" not in names:
            yield name.removesuffix("delta") + "done", "missing"


def choices_of(values: Iterable[object]) -> list[dict[str, Any]]:
    """Return the choices of all of ``values``, which are replies or chunks."""
    return only(dict, joined(only(list, [value.get("choices") for value in only(dict, values)])))


def index_of(part: Mapping[str, Any]) -> int:
    """Return the index that a choice or a tool call says it has."""
    index = part.get("index")
    return index if isinstance(index, int) else 0


def message_of(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message of ``choice``, or the piece of one."""
    part = choice.get("message") or choice.get("delta")
    return part if isinstance(part, dict) else {}


_T = TypeVar("_T")


def only(kind: type[_T], values: Iterable[object]) -> list[_T]:
    """Return those of ``values`` that are of ``kind``."""
    return [value for value in values if isinstance(value, kind)]


def joined(lists: Iterable[list[Any]]) -> list[Any]:
    """Return the items of all ``lists``."""
    return [item for items in lists for item in items]


def is_json(text: str) -> bool:
    """Whether ``text`` is JSON."""
    return parsed(text) is not NO_JSON
