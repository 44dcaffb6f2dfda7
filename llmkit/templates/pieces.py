"""What a template says, piece by piece: text, values, beginnings of messages, conversations, images.

They are of different types, so a role can't be mistaken for text, nor text for a role, whatever characters it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Undefined

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.messages import Dumpable, conversation
from llmkit.templates.content import Image, Part
from llmkit.templates.guards import joined_text

_INSERTABLE = ("user", "assistant", "tool")


class Said(str):
    """The text of a value: kept to the letter, where the template's own text loses the blanks at a message's edges."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Begin:
    """The beginning of a message; `fields` is what it has besides its content."""

    role: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inserted:
    """Messages that a template takes from a variable, on purpose."""

    messages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a macro or a block made, where that is more than text."""

    pieces: tuple[object, ...]

    def __str__(self) -> str:
        raise TemplateInvalid("it holds messages or images, so it can't be used as text: let {{ … }} have it as it is")


Piece = str | Begin | Inserted | Pieces | Image | Part


class Messages(Extension):
    """The tags `message`, which a line with a role becomes, and `messages`, which inserts a conversation."""

    tags = {"message", "messages"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """The call that makes a piece of the tag."""
        token = next(parser.stream)
        if token.value == "messages":
            call = self.call_method("inserted", [parser.parse_expression()], lineno=token.lineno)
        else:
            role = nodes.Const(parser.stream.expect("string").value)
            call = self.call_method("begin", [role], _keywords(parser), lineno=token.lineno)
        return nodes.Output([call], lineno=token.lineno)

    @staticmethod
    def begin(role: str, **fields: object) -> Begin:
        """The beginning of a message of this role."""
        return Begin(role, {name: _field(role, name, value) for name, value in fields.items()})

    @staticmethod
    def inserted(messages: object) -> Inserted:
        """A conversation, or pairs such as {"user": …, "assistant": …}; instructions can't come in this way."""
        if not isinstance(messages, list | tuple):
            raise TemplateInvalid(f"{{% messages … %}} takes a list of messages, not {shown(messages)}")
        found = tuple(conversation([message for each in messages for message in _pair(each)]))
        for message in found:
            if str.__str__(message["role"]) not in _INSERTABLE:
                raise TemplateInvalid(
                    f"{{% messages … %}} inserts messages of {', '.join(_INSERTABLE)}, not of {message['role']!r}: "
                    "what instructs the model is written in the template"
                )
        return Inserted(found)


def _keywords(parser: Parser) -> list[nodes.Keyword]:
    found = []
    while parser.stream.skip_if("comma"):
        name = parser.stream.expect("name")
        parser.stream.expect("assign")
        found.append(nodes.Keyword(name.value, parser.parse_expression(), lineno=name.lineno))
    return found


def _field(role: str, name: str, value: object) -> object:
    """A field of a message besides its content, checked."""
    if (role, name) == ("assistant", "tool_calls"):
        if isinstance(value, list | tuple):
            return [_tool_call(call) for call in value]
        raise TemplateInvalid(f"tool_calls = {shown(value)}: it has to be the list of a reply's tool calls")
    if name != "name" and (role, name) != ("tool", "tool_call_id"):
        raise TemplateInvalid(
            f"{role} has no {name!r}: every role has name, tool has tool_call_id, assistant has tool_calls"
        )
    if not (isinstance(value, str) and value):
        raise TemplateInvalid(f"{name} = {shown(value)}: it has to be a text that is not empty")
    return str(value)


def _tool_call(call: object) -> dict[str, Any]:
    """A call as the API takes it back, from the API's own form or from an `llmkit.ToolCall`."""
    if isinstance(call, Dumpable):
        call = call.model_dump(mode="json", exclude_unset=True)
    if isinstance(call, Mapping):
        return dict(call)
    said = [getattr(call, name, None) for name in ("id", "name", "arguments")]
    if not all(isinstance(each, str) for each in said):
        raise TemplateInvalid(f"tool_calls holds {shown(call)}, which is no tool call")
    return {"id": said[0], "type": "function", "function": {"name": said[1], "arguments": said[2]}}


def _pair(message: object) -> Iterator[Any]:
    """The messages of an example that is written as {role: text, …}; anything else as it is."""
    if isinstance(message, Mapping) and message and "role" not in message and set(message) <= set(_INSERTABLE):
        yield from ({"role": role, "content": content} for role, content in message.items())
    else:
        yield message


def shown(value: object) -> str:
    """A value for a message, also one that is missing."""
    return "a variable that is missing" if isinstance(value, Undefined) else excerpt(value)


def joined(values: Iterable[object]) -> object:
    """What jinja2 joins for a macro or a block: a text, or pieces where that is more than text."""
    pieces = list(values)
    if all(isinstance(piece, str) for piece in pieces):
        return joined_text("", pieces)
    return Pieces(tuple(pieces))
