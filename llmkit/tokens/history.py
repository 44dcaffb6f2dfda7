"""Calls of tools and their results in a conversation, as they are billed with it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llmkit.tokens.counts import Tally
from llmkit.tokens.rules import Surface
from llmkit.tokens.schemas import compact, compact_json, parsed_json, spelt
from llmkit.tokens.text import length

_UNNAMED = 2  # tokens that the name of a function about has; what a result without its call is taken to answer


class Call(NamedTuple):
    """One call of a tool: its id, the function's name, and its arguments as JSON text."""

    id: str | None
    name: str
    arguments: str


class History:
    """The calls of one conversation, and what they and their results cost.

    In chats, models before gpt-5 and o1 read several calls at once as one of `multi_tool_use.parallel`, and their
    results as one JSON list; so these are counted when all are there.
    """

    __slots__ = ("_encoding", "_names", "_results", "_surface", "_tally", "_together")

    def __init__(self, tally: Tally, *, encoding: str, surface: Surface) -> None:
        self._tally, self._encoding, self._surface = tally, encoding, surface
        self._names: dict[str | None, str] = {}
        self._together: dict[str | None, int] = {}  # by id, which group of calls one belongs to
        self._results: list[list[Any]] = []

    def add_calls(self, calls: list[Call]) -> None:
        """Add what was called at once."""
        self._names |= {call.id: call.name for call in calls}
        if len(calls) > 1 and self._surface.together is not None:
            self._add_group(calls, self._surface.together)
            return
        for call in calls:
            said = self._length(f".{call.name}") + self._length(compact_json(call.arguments))
            self._tally.add(self._surface.call + said)
        more = max(len(calls) - 1, 0)
        self._tally.add(self._surface.more_calls * more, 2 * more)

    def add_result(self, answered: object, content: str, *, name: str | None = None) -> None:
        """Add the result of the call of that id; it is billed with the name of what was called."""
        call_id = answered if isinstance(answered, str) else None
        group = self._together.get(call_id)
        if group is not None:
            self._results[group].append(parsed_json(content))
            return
        called = self._names.get(call_id) or name
        named = self._length(called) if called else _UNNAMED
        self._tally.add(self._surface.result + named + self._length(content), 0 if called else 2)

    def close(self) -> None:
        """Add the results of calls that were made at once; last of all, since a call makes no count exact."""
        for results in self._results:
            if results:
                self._tally.add(self._length(spelt(results)), 1)
        if self._names:
            self._tally.margin = max(self._tally.margin, 1)

    def _add_group(self, calls: Iterable[Call], frame: int) -> None:
        uses = [
            {"recipient_name": f"functions.{call.name}", "parameters": parsed_json(call.arguments)} for call in calls
        ]
        self._together |= {call.id: len(self._results) for call in calls}
        self._results.append([])
        self._tally.add(frame + self._length(compact({"tool_uses": uses})), 1)

    def _length(self, text: str) -> int:
        return length(self._encoding, text)


def call_of(function: Mapping[str, Any], call_id: object = None) -> Call:
    """The call that a `function`, a `custom` or a `function_call` object says."""
    said = function.get("arguments") or function.get("input") or ""
    arguments = said if isinstance(said, str) else compact(said)
    return Call(call_id if isinstance(call_id, str) else None, str(function.get("name") or ""), arguments)
