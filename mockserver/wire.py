"""How bodies are spelt: JSON, server-sent events, multipart forms."""

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"


def readable(text: str) -> str:
    """`text` as UTF-8 can carry it: what was no UTF-8 on the wire is marked as such."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def pretty(payload: Any) -> bytes:
    """JSON as api.openai.com prints it: two blanks of indent and a newline at the end."""
    try:
        return orjson.dumps(payload, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a number of more than 64 bits, or half of a surrogate pair
        return json.dumps(payload, indent=2, ensure_ascii=False).encode(errors="replace") + b"\n"


def compact(payload: Any, *, sort_keys: bool = False) -> bytes:
    """JSON on one line without blanks."""
    try:
        return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except TypeError:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
        return text.encode(errors="replace")


def event(data: bytes) -> bytes:
    """One server-sent event."""
    return b"data: " + data + b"\n\n"


def parse_json(raw: bytes, *, max_depth: int = 256) -> Any:
    """The JSON in `raw`; ValueError for what is not JSON, not Unicode, or nested deeper than `max_depth`."""
    try:
        payload = _DECODER.decode(raw.decode())
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    if _depth(raw) > max_depth:
        raise ValueError("nested too deep")
    if _SURROGATE.search(raw):
        # half of a surrogate pair is no text; UnicodeError is a ValueError
        json.dumps(payload, ensure_ascii=False).encode()
    return payload


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _depth(raw: bytes) -> int:
    """How deep brackets nest; 0 where too few open for it to matter."""
    if raw.count(b"[") + raw.count(b"{") < 200:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def frames_of(chunks: Iterable[Any], *, sort_keys: bool = False) -> tuple[bytes, ...]:
    """The events of a chat stream, the closing `[DONE]` included."""
    option = orjson.OPT_SORT_KEYS if sort_keys else None
    listed = list(chunks)
    try:  # without a function for each: there are many
        return (*[b"data: " + orjson.dumps(chunk, option=option) + b"\n\n" for chunk in listed], DONE)
    except TypeError:
        return (*[event(compact(chunk, sort_keys=sort_keys)) for chunk in listed], DONE)


def named_events(events: Iterable[tuple[str, Any]], *, sort_keys: bool = False) -> tuple[bytes, ...]:
    """Events that carry their name, if they have one, in a line of their own, as of a stream of responses.

    No `[DONE]` ends them.
    """
    return tuple(
        (b"event: " + name.encode() + b"\n" if name else b"") + event(compact(payload, sort_keys=sort_keys))
        for name, payload in events
    )
