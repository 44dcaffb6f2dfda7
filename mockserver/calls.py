"""One request as the server understands it."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mockserver.content_filter import NO_FILTER, ContentFilter
from mockserver.forms import Upload
from mockserver.wire import compact

# what generated content depends on: neither how it is delivered nor where it is cut
_CONTENT = frozenset(
    [
        "messages",
        "prompt",
        "input",
        "instructions",
        "suffix",
        "tools",
        "functions",
        "response_format",
        "text",
        "seed",
        "voice",
        "language",
        "size",
    ]
)
# what changes nothing where it is said, like null of anything
_DEFAULTS = {"response_format": {"type": "text"}, "text": {"format": {"type": "text"}}}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request whose surface, dialect and model are known.

    `body` is the parsed JSON of a POST, or the fields of a form whose `files` lie beside it, and an empty dict
    otherwise. `ids` are what the path names (`response_id`). `key` is the digest of the API key, see `digest_of`.
    `headers` have lower-case names and no credential; they stay out of the repr all the same.
    """

    number: int
    method: str
    path: str
    surface: str
    dialect: str
    request_id: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, tuple[Upload, ...]] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    operation: str = ""
    deployment: str | None = None
    model: str = ""
    key: str = field(default="", repr=False)
    content_filter: ContentFilter = field(default=NO_FILTER, repr=False)

    @property
    def stream(self) -> bool:
        """Whether the reply is to come as events."""
        return self.body.get("stream") in (True, "true") or self.body.get("stream_format") == "sse"

    @property
    def api_version(self) -> str | None:
        """Azure's `api-version`, where the request names one."""
        return self.query.get("api-version")

    @functools.cached_property
    def content(self) -> dict[str, Any]:
        """The part of the body that decides what is said, whether streamed or not and wherever it is cut."""
        said = {name: value for name, value in self.body.items() if name in _CONTENT}
        return {name: value for name, value in said.items() if value not in (None, _DEFAULTS.get(name))}

    @functools.cached_property
    def content_digest(self) -> str:
        """What stands for `content` where random numbers depend on it: it is read once, not for each of them."""
        return digest_of_content(self.content)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of all that is asked: attempts of one call share it."""
        return fingerprint_of(self.method, self.path, self.body, self.files)


def digest_of_content(content: Mapping[str, Any]) -> str:
    """What stands for `Call.content`."""
    return hashlib.blake2b(compact(content, sort_keys=True), digest_size=16).hexdigest()


def fingerprint_of(method: str, path: str, body: Any, files: Mapping[str, tuple[Upload, ...]] | None = None) -> str:
    """The digest that requests for the same thing share, whoever makes them and whenever."""
    digest = hashlib.blake2b(f"{method} {path}\n".encode(), digest_size=12)
    digest.update(json.dumps(body, sort_keys=True).encode())
    for name, uploads in sorted((files or {}).items()):
        for upload in uploads:
            digest.update(f"\n{name} {upload.filename} {len(upload.content)}\n".encode() + upload.content)
    return digest.hexdigest()


def digest_of(key: str) -> str:
    """What stands for an API key wherever keys are told apart: nothing else of it is kept."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16] if key else ""
