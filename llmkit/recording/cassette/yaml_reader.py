"""Reading a cassette's text: ours, vcrpy's, pytest-recording's and those of ``parsed_body`` serializers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from llmkit.recording.cassette.spelling import respelled
from llmkit.recording.cassette.yaml_writer import FORMAT
from llmkit.recording.errors import BrokenCassette
from llmkit.recording.interaction import Chunk, Interaction, Request, Response

_MERGE = "tag:yaml.org,2002:merge"
_COMPRESSION_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def parse(path: Path, raw: bytes) -> list[Interaction]:
    """Read the interactions in ``raw``, what the cassette at ``path`` holds.

    Raises `BrokenCassette`, with the line, for a text that is empty, truncated, no YAML or no cassette.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BrokenCassette(path, line, f"byte {error.start} is not UTF-8") from None
    if not text.strip():
        raise BrokenCassette(path, 1, f"the file is empty ({len(raw)} bytes)")
    try:
        return _interactions(yaml.load(text, Loader=_Loader))  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else 1
        raise BrokenCassette(path, line, getattr(error, "problem", None) or "not YAML") from None
    except _Misshapen as error:
        raise BrokenCassette(path, _line_of(text, error.where), str(error)) from None
    except (RecursionError, ValueError) as error:
        raise BrokenCassette(path, 1, f"it can't be read: {error}") from None


