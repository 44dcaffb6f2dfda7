"""An interaction as people think of it: who said what, which tools were called, and how it ended.

Knows the bodies of chat completions, responses, completions and embeddings (https://platform.openai.com/docs/api-reference);
anything else is told by its sizes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from llmkit.recording.interaction import Interaction, Request, Response, header
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.replies.grammar import NO_JSON, choices_of, frames_of, index_of, message_of, only, parsed
from llmkit.recording.replies.ledger import Usage, usage_of

_SURFACES = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/responses": "responses",
    "/embeddings": "embeddings",
}
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool; ``arguments`` are its JSON as it was sent."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side said, with what is no text in brackets; ``tool_call_id`` names the call that a tool answers.

    ``role`` is that of the API, or ``instructions``, ``reasoning``, ``input``, ``vectors``, ``error``, ``request``,
    ``reply`` for what has none. ``finish`` is the reason why a model stopped.
    """

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    finish: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was asked and what was replied; ``ended`` is that of the `Response`, "" for a whole one."""

    asked: tuple[Turn, ...]
    replied: tuple[Turn, ...]
    usage: Usage
    ended: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An interaction in a line: ``surface`` is ``chat``, ``responses``, ``completions``, ``embeddings`` or the path.

    ``asked`` and ``served`` are models; an Azure deployment is asked for by its name. ``size`` is that of the reply's
    body, in bytes; ``recorded_at`` is ISO 8601 or "".
    """

    surface: str
    asked: str
    served: str
    usage: Usage
    status: int
    size: int
    recorded_at: str


def render(interaction: Interaction) -> Conversation:
    """Return ``interaction`` as a conversation; a body that can't be read is told by its size."""
    request, response = interaction.request, decoded(interaction.response)
    asked, values = _object(request.body), _values(response)
    reader = _READERS.get(_surface(request))
    turns = (list(reader.asked(asked)), list(_replied(reader, values))) if reader else ([], [])
    return Conversation(
        asked=tuple(turns[0]) or (_told_request(request),),
        replied=tuple(turns[1]) or (_told_reply(response),),
        usage=usage_of(response),
        ended=response.ended,
    )


def facts(interaction: Interaction) -> Facts:
    """Return what a table of interactions shows."""
    request, response = interaction.request, decoded(interaction.response)
    deployment = _DEPLOYMENT.search(urlsplit(request.uri).path)
    return Facts(
        surface=_surface(request),
        asked=_text(_object(request.body).get("model")) or (deployment[1] if deployment else ""),
        served=next((model for value in _values(response) if (model := _model(value))), ""),
        usage=usage_of(response),
        status=response.status,
        size=len(response.body),
        recorded_at=interaction.recorded_at,
    )


def _surface(request: Request) -> str:
    path = urlsplit(request.uri).path.rstrip("/")
    found = next((name for end, name in _SURFACES.items() if path.endswith(end)), None)
    return found if found and request.method.upper() == "POST" else path or "/"


def _model(value: Mapping[str, Any]) -> str:
    inner = value.get("response")  # the events of the Responses API wrap the reply
    return _text((inner if isinstance(inner, dict) else value).get("model"))


def _object(body: bytes) -> dict[str, Any]:
    value = parsed(body.decode("utf-8", "replace"))
    return value if isinstance(value, dict) else {}


def _values(response: Response) -> list[dict[str, Any]]:
    """Return the object that the body is, or those of its events."""
    text = response.body.decode("utf-8", "replace")
    value = parsed(text)
    values = (
        [value] if value is not NO_JSON else [frame.value for frame in frames_of(text, is_cut=bool(response.ended))]
    )
    return only(dict, values)


def _told_request(request: Request) -> Turn:
    path = urlsplit(request.uri).path or "/"
    return Turn(role="request", text=f"{request.method} {path}, {len(request.body):,} bytes")


