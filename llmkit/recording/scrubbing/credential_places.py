"""Where credentials stand by name: headers, query keys, fields of JSON, forms and multipart bodies."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from llmkit.recording.scrubbing.deltas import Span

CREDENTIAL_NAMES = frozenset(
    {
        "access_token", "api_key", "api_token", "apikey", "auth", "authorization", "client_assertion",
        "client_secret", "cookie", "id_token", "ocp_apim_subscription_key", "openai_organization", "openai_project",
        "passphrase", "passwd", "password", "private_key", "proxy_authorization", "pwd", "refresh_token", "secret",
        "secret_access_key", "security_token", "session_token", "sig", "signature", "subscription_key",
        "subscription_token", "x_amz_credential", "x_amz_security_token", "x_amz_signature",
    }
)  # fmt: skip
"""Names of headers, query keys and fields that hold a credential; however they are spelled, and with ``x-`` before."""

DROPPED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
"""Headers that a reply loses."""

SHORTEST_COOKIE = 16
"""A cookie may say "dark-mode" or a date: only what is long enough for a session is a credential."""

_SQUEEZED_NAMES = frozenset(name.replace("_", "") for name in CREDENTIAL_NAMES)
# words that a text may well have as the name of a field
_WORDS = frozenset({"auth", "cookie", "secret", "sig", "signature"})
_FIELD_NAMES = _SQUEEZED_NAMES - _WORDS
_FORM_NAMES = _FIELD_NAMES | {"assertion"}
_CREDENTIAL_HEADER = re.compile(
    r"(^|[-_])(\w*key|token|secret|auth|authorization|authenticate|signature(-256)?|csrftoken|session(-?id)?)$"
)
_LONGEST_NAME = 48
_LONG = 100_000

# what follows the last word of such a name; it begins with the rarer thing, and so passes over most of a text
_LAST_WORDS = (
    "assertion", "authorization", "credential", "key", "organization", "passphrase", "passwd", "password", "project",
    "pwd", "signature", "token",
)  # fmt: skip
_AFTER_A_NAME = re.compile(
    rf'[\\"=%](?i:(?<=[delnty].)(?:{"|".join(f"(?<={word}.)" for word in (*_LAST_WORDS, "secret"))}))', re.DOTALL
)
_QUOTED_NAME = re.compile(r'(\\*)"([\w-]+)$')
_FORM_NAME = re.compile(r"(?:^|[&?;#]|%3F|%26)([\w-]+)$", re.IGNORECASE)
_FORM_VALUE = re.compile(r"(?:=|%3D)((?:(?!%26)[^&\s\"'])+)", re.IGNORECASE)
_PART_VALUE = re.compile(r'"[^\r\n]*(?:\r?\n[^\r\n]+)*\r?\n\r?\n(.+?)\r?\n--', re.DOTALL)
# OpenAI Realtime's client secrets: {"client_secret": {"value": …}}, and {"value": "ek_…"}
_WRAPPED_VALUE = re.compile(r'"\s*:\s*\{\s*"value"\s*:\s*"([^"]+)"')
_EPHEMERAL_VALUE = re.compile(r'"value"\s*:\s*"(ek_\w+)"')


def is_credential_name(name: str) -> bool:
    """Tell whether a query key or field called ``name`` holds a credential, whose value is not compared either."""
    return _is_among(name, _SQUEEZED_NAMES)


@lru_cache(maxsize=1024)
def is_credential_header(name: str) -> bool:
    """Tell whether a header called ``name`` holds a credential."""
    return is_credential_name(name) or bool(_CREDENTIAL_HEADER.search(name.lower()))


def field_spans(text: str) -> Sequence[Span]:
    """Return where the values of credential fields stand: of JSON, at any depth of quoting, of forms and multipart."""
    return _recent_field_spans(text) if len(text) < _LONG else tuple(_field_spans(text))


# a request is looked through for what it names, and again for what is to go
@lru_cache(maxsize=8)
def _recent_field_spans(text: str) -> tuple[Span, ...]:
    return tuple(_field_spans(text))


def _field_spans(text: str) -> Iterator[Span]:
    for after in _AFTER_A_NAME.finditer(text):
        found = _value_after(text, after.start())
        if found is not None:
            yield found.span(1)
    if '"ek_' in text:
        yield from (found.span(1) for found in _EPHEMERAL_VALUE.finditer(text))


def field_values(text: str) -> Iterator[str]:
    """Yield the values of credential fields, as they stand and with their percent-encoding undone."""
    for start, end in field_spans(text):
        yield from (text[start:end], unquote_plus(text[start:end]))


def header_values(name: str, value: str) -> Iterator[str]:
    """Yield the credentials in the ``value`` of the header ``name``, which is in lower case."""
    if name in ("cookie", *DROPPED_HEADERS):
        pairs = value.split(";") if name == "cookie" else [value.partition(";")[0]]
        values = [pair.partition("=")[2].strip() for pair in pairs]
        yield from (spelled for one in values if len(one) >= SHORTEST_COOKIE for spelled in (one, unquote(one)))
    elif is_credential_header(name):
        scheme, _, token = value.rpartition(" ")  # "Bearer <token>"
        yield token
        yield from re.findall(r'"([^"]+)"', value)
        if scheme.lower() == "basic":
            yield _password(token)


def uri_values(uri: str) -> Iterator[str]:
    """Yield the credentials in the user info and query of ``uri``."""
    parts = urlsplit(uri)
    yield unquote(parts.password or "")
    yield parts.password or ""
    yield from (value for key, value in parse_qsl(parts.query) if is_credential_name(key))


def _is_among(name: str, squeezed_names: frozenset[str]) -> bool:
    squeezed = name.lower().replace("-", "").replace("_", "")
    return squeezed in squeezed_names or squeezed.removeprefix("x") in squeezed_names


def _value_after(text: str, position: int) -> re.Match[str] | None:
    """Match the value of the field whose name ends at ``position``, or nothing if it is no credential's."""
    before = text[max(0, position - _LONGEST_NAME) : position]
    if text[position] in "=%":
        name = _FORM_NAME.search(before)
        return _FORM_VALUE.match(text, position) if name and _is_among(name[1], _FORM_NAMES) else None
    name = _QUOTED_NAME.search(before)
    if name is None or not _is_among(name[2], _FIELD_NAMES):
        return None
    if before[: name.start()].endswith("name="):
        return _PART_VALUE.match(text, position)
    return _json_value(len(name[1])).match(text, position) or _WRAPPED_VALUE.match(text, position)


@lru_cache(maxsize=64)
def _json_value(slashes: int) -> re.Pattern[str]:
    """Match a JSON text whose quotes have ``slashes`` backslashes: it is inside of a JSON text."""
    quote = "\\\\" * slashes + '"'
    return re.compile(rf'{quote}\s*:\s*{quote}((?:(?!{quote})(?:[^"\\]|\\.))+){quote}')


def _password(basic: str) -> str:
    """Return the password of Basic authentication."""
    try:
        return base64.b64decode(basic).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""
