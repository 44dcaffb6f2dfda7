"""Tool calls, put together from the fragments in which they are streamed."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from llmkit.errors import MalformedResponse
from llmkit.responses import expect
from llmkit.streaming.events import piece


class ToolCalls:
    """The calls of one reply: the fragments of one call share an index, which may leave gaps.

    Some gateways leave the index out. Then a fragment with an id of its own begins a call, and others go on with it.
    """

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def in_order(self) -> list[dict[str, Any]]:
        """All calls, as a whole reply has them."""
        return [self._calls[index].payload() for index in sorted(self._calls)]

    def add(self, fragments: Sequence[Mapping[str, Any]]) -> None:
        """Adds the fragments of one frame; `fragment` has checked each."""
        nameless = [one for one in fragments if one.get("index") is None and not one.get("id")]
        if nameless and len(fragments) > 1:
            raise MalformedResponse("A frame of the stream has pieces of several tool calls, but neither index nor id")
        for one in fragments:
            self._last = self._index(one)
            self._calls.setdefault(self._last, _Call()).add(one)

    def _index(self, one: Mapping[str, Any]) -> int:
        index, identity = one.get("index"), one.get("id")
        if index is not None:
            return int(index)
        if not identity or not self._calls:
            return self._last
        known = [place for place, call in self._calls.items() if call.id == identity]
        return known[0] if known else max(self._calls) + 1


class _Call:
    """One call: its id, type and name come once, its arguments in pieces."""

    def __init__(self) -> None:
        self.id = ""
        self._type = "function"
        self._name = ""
        self._arguments = StringIO()

    def add(self, one: Mapping[str, Any]) -> None:
        self.id = one.get("id") or self.id
        self._type = one.get("type") or self._type
        told = one.get("function") or one.get("custom") or {}
        self._name += told.get("name") or ""
        self._arguments.write(told.get("arguments") or told.get("input") or "")

    def payload(self) -> dict[str, Any]:
        """The call as a whole reply has it."""
        kind, said = ("custom", "input") if self._type == "custom" else ("function", "arguments")
        return {"id": self.id, "type": kind, kind: {"name": self._name, said: self._arguments.getvalue()}}


def fragment(call: object) -> Mapping[str, Any]:
    """A piece of a tool call, checked; it is handed to the caller as it came."""
    one: dict[str, Any] = expect(call, dict, "delta.tool_calls[…]")
    index = one.get("index")
    if index is not None and expect(index, int, "delta.tool_calls[…].index") < 0:
        raise MalformedResponse(f"delta.tool_calls[…].index in the reply is {index}, below 0")
    piece(one.get("id"), "delta.tool_calls[…].id")
    piece(one.get("type"), "delta.tool_calls[…].type")
    for kind in ("function", "custom"):
        told = expect(one.get(kind) or {}, dict, f"delta.tool_calls[…].{kind}")
        for name in ("name", "arguments", "input"):
            piece(told.get(name), f"delta.tool_calls[…].{kind}.{name}")
    return one
