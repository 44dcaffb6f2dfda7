"""The API key is nowhere that people look: not in a repr, a pickle, a log, an error or its traceback."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmkit import AsyncClient, BulkFailed, Client, Completion, Embedding, LLMError
from llmkit.policies.fallback import Fallback, Target

if TYPE_CHECKING:
    from tests.llmkit.conftest import Caller, Open, RawServer

KEY = "sk-Canary-5f3a9d"
PADDING = "x" * 190  # an excerpt has 200 letters: the key begins within, and ends beyond
BEGINNING = KEY[3:9].lower()


def reachable(thing: object, depth: int = 6) -> Iterator[object]:
    """What hangs on an object by attributes, elements, and for exceptions by cause and context."""
    yield thing
    if depth == 0 or isinstance(thing, str | bytes | int | float | type(None)):
        return
    parts: list[object] = list(getattr(thing, "__dict__", {}).values())
    parts += [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ())]
    if isinstance(thing, BaseException):
        parts += [thing.args, thing.__cause__, thing.__context__]
    if isinstance(thing, dict):
        parts += [*thing.keys(), *thing.values()]
    if isinstance(thing, list | tuple | set):
        parts += list(thing)
    for part in parts:
        yield from reachable(part, depth - 1)


def echo(raw: RawServer) -> bytes:
    return raw.http(
        json.dumps({"error": {"message": f"Bad key: {KEY}", "code": f"x{KEY}", "param": KEY}}), status="401 No"
    )


FAILURES: dict[str, Callable[[RawServer], bytes]] = {
    "the server repeats the key": echo,
    "a page of HTML repeats the key": lambda raw: raw.http(f"<p>{KEY}</p>", status="500 Oops", x_should_retry="false"),
    "a 200 repeats the key": lambda raw: raw.http(f"<p>{KEY}</p>"),
    "an error in a 200 repeats the key": lambda raw: raw.http(json.dumps({"error": {"message": KEY}})),
    "a stream repeats the key": lambda raw: raw.event_stream + raw.frame(choices=KEY),
    "the connection breaks": lambda raw: raw.http(raw.completion())[:-5],
    "no HTTP at all": lambda _: b"SSH-2.0-OpenSSH\r\n",
    "an excerpt cuts the key": lambda raw: raw.http(PADDING + KEY),
    "an excerpt of JSON cuts the key": lambda raw: raw.http(json.dumps({"choices": PADDING[:-1] + KEY})),
    "an excerpt of a refusal cuts the key": lambda raw: raw.http(
        json.dumps({"error": {"info": PADDING[:-18] + KEY}}), status="500 Oops"
    ),
    "an excerpt of a page cuts the key": lambda raw: raw.http(PADDING + KEY, status="500 Oops"),
    "an excerpt of a frame cuts the key": lambda raw: raw.event_stream + f"data: {PADDING}{KEY}\n\n".encode(),
    "an excerpt of a frame's JSON cuts the key": lambda raw: raw.event_stream + raw.frame(choices=PADDING[:-1] + KEY),
    "what is no UTF-8 repeats the key": lambda raw: raw.http(KEY.encode() + b"\xff"),
    "a frame that is no UTF-8 repeats the key": lambda raw: raw.event_stream + b"data: " + KEY.encode() + b"\xff\n\n",
    "a date overflows": lambda raw: raw.http(
        "{}", status="429 Slow", Retry_After="Wed, 21 Oct 99999999999 07:28:00 GMT"
    ),
    "the type of the content repeats the key": lambda raw: raw.http("{}", content_type=f"text/{KEY}"),
    "the reason of the status repeats the key": lambda raw: raw.http("{}", status=f"500 {KEY}", x_should_retry="false"),
    "the id of the request repeats the key": lambda raw: raw.http("{}", status="400 Bad", x_request_id=KEY),
    "a header repeats the key": lambda raw: raw.http("{}", status="429 Slow", retry_after=KEY, x_should_retry="false"),
    "what follows an answer repeats the key": lambda raw: raw.http(raw.completion() + KEY),
    "an error spells the key otherwise": lambda raw: raw.http(
        json.dumps({"error": {"message": KEY, "code": KEY}}).replace("-", r"\u002d"), status="400 Bad"
    ),
    "a filter repeats the key": lambda raw: raw.http(
        json.dumps({"error": {"code": "content_filter", "content_filter_result": {KEY: {"filtered": KEY}}}}),
        status="400 Bad",
    ),
    "a redirect repeats the key": lambda raw: raw.http("", status="307 There", location=f"http://x.invalid/?key={KEY}"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("streamed", [False, True])
def test_no_error_holds_the_key(caller: Open, raw: RawServer, failure: str, streamed: bool) -> None:
    raw.say(FAILURES[failure](raw))
    client = caller(raw.url, api_key=KEY, max_attempts=1)
    with pytest.raises(LLMError) as caught:
        client.stream([]) if streamed else client.chat()
    assert KEY.encode() in raw.requests[0], "the key was sent"
    assert_clean(caught.value)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("streamed", [False, True])
def test_no_traceback_shows_the_key(caller: Open, raw: RawServer, failure: str, streamed: bool) -> None:
    """Not even one that shows the local variables of every frame, as pytest and error trackers do."""
    raw.say(FAILURES[failure](raw))
    client = caller(raw.url, api_key=KEY, max_attempts=1)
    with pytest.raises(LLMError) as caught:
        client.stream([]) if streamed else client.chat()
    assert BEGINNING not in all_frames(caught.value).lower()


def test_no_error_amid_a_stream_shows_the_key(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once"), f"data: {PADDING}{KEY}\n\n".encode(), gap_s=0.02)
    with pytest.raises(LLMError) as caught:
        caller(raw.url, api_key=KEY).stream([])
    assert caught.value.partial == "Once"
    assert BEGINNING not in (str(caught.value) + all_frames(caught.value)).lower()


ASK: dict[str, Callable[[Caller], object]] = {
    "complete": lambda client: client.complete("Hi"),
    "respond": lambda client: client.respond("Hi"),
    "stream_response": lambda client: client.stream_response([]),
    "embed": lambda client: client.embed("Hi"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("function", ASK)
def test_no_function_fails_with_the_key(caller: Open, raw: RawServer, function: str, failure: str) -> None:
    raw.say(FAILURES[failure](raw))
    with pytest.raises(LLMError) as caught:
        ASK[function](caller(raw.url, api_key=KEY, max_attempts=1))
    assert_clean(caught.value)
    assert BEGINNING not in all_frames(caught.value).lower()


def test_a_streamed_response_that_fails_with_the_key_does_not_tell_it(caller: Open, raw: RawServer) -> None:
    told = {"type": "response.failed", "response": {"error": {"message": f"Bad key {KEY}", "code": KEY}}}
    raw.say(raw.event_stream + f"data: {json.dumps(told)}\n\n".encode())
    with pytest.raises(LLMError, match=r"Bad key \*\*\*") as caught:
        caller(raw.url, api_key=KEY, max_attempts=1).stream_response([])
    assert_clean(caught.value)
    assert BEGINNING not in all_frames(caught.value).lower()


def assert_clean(thing: object) -> None:
    """Neither it nor what hangs on it shows any of the key."""
    assert BEGINNING not in (str(thing) + repr(thing)).lower()
    assert BEGINNING.encode() not in pickle.dumps(thing).lower()
    assert not [found for found in reachable(thing) if BEGINNING in repr(found).lower()]


def echoed(**fields: Any) -> str:
    """A chat reply whose every text is the key."""
    call = {"id": KEY, "type": "function", "function": {"name": KEY, "arguments": json.dumps({"key": KEY})}}
    message = {"role": "assistant", "content": KEY, "refusal": KEY, "tool_calls": [call], KEY: [KEY]}
    told = {"id": KEY, "model": KEY, "system_fingerprint": KEY, "choices": [{"finish_reason": KEY, "message": message}]}
    return json.dumps(told | {"usage": {KEY: KEY}} | fields)


ANSWERS: dict[str, tuple[Callable[[RawServer], bytes], Callable[[Caller], Completion | Embedding]]] = {
    "a chat": (lambda raw: raw.http(echoed(), x_request_id=KEY), lambda client: client.chat()),
    "a chat spelt otherwise": (
        lambda raw: raw.http(echoed().replace("-", r"\u002D").replace("C", r"\u0043"), x_request_id=KEY),
        lambda client: client.chat(),
    ),
    "a completion": (
        lambda raw: raw.http(echoed(choices=[{"text": KEY, "finish_reason": KEY}])),
        lambda client: client.complete("Hi"),
    ),
    "a response": (
        lambda raw: raw.http(json.dumps(response_of(KEY)), x_request_id=KEY),
        lambda client: client.respond("Hi"),
    ),
    "a streamed response": (
        lambda raw: (
            raw.event_stream.replace(b"req_7", KEY.encode())
            + f"data: {json.dumps({'type': 'response.output_text.delta', 'delta': KEY})}\n\n".encode()
            + f"data: {json.dumps({'type': 'response.completed', 'response': response_of(KEY)})}\n\n".encode()
        ),
        lambda client: client.stream_response([]),
    ),
    "a stream in pieces": (
        lambda raw: (
            raw.event_stream.replace(b"req_7", KEY.encode())
            + b"".join(raw.frame(choices=[{"index": 0, "delta": delta}]) for delta in in_pieces(KEY))
            + raw.frame(finish="stop", model=KEY, system_fingerprint=KEY)
        ),
        lambda client: client.stream([]),
    ),
    "embeddings": (
        lambda raw: raw.http(json.dumps({"model": KEY, "data": [{"embedding": [1.0]}], KEY: KEY}), x_request_id=KEY),
        lambda client: client.embed("Hi"),
    ),
}


def response_of(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}, {"type": "refusal", "refusal": text}]
    call = {"type": "function_call", "call_id": text, "name": text, "arguments": text}
    return {"id": text, "model": text, "status": "completed", "output": [{"type": "message", "content": content}, call]}


def in_pieces(text: str) -> Iterator[dict[str, Any]]:
    """The deltas of a chat stream that says this in every way, a few letters at a time."""
    for start in range(0, len(text), 4):
        piece = text[start : start + 4]
        function = {"arguments": piece} | ({} if start else {"name": "f"})
        call = {"index": 0, "function": function} | ({} if start else {"id": "call_1"})
        yield {"content": piece}
        yield {"refusal": piece}
        yield {"reasoning_content": piece}
        yield {"tool_calls": [call]}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_answer_holds_the_key(caller: Open, raw: RawServer, answer: str) -> None:
    """A gateway in debugging mode, or a model with a tool that reads the environment, may well say it."""
    said, ask = ANSWERS[answer]
    raw.say(said(raw))
    reply = ask(caller(raw.url, api_key=KEY))
    assert "***" in repr(reply) + repr(reply.payload)
    assert_clean(reply)


def test_no_stand_in_tells_the_key_in_its_reason(caller: Open, raw: RawServer) -> None:
    raw.say(echo_of_refusal(raw))
    client = caller(raw.url, api_key=KEY, max_attempts=1)
    reply = client.chat(fallback=Fallback(models=(Target("gpt-4o-mini"),), default="Later."))
    assert reply.degraded is not None
    assert reply.degraded.reason == "Down: ***"
    assert [attempt.request_id for attempt in reply.attempts] == ["***", "***"]
    assert_clean(reply)
    with pytest.raises(LLMError) as caught:
        client.chat(fallback="gpt-4o-mini")
    assert_clean(caught.value)
    assert BEGINNING not in all_frames(caught.value).lower()


def echo_of_refusal(raw: RawServer) -> bytes:
    return raw.http(json.dumps({"error": {"message": f"Down: {KEY}"}}), status="500 Oops", x_request_id=KEY)


@pytest.mark.parametrize("errors", ["raise", "return"])
def test_no_bulk_failure_and_no_file_to_resume_from_holds_the_key(raw: RawServer, tmp_path: Path, errors: str) -> None:
    raw.say(raw.http(echoed()))
    raw.say(echo_of_refusal(raw))
    path = tmp_path / "answers"
    with Client(api_key=KEY, base_url=raw.url, model="gpt-4o", max_attempts=1) as client:
        if errors == "return":
            assert_clean(client.map(["a", "b"], concurrency=1, resume=path, errors="return"))
        else:
            with pytest.raises(BulkFailed) as caught:
                client.map(["a", "b"], concurrency=1, resume=path)
            assert_clean(caught.value)
            assert BEGINNING not in all_frames(caught.value).lower()
    assert b"***" in path.read_bytes()
    assert BEGINNING.encode() not in path.read_bytes().lower()


def all_frames(error: BaseException) -> str:
    """The traceback, with the local variables of every frame but those of this file and of the clients beside it."""
    traced = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in traced.stack if "/tests/" not in frame.filename]
    assert frames
    return "".join(str(frame.locals) for frame in frames) + "".join(traced.format_exception_only())


def test_an_answer_is_given_as_it_is(caller: Open, raw: RawServer) -> None:
    """Only errors are cleaned: a key may be a word, and a word of an answer is not ours to change."""
    raw.say(raw.http(raw.completion("Say anything, anything at all")))
    assert caller(raw.url, api_key="anything").chat().text == "Say anything, anything at all"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_no_client_shows_its_key(kind: type[Client | AsyncClient], raw: RawServer) -> None:
    client = kind(api_key=KEY, base_url=raw.url, model="gpt-4o")
    azure = kind.azure(api_key=KEY, endpoint=raw.url, deployment="chat")
    for shown in (client, azure):
        assert KEY not in repr(shown) + str(shown)
        assert KEY.encode() not in pickle.dumps(shown)


def test_no_log_holds_the_key(caller: Open, raw: RawServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    raw.say(raw.http("{}", status="500 Oops"))
    with pytest.raises(LLMError):
        caller(raw.url, api_key=KEY, max_attempts=1).chat()
    assert caplog.records
    assert not [record for record in caplog.records if KEY in record.getMessage()]
