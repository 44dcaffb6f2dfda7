"""Taking secrets out of what is about to be written, and out of what is asked before it is matched.

Three ways, each on every part of an interaction: by place (credential headers, query keys, form, multipart and JSON
fields), by value (what the environment, the requests and the replies name as credentials, wherever it is echoed), and
by shape (key and organization formats). Scrubbing twice changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

from llmkit.recording.interaction import Request, Response

REDACTED = "REDACTED"

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

CREDENTIAL_VARIABLES = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PAT|ORG_ID|PROJECT_ID)$|PASSWORD$", re.IGNORECASE)
"""Environment variables whose value is taken out wherever it stands."""

_SQUEEZED_NAMES = frozenset(name.replace("_", "") for name in CREDENTIAL_NAMES)
_CREDENTIAL_HEADER = re.compile(
    r"(^|[-_])(\w*key|token|secret|auth|authorization|authenticate|signature(-256)?|csrftoken|session(-?id)?)$"
)
_DROPPED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
URL_HEADERS = frozenset(
    {"azure-asyncoperation", "content-location", "link", "location", "operation-location", "referer"}
)
# of no use to a reader, and different on every machine: a re-recording would show them as changes
_NOISE = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"})
_NOISE_PREFIX = "x-stainless-"

# a field's name in snake_case, kebab-case or camelCase
_FIELDS = "|".join(
    name.replace("_", "[-_]?") for name in sorted(CREDENTIAL_NAMES - {"auth", "cookie", "secret", "sig", "signature"})
)
# in JSON, and in JSON inside a JSON text, where every quote has a backslash
_JSON_FIELD = re.compile(rf'((\\*)"(?:{_FIELDS})\2"\s*:\s*\2")((?:(?!\2")(?:[^"\\]|\\.))+)(\2")', re.IGNORECASE)
_FORM_FIELD = re.compile(
    rf"(^|[&?;#]|%3F|%26)((?:x[-_])?(?:{_FIELDS}|assertion))(=|%3D)((?:(?!%26)[^&\s\"'])+)", re.IGNORECASE
)
# OpenAI Realtime's client secrets
_WRAPPED_FIELD = re.compile(rf'("(?:{_FIELDS})"\s*:\s*\{{\s*"value"\s*:\s*")([^"]+)(")', re.IGNORECASE)
# query keys that hold a credential here and a page or an airport there: only what looks like a secret goes
_AMBIGUOUS_KEYS = frozenset({"code", "key", "token"})
_PART_FIELD = re.compile(
    rf'(name="(?:{_FIELDS})"(?:\r?\n[^\r\n]+)*\r?\n\r?\n)(.+?)(\r?\n--)', re.IGNORECASE | re.DOTALL
)
# a digit or a mask of stars tells a key from a hyphenated word such as sk-learn-is-a-library
_SHAPES = (
    (re.compile(r"\bsk-(?=[\w*-]*[\d*])[\w*-]{16,}"), f"sk-{REDACTED}"),
    (re.compile(r"\bek_(?=\w*\d)\w{16,}"), f"ek_{REDACTED}"),
    (re.compile(r"\borg-(?=\w*\d)\w{16,}"), f"org-{REDACTED}"),
    (re.compile(r"\bproj_(?=\w*\d)\w{16,}"), f"proj_{REDACTED}"),
    (re.compile(r"\bAIza[\w-]{30,}"), f"AIza{REDACTED}"),
    (re.compile(r"\b(gh[pousr]_|github_pat_)\w{20,}"), f"\\g<1>{REDACTED}"),
    (re.compile(r"\bAKIA[A-Z0-9]{16}\b"), f"AKIA{REDACTED}"),
    (re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"), f"jwt-{REDACTED}"),
)
_SHORTEST_SECRET = 8
_SHORTEST_COOKIE = 16
_LONGEST_WORD = 20


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes secrets out; ``secrets`` are the values to look for, on top of places and shapes."""

    secrets: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Scrubber:
        """Look for the values of the variables that ``CREDENTIAL_VARIABLES`` matches."""
        return cls().knowing(value for name, value in environment.items() if CREDENTIAL_VARIABLES.search(name))

    def knowing(self, values: Iterable[str]) -> Scrubber:
        """Return a scrubber that looks for ``values`` too; those that are no telling secret are left out."""
        found = frozenset(value for value in values if _is_telling(value))
        return self if found <= self.secrets else Scrubber(self.secrets | found)

    def request(self, request: Request) -> Request:
        """Return ``request`` without secrets and without headers that differ from machine to machine."""
        knowing = self.knowing(credentials(request))
        headers = {name: values for name, values in request.headers.items() if not _is_noise(name)}
        return replace(
            request,
            uri=knowing.uri(request.uri),
            headers=knowing.headers(headers),
            body=knowing.body(request.body),
        )

    def response(self, response: Response) -> Response:
        """Return ``response`` without secrets."""
        knowing = self.knowing(credentials(response))
        return replace(response, headers=knowing.headers(response.headers), body=knowing.body(response.body))

    def uri(self, uri: str) -> str:
        """Return ``uri`` without user info, and with the values of credential keys and known secrets replaced."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            return self.text(uri)
        query, fragment = _scrubbed_query(parts.query), _scrubbed_query(parts.fragment)
        return self.text(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, fragment)))

    def text(self, text: str) -> str:
        """Return ``text`` with every known secret, and all that has the shape of one, replaced."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            for spelling in _spellings(secret):
                text = text.replace(spelling, REDACTED)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def body(self, body: bytes) -> bytes:
        """Return ``body`` scrubbed as text and by field; bytes that are no UTF-8 are scrubbed byte for byte."""
        encoding = "utf-8"
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            encoding = "latin-1"  # gives every byte back as it was
            text = body.decode(encoding)
        text = _JSON_FIELD.sub(rf"\g<1>{REDACTED}\g<4>", text)
        text = _WRAPPED_FIELD.sub(rf"\g<1>{REDACTED}\g<3>", text)
        text = _FORM_FIELD.sub(rf"\g<1>\g<2>\g<3>{REDACTED}", text)
        text = _PART_FIELD.sub(rf"\g<1>{REDACTED}\g<3>", text)
        return self.text(text).encode(encoding)

    def headers(self, headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return ``headers`` without cookies that are set, and with the values of credentials replaced."""
        return {
            name: [self._header(name.lower(), value) for value in values]
            for name, values in headers.items()
            if name.lower() not in _DROPPED_HEADERS
        }

    def _header(self, name: str, value: str) -> str:
        if is_credential_header(name):
            return REDACTED
        value = self.uri(value) if name in URL_HEADERS else value
        return self.text(_FORM_FIELD.sub(rf"\g<1>\g<2>\g<3>{REDACTED}", value))


def is_credential_header(name: str) -> bool:
    """Tell whether a header called ``name`` holds a credential."""
    return is_credential_name(name) or bool(_CREDENTIAL_HEADER.search(name.lower()))


def is_credential_name(name: str) -> bool:
    """Tell whether a query key or field called ``name`` holds a credential, whose value is not compared either."""
    squeezed = name.lower().replace("-", "").replace("_", "")
    return squeezed in _SQUEEZED_NAMES or squeezed.removeprefix("x") in _SQUEEZED_NAMES


def credentials(message: Request | Response) -> Iterator[str]:
    """Yield the credentials that a request or reply itself names: in headers, cookies, query, user info and fields."""
    for name, values in message.headers.items():
        for value in values:
            yield from _header_credentials(name.lower(), value)
    if isinstance(message, Request):
        parts = urlsplit(message.uri)
        yield parts.password or ""
        yield from (value for key, value in parse_qsl(parts.query) if is_credential_name(key))
    text = _text(message.body)
    for pattern, group in ((_JSON_FIELD, 3), (_WRAPPED_FIELD, 2), (_FORM_FIELD, 4), (_PART_FIELD, 2)):
        for found in pattern.finditer(text):
            yield from (found[group], unquote_plus(found[group]))


def _header_credentials(name: str, value: str) -> Iterator[str]:
    if name in ("cookie", *_DROPPED_HEADERS):
        pairs = value.split(";") if name == "cookie" else [value.partition(";")[0]]
        values = [pair.partition("=")[2].strip() for pair in pairs]
        # a cookie may say "dark-mode" or a date: only what is long enough for a session goes
        yield from (spelled for one in values if len(one) >= _SHORTEST_COOKIE for spelled in (one, unquote(one)))
    elif is_credential_header(name):
        scheme, _, token = value.rpartition(" ")  # "Bearer <token>"
        yield token
        yield from re.findall(r'"([^"]+)"', value)
        if scheme.lower() == "basic":
            yield _password(token)


def _password(basic: str) -> str:
    """Return the password of Basic authentication."""
    try:
        return base64.b64decode(basic).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _scrubbed_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    scrubbed = [(key, _scrubbed_value(key, value)) for key, value in pairs]
    return query if scrubbed == pairs else urlencode(scrubbed)


def _scrubbed_value(key: str, value: str) -> str:
    if is_credential_name(key):
        return REDACTED
    if key.lower() in _AMBIGUOUS_KEYS and len(value) >= _SHORTEST_COOKIE and _is_telling(value):
        # two pages of a listing stay apart
        return f"{REDACTED}-{hashlib.sha256(value.encode()).hexdigest()[:4]}"
    return value


def _spellings(secret: str) -> set[str]:
    encoded = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    return encoded | {re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), one) for one in encoded}


def _is_telling(value: str) -> bool:
    """Tell a secret from a word such as "any", whose removal would mangle every text."""
    is_mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    is_word = REDACTED not in value and not any(map(str.isspace, value))
    return is_word and (len(value) >= _LONGEST_WORD or (len(value) >= _SHORTEST_SECRET and is_mixed))


def _is_noise(name: str) -> bool:
    lower = name.lower()
    return lower in _NOISE or lower.startswith(_NOISE_PREFIX)
