"""Whether what is asked is in form, told before it is sent: the messages of a chat, the texts of embeddings.

Messages: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages, texts:
https://platform.openai.com/docs/api-reference/embeddings/create. Only what the API refuses of every model, and pictures
for one that sees none; parts that are not known here pass.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmkit.models.problem import Problem
from llmkit.models.spec import ModelSpec, Surface

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MOST_TEXTS = 2_048
"""Texts of one request for embeddings."""

_PLAIN = ("user", "assistant", "system", "developer")  # with a text they are in form
_SAYS_NOTHING = ("assistant", "function")  # they may come without content: there are calls, or a result is empty


def wrong_contents(spec: ModelSpec, body: Mapping[str, Any], surface: Surface) -> Iterator[Problem]:
    """What the API would refuse of what is asked, in its order."""
    match surface:
        case "chat":
            messages = body.get("messages")
            yield from _wrong_messages(spec, messages if isinstance(messages, list) else ())
        case "embeddings":
            texts = body.get("input")
            yield from _wrong_texts(texts if isinstance(texts, list) else [texts])


def _wrong_messages(spec: ModelSpec, messages: Iterable[object]) -> Iterator[Problem]:
    for index, message in enumerate(messages):
        if type(message) is dict and message.get("role") in _PLAIN and type(message.get("content")) is str:
            continue  # nearly always, and at a tenth of what the rest takes
        if isinstance(message, Mapping):
            for field, value, reason, advice in _wrong_fields(spec, message):
                yield Problem(parameter=f"messages[{index}].{field}", value=value, reason=reason, advice=advice)


def _wrong_fields(spec: ModelSpec, message: Mapping[str, Any]) -> Iterator[tuple[str, object, str, str]]:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        yield "role", role, "the API knows no such role", f"give one of {', '.join(ROLES)}"
    elif role == "tool" and not isinstance(message.get("tool_call_id"), str):
        yield "tool_call_id", message.get("tool_call_id"), "a result names its call", "give the id of the tool call"
    if not isinstance(content, str | list | tuple) and not (content is None and role in _SAYS_NOTHING):
        yield "content", content, "it is no text", "give a text, or a list of parts"
    elif not isinstance(content, str) and content and "vision" not in spec.capabilities and _has_picture(content):
        yield "content", "image_url", f"{spec.name} sees no pictures", "leave it out, or take another model"


def _has_picture(parts: Iterable[object]) -> bool:
    return any(isinstance(part, Mapping) and part.get("type") == "image_url" for part in parts)


def _wrong_texts(texts: list[Any]) -> Iterator[Problem]:
    if len(texts) > MOST_TEXTS and not isinstance(texts[0], int):
        reason = f"the API takes {MOST_TEXTS:,} texts at most"
        yield Problem(parameter="input", value=f"{len(texts):,} texts", reason=reason, advice="call embed_many")
    if "" in texts:
        place = f"input[{texts.index('')}]"
        yield Problem(parameter=place, value="", reason="the API takes no empty text", advice="leave it out")
