"""The shapes of our answers against those that OpenAI and Azure gave in recorded traffic, surface by surface.

Each recorded request is sent again. Of the two answers the keys, the JSON types and the headers are compared, and of
streams the order of their parts. What the recordings have and we lack, or say otherwise, is listed here with its
reason; what we have and an older recording lacks is newer than that, and is allowed where a newer one has it.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from mockserver import MockServer

CASSETTES = Path(__file__).parents[3] / "shared" / "data" / "cassettes"
FILES = sorted(CASSETTES.glob("*/*.yaml"))
SURFACES = ("chat/completions", "completions", "embeddings")
KEY = "a-key-like-any-other"

pytestmark = pytest.mark.skipif(not FILES, reason=f"the recorded public traffic is not here: {CASSETTES}")

# paths in the JSON that recordings have and we do not, or of another type: why
KNOWN: dict[str, str] = {}
# what only an answer of that day had, or only that conversation: the model said something else
CHANCE = ("tool_calls", "content", "refusal", "function_call", "annotations", "text", "embedding", "logprobs")
# headers that recordings have and we do not
HEADERS = {
    "access-control-allow-origin": "of 2024 and before",
    "alt-svc": "would send clients looking for HTTP/3",
    "cache-control": "of 2024 and before",
    "cmp-upstream-response-duration": "of 2024 on Azure",
    "connection": "of the connection",
    "content-encoding": "of the connection",
    "content-length": "of the connection",
    "date": "of the connection",
    "keep-alive": "of the connection",
    "openai-model": "of embeddings and completions before chat only",
    "transfer-encoding": "of the connection",
    "via": "of the network between",
    "x-envoy-upstream-service-time": "of the network between",
    "x-ms-client-request-id": "of 2024 on Azure: the id that the client sent",
    "x-openai-proxy-wasm": "of the network between",
    "x-ratelimit-limit-tokens_usage_based": "rare, undocumented",
    "x-ratelimit-remaining-tokens_usage_based": "rare, undocumented",
    "x-ratelimit-reset-tokens_usage_based": "rare, undocumented",
}


@dataclass(frozen=True)
class Exchange:
    """A recorded request that succeeded, and its answer."""

    surface: str
    azure: bool
    request: Any
    headers: Mapping[str, str]
    body: str

    @property
    def streamed(self) -> bool:
        """Whether it was answered by events."""
        return self.request.get("stream") is True

    @property
    def path(self) -> str:
        """Where we serve it."""
        if not self.azure:
            return f"/v1/{self.surface}"
        model = {"chat/completions": "gpt-4.1-mini", "embeddings": "text-embedding-ada-002"}[self.surface]
        return f"/openai/deployments/{model}/{self.surface}?api-version=2024-10-21"


def _decoded(part: Mapping[str, Any]) -> str:
    body = part.get("body")
    body = body["string"] if isinstance(body, dict) else body
    if body is None and "parsed_body" in part:
        return json.dumps(part["parsed_body"])
    raw = body.encode() if isinstance(body, str) else body or b""
    return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()


def exchanges() -> Iterator[Exchange]:
    for path in FILES:
        for each in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)["interactions"]:
            url, status = urlsplit(each["request"]["uri"]), each["response"]["status"]
            azure = (url.hostname or "").endswith(".openai.azure.com")
            surface = url.path.removeprefix("/v1/") if not azure else "/".join(url.path.split("/")[4:])
            status = status["code"] if isinstance(status, dict) else status
            if status != 200 or surface not in SURFACES or not (azure or url.hostname == "api.openai.com"):
                continue
            headers = {name.lower(): values[0] for name, values in each["response"]["headers"].items()}
            request = json.loads(_decoded(each["request"]))
            yield Exchange(surface, azure, request, headers, _decoded(each["response"]))


def shape(value: Any, path: str = "") -> dict[str, str]:
    """The type of everything in a JSON value, by its path; null is left out, for it may be anything."""
    if isinstance(value, dict):
        found = {path: "object"}
        for name, part in value.items():
            if name not in CHANCE:
                found |= shape(part, f"{path}.{name}")
        return found
    if isinstance(value, list):
        found = {path: "array"}
        for part in value:
            found |= shape(part, f"{path}[]")
        return found
    if value is None:
        return {}
    return {path: "number" if type(value) in (int, float) else type(value).__name__}


def parts(body: str) -> list[Any]:
    """The events of a stream; `[DONE]` as it stands."""
    data = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def grammar(body: str) -> list[str]:
    """The kinds of a stream's parts, in their order, each once for as often as it comes in a row."""
    kinds: list[str] = []
    for part in parts(body):
        kind = _kind(part)
        if kinds[-1:] != [kind]:
            kinds.append(kind)
    return kinds


