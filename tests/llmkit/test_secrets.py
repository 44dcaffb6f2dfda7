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
    assert KEY not in str(error) + repr(error) + repr(error.attempts)
    assert KEY.encode() not in pickle.dumps(error)
    assert not [found for found in reachable(error) if KEY in repr(found)]


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}"])
def test_no_traceback_shows_the_key(caller: Open, raw: RawServer, reply: bytes) -> None:
    """Not even one that shows the local variables of every frame, as pytest and error trackers do."""
    raw.say(reply)
    client = caller(raw.url, max_attempts=1)
    with pytest.raises(LLMError) as caught:
        client.chat()
    lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    assert KEY not in "".join(lines)


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
