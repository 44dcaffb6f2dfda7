"""Text of a reply → a value, or an error that says where it is none.

Every parser is a callable, made once and used any number of times:

    from llmkit import parsers

    parsers.Json()(reply.text)
    parsers.Model(Invoice)(reply.text)
    parsers.Choice("positive", "negative")(reply.text)

None of them guesses: what it does not take, it refuses with ParseFailed, whose message has line and column, and whose
`text`, `position` and `path` say the same to a program.
"""

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
