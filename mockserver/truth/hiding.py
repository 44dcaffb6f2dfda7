"""Credentials are hidden before anything is kept, and what holds none is kept as it is, uncopied.

Almost no body holds a credential, so a few searches of the raw bytes decide whether it is worth a closer look.
"""

import json
import operator
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

HIDDEN = "[credential]"

_SHORTEST = 8  # a shorter credential may well be a word of the text
_KEY = re.compile(r"\bsk-[\w-]{8,}|\bBearer\s+[\w.~+/-]{8,}=*")
_KEY_BYTES = re.compile(_KEY.pattern.encode())
_SECRET_NAME = r"api[-_]?key|authorization|subscription-key|secret|password"  # noqa: S105 - the names of such
_SECRET_NAMES = re.compile(_SECRET_NAME, re.IGNORECASE)
_NAMED = re.compile(rf'"(?:{_SECRET_NAME})"\s*:'.encode())
_PLAIN = re.compile(r"[\w.~+=-]*", re.ASCII)


def hidden(value: Any, secrets: Collection[str]) -> Any:
    """`value` without the secrets that its request presented, and without what looks or is named like one."""
    if isinstance(value, str):
        return hidden_text(value, secrets)
    if isinstance(value, list | tuple):
        return type(value)(hidden(item, secrets) for item in value)
    if isinstance(value, Mapping):
        return {hidden_text(str(name), secrets): _hidden_entry(name, item, secrets) for name, item in value.items()}
    return value


def _hidden_entry(name: Any, item: Any, secrets: Collection[str]) -> Any:
    return HIDDEN if isinstance(item, str) and _SECRET_NAMES.fullmatch(str(name)) else hidden(item, secrets)


def hidden_text(text: str, secrets: Collection[str]) -> str:
    """The same of a text."""
    for secret in secrets:
        if len(secret) >= _SHORTEST and secret in text:
            text = text.replace(secret, HIDDEN)
    return _KEY.sub(HIDDEN, text) if "sk-" in text or "Bearer" in text else text


def hidden_texts(texts: Mapping[str, str], secrets: Collection[str], *, has_names: bool) -> Mapping[str, str]:
    """The same of headers or a query: the very same object where there is nothing to hide.

    `has_names` unless the names are the server's own.
    """
    joined = "\n".join(texts.values())
    if hidden_text(joined, secrets) is joined and not (has_names and any(map(_SECRET_NAMES.fullmatch, texts))):
        return texts
    clean: Mapping[str, str] = hidden(texts, secrets)
    return clean


def hidden_bytes(data: bytes, secrets: Collection[str]) -> bytes:
    """The same of JSON or any other body: the very same object where there is nothing to hide."""
    if not _holds(data, secrets):
        return data
    try:
        return json.dumps(hidden(json.loads(data), secrets), ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # no JSON, or none that can be walked
        return _replaced(data, secrets)


def hidden_frames(frames: Sequence[bytes], secrets: Collection[str], *, thorough: bool) -> Sequence[bytes]:
    """The same of the events of a stream; `thorough`: also what only their texts together spell.

    Where there is nothing to hide, these are the very same objects: slow streams keep them for long.
    """
    if not thorough and not _holds(b"".join(frames), secrets):
        return frames
    clean = [_hidden_event(frame, secrets) for frame in frames]
    if any(hidden_text(text, secrets) != text for text in _spelt(clean)):
        return [f"data: {json.dumps(HIDDEN)}\n\n".encode()] * len(frames)
    return frames if all(map(operator.is_, clean, frames)) else clean


def holds_text(data: bytes, secrets: Collection[str]) -> bool:
    """Whether there may be something to hide in the texts of `data`: words are looked for before a pattern is."""
    for secret in secrets:
        if len(secret) >= _SHORTEST and (secret.encode() in data or not _PLAIN.fullmatch(secret)):
            return True
    # JSON may spell plain letters as escapes; only reading it tells what it says
    if b"\\" in data and (b"\\u00" in data or b"\\/" in data):
        return True
    return (b"sk-" in data or b"Bearer" in data) and _KEY_BYTES.search(data) is not None


def _holds(data: bytes, secrets: Collection[str]) -> bool:
    """The same, or in what its names tell."""
    if holds_text(data, secrets):
        return True
    lower = data.lower()
    may_name = b'key"' in lower or b'secret"' in lower or b'password"' in lower or b'authorization"' in lower
    return may_name and _NAMED.search(lower) is not None


def _replaced(data: bytes, secrets: Collection[str]) -> bytes:
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            data = data.replace(secret.encode(), HIDDEN.encode())
    return _KEY_BYTES.sub(HIDDEN.encode(), data)


def _hidden_event(frame: bytes, secrets: Collection[str]) -> bytes:
    head, mark, data = frame.partition(b"data: ")
    if not mark:
        return _replaced(frame, secrets)
    body = data.rstrip(b"\n")
    clean = hidden_bytes(body, secrets)
    return frame if clean is body else head + mark + clean + data[len(body) :]


def _spelt(frames: Iterable[bytes]) -> Iterable[str]:
    """The texts that the events spell together: what stands at the same place in each."""
    texts: dict[tuple[str, ...], list[str]] = {}
    for event in b"".join(frames).split(b"\n\n"):
        try:
            payload = json.loads(event.partition(b"data: ")[2])
        except ValueError:
            continue
        for place, text in _leaves(payload, ()):
            texts.setdefault(place, []).append(text)
    return ["".join(parts) for parts in texts.values()]


def _leaves(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*place, name))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, place)
