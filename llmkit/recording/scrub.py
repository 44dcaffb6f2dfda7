"""Taking secrets out of what is about to be written, and out of what is asked before it is matched.

Three ways, each on every part of an interaction: by place (credential headers, query keys, form and JSON fields), by
value (what the environment and the requests themselves name as credentials, wherever it is echoed), and by shape
(key and organization formats). Scrubbing twice changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from llmkit.recording.cassette import Interaction, Request, Response

REDACTED = "REDACTED"

CREDENTIAL_HEADERS = frozenset(
    {
        "api-key", "authorization", "cookie", "ocp-apim-subscription-key", "openai-organization", "openai-project",
        "proxy-authorization", "x-amz-security-token", "x-api-key", "x-auth-token", "x-goog-api-key",
    }
)  # fmt: skip
"""Headers whose value becomes ``REDACTED``, in requests and replies."""

_DROPPED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
# of no use to a reader, and different on every machine: a re-recording would show them as changes
_NOISE = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"})
_NOISE_PREFIX = "x-stainless-"

CREDENTIAL_QUERY_KEYS = frozenset(
    {
        "access_token", "api-key", "api_key", "apikey", "code", "key", "ocp-apim-subscription-key", "sig", "signature",
        "subscription-key", "token",
    }
)  # fmt: skip
"""Query keys (lower case) whose value becomes ``REDACTED`` and is not compared."""

CREDENTIAL_FIELDS = (
    "access_token", "api_key", "apikey", "api-key", "assertion", "client_assertion", "client_secret", "id_token",
    "password", "refresh_token", "secret_access_key",
)  # fmt: skip
"""JSON and form fields whose text value becomes ``REDACTED``."""

CREDENTIAL_VARIABLES = (
    "OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_AD_TOKEN", "AZURE_CLIENT_SECRET", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY",
)  # fmt: skip
"""Environment variables whose value is taken out wherever it stands."""

_FIELDS = "|".join(CREDENTIAL_FIELDS)
_JSON_FIELD = re.compile(rf'("(?:{_FIELDS})"\s*:\s*")((?:[^"\\]|\\.)+)(")', re.IGNORECASE)
_FORM_FIELD = re.compile(rf"(^|&)({_FIELDS})=[^&\s]+", re.IGNORECASE)
# a digit or a mask of stars tells a key from a hyphenated word such as sk-learn-is-a-library
_SHAPES = (
    (re.compile(r"\bsk-(?=[\w*-]*[\d*])[\w*-]{16,}"), f"sk-{REDACTED}"),
    (re.compile(r"\borg-(?=\w*\d)\w{16,}"), f"org-{REDACTED}"),
    (re.compile(r"\bproj_(?=\w*\d)\w{16,}"), f"proj_{REDACTED}"),
    (re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"), f"jwt-{REDACTED}"),
)
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes secrets out; ``secrets`` are the values to look for, on top of places and shapes."""

    secrets: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Scrubber:
        """Look for the values of ``CREDENTIAL_VARIABLES``."""
        return cls().knowing(environment.get(name, "") for name in CREDENTIAL_VARIABLES)

    def knowing(self, values: Iterable[str]) -> Scrubber:
        """Return a scrubber that looks for ``values`` too; those that are no telling secret are left out."""
        found = frozenset(value for value in values if _is_telling(value))
        return self if found <= self.secrets else Scrubber(self.secrets | found)

    def interaction(self, interaction: Interaction) -> Interaction:
        """Return ``interaction`` without secrets; what its request sent as a credential is looked for in its reply."""
        knowing = self.knowing(credentials(interaction.request))
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
        return replace(response, headers=self.headers(response.headers), body=self.body(response.body))

    def uri(self, uri: str) -> str:
        """Return ``uri`` without user info, and with the values of credential keys and known secrets replaced."""
        parts = urlsplit(uri)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = parts.query
        if any(key.lower() in CREDENTIAL_QUERY_KEYS for key, _ in pairs):
            query = urlencode([(key, _redacted_value(key, value)) for key, value in pairs])
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, parts.fragment))
        return self.text(bare)

    def text(self, text: str) -> str:
        """Return ``text`` with every known secret, and all that has the shape of one, replaced."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            for spelling in {secret, quote(secret, safe="")}:
                text = text.replace(spelling, REDACTED)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def body(self, body: bytes) -> bytes:
        """Return ``body`` scrubbed as text and by field; bytes that are no UTF-8 pass as they are."""
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return body
        text = _JSON_FIELD.sub(rf"\g<1>{REDACTED}\g<3>", text)
        text = _FORM_FIELD.sub(rf"\g<1>\g<2>={REDACTED}", text)
        return self.text(text).encode("utf-8")

    def headers(self, headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return ``headers`` without cookies, and with the values of credential headers and known secrets replaced."""
        return {
            name: [REDACTED] if name.lower() in CREDENTIAL_HEADERS else [self.text(value) for value in values]
            for name, values in headers.items()
            if name.lower() not in _DROPPED_HEADERS
        }


def credentials(request: Request) -> Iterator[str]:
    """Yield the credentials that ``request`` itself sends: in headers, query and user info."""
    for name, values in request.headers.items():
        if name.lower() in CREDENTIAL_HEADERS:
            yield from (value.rpartition(" ")[2] for value in values)  # the token of "Bearer <token>"
    parts = urlsplit(request.uri)
    yield parts.password or ""
    for key, value in parse_qsl(parts.query):
        if key.lower() in CREDENTIAL_QUERY_KEYS:
            yield value


def _is_telling(value: str) -> bool:
    """Tell a secret from a word such as "any", whose removal would mangle every text."""
    return len(value) >= _SHORTEST_SECRET and REDACTED not in value and not value.isalpha()


def _redacted_value(key: str, value: str) -> str:
    return REDACTED if key.lower() in CREDENTIAL_QUERY_KEYS else value


def _is_noise(name: str) -> bool:
    lower = name.lower()
    return lower in _NOISE or lower.startswith(_NOISE_PREFIX)
