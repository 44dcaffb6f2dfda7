"""The API key is nowhere that people look: not in a repr, a pickle, a log, an error or its traceback."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from llmkit import AsyncClient, Client, LLMError

if TYPE_CHECKING:
    from tests.llmkit.conftest import Open, RawServer

KEY = "sk-canary-5f3a9d"
PADDING = "x" * 190  # an excerpt has 200 letters: the key begins within, and ends beyond
BEGINNING = KEY[:6]


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
    "a redirect repeats the key": lambda raw: raw.http("", status="307 There", location=f"http://x.invalid/?key={KEY}"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("streamed", [False, True])
def test_no_error_holds_the_key(caller: Open, raw: RawServer, failure: str, streamed: bool) -> None:
    raw.say(FAILURES[failure](raw))
    client = caller(raw.url, max_attempts=1)
    with pytest.raises(LLMError) as caught:
        client.stream([]) if streamed else client.chat()
    error = caught.value
    assert KEY.encode() in raw.requests[0], "the key was sent"
    assert BEGINNING not in str(error) + repr(error) + repr(error.attempts)
    assert BEGINNING.encode() not in pickle.dumps(error)
    assert not [found for found in reachable(error) if BEGINNING in repr(found)]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("streamed", [False, True])
def test_no_traceback_shows_the_key(caller: Open, raw: RawServer, failure: str, streamed: bool) -> None:
    """Not even one that shows the local variables of every frame, as pytest and error trackers do."""
    raw.say(FAILURES[failure](raw))
    client = caller(raw.url, max_attempts=1)
    with pytest.raises(LLMError) as caught:
        client.stream([]) if streamed else client.chat()
    assert BEGINNING not in all_frames(caught.value)


def test_no_error_amid_a_stream_shows_the_key(caller: Open, raw: RawServer) -> None:
    raw.say(raw.event_stream + raw.frame("Once"), f"data: {PADDING}{KEY}\n\n".encode(), gap_s=0.02)
    with pytest.raises(LLMError) as caught:
        caller(raw.url).stream([])
    assert caught.value.partial == "Once"
    assert BEGINNING not in str(caught.value) + all_frames(caught.value)


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
        caller(raw.url, max_attempts=1).chat()
    assert caplog.records
    assert not [record for record in caplog.records if KEY in record.getMessage()]