def _kind(part: Any) -> str:
    if part == "[DONE]":
        return "done"
    if not part["choices"]:
        return "usage" if part.get("usage") else "prompt verdict"
    choice = part["choices"][0]
    if "delta" not in choice:
        return "text"
    if choice["delta"].get("role"):
        return "opening"
    return "finish" if choice["finish_reason"] else "content"


@pytest.fixture(scope="module")
def answers(module_server: MockServer) -> list[tuple[Exchange, httpx.Response]]:
    with httpx.Client(
        base_url=module_server.url, headers={"authorization": f"Bearer {KEY}", "api-key": KEY}, timeout=30
    ) as http:
        return [(one, http.post(one.path, json=one.request)) for one in exchanges()]


@pytest.fixture(scope="module")
def module_server() -> Iterator[MockServer]:
    with MockServer(seed=1, lenient=True) as server:
        yield server


def test_every_recorded_request_is_answered(answers: Any) -> None:
    assert len(answers) > 150
    assert {response.status_code for _, response in answers} == {200}


def test_bodies_have_the_keys_and_types_recorded(answers: Any) -> None:
    differing: dict[str, set[str]] = defaultdict(set)
    compared = 0
    for exchange, response in answers:
        if exchange.streamed:
            continue
        compared += 1
        theirs, ours = shape(json.loads(exchange.body)), shape(response.json())
        for path, kind in theirs.items():
            if ours.get(path) != kind:
                differing[f"{exchange.surface}{path}"].add(f"{kind}, ours {ours.get(path)}")
    print(f"{compared} bodies compared; differing: {dict(differing)}")
    assert set(differing) == set(KNOWN)


def test_headers_are_those_recorded(answers: Any) -> None:
    missing: dict[str, int] = defaultdict(int)
    for exchange, response in answers:
        for name in exchange.headers:
            if name not in response.headers:
                missing[name] += 1
    print(f"missing: {dict(missing)}")
    assert {name for name in missing if name not in HEADERS} == set()


def test_streams_have_the_grammar_recorded(answers: Any) -> None:
    differing = []
    streams = 0
    for exchange, response in answers:
        if exchange.streamed:
            streams += 1
            theirs, ours = grammar(exchange.body), grammar(response.text)
            if theirs != ours and "".join(theirs) not in ("", "done"):
                differing.append((theirs, ours))
    print(f"{streams} streams compared; differing: {differing}")
    assert streams > 20
    assert differing == []


def test_streams_chunks_have_the_keys_recorded(answers: Any) -> None:
    differing: dict[str, set[str]] = defaultdict(set)
    for exchange, response in answers:
        if not exchange.streamed:
            continue
        ours: dict[str, str] = {}
        for part in parts(response.text):
            ours |= shape(part) if part != "[DONE]" else {}
        for part in parts(exchange.body):
            for path, kind in shape(part).items() if part != "[DONE]" else ():
                if ours.get(path) != kind:
                    differing[f"{exchange.surface}{path}"].add(f"{kind}, ours {ours.get(path)}")
    assert dict(differing) == {}