def _told_reply(response: Response) -> Turn:
    kind = header(response.headers, "content-type").partition(";")[0] or "no content type"
    return Turn(role="reply", text=f"{response.status}, {kind}, {len(response.body):,} bytes")


def _replied(reader: _Reader, values: Sequence[dict[str, Any]]) -> Iterator[Turn]:
    yield from reader.replied(values)
    for value in values:
        inner = value.get("response")
        error = value.get("error") or (inner.get("error") if isinstance(inner, dict) else None)
        if isinstance(error, dict):
            yield Turn(role="error", text=_text(error.get("message")))


# Chat completions and completions


def _chat_asked(body: Mapping[str, Any]) -> Iterator[Turn]:
    return (_message(message) for message in only(dict, _list(body.get("messages"))))


def _chat_replied(values: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    by_index: dict[int, Turn] = {}
    for choice in choices_of(values):
        index = index_of(choice)
        by_index[index] = _joined(by_index.get(index, Turn(role="")), choice)
    return (replace(turn, role=turn.role or "assistant") for _, turn in sorted(by_index.items()))


def _joined(turn: Turn, choice: Mapping[str, Any]) -> Turn:
    """Return ``turn`` with what ``choice``, a whole one or a piece of a stream, adds to it."""
    message = _message(message_of(choice))
    return Turn(
        role=turn.role or message.role,
        text=turn.text + message.text + _text(choice.get("text")),
        tool_calls=_joined_calls(turn.tool_calls, _calls(message_of(choice))),
        finish=_text(choice.get("finish_reason")) or turn.finish,
    )


def _joined_calls(calls: Sequence[ToolCall], pieces: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    joined = list(calls)
    for position, piece in enumerate(pieces):
        index = index_of(piece) if "index" in piece else position
        call = _call(piece)
        if index < len(joined):
            old = joined[index]
            joined[index] = ToolCall(
                name=old.name + call.name, arguments=old.arguments + call.arguments, id=old.id or call.id
            )
        else:
            joined.append(call)
    return tuple(joined)


def _message(message: Mapping[str, Any]) -> Turn:
    return Turn(
        role=_text(message.get("role")),
        text=_content(message.get("content")) + _text(message.get("refusal")),
        tool_calls=tuple(map(_call, _calls(message))),
        tool_call_id=_text(message.get("tool_call_id")),
    )


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return only(dict, [*_list(message.get("tool_calls")), message.get("function_call")])


def _call(call: Mapping[str, Any]) -> ToolCall:
    inner = call.get("function") or call.get("custom") or call
    inner = inner if isinstance(inner, dict) else {}
    return ToolCall(
        name=_text(inner.get("name")),
        arguments=_text(inner.get("arguments")) or _text(inner.get("input")),
        id=_text(call.get("call_id")) or _text(call.get("id")),
    )


def _completions_asked(body: Mapping[str, Any]) -> Iterator[Turn]:
    return (Turn(role="user", text=text) for text in _inputs(body.get("prompt")))


# Responses


def _responses_asked(body: Mapping[str, Any]) -> Iterator[Turn]:
    if instructions := _text(body.get("instructions")):
        yield Turn(role="instructions", text=instructions)
    given = body.get("input")
    if isinstance(given, str):
        yield Turn(role="user", text=given)
    yield from map(_item, only(dict, _list(given)))


def _responses_replied(values: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    wholes = [inner if isinstance(inner := value.get("response"), dict) else value for value in values]
    last: Mapping[str, Any] = next((whole for whole in reversed(wholes) if isinstance(whole.get("output"), list)), {})
    items = only(dict, last.get("output") or []) or _streamed_items(values)
    turns = [_item(item) for item in items]
    details = last.get("incomplete_details")
    finish = _text(details.get("reason")) if isinstance(details, dict) else _text(last.get("status"))
    if turns:
        turns[-1] = replace(turns[-1], finish=finish)
    return iter(turns)


def _streamed_items(values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of a stream that has no end, as far as they came."""
    items: dict[int, dict[str, Any]] = {}
    for value in values:
        index = value.get("output_index")
        if not isinstance(index, int):
            continue
        if isinstance(item := value.get("item"), dict):
            items[index] = dict(item)
        elif isinstance(delta := value.get("delta"), str) and index in items:
            field_name = "arguments" if "arguments" in _text(value.get("type")) else "content"
            said = items[index].get(field_name)
            items[index][field_name] = (said if isinstance(said, str) else "") + delta
    return [item for _, item in sorted(items.items())]


def _item(item: Mapping[str, Any]) -> Turn:
    kind = _text(item.get("type")) or "message"
    if kind == "message":
        return _message(item)
    if kind in ("function_call", "custom_tool_call"):
        return Turn(role="assistant", tool_calls=(_call(item),))
    if kind in ("function_call_output", "custom_tool_call_output"):
        return Turn(role="tool", text=_content(item.get("output")), tool_call_id=_text(item.get("call_id")))
    if kind == "reasoning":
        return Turn(role="reasoning", text=_content(item.get("summary")) or _content(item.get("content")))
    return Turn(role="assistant", text=f"[{kind}]")


# Embeddings


def _embeddings_asked(body: Mapping[str, Any]) -> Iterator[Turn]:
    return (Turn(role="input", text=text) for text in _inputs(body.get("input")))


def _embeddings_replied(values: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    vectors = [
        item["embedding"] for value in values for item in only(dict, _list(value.get("data"))) if "embedding" in item
    ]
    if vectors:
        sizes = " or ".join(f"{size:,}" for size in sorted(set(map(_size, vectors))))
        yield Turn(
            role="vectors", text=f"{len(vectors):,} {'vector' if len(vectors) == 1 else 'vectors'} of {sizes} numbers"
        )


def _size(vector: object) -> int:
    """Return how many numbers ``vector`` has, a list or the base64 of 32-bit floats."""
    if isinstance(vector, str):
        try:
            return len(base64.b64decode(vector)) // 4
        except ValueError:
            return 0
    return len(_list(vector))


# Contents


def _inputs(value: object) -> list[str]:
    """Return the texts of a prompt: a text, several, or lists of tokens."""
    if isinstance(value, str):
        return [value]
    items = _list(value)
    if items and all(isinstance(item, int) for item in items):
        return [f"[{len(items):,} tokens]"]
    return [item if isinstance(item, str) else f"[{len(_list(item)):,} tokens]" for item in items]


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(map(_part, only(dict, _list(content))))


def _part(part: Mapping[str, Any]) -> str:
    kind = _text(part.get("type"))
    if kind in _TEXTS:
        return _text(part.get("text"))
    if kind == "refusal":
        return _text(part.get("refusal"))
    inner = part.get(kind)
    described = inner if isinstance(inner, dict) else part
    if "image" in kind:
        return f"[image {_source(described.get('url') or part.get('image_url') or part.get('file_id'))}]"
    name = described.get("filename") or described.get("file_id") or described.get("format")
    return f"[{kind.removeprefix('input_') or 'part'} {_text(name)}".rstrip() + "]"


def _source(url: object) -> str:
    head, comma, data = _text(url).partition(",")
    if not head.startswith("data:"):
        return _text(url)
    return f"{head.removeprefix('data:').partition(';')[0]}, {len(data) * 3 // 4 if comma else 0:,} bytes"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class _Reader:
    asked: Callable[[Mapping[str, Any]], Iterator[Turn]]
    replied: Callable[[Sequence[Mapping[str, Any]]], Iterator[Turn]]


_READERS: Mapping[str, _Reader] = {
    "chat": _Reader(_chat_asked, _chat_replied),
    "completions": _Reader(_completions_asked, _chat_replied),
    "responses": _Reader(_responses_asked, _responses_replied),
    "embeddings": _Reader(_embeddings_asked, _embeddings_replied),
}
