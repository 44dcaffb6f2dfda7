"""Recordings as cached answers: what a test has recorded answers a program too. Nothing is ever written.

The only module of the client that imports `llmkit.recording`; it is imported when a cache of cassettes is asked for.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from llmkit.errors import ConfigError, LLMError
from llmkit.policies.cache import Entry, entry_of, key_of, not_kept
from llmkit.recording.addresses import Provider
from llmkit.recording.cassette import load
from llmkit.recording.interaction import Interaction, header
from llmkit.streaming import ChatReader, ResponseReader

_SURFACES: Final = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/responses": "responses",
}
_NAMES: Final = ("*.yaml", "*.yml")

UrlOf = Callable[[str, str], str]
"""Where requests of a surface for a model go."""


class CassetteCache:
    """A `CacheStore` that reads the cassettes at `path`, a file or a directory, when it is made.

    `endpoint` is the identity that is part of the keys, `url_of(surface, model)` where requests go: what was recorded
    elsewhere is not given, but for the stable names of recordings (`recording.addresses`). Of equal requests the first
    recording counts, and none gets old. Raises ConfigError where there is nothing, BrokenCassette for a file that is
    not whole.
    """

    local = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        endpoint: str,
        url_of: UrlOf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._payloads: dict[str, str] = {}
        provider = Provider.from_environment()
        for interaction in _interactions(self.path):
            self._take(interaction, endpoint, lambda surface, model: provider.stable(url_of(surface, model)), provider)

    def __repr__(self) -> str:
        return f"CassetteCache({str(self.path)!r})"

    def get_now(self, key: str) -> Entry | None:
        """The entry, at once."""
        payload = self._payloads.get(key)
        return None if payload is None else Entry(payload, self._clock())

    async def get(self, key: str) -> Entry | None:
        """The same as `get_now`."""
        return self.get_now(key)

    async def put(self, key: str, entry: Entry, *, keep_s: float) -> None:
        """Nothing is kept: cassettes are recorded by `pytest --record`."""

    async def delete(self, key: str) -> None:
        """Nothing is forgotten."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def _take(self, interaction: Interaction, endpoint: str, url_of: UrlOf, provider: Provider) -> None:
        """Keeps the answer of an interaction, if it is one and may be given again."""
        asked = _asked(interaction)
        if asked is None:
            return
        surface, body = asked
        if provider.stable(interaction.request.uri) != url_of(surface, str(body.get("model"))):
            return
        payload = _payload(interaction, surface, body)
        key = key_of(surface, body, endpoint=endpoint)
        if key is not None and payload is not None and not_kept(surface, payload) is None:
            self._payloads.setdefault(key, entry_of(payload, now=0.0).payload)


def _interactions(path: Path) -> Iterator[Interaction]:
    files = [path] if path.is_file() else sorted(one for name in _NAMES for one in path.rglob(name))
    if not files:
        raise ConfigError(f"cache = {str(path)!r} holds no cassettes: name a cassette, or a directory of them")
    for file in files:
        yield from load(file)


def _asked(interaction: Interaction) -> tuple[str, dict[str, Any]] | None:
    """The surface and body of a request to the API that was answered whole; `stream: false` says nothing."""
    request, response = interaction.request, interaction.response
    path = urlsplit(request.uri).path
    surface = next((name for end, name in _SURFACES.items() if path.endswith(end)), None)
    if request.method != "POST" or surface is None or response.status != 200 or response.ended:
        return None
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    if body.get("stream") is False:
        del body["stream"]
    return surface, body


def _payload(interaction: Interaction, surface: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The API's JSON; that of a stream is what its events add up to. None for what is no answer."""
    response = interaction.response
    try:
        if header(response.headers, "content-type").startswith("text/event-stream"):
            return _streamed(response.body, surface, body)
        payload = json.loads(response.body)
    except (LLMError, ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _streamed(data: bytes, surface: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    n = body.get("n")
    reader = ResponseReader() if surface == "responses" else ChatReader(choices=n if isinstance(n, int) else 1)
    reader.feed(data)
    reader.end()
    return reader.completion().payload
