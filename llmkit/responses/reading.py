"""Reading what came back as JSON, and saying where it is not what was expected."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

from llmkit.errors import MalformedResponse, excerpt, from_api

K = TypeVar("K")

_SPELT_OTHERWISE = re.compile(r"\\u00|\\/")  # how JSON can say the letters of a key so that a search misses them


def parse_json(data: bytes, *, hide: Callable[[str], str] = str) -> dict[str, Any]:
    """The JSON object of a reply with a status of success; raises MalformedResponse, or the error hidden in it.

    `hide` takes secrets out of a text; nothing of the reply is kept or quoted as it was before.
    """
    try:
        text = hide(data.decode())
        payload = loads(text)
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"The answer is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise MalformedResponse(f"The answer is not JSON ({error}); it begins {excerpt(text)}") from None
    body: dict[str, Any] = expect(cleared(payload, text, hide), dict, "The JSON")
    if body.get("error"):
        raise from_api(body["error"])
    return body


def cleared(value: object, text: str, hide: Callable[[str], str]) -> object:
    """The value of a JSON text that `hide` has seen, without secrets that were spelt with escapes."""
    return scrubbed(value, hide) if _SPELT_OTHERWISE.search(text) else value


def scrubbed(value: object, hide: Callable[[str], str]) -> object:
    """The value with every text in it, also the names, as `hide` leaves it."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {hide(name): scrubbed(inner, hide) for name, inner in value.items()}
    if isinstance(value, list):
        return [scrubbed(inner, hide) for inner in value]
    return value


def error_object(text: str, *, hide: Callable[[str], str] = str) -> object:
    """What the body of a refusal says: its `error` object, all of its JSON where it has none, or the text."""
    text = hide(text)
    try:
        body = cleared(loads(text), text, hide)
    except ValueError:
        return text
    return body.get("error", body) if isinstance(body, dict) else body


def loads(text: str) -> object:
    """The value of a JSON text; raises ValueError for every text that has none that Python can hold."""
    try:
        return json.loads(text)
    except RecursionError:
        pass
    raise ValueError("it is nested too deeply")


def expect(value: object, kind: type[K], place: str) -> K:
    """`value`, which has to be of this kind; raises MalformedResponse that names its place in the reply."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MalformedResponse(f"{place} in the reply is {excerpt(value)}, not a {kind.__name__}")
    return value


def text_or_none(value: object, place: str) -> str | None:
    """A text that can be written somewhere, or None; raises MalformedResponse, also for half a surrogate pair."""
    if value is None:
        return None
    text = expect(value, str, place)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedResponse(f"{place} in the reply is no Unicode text: {excerpt(ascii(text))}") from None
    return text


def list_of(value: object, place: str) -> list[Any]:
    """A list that may be absent."""
    return [] if value is None else expect(value, list, place)


def is_count(value: object) -> TypeGuard[int]:
    """Whether it is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