class _Misshapen(Exception):
    """Valid YAML that is no cassette; ``where`` is the path to the offending value."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


def _interactions(document: object) -> list[Interaction]:
    if not isinstance(document, dict):
        raise _Misshapen(f"expected a mapping with 'interactions', found {type(document).__name__}")
    entries = document.get("interactions")
    if not isinstance(entries, list):
        raise _Misshapen("'interactions' is missing or no list", "interactions")
    interactions = [_interaction(entry, index) for index, entry in enumerate(entries)]
    if "format" in document:
        _check_whole(document, len(interactions))
    return interactions


def _check_whole(document: Mapping[str, object], count: int) -> None:
    if document["format"] != FORMAT:
        raise _Misshapen(f"unknown format {document['format']!r}, this version reads {FORMAT!r}", "format")
    if document.get("end") != count:
        raise _Misshapen(
            f"it ends with {document.get('end')!r} instead of {count}, the number of its interactions: it was cut off "
            f"(after an edit by hand, let the last line be 'end: {count}')",
            "end",
        )


def _interaction(entry: object, index: int) -> Interaction:
    where = ("interactions", index)
    if not isinstance(entry, dict):
        raise _Misshapen("an interaction is a mapping of 'request' and 'response'", *where)
    request, response = entry.get("request"), entry.get("response")
    if not isinstance(request, dict) or not isinstance(request.get("method"), str) or not _is_uri(request.get("uri")):
        raise _Misshapen("a request needs 'method' and 'uri'", *where, "request")
    if not isinstance(response, dict) or "status" not in response:
        raise _Misshapen("a response needs a 'status'", *where, "response")
    try:
        return Interaction(
            request=_read_request(request),
            response=_read_response(response),
            recorded_at=str(entry.get("recorded_at") or ""),
            test=str(entry.get("test") or ""),
        )
    except _Misshapen as error:
        raise _Misshapen(str(error), *where, *error.where) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _Misshapen(f"it can't be read: {error}", *where) from None


def _is_uri(uri: object) -> bool:
    if not isinstance(uri, str):
        return False
    try:
        return bool(urlsplit(uri).path or urlsplit(uri).netloc)
    except ValueError:
        return False


def _read_request(entry: Mapping[str, Any]) -> Request:
    body = _body_bytes(
        entry["parsed_body"] if entry.get("body") is None and "parsed_body" in entry else entry.get("body")
    )
    return Request(
        method=str(entry["method"]), uri=entry["uri"], headers=_read_headers(entry.get("headers")), body=body
    )


def _read_response(entry: Mapping[str, Any]) -> Response:
    status = entry["status"]
    code, reason = (status.get("code"), status.get("message") or "") if isinstance(status, dict) else (status, "")
    body = entry.get("body")
    if body is None and "parsed_body" in entry:
        body = {"string": entry["parsed_body"]}
    content = body if isinstance(body, dict) else {"string": body}
    payload = _body_bytes(content.get("string"))
    if spelling := content.get("spelling"):
        text = payload.decode("utf-8")
        _check_json(text)
        payload = respelled(text, str(spelling)).encode("utf-8")
    return Response(
        status=_status(code),
        reason=str(reason),
        headers=_true_headers(_read_headers(entry.get("headers")), payload),
        body=payload,
        ended=str(entry.get("ended") or ""),
        headers_ms=int(entry.get("headers_ms") or 0),
        chunks=_read_chunks(entry.get("chunks"), payload),
    )


def _status(code: Any) -> int:
    try:
        number = int(code)
    except (TypeError, ValueError):
        raise _Misshapen(f"it can't be read: the status {code!r} is no number", "response", "status") from None
    if not 100 <= number <= 599:
        raise _Misshapen(f"status {code!r} is none of HTTP", "response", "status")
    return number


def _check_json(text: str) -> None:
    """Refuse a body that has a spelling, so was JSON when it was written, and is none any more."""
    try:
        json.loads(text, parse_float=str)  # as when it was written
    except RecursionError:
        return  # it was read with more of the stack left
    except ValueError as error:
        remedy = "mend it, or take its 'spelling' away to have it played as it stands"
        message = f"the body is no JSON any more: {error} ({remedy})"
        raise _Misshapen(message, "response", "body", "string") from None


def _read_chunks(chunks: object, body: bytes) -> tuple[Chunk, ...]:
    if not chunks:
        return ()
    if not isinstance(chunks, list):
        raise TypeError(f"'chunks' is a list of [milliseconds, bytes], found {type(chunks).__name__}")
    read = tuple((int(at_ms), int(length)) for at_ms, length in chunks)
    if sum(length for _, length in read) != len(body):
        return ()  # the body was edited by hand: it is played at once
    return read


def _body_bytes(body: object) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8")
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _read_headers(headers: object) -> dict[str, list[str]]:
    if not headers:
        return {}
    if not isinstance(headers, dict):
        raise TypeError(f"headers are a mapping, found {type(headers).__name__}")
    return {
        str(name): [_header_text(value) for value in values] if isinstance(values, list) else [_header_text(values)]
        for name, values in headers.items()
    }


def _header_text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _true_headers(headers: dict[str, list[str]], body: bytes) -> dict[str, list[str]]:
    """Drop headers that no longer fit the body: other recorders decode bodies, or edit them, and keep the headers."""
    kept = {}
    for name, values in headers.items():
        lower = name.lower()
        magic = _COMPRESSION_MAGIC.get(values[0].lower() if values else "")
        is_decoded = lower == "content-encoding" and magic is not None and not body.startswith(magic)
        is_framing = lower == "content-length" and bool(body)
        if not is_decoded and not is_framing:
            kept[name] = values
    return kept


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml where PyYAML has it
    """The safe loader, with the two harmless tags that old vcrpy files hold; it refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        written = [key for key, _ in node.value if key.tag != _MERGE]  # what is merged into a mapping may be overridden
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            self._refuse_doubled(written)
        return mapping

    def _refuse_doubled(self, keys: list[yaml.Node]) -> None:
        lines: dict[Any, int] = {}
        for node in keys:
            key = self.construct_object(node, deep=True)
            if key in lines:
                problem = f"{key!r} is there twice, first in line {lines[key]} (keep one of them)"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            lines[key] = node.start_mark.line + 1


_Loader.add_constructor("tag:yaml.org,2002:python/unicode", lambda loader, node: loader.construct_scalar(node))
_Loader.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node))


def _line_of(text: str, where: Sequence[str | int]) -> int:
    """Return the 1-based line of the deepest value on the path ``where`` that the document has."""
    node = yaml.compose(text, Loader=_Loader)
    line = node.start_mark.line + 1 if node else 1
    if where and isinstance(node, yaml.MappingNode) and not any(key.value == where[0] for key, _ in node.value):
        return int(node.end_mark.line) + 1
    for step in where:
        child = _child(node, step)
        if child is None:
            break
        node, line = child, child.start_mark.line + 1
    return int(line)


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step]  # type: ignore[no-any-return]  # types-PyYAML leaves the nodes' values untyped
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
