"""llmkit goes around the SDK's `create()` for speed: here are the same calls by both, byte for byte and field by field.

Bytes are compared as they arrive at a socket, results on what public projects recorded from the real APIs.
Rows H1, 3.I3.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import yaml

from llmkit import AsyncClient, Client, Completion, Embedding
from tests.llmkit.conftest import KEY, RawServer

ROOT = Path(__file__).parents[2]
RECORDED = sorted([*ROOT.glob("cassettes/**/*.yaml"), *(ROOT.parent / "shared" / "data").glob("cassettes/*/*.yaml")])
SURFACES = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/responses": "responses",
}
FIRST = {"chat": "messages", "completions": "prompt", "embeddings": "input", "responses": "input"}
OURS = {"chat": "chat", "completions": "complete", "embeddings": "embed", "responses": "respond"}

# what differs by intent: the SDK tells its own read timeout, which our deadline stands in for
MAY_DIFFER = frozenset({"x-stainless-read-timeout", "host"})

SAID = [{"role": "system", "content": 'Be brief: ünïcode, "quotes", </tags>'}, {"role": "user", "content": "Hi 👋"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat", {"messages": SAID}),
    "chat with parameters": (
        "chat",
        {"messages": SAID, "temperature": 0.5, "max_tokens": 5, "tools": TOOLS, "seed": 7, "stop": ["\n"]},
    ),
    "chat, streamed": ("chat", {"messages": SAID, "stream": True, "stream_options": {"include_usage": True}}),
    "completion": ("completions", {"prompt": "Once upon a time", "max_tokens": 5}),
    "embeddings": ("embeddings", {"input": ["a", "b"]}),
    "embeddings with parameters": ("embeddings", {"input": ["a"], "dimensions": 8, "encoding_format": "float"}),
    "response": ("responses", {"input": "Hi", "max_output_tokens": 50, "instructions": "Be brief"}),
    "response, streamed": ("responses", {"input": "Hi", "stream": True}),
}


# ---- the same call, by both


def ask_ours(client: Client, surface: str, asked: Mapping[str, Any]) -> Any:
    """The reply to what `create()` would be given."""
    more = {name: value for name, value in asked.items() if name not in (FIRST[surface], "stream")}
    first = asked[FIRST[surface]]
    if not asked.get("stream"):
        return getattr(client, OURS[surface])(first, **more)
    if surface == "chat":
        more.setdefault("stream_options", None)
    stream_of: Any = client.stream if surface == "chat" else client.stream_response
    with stream_of(first, **more) as stream:
        pieces = "".join(event.text for event in stream)
        assert pieces == stream.reply.text
        return stream.reply


async def ask_ours_async(client: AsyncClient, surface: str, asked: Mapping[str, Any]) -> Any:
    """The same, of code that awaits."""
    more = {name: value for name, value in asked.items() if name not in (FIRST[surface], "stream")}
    first = asked[FIRST[surface]]
    if not asked.get("stream"):
        return await getattr(client, OURS[surface])(first, **more)
    stream_of: Any = client.stream if surface == "chat" else client.stream_response
    async with stream_of(first, **more) as stream:
        async for _ in stream:
            pass
    return stream.reply


def creator(sdk: Any, surface: str) -> Callable[..., Any]:
    """The SDK's `create` of a surface."""
    of: Any = {
        "chat": sdk.chat.completions,
        "completions": sdk.completions,
        "embeddings": sdk.embeddings,
        "responses": sdk.responses,
    }[surface]
    create: Callable[..., Any] = of.create
    return create


async def ask_theirs_async(sdk: Any, surface: str, asked: Mapping[str, Any]) -> None:
    reply = await creator(sdk, surface)(**asked)
    if asked.get("stream"):
        async for _ in reply:
            pass


# ---- bytes


