"""Taking secrets out of what is about to be written, and out of what is asked before it is matched.

Three ways, each on every part of an interaction: by place (credential headers, query keys, form, multipart and JSON
fields), by value (what the environment, the requests and the replies name as credentials, wherever it is echoed), and
by shape (key and organization formats). Scrubbing twice changes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from llmkit.recording.cassette import Interaction, Request, Response

REDACTED = "REDACTED"

CREDENTIAL_NAMES = frozenset(
    {
        "access_token", "api_key", "api_token", "apikey", "assertion", "auth", "authorization", "client_assertion",
        "client_secret", "cookie", "id_token", "ocp_apim_subscription_key", "openai_organization", "openai_project",
        "password", "passwd", "proxy_authorization", "refresh_token", "secret", "secret_access_key",
        "security_token", "session_token", "sig", "signature", "subscription_key", "subscription_token",
        "x_amz_credential", "x_amz_security_token", "x_amz_signature",
    }
)  # fmt: skip
"""Names of headers, query keys and fields that hold a credential; however they are spelled, and with ``x-`` before."""

CREDENTIAL_VARIABLES = re.compile(r"(_KEY|_TOKEN|_SECRET|_PASSWORD|_ORG_ID|_PROJECT_ID)$")
"""Environment variables whose value is taken out wherever it stands."""

_SQUEEZED_NAMES = frozenset(name.replace("_", "") for name in CREDENTIAL_NAMES)
_CREDENTIAL_HEADER = re.compile(r"(^|[-_])(api-?key|functions-key|token|secret|auth|authorization|signature)$")
_DROPPED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
_URL_HEADERS = frozenset(
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
_FORM_FIELD = re.compile(rf"(^|[&?])((?:x[-_])?(?:{_FIELDS}))=([^&\s\"]+)", re.IGNORECASE)
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
    (re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"), f"jwt-{REDACTED}"),
)
_SHORTEST_SECRET = 8


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

    def interaction(self, interaction: Interaction) -> Interaction:
        """Return ``interaction`` without secrets; what either side sent as a credential is looked for in both."""
        knowing = self.knowing((*credentials(interaction.request), *credentials(interaction.response)))
        return Interaction(
            request=knowing.request(interaction.request), response=knowing.response(interaction.response)
        )

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
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = parts.query
        if any(is_credential_name(key) for key, _ in pairs):
            query = urlencode([(key, REDACTED if is_credential_name(key) else value) for key, value in pairs])
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, parts.fragment))
        return self.text(bare)

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
        text = _FORM_FIELD.sub(rf"\g<1>\g<2>={REDACTED}", text)
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
        return self.uri(value) if name in _URL_HEADERS else self.text(value)


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
    text = message.body.decode("latin-1")
    for pattern, group in ((_JSON_FIELD, 3), (_FORM_FIELD, 3), (_PART_FIELD, 2)):
        yield from (found[group] for found in pattern.finditer(text))


def _header_credentials(name: str, value: str) -> Iterator[str]:
    if name in ("cookie", *_DROPPED_HEADERS):
        pairs = value.split(";") if name == "cookie" else [value.partition(";")[0]]
        yield from (pair.partition("=")[2].strip() for pair in pairs)
    elif is_credential_header(name):
        yield value.rpartition(" ")[2]  # the token of "Bearer <token>"


def _spellings(secret: str) -> set[str]:
    encoded = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    return encoded | {re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), one) for one in encoded}


def _is_telling(value: str) -> bool:
    """Tell a secret from a word such as "any", whose removal would mangle every text."""
    return len(value) >= _SHORTEST_SECRET and REDACTED not in value and not value.isalpha()


def _is_noise(name: str) -> bool:
    lower = name.lower()
    return lower in _NOISE or lower.startswith(_NOISE_PREFIX)
