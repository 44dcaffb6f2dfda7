"""The items of a conversation: put in, taken out, read as a chat has them, and counted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver import problems
from mockserver.generating import usage
from mockserver.parameters import array, obj, one_of, require, string

Item = dict[str, Any]

_KINDS = ("message", "function_call", "function_call_output")
_PARTS = ("input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio")
# recorded: 16 tokens for 7 of instructions and 5 of a message, 63 where a function is declared, 96 after it; functions
# are so much cheaper than in a chat
_AROUND, _TOOLS_LESS, _AROUND_CALL = 2, 3, 6


@dataclass(slots=True)
class Conversation:
    """Items in their order."""

    items: list[Item] = field(default_factory=list)

    def add(self, item: Item, *, after: str | None = None) -> str | None:
        """Put an item behind the one called `after`, at the end without it, at the front for `root`.

        Returns the name of the item before it; Problem if there is no item called `after`.
        """
        place = len(self.items) if after is None else 0 if after == "root" else self._place(after, "create") + 1
        self.items.insert(place, item)
        return str(self.items[place - 1]["id"]) if place else None

    def find(self, name: Any, doing: str = "retrieve") -> Item:
        """The item called so; Problem if there is none."""
        return self.items[self._place(name, doing)]

    def remove(self, name: Any) -> None:
        """Take an item out; Problem if there is none."""
        del self.items[self._place(name, "delete")]

    def _place(self, name: Any, doing: str) -> int:
        for place, item in enumerate(self.items):
            if item["id"] == name:
                return place
        # codes and texts as remembered from public bug reports; unverified
        noun = {"create": "creating", "delete": "deleting", "retrieve": "retrieving", "truncate": "truncating"}[doing]
        message = f"Error {noun} item: the item with id '{name}' does not exist."
        raise problems.error(400, message, code=f"item_{doing}_invalid_item_id")


def check_item(param: str, item: Any) -> None:
    """Refuse what is no item; worded as on other surfaces, unverified here."""
    obj(param, item)
    require(item, ["type"], within=param)
    one_of(*_KINDS)(f"{param}.type", item["type"])
    if item["type"] == "message":
        require(item, ["role", "content"], within=param)
        one_of("user", "assistant", "system")(f"{param}.role", item["role"])
        array(1_000, _check_part)(f"{param}.content", item["content"])
        return
    names = ("name", "arguments") if item["type"] == "function_call" else ("call_id", "output")
    require(item, names, within=param)
    for name in names:
        string(f"{param}.{name}", item[name])


def _check_part(param: str, part: Any) -> None:
    obj(param, part)
    require(part, ["type"], within=param)
    one_of(*_PARTS)(f"{param}.type", part["type"])
    if part["type"] in ("input_text", "output_text", "text"):
        require(part, ["text"], within=param)
        string(f"{param}.text", part["text"])


def messages_of(items: Sequence[Item], instructions: str) -> list[dict[str, Any]]:
    """The same as a chat; audio counts by its transcript."""
    system = [{"role": "system", "content": instructions}] if instructions else []
    return [*system, *(message for item in items for message in _messages(item))]


def _messages(item: Item) -> Iterator[dict[str, Any]]:
    if item["type"] == "message":
        yield {"role": item.get("role") or "user", "content": text_of(item)}
    elif item["type"] == "function_call":
        function = {"name": str(item.get("name")), "arguments": str(item.get("arguments"))}
        call = {"id": str(item.get("call_id")), "type": "function", "function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
    elif item["type"] == "function_call_output":
        yield {"role": "tool", "tool_call_id": str(item.get("call_id")), "content": str(item.get("output"))}


def text_of(item: Item) -> str:
    """What a message says."""
    parts = item.get("content")
    said = (part for part in parts if isinstance(part, Mapping)) if isinstance(parts, list) else ()
    return " ".join(str(part.get("text") or part.get("transcript") or "") for part in said).strip()


def tools_of(tools: Sequence[Any]) -> list[dict[str, Any]]:
    """The functions among the tools of a session, as a chat has them; other tools are never called."""
    found = [tool for tool in tools if isinstance(tool, Mapping) and tool.get("type") == "function"]
    names = ("name", "description", "parameters")
    functions = [{name: tool[name] for name in names if tool.get(name) is not None} for tool in found]
    return [{"type": "function", "function": function} for function in functions if function.get("name")]


def input_tokens(items: Sequence[Item], instructions: str, tools: Sequence[Mapping[str, Any]], *, model: str) -> int:
    """What the conversation is billed as input."""
    texts = sum(_item_tokens(item, model=model) for item in items)
    told = usage.text_tokens(instructions, model=model) + _AROUND if instructions else 0
    declared = usage.tools_tokens(tools, model=model) - _TOOLS_LESS if tools else 0
    return texts + told + declared


def _item_tokens(item: Item, *, model: str) -> int:
    if item["type"] == "function_call":
        said = f"{item.get('name')}", f"{item.get('arguments')}"
        return sum(usage.text_tokens(text, model=model) for text in said) + _AROUND_CALL
    text = text_of(item) if item["type"] == "message" else str(item.get("output"))
    return usage.text_tokens(text, model=model) + _AROUND