def reply_to(surface: str, *, stream: bool) -> bytes:
    """A whole HTTP reply that both take for an answer."""
    text = {"type": "output_text", "text": "Hello", "annotations": []}
    response = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}],
    }
    vector = {"index": 0, "embedding": [0.5]}
    bodies = {
        "chat": RawServer.completion(),
        "completions": json.dumps({"choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}),
        "embeddings": json.dumps({"data": [vector, {**vector, "index": 1}]}),
        "responses": json.dumps(response),
    }
    if not stream:
        return RawServer.http(bodies[surface])
    piece = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"}
    events = [
        {"sequence_number": 0, **piece},
        {"sequence_number": 1, "type": "response.completed", "response": response},
    ]
    frames = {
        "chat": [RawServer.frame("Hello", finish="stop"), RawServer.done],
        "responses": [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events],
    }
    return RawServer.event_stream + b"".join(frames[surface])


def comparable(body: bytes) -> object:
    """The body as it is; beside an SDK before 3, which sorts the keys in another way, what it says."""
    return body if int(openai.__version__.partition(".")[0]) >= 3 else json.loads(body)


def sent(request: bytes) -> tuple[bytes, dict[str, str], object]:
    """A request as it arrived: its first line, its headers and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    headers = dict(one.decode().split(": ", 1) for one in rest)
    assert len(headers) == len(rest), "a header came twice"
    return (
        line,
        {name.lower(): value for name, value in headers.items() if name.lower() not in MAY_DIFFER},
        comparable(body),
    )


@dataclass(frozen=True)
class Three:
    """Our clients, and the SDK's with the same settings."""

    ours: Client
    ours_async: AsyncClient
    theirs: Callable[[], Any]


def openai_three(url: str) -> Three:
    given: dict[str, Any] = {"api_key": KEY, "base_url": url, "organization": "org-1", "project": "proj-1"}
    return Three(Client(model="m", **given), AsyncClient(model="m", **given), lambda: openai.AsyncOpenAI(**given))


def azure_three(url: str) -> Three:
    given: dict[str, Any] = {"endpoint": url.removesuffix("/v1"), "api_key": KEY, "api_version": "2024-10-21"}
    return Three(
        Client.azure(deployment="m", **given),
        AsyncClient.azure(deployment="m", **given),
        lambda: openai.AsyncAzureOpenAI(
            azure_endpoint=given["endpoint"], api_key=KEY, api_version=given["api_version"]
        ),
    )


@pytest.mark.parametrize("dialect", [openai_three, azure_three], ids=["openai", "azure"])
@pytest.mark.parametrize("call", CALLS)
def test_the_bytes_are_those_that_the_sdk_sends(
    call: str, dialect: Callable[[str], Three], raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Request line, headers and body; also the synchronous client sends as the SDK's asynchronous one does."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    surface, asked = CALLS[call]
    raw.say(reply_to(surface, stream=bool(asked.get("stream"))))
    three = dialect(raw.url)
    model = {"model": "m"} if surface == "embeddings" else {}

    async def by_awaiting() -> None:
        await ask_ours_async(three.ours_async, surface, {**asked, **model})
        await three.ours_async.aclose()
        async with three.theirs() as sdk:
            await ask_theirs_async(sdk, surface, {**asked, "model": "m"})

    count = 2 if "input" in asked and asked["input"] == ["a", "b"] else 1
    if surface == "embeddings" and count == 1:
        raw.scripts.clear()
        raw.say(RawServer.http(json.dumps({"data": [{"index": 0, "embedding": [0.5]}]})))
    with three.ours as client:
        ask_ours(client, surface, {**asked, **model})
    asyncio.run(by_awaiting())
    plain, awaited, theirs = map(sent, raw.requests)
    assert plain == theirs
    assert awaited == theirs


# ---- results on recorded traffic


@dataclass(frozen=True)
class Exchange:
    """A recorded request, and the body of its reply."""

    name: str
    surface: str
    asked: dict[str, Any]
    content_type: str
    body: bytes


def exchanges() -> Iterator[Exchange]:
    """What was recorded of the four surfaces, and answered."""
    for path in RECORDED:
        for number, one in enumerate(yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)["interactions"]):
            address = urlsplit(one["request"]["uri"]).path
            surface = next((kind for end, kind in SURFACES.items() if address.endswith(end)), None)
            status = one["response"]["status"]
            if surface is None or (status["code"] if isinstance(status, dict) else status) != 200:
                continue
            if one["request"]["method"] == "POST" and (asked := asked_of(one["request"])) is not None:
                headers = {name.lower(): value for name, value in one["response"]["headers"].items()}
                streams = "text/event-stream" if asked.get("stream") else "application/json"
                kind = headers.get("content-type", streams)  # some projects keep no headers
                kind = kind if isinstance(kind, str) else kind[0]
                yield Exchange(f"{path.stem}#{number}", surface, asked, kind, content_of(one["response"]))


def asked_of(request: Mapping[str, Any]) -> dict[str, Any] | None:
    body = content_of(request)
    try:
        asked = json.loads(body)
    except ValueError:
        return None  # it was scrubbed by its project
    if not isinstance(asked, dict) or "model" not in asked:
        return None
    if asked.get("encoding_format") == "base64":
        del asked["encoding_format"]  # what both ask for by themselves; the SDK does not decode what it was told to get
    if urlsplit(request["uri"]).path.endswith("/embeddings") and isinstance(asked.get("input"), str):
        asked["input"] = [asked["input"]]  # ours sends one text as a list of one
    return asked if asked.get("stream", True) else {name: asked[name] for name in asked if name != "stream"}


def content_of(part: Mapping[str, Any]) -> bytes:
    """A recorded body as it went over the wire, whichever way a project's serializer put it down."""
    body = part.get("body")
    if isinstance(body, dict):
        body = body["string"]
    if body is None and "parsed_body" in part:
        parsed = part["parsed_body"]
        body = parsed if isinstance(parsed, str) else json.dumps(parsed)
    plain = body.encode("utf-8") if isinstance(body, str) else body or b""
    return gzip.decompress(plain) if plain.startswith(b"\x1f\x8b") else plain


def usage_of(billed: Any) -> tuple[int, int, int] | None:
    if billed is None:
        return None
    asked = billed.prompt_tokens if hasattr(billed, "prompt_tokens") else billed.input_tokens
    answered = getattr(billed, "completion_tokens", getattr(billed, "output_tokens", 0))
    return asked, answered, billed.total_tokens


def fields_of_ours(reply: Completion | Embedding) -> dict[str, Any]:
    if isinstance(reply, Embedding):
        return {"model": reply.model, "usage": usage_of(reply.usage), "vectors": [list(one) for one in reply.vectors]}
    return {
        "id": reply.id,
        "model": reply.model,
        "text": reply.text,
        "refusal": reply.refusal or None,
        "finish_reason": reply.finish_reason,
        "calls": [(call.id, call.name, call.arguments) for call in reply.tool_calls],
        "usage": usage_of(reply.usage),
    }


def fields_of_theirs(surface: str, reply: Any) -> dict[str, Any]:
    match surface:
        case "embeddings":
            vectors = [list(row.embedding) for row in sorted(reply.data, key=lambda row: row.index)]
            return {"model": reply.model, "usage": usage_of(reply.usage), "vectors": vectors}
        case "responses":
            return fields_of_response(reply)
    choice = reply.choices[0]
    message = choice.message if surface == "chat" else None
    return {
        "id": reply.id,
        "model": reply.model,
        "text": (message.content if message else choice.text) or "",
        "refusal": (getattr(message, "refusal", None) if message else None) or None,
        "finish_reason": choice.finish_reason,
        "calls": [
            (one.id, one.function.name, one.function.arguments) for one in (message and message.tool_calls) or ()
        ],
        "usage": usage_of(reply.usage),
    }


def fields_of_response(reply: Any) -> dict[str, Any]:
    calls = [(item.call_id, item.name, item.arguments) for item in reply.output if item.type == "function_call"]
    parts = [part for item in reply.output if item.type == "message" for part in item.content]
    finish = {"completed": "tool_calls" if calls else "stop", "incomplete": "length"}
    return {
        "id": reply.id,
        "model": reply.model,
        "text": reply.output_text,
        "refusal": "".join(part.refusal for part in parts if part.type == "refusal") or None,
        "finish_reason": finish.get(reply.status),
        "calls": calls,
        "usage": usage_of(reply.usage),
    }


def gathered(surface: str, stream: Any) -> dict[str, Any]:
    """What the SDK's chunks add up to."""
    if surface == "responses":
        last = [event.response for event in stream if event.type in ("response.completed", "response.incomplete")]
        return fields_of_response(last[-1])
    chunks = list(stream)
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == 0]
    calls: dict[int, list[str]] = {}
    for piece in (piece for choice in choices for piece in choice.delta.tool_calls or ()):
        call = calls.setdefault(piece.index, ["", "", ""])
        call[0] = call[0] or piece.id or ""
        call[1] += piece.function.name or ""
        call[2] += piece.function.arguments or ""
    named = [chunk for chunk in chunks if chunk.model]
    return {
        "id": next((chunk.id for chunk in chunks if chunk.id), None),
        "model": named[-1].model,
        "text": "".join(choice.delta.content or "" for choice in choices),
        "refusal": "".join(choice.delta.refusal or "" for choice in choices) or None,
        "finish_reason": next(choice.finish_reason for choice in choices if choice.finish_reason),
        "calls": [tuple(call) for _, call in sorted(calls.items())],
        "usage": next((usage_of(chunk.usage) for chunk in chunks if chunk.usage), None),
    }


KINDS = {("chat", False), ("chat", True), ("completions", False), ("embeddings", False), ("responses", False)}
KINDS.add(("responses", True))


@pytest.fixture(scope="module")
def recorded() -> list[Exchange]:
    return [one for one in exchanges() if (one.surface, bool(one.asked.get("stream"))) in KINDS]


@pytest.mark.skipif(len(RECORDED) < 100, reason="the traffic that public projects recorded is not here")
def test_there_is_recorded_traffic_of_every_surface(recorded: list[Exchange]) -> None:
    assert {(one.surface, bool(one.asked.get("stream"))) for one in recorded} == KINDS


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_requests_and_results_of_recorded_traffic_are_the_sdks(
    streamed: bool, raw: RawServer, recorded: list[Exchange]
) -> None:
    """Each recorded request sent by both, byte for byte the same, and the recorded reply read by both."""
    chosen = [one for one in recorded if bool(one.asked.get("stream")) == streamed]
    if not chosen:
        pytest.skip("nothing of that kind was recorded here")
    with (
        Client(api_key=KEY, base_url=raw.url, max_attempts=1) as ours,
        openai.OpenAI(api_key=KEY, base_url=raw.url, max_retries=0) as sdk,
    ):
        known = [one for one in chosen if set(one.asked) <= {*signature(creator(sdk, one.surface)).parameters}]
        different = [told for one in known if (told := difference(one, raw, ours, sdk))]
    assert len(known) > 0.9 * len(chosen), "an old SDK lacks some of the newest parameters"
    assert not different, f"{len(different)} of {len(chosen)}:\n" + "\n".join(different)


def difference(one: Exchange, raw: RawServer, ours: Client, sdk: openai.OpenAI) -> str:
    """What differs between ours and the SDK's, empty if nothing does."""
    reply = RawServer.http(one.body, content_type=one.content_type)
    raw.say(*[reply])
    raw.say(*[reply])
    mine = fields_of_ours(ask_ours(ours, one.surface, one.asked))
    answer = creator(sdk, one.surface)(**one.asked)
    theirs = gathered(one.surface, answer) if one.asked.get("stream") else fields_of_theirs(one.surface, answer)
    bodies = [request.partition(b"\r\n\r\n")[2] for request in raw.requests[-2:]]
    told = [f"{name}: {mine[name]!r} is not {theirs[name]!r}" for name in theirs if mine[name] != theirs[name]]
    told += [] if comparable(bodies[0]) == comparable(bodies[1]) else [f"the bytes: {first_difference(bodies)}"]
    return f"{one.name} ({one.surface}) {'; '.join(told)}" if told else ""


def first_difference(bodies: Sequence[bytes]) -> str:
    at = next((at for at, (one, other) in enumerate(zip(*bodies, strict=False)) if one != other), min(map(len, bodies)))
    return " / ".join(repr(body[max(0, at - 30) : at + 60]) for body in bodies)
