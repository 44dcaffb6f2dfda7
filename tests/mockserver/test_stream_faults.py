"""Places in streams of every kind, and faults that act together."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mockserver import MockServer, fault, reply
from mockserver.answers import Frame
from mockserver.faults.landmarks import Spot, found
from tests.mockserver.asking import AZURE_CHAT, CHAT, WEATHER, chat, user
from tests.mockserver.conftest import KEY
from tests.mockserver.sockets import Seen, ask

TEXT = "Größe: 3 € für Otter"
CALLS: list[dict[str, Any]] = [{"name": "get_weather", "arguments": {"city": "Köln"}}]
COMPLETIONS, RESPONSES = "/v1/completions", "/v1/responses"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: chat(stream=True, stream_options={"include_usage": True}),
    AZURE_CHAT: chat(stream=True, stream_options={"include_usage": True}),
    COMPLETIONS: {"model": "gpt-3.5-turbo-instruct", "prompt": "x", "stream": True},
    RESPONSES: {"model": "gpt-4o", "input": "x", "stream": True},
}
PICTURES, SPEECH = "/v1/images/generations", "/v1/audio/speech"
BODIES_WITHOUT_WORDS: dict[str, dict[str, Any]] = {
    PICTURES: {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024", "stream": True, "partial_images": 1},
    SPEECH: {"model": "gpt-4o-mini-tts", "input": "x", "voice": "alloy", "stream_format": "sse"},
}
RESPONSES_WEATHER = {"type": "function", **WEATHER["function"]}  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def running() -> Iterator[MockServer]:
    with MockServer(seed=1) as server:
        yield server


@pytest.fixture
def server(running: MockServer, network_allowance: Any) -> MockServer:
    network_allowance.allow(running.host, running.port)
    running.reset()
    return running


def both(server: MockServer, step: Any, said: Any, body: dict[str, Any], path: str = CHAT) -> tuple[Seen, Seen]:
    """What comes without the fault, and what with it."""
    server.script(said, said & step)
    usual = ask(server, body, path=path)
    return usual, ask(server, body, path=path)


@pytest.mark.parametrize(
    ("path", "at", "holds"),
    [
        (CHAT, "finish", b'"finish_reason":"stop"'),
        (CHAT, "usage", b'"usage":{'),
        (CHAT, "done", b"[DONE]"),
        (AZURE_CHAT, "finish", b'"finish_reason":"stop"'),
        (AZURE_CHAT, "usage", b'"usage":{'),
        (COMPLETIONS, "finish", b'"finish_reason":"stop"'),
        (COMPLETIONS, "done", b"[DONE]"),
        (RESPONSES, "finish", b"event: response.completed"),
        (RESPONSES, "usage", b'"usage":{'),
    ],
)
def test_a_landmark_is_before_the_first_frame_that_holds_it(
    server: MockServer, path: str, at: str, holds: bytes
) -> None:
    usual, seen = both(server, fault.cut(at=at, how="eof"), reply(TEXT), BODIES[path], path)
    first = next(index for index, frame in enumerate(usual.frames) if holds in frame)
    assert seen.frames == usual.frames[:first]
    assert server.journal[-1].fault == "cut"


@pytest.mark.parametrize("path", BODIES)
def test_utf8_is_inside_the_first_letter_of_several_bytes(server: MockServer, path: str) -> None:
    usual, seen = both(server, fault.cut(at="utf8", how="eof"), reply(TEXT), BODIES[path], path)
    assert seen.body == usual.body[: usual.body.index("ö".encode()) + 1]


@pytest.mark.parametrize("path", [CHAT, AZURE_CHAT, RESPONSES])
def test_a_tool_argument_is_cut_inside_its_text(server: MockServer, path: str) -> None:
    tools = [RESPONSES_WEATHER if path == RESPONSES else WEATHER]
    body = {**BODIES[path], "tools": tools}
    usual, seen = both(server, fault.cut(at="tool_argument", how="eof"), reply(tool_calls=CALLS), body, path)
    assert usual.body.startswith(seen.body)
    assert seen.body.endswith((b'"arguments":"{', b'"delta":"{'))


def test_of_several_choices_the_first_that_ends_is_meant(server: MockServer) -> None:
    body = {**BODIES[CHAT], "n": 2}
    usual, seen = both(server, fault.cut(at="finish", how="eof"), reply(TEXT), body)
    assert usual.body.count(b'"finish_reason":"stop"') == 2
    assert b'"finish_reason":"stop"' not in seen.body


def test_what_a_text_says_is_no_landmark() -> None:
    text = json.dumps({"choices": [{"delta": {"content": 'data: [DONE] "arguments":"x" "usage":{}'}}]})
    frames = [Frame(f"data: {text}\n\n".encode()), Frame(b"data: [DONE]\n\n")]
    assert found(frames, "done") == Spot(1)
    assert found(frames, "tool_argument") is None
    assert found(frames, "usage") is None


@pytest.mark.parametrize(
    ("at", "spot"),
    [
        ({"frame": 2}, Spot(2)),
        ({"frame": 3}, None),
        ({"frame": 1, "byte": 3}, Spot(1, 3)),
        ({"frame": 1, "byte": 4}, None),
        ({"frame": 2, "byte": 0}, Spot(2)),
        ({"frame": 2, "byte": 1}, None),
    ],
)
def test_right_behind_the_last_frame_is_a_place_and_nothing_beyond(at: Any, spot: Any) -> None:
    assert found([Frame(b"abc"), Frame(b"def")], at) == spot


class TestAbsentPlaces:
    """What the request rules out is left for others; what the reply turns out not to have leaves it whole."""

    def test_usage_that_is_not_asked_for(self, server: MockServer) -> None:
        server.script(fault.cut(at="usage"))
        assert ask(server, chat(stream=True)).is_whole
        assert len(server.script_left) == 1
        assert "does not ask for usage (stream_options.include_usage)" in server.journal[0].misses[0]

    def test_done_in_a_stream_of_responses(self, server: MockServer) -> None:
        server.script(fault.cut(at="done"))
        assert ask(server, BODIES[RESPONSES], path=RESPONSES).is_whole
        assert "streams of responses have no [DONE]" in server.journal[0].misses[0]

    @pytest.mark.parametrize(
        "step",
        [fault.cut(), fault.stall(stall_s=0), fault.bad_chunk(), fault.error_event(), fault.no_done()],
        ids=lambda step: step.label,
    )
    @pytest.mark.parametrize("path", [PICTURES, SPEECH])
    def test_a_default_place_that_pictures_and_speech_cannot_have(
        self, server: MockServer, step: Any, path: str
    ) -> None:
        server.script(step)
        assert ask(server, BODIES_WITHOUT_WORDS[path], path=path).is_whole
        assert len(server.script_left) == 1
        assert "and streams of " in server.journal[0].misses[0]

    def test_no_done_where_there_is_none(self, server: MockServer) -> None:
        server.script(fault.no_done())
        assert ask(server, BODIES[RESPONSES], path=RESPONSES).is_whole
        assert "streams of responses have no [DONE]" in server.journal[0].misses[0]
        assert len(server.script_left) == 1

    @pytest.mark.parametrize("step", [fault.split_utf8(), fault.cut(at="utf8"), fault.cut(at="tool_argument")])
    def test_letters_and_calls_where_there_are_none(self, server: MockServer, step: Any) -> None:
        server.script(step)
        assert ask(server, BODIES_WITHOUT_WORDS[SPEECH], path=SPEECH).is_whole
        assert len(server.script_left) == 1

    @pytest.mark.parametrize("path", [PICTURES, SPEECH])
    def test_a_place_by_number_is_in_every_stream(self, server: MockServer, path: str) -> None:
        server.script(fault.cut(at={"frame": 1}, how="eof"), fault.cut(at="usage", how="eof"))
        assert len(ask(server, BODIES_WITHOUT_WORDS[path], path=path).frames) == 1
        ask(server, BODIES_WITHOUT_WORDS[path], path=path)
        assert server.script_left == []

    def test_no_stream_at_all(self, server: MockServer) -> None:
        server.script(fault.cut())
        assert ask(server, chat()).is_whole
        assert "cut acts on streams, and the request asks for none" in server.journal[0].misses[0]

    @pytest.mark.parametrize("at", ["utf8", "tool_argument", {"frame": 500}])
    def test_a_reply_without_the_place_is_sent_whole(self, server: MockServer, at: Any) -> None:
        usual, seen = both(server, fault.cut(at=at), reply("plain letters"), BODIES[CHAT])
        assert (seen.body, seen.is_whole) == (usual.body, True)
        assert server.script_left == []


class TestTogether:
    """Each fault acts on what the one before has left."""

    def test_frames_are_counted_as_the_fault_before_left_them(self, server: MockServer) -> None:
        step = fault.duplicate(at={"frame": 2}) & fault.cut(at={"frame": 4}, how="eof")
        usual, seen = both(server, step, reply(TEXT), BODIES[CHAT])
        assert seen.frames == [*usual.frames[:3], usual.frames[2]]
        assert server.journal[-1].fault == "duplicate+cut"

    def test_in_another_order_they_do_something_else(self, server: MockServer) -> None:
        step = fault.cut(at={"frame": 4}, how="eof") & fault.duplicate(at={"frame": 2})
        usual, seen = both(server, step, reply(TEXT), BODIES[CHAT])
        assert seen.frames == [*usual.frames[:3], *usual.frames[2:4]]

    def test_a_stall_and_a_cut_stand_in_one_stream(self, server: MockServer) -> None:
        step = fault.duplicate() & fault.stall(at={"frame": 1}, stall_s=0.001) & fault.cut(at="finish", how="rst")
        usual, seen = both(server, step, reply(TEXT), BODIES[CHAT])
        assert len(seen.frames) == len([f for f in usual.frames if b'"finish_reason":null' in f]) + 1
        assert seen.end == "rst"

    def test_a_refusal_comes_first_wherever_it_stands(self, server: MockServer) -> None:
        server.script(fault.missing_field(field="error.message") & fault.server_error(status=503))
        seen = ask(server, chat())
        assert seen.status == 503
        assert "message" not in json.loads(seen.body)["error"]

    def test_of_two_refusals_the_last_is_taken(self, server: MockServer) -> None:
        server.script(fault.server_error() & fault.insufficient_quota())
        assert ask(server, chat()).status == 429

    def test_a_fault_of_streams_leaves_a_refusal_as_it_is(self, server: MockServer) -> None:
        server.script(fault.duplicate() & fault.server_error())
        assert ask(server, chat(stream=True)).status == 500

    def test_two_replies_are_no_step(self) -> None:
        with pytest.raises(ValueError, match="two replies cannot be one step"):
            reply("a") & reply("b")


class TestErrorEvents:
    """What the two kinds of streams say when they fail."""

    def test_a_chat_says_it_in_an_error_object(self, server: MockServer) -> None:
        server.script(fault.error_event(at={"frame": 3}))
        *before, last = ask(server, BODIES[CHAT]).frames
        assert len(before) == 3
        error = json.loads(last.removeprefix(b"data: "))["error"]
        assert (error["type"], error["code"]) == ("server_error", None)

    def test_responses_say_it_in_an_error_event(self, server: MockServer) -> None:
        server.script(fault.error_event(at={"frame": 3}))
        name, data = ask(server, BODIES[RESPONSES], path=RESPONSES).frames[-1].decode().strip().split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == "event: error"
        assert event.keys() == {"type", "code", "message", "param", "sequence_number"}
        assert event["sequence_number"] == 3

    def test_a_rate_limit_in_responses_is_a_failed_response_under_a_200(self, server: MockServer) -> None:
        server.script(fault.error_event(at={"frame": 3}, code="rate_limit_exceeded"))
        seen = ask(server, BODIES[RESPONSES], path=RESPONSES)
        event = json.loads(seen.frames[-1].decode().split("data: ")[1])
        assert seen.status == 200
        assert event["type"] == "response.failed"
        assert event["response"]["error"]["code"] == "rate_limit_exceeded"


def test_a_reset_takes_no_other_request_with_it(server: MockServer) -> None:
    server.script(fault.reset())
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}) as http:
        with pytest.raises(httpx.HTTPError):
            http.post(CHAT, json=chat(messages=user()))
        assert http.post(CHAT, json=chat(messages=user())).status_code == 200
