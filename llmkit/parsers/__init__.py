"""Text of a reply → a value, or an error that says where it is none.

Every parser is a callable, made once and used any number of times:

    from llmkit import parsers

    parsers.Json()(reply.text)
    parsers.Model(Invoice)(reply.text)
    parsers.Choice("positive", "negative")(reply.text)

None of them guesses: what it does not take, it refuses with ParseFailed, whose message has line and column, and whose
`text`, `position` and `path` say the same to a program. Each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.parsers.choices import Boolean, Choice
    from llmkit.parsers.code import Block, Code, CodeBlocks
    from llmkit.parsers.json_repair import Repair
    from llmkit.parsers.lists import Items
    from llmkit.parsers.numbers import Number
    from llmkit.parsers.paths import KeyPath
    from llmkit.parsers.structured import Json, Model, Reading, Schema
    from llmkit.parsers.text import Text
    from llmkit.parsers.tool_calls import ParsedCall, ToolCalls

__all__ = [
    "Block", "Boolean", "Choice", "Code", "CodeBlocks", "Items", "Json", "KeyPath", "Model", "Number", "ParsedCall",
    "Reading", "Repair", "Schema", "Text", "ToolCalls",
]  # fmt: skip

_HOMES = {
    "choices": ("Boolean", "Choice"),
    "code": ("Block", "Code", "CodeBlocks"),
    "json_repair": ("Repair",),
    "lists": ("Items",),
    "numbers": ("Number",),
    "paths": ("KeyPath",),
    "structured": ("Json", "Model", "Reading", "Schema"),
    "text": ("Text",),
    "tool_calls": ("ParsedCall", "ToolCalls"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'llmkit.parsers' has no attribute {name!r}")
    value: object = getattr(import_module(f"llmkit.parsers.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
