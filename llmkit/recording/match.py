"""Is this the same request? One key a request; equal keys, same request.

Method, stable address, query (in any order), range and the meaning of the body: JSON compares without regard to the
order of keys, to escapes and to the spelling of numbers (1, 1.0 and 1e0 are one number); multipart bodies without
regard to their random boundary; any other body by its bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

from llmkit.recording.interaction import Request, header

_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)


def key(request: Request) -> str:
    """Return the key of ``request``, which is scrubbed and under its stable address."""
    parts = urlsplit(request.uri)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    part = header(request.headers, "range")
    facts = (request.method.upper(), f"{parts.scheme}://{parts.netloc}", parts.path or "/", query, part)
    digest = hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass"))
    digest.update(_body_meaning(request))
    return digest.hexdigest()


def canonical_json(body: bytes) -> bytes | None:
    """Return one spelling for all spellings of the JSON value in ``body``, or None if it is no JSON."""
    try:
        value = json.loads(body, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode("utf-8")
    except (ValueError, RecursionError, ArithmeticError):  # an exponent can be too large even for Decimal
        return None


class _Number(str):
    """A number's spelling, told apart from a text that looks like it."""

    __slots__ = ()


def _plain(value: object) -> object:
    if isinstance(value, _Number):
        return f"#{_number(value)}"
    if isinstance(value, str):
        return f"={value}"
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _number(spelling: str) -> str:
    number = Decimal(spelling)
    if not number.is_finite():
        return spelling
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{int(exponent) + len(text) - len(significant)}"


def _body_meaning(request: Request) -> bytes:
    if not request.body:
        return b""
    content_type = header(request.headers, "content-type")
    if boundary := _BOUNDARY.search(content_type):
        return request.body.replace(boundary[1].encode("utf-8"), b"boundary")
    return canonical_json(request.body) or request.body
