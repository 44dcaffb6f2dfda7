"""A conversation, as callers hand it over: a string, a list of messages, or what the SDK made of a reply.

Shapes: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from llmkit.errors import InvalidRequest, excerpt

_EXAMPLE = "{'role': 'user', 'content': …}"


@runtime_checkable
class Dumpable(Protocol):
    """An object of pydantic's kind, such as the SDK's ChatCompletionMessage."""

    def model_dump(self, *, mode: str, exclude_unset: bool) -> dict[str, Any]:
        """Its fields, as JSON has them."""
        ...


Message = Mapping[str, Any] | Dumpable

_SCALARS = frozenset(
    {str, int, float, bool, type(None)}
)  # told apart at once: whether it is Dumpable takes ten microseconds


def conversation(messages: str | Iterable[Message]) -> list[dict[str, Any]]:
    """The messages as new dicts; a plain string is one user message. Raises InvalidRequest for what is no message."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [_message(message, index) for index, message in enumerate(_items(messages))]


def _items(messages: object) -> Iterable[object]:
    if isinstance(messages, list):  # nearly always; the tests below are slow
        return messages
    if isinstance(messages, Mapping | Dumpable):
        raise InvalidRequest("messages is one message: put it into a list, [{'role': 'user', 'content': …}]")
    if not isinstance(messages, Iterable) or isinstance(messages, bytes | bytearray):
        raise InvalidRequest(
            f"messages is {excerpt(messages)}: it has to be a string, or a list of messages like {_EXAMPLE}"
        )
    return messages


def _message(message: object, index: int) -> dict[str, Any]:
    try:
        if isinstance(message, dict) and _SCALARS.issuperset(map(type, message.values())):
            plain: object = dict(message)  # nearly always; to look at each value takes longer than to send it
        else:
            plain = _plain(message)
    except (RecursionError, TypeError) as error:  # nested too deeply, or a model_dump of another kind
        raise InvalidRequest(f"messages[{index}] cannot be read: {error}") from None
    if not isinstance(plain, dict):
        raise InvalidRequest(f"messages[{index}] is {excerpt(message)}, not a message like {_EXAMPLE}")
    role = plain.get("role")
    if not (isinstance(role, str) and role):
        raise InvalidRequest(
            f"messages[{index}] has the role {role!r}, not one like {_EXAMPLE}: it is {excerpt(message)}"
        )
    return plain


def _plain(value: object) -> object:
    """The value with dicts for mappings and for the objects of the SDK, of which replies are often put together."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Dumpable) and not isinstance(value, type):
        return value.model_dump(mode="json", exclude_unset=True)
    return value
