"""Recordings as cached answers: what a test has recorded answers a program too. Nothing is ever written.

The only module of the client that imports `llmkit.recording`; it is imported when a cache of cassettes is asked for.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

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

_ROUTES: Final = (
    "",
    "/openai",
    "/openai/v1",
    "/openai/deployments/{model}",
)  # below the address, as OpenAI and Azure go


class CassetteCache:
    """A `CacheStore` that reads the cassettes at `path`, a file or a directory, when it is made.

    `endpoint` is the identity that is part of the keys (`policies.cache.endpoint_identity`, with `address`): what was
    recorded elsewhere is not given, but for the stable names of recordings (`recording.addresses`). Of equal requests
    the first recording counts, and none gets old. Raises ConfigError where there is nothing, BrokenCassette for a file
    that is not whole.
    """

    local = True

    def __init__(self, path: str | os.PathLike[str], *, endpoint: str, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._payloads: dict[str, str] = {}
        place = _Place(endpoint)
        for interaction in _interactions(self.path):
            asked = _asked(interaction)
            if asked is not None and place.is_of(interaction.request.uri, model=str(asked[1].get("model"))):
                self._take(interaction, *asked, endpoint=endpoint)

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

    def _take(self, interaction: Interaction, surface: str, body: dict[str, Any], *, endpoint: str) -> None:
        """Keeps the answer of an interaction, if it is one and may be given again."""
        payload = _payload(interaction, surface, body)
        key = key_of(surface, body, endpoint=endpoint)
        if key is not None and payload is not None and not_kept(surface, payload) is None:
            self._payloads.setdefault(key, entry_of(payload, now=0.0).payload)


class _Place:
    """Where an endpoint's recordings were made."""

    def __init__(self, endpoint: str) -> None:
        facts = json.loads(endpoint or "{}")
        if "address" not in facts:
            raise ConfigError(f"endpoint = {endpoint!r} does not say whose recordings count: it has to name an address")
        self._address: str = facts["address"]
        self._version: str | None = facts.get("api_version")
        self._provider = Provider.from_environment()

    def is_of(self, uri: str, *, model: str) -> bool:
        """Whether a request to `uri` for `model` went there."""
        parts = urlsplit(uri)
        end = next((end for end in _SURFACES if parts.path.endswith(end)), "")
        recorded = self._stable(urlunsplit(parts._replace(query="")))
        routes = (f"{self._address}{route.format(model=quote(model))}{end}" for route in _ROUTES)
        version = dict(parse_qsl(parts.query)).get("api-version")
        return version == self._version and any(self._stable(route) == recorded for route in routes)

    def _stable(self, url: str) -> str:
        return self._provider.stable(url)


def _interactions(path: Path) -> Iterator[Interaction]:
    files = [path] if path.is_file() else sorted(one for name in _NAMES for one in path.rglob(name))
    if not files:
        raise ConfigError(f"cache = {str(path)!r} holds no cassettes: name a cassette, or a directory of them")
    for file in files:
        yield from load(file)


def _asked(interaction: Interaction) -> tuple[str, dict[str, Any]] | None:
    """The surface and body of a request to the API that was answered whole."""
    request, response = interaction.request, interaction.response
    path = urlsplit(request.uri).path
    surface = next((name for end, name in _SURFACES.items() if path.endswith(end)), None)
    if request.method != "POST" or surface is None or response.status != 200 or response.ended:
        return None
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    return (surface, body) if isinstance(body, dict) else None


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
