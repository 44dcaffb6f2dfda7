"""Realtime: sessions over WebSocket, as the official SDK and a plain client hold them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest

from mockserver import MockServer, fault
from mockserver.truth.exchange import Exchange
from tests.mockserver.conftest import KEY, Serve

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {
        "additionalProperties": False,
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "type": "object",
    },
}
# the recorded sessions of pydantic-ai: what was told, and what was billed
TOLD = "Use the get_weather tool for any weather question, then answer in one short sentence."
ASKED = "What is the weather in London?"
TEXT = {"output_modalities": ["text"]}
BUFFER = base64.b64encode(bytes(9_600)).decode()


class Talk:
    """A session, as a client without an SDK has it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, **fields})

    async def hear(self) -> Any:
        return await self.socket.receive_json(timeout=10)

    async def until(self, kind: str) -> list[Any]:
        heard = [await self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(await self.hear())
        return heard

    async def user(self, text: str = ASKED) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.say("conversation.item.create", item=item)

    async def respond(self, **options: Any) -> list[Any]:
        await self.say("response.create", response={**TEXT, **options})
        return await self.until("response.done")


@asynccontextmanager
async def talk(
    server: MockServer,
    path: str = "/v1/realtime?model=gpt-realtime",
    *,
    headers: Mapping[str, str] | None = None,
    protocols: tuple[str, ...] = (),
) -> AsyncIterator[Talk]:
    """A session with a key in its header, unless `headers` say otherwise."""
    given = {"authorization": f"Bearer {KEY}", "api-key": KEY} if headers is None else headers
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}{path}", headers=given, protocols=protocols) as socket,
    ):
        yield Talk(socket)


async def noted(server: MockServer) -> Exchange:
    """The exchange of the last session, once it has ended."""
    while server.journal[-1].ended_at is None:  # noqa: ASYNC110 - another thread ends it
        await asyncio.sleep(0.005)
    return server.journal[-1]


def sdk(server: MockServer) -> openai.AsyncOpenAI:
    sockets = server.openai_url.replace("http", "ws", 1)
    return openai.AsyncOpenAI(base_url=server.openai_url, websocket_base_url=sockets, api_key=KEY, max_retries=0)


def kinds(events: list[Any]) -> list[str]:
    """The types of events, repetitions left out."""
    names = [event["type"] for event in events]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


async def test_a_call_of_a_function_and_the_answer_have_the_recorded_grammar_and_bill(serve: Serve) -> None:
    async with talk(serve()) as client:
        created = await client.hear()
        assert created["type"] == "session.created"
        assert created["session"]["output_modalities"] == ["audio"]
        session = {"type": "realtime", "instructions": TOLD, "tools": [WEATHER], **TEXT}
        await client.say("session.update", session=session)
        updated = await client.hear()
        assert updated["session"] == {**created["session"], **session}
        await client.user()
        assert [(await client.hear())["type"] for _ in range(2)] == [
            "conversation.item.added",
            "conversation.item.done",
        ]
        called = await client.respond()
        assert kinds(called) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert called[-1]["response"]["usage"]["input_tokens"] == 63
        (call,) = called[-1]["response"]["output"]
        assert "city" in json.loads(call["arguments"])
        await client.until("rate_limits.updated")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is foggy."}
        await client.say("conversation.item.create", item=output)
        await client.until("conversation.item.done")
        answered = await client.respond()
        assert kinds(answered) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert "foggy" in answered[-1]["response"]["output"][0]["content"][0]["text"]
        assert answered[-1]["response"]["usage"]["input_token_details"]["cached_tokens"] % 64 == 0


async def test_input_is_billed_as_recorded(serve: Serve) -> None:
    async with talk(serve()) as client:
        await client.user("Say a short greeting.")
        done = (await client.respond(instructions="Answer in two or three words."))[-1]
        assert done["response"]["usage"]["input_tokens"] == 16


async def test_deltas_spell_the_text_and_the_next_turn_knows_it(serve: Serve) -> None:
    async with talk(serve()) as client:
        await client.user()
        events = await client.respond()
        text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        (item,) = events[-1]["response"]["output"]
        assert item["content"] == [{"type": "output_text", "text": text}]
        await client.say("conversation.item.retrieve", item_id=item["id"])
        assert (await client.until("conversation.item.retrieved"))[-1]["item"] == item


async def test_sound_comes_with_its_transcript(serve: Serve) -> None:
    async with talk(serve()) as client:
        await client.user("Say a short greeting.")
        events = await client.respond(output_modalities=["audio"])
        sound = [base64.b64decode(each["delta"]) for each in events if each["type"] == "response.output_audio.delta"]
        assert sum(map(len, sound)) > 0
        content = events[-1]["response"]["output"][0]["content"]
        assert content[0]["type"] == "output_audio"
        assert content[0]["transcript"]
        assert events[-1]["response"]["usage"]["output_token_details"]["audio_tokens"] > 0


async def test_the_same_seed_says_the_same(serve: Serve) -> None:
    said = []
    for server in (serve(seed=5), serve(seed=5)):
        async with talk(server) as client:
            await client.user()
            said.append(await client.respond())
    assert said[0] == said[1]


async def test_a_response_ends_where_its_tokens_do(serve: Serve) -> None:
    async with talk(serve()) as client:
        await client.user()
        response = (await client.respond(max_output_tokens=3))[-1]["response"]
        assert response["status"] == "incomplete"
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


async def test_a_response_out_of_band_leaves_the_conversation_alone(serve: Serve) -> None:
    async with talk(serve()) as client:
        events = await client.respond(conversation="none", input=[])
        assert events[-1]["response"]["conversation_id"] is None
        assert not [event for event in events if event["type"].startswith("conversation.")]


async def test_sound_of_the_user_becomes_a_message(serve: Serve) -> None:
    async with talk(serve()) as client:
        audio = {"input": {"transcription": {"model": "whisper-1"}}}
        await client.say("session.update", session={"type": "realtime", "audio": audio})
        await client.say("input_audio_buffer.append", audio=BUFFER)
        await client.say("input_audio_buffer.commit")
        events = await client.until("conversation.item.input_audio_transcription.completed")
        assert [event["type"] for event in events[-4:-1]] == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert events[-1]["transcript"]
        await client.say("input_audio_buffer.commit")
        assert (await client.until("error"))[-1]["error"]["code"] == "input_audio_buffer_commit_empty"


async def test_items_go_where_they_are_put_and_go_away(serve: Serve) -> None:
    async with talk(serve()) as client:
        for name, after in (("a", None), ("b", None), ("c", "a"), ("d", "root")):
            content = [{"type": "input_text", "text": name}]
            item = {"id": name, "type": "message", "role": "user", "content": content}
            place = {} if after is None else {"previous_item_id": after}
            await client.say("conversation.item.create", item=item, **place)
        added = [(await client.until("conversation.item.added"))[-1]["previous_item_id"] for _ in range(4)]
        assert added == [None, "a", "a", None]
        await client.say("conversation.item.delete", item_id="c")
        assert (await client.until("conversation.item.deleted"))[-1]["item_id"] == "c"
        await client.say("conversation.item.delete", item_id="c")
        assert (await client.until("error"))[-1]["error"]["code"] == "item_delete_invalid_item_id"


@pytest.mark.parametrize(
    ("said", "code", "param"),
    [
        ({"event_id": "mine"}, "invalid_event", None),
        ({"type": "no.such", "event_id": "mine"}, "invalid_value", "type"),
        ({"type": "session.update", "event_id": "mine", "session": {}}, "missing_required_parameter", "session.type"),
        ({"type": "session.update", "event_id": "mine", "session": {"x": 1}}, "unknown_parameter", "session.x"),
        ({"type": "response.create", "event_id": "mine", "response": {"x": 1}}, "unknown_parameter", "response.x"),
        ({"type": "session.update", "event_id": "mine", "session": 5}, "invalid_type", "session"),
        ({"type": "conversation.item.create", "event_id": "mine", "item": {"type": "x"}}, "invalid_value", "item.type"),
        ({"type": "input_audio_buffer.append", "event_id": "mine", "audio": "?"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "event_id": "mine", "audio": "😀"}, "invalid_value", "audio"),
        ({"type": "response.cancel", "event_id": "mine"}, "response_cancel_not_active", None),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_an_error_event_and_the_session_goes_on(
    mockserver: MockServer, said: Any, code: str, param: str | None
) -> None:
    async with talk(mockserver) as client:
        await client.hear()
        await client.socket.send_json(said)
        event = await client.hear()
        assert event["type"] == "error"
        error = event["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        await client.say("input_audio_buffer.clear")
        assert (await client.hear())["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize("text", ["", "no json", "[]", "5", '{"type": 5}', '{"type":' * 400])
async def test_messages_that_are_no_events_are_refused(mockserver: MockServer, text: str) -> None:
    async with talk(mockserver) as client:
        await client.hear()
        await client.socket.send_str(text)
        assert (await client.hear())["type"] == "error"


@pytest.mark.parametrize(
    "path",
    ["/openai/realtime?deployment=chat&api-version=2024-10-01-preview", "/v1/realtime?model=gpt-4o-realtime-preview"],
)
async def test_the_older_interface_has_its_own_names(serve: Serve, path: str) -> None:
    async with talk(serve(deployments={"chat": "gpt-4o-realtime-preview"}), path) as client:
        session = (await client.hear())["session"]
        assert session["modalities"] == ["text", "audio"]
        assert "type" not in session
        await client.user()
        assert (await client.hear())["item"]["object"] == "realtime.item"
        await client.say("response.create", response={"modalities": ["text"]})
        events = await client.until("response.done")
        assert kinds(events)[1:6] == [
            "response.output_item.added",
            "conversation.item.created",
            "response.content_part.added",
            "response.text.delta",
            "response.text.done",
        ]
        assert events[-1]["response"]["modalities"] == ["text"]
        await client.say("session.update", session={"type": "realtime"})
        error = (await client.until("error"))[-1]["error"]
        assert error["message"] == "Unknown parameter: 'session.type'."


async def test_azure_v1_speaks_the_newer_interface(serve: Serve) -> None:
    async with talk(serve(deployments={"mine": "gpt-realtime"}), "/openai/v1/realtime?model=mine") as client:
        assert (await client.hear())["session"]["type"] == "realtime"
        await client.user()
        assert (await client.respond())[-1]["response"]["status"] == "completed"


async def test_the_official_sdk_holds_a_conversation(serve: Serve) -> None:
    async with sdk(serve()) as client, client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tell me of otters"}]}
        )
        await connection.response.create()
        text = ""
        async for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                break
        assert "otters" in text


async def test_an_ephemeral_key_opens_the_session_it_was_made_for(serve: Serve) -> None:
    server = serve(api_keys=[KEY])
    async with sdk(server) as client:
        secret = await client.realtime.client_secrets.create(
            session={"type": "realtime", "model": "gpt-realtime", "output_modalities": ["text"]}
        )
    assert secret.value.startswith("ek_")
    protocols = ("realtime", f"openai-insecure-api-key.{secret.value}")
    async with talk(server, headers={}, protocols=protocols) as session:
        assert session.socket.protocol == "realtime"
        assert (await session.hear())["session"]["output_modalities"] == ["text"]
    exchange = await noted(server)
    assert secret.value not in repr(exchange.as_json())
    assert KEY not in repr(exchange.as_json())


async def test_an_ephemeral_key_expires(serve: Serve) -> None:
    server = serve()
    server.clock.stop()
    after: Any = {"anchor": "created_at", "seconds": 10}
    async with sdk(server) as client:
        secret = await client.realtime.client_secrets.create(expires_after=after)
    server.clock.advance(11)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with talk(server, headers={"authorization": f"Bearer {secret.value}"}):
            pass
    assert caught.value.status == 401


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-wrong-0123456789"}])
async def test_a_wrong_key_is_refused_before_the_session(serve: Serve, headers: dict[str, str]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with talk(serve(api_keys=[KEY]), headers=headers):
            pass
    assert caught.value.status == 401


async def test_a_model_that_does_not_speak_is_refused_in_the_session(mockserver: MockServer) -> None:
    async with talk(mockserver, "/v1/realtime?model=gpt-4o") as client:
        assert (await client.hear())["error"]["code"] == "invalid_model"
        assert (await client.socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert client.socket.close_code == 4000


async def test_a_session_needs_a_model(mockserver: MockServer) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with talk(mockserver, "/v1/realtime"):
            pass
    assert caught.value.status == 400


async def test_a_script_may_refuse_the_handshake(mockserver: MockServer) -> None:
    mockserver.script(fault.server_error(status=503), fault.reset(times="forever"))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with talk(mockserver):
            pass
    assert caught.value.status == 503
    with pytest.raises(aiohttp.ClientError):
        async with talk(mockserver):
            pass


async def test_a_cut_ends_the_socket_in_the_middle_of_a_response(mockserver: MockServer) -> None:
    mockserver.script(fault.cut(at={"frame": 5}, how="rst"))
    async with talk(mockserver) as client:
        await client.hear()
        await client.say("response.create", response=TEXT)
        heard = [await client.socket.receive() for _ in range(6)]
        assert [message.type for message in heard[:5]] == [aiohttp.WSMsgType.TEXT] * 5
        assert heard[5].type is not aiohttp.WSMsgType.TEXT
    exchange = await noted(mockserver)
    assert exchange.fault == "cut"
    assert (exchange.ending, exchange.delivered) == ("rst", False)


async def test_an_error_event_of_a_script_has_the_form_of_the_session(mockserver: MockServer) -> None:
    mockserver.script(fault.error_event(at={"frame": 4}))
    async with talk(mockserver) as client:
        await client.hear()
        await client.say("response.create", response=TEXT)
        event = (await client.until("error"))[-1]
        assert event["event_id"].startswith("event_")
        assert event["error"]["type"] == "server_error"


async def test_a_stalled_response_can_be_cancelled(mockserver: MockServer) -> None:
    mockserver.script(fault.stall(at={"frame": 6}))
    async with talk(mockserver) as client:
        await client.hear()
        await client.say("response.create", response=TEXT)
        await client.until("response.output_text.delta")
        await client.say("response.create")
        error = (await client.until("error"))[-1]["error"]
        assert error["code"] == "conversation_already_has_active_response"
        await client.say("response.cancel")
        response = (await client.until("response.done"))[-1]["response"]
        assert response["status"] == "cancelled"
        assert response["output"][0]["status"] == "incomplete"
        assert (await client.respond())[-1]["response"]["status"] == "completed"


async def test_the_journal_has_a_session_as_one_exchange(mockserver: MockServer) -> None:
    async with talk(mockserver) as client:
        await client.hear()
        await client.user()
        first = await client.respond()
        second = await client.respond()
    exchange = await noted(mockserver)
    assert len(mockserver.journal) == 1
    assert (exchange.surface, exchange.model, exchange.status) == ("realtime", "gpt-realtime", 101)
    assert [event["type"] for event in exchange.request] == ["conversation.item.create", *["response.create"] * 2]
    bills = [events[-1]["response"]["usage"]["total_tokens"] for events in (first, second)]
    assert exchange.spent is not None
    assert exchange.spent.total == sum(bills)
    assert not exchange.client_left
    assert exchange.delivered


async def test_a_quota_fails_the_response_and_not_the_session(mockserver: MockServer) -> None:
    async with aiohttp.ClientSession() as session:
        await session.put(f"{mockserver.url}/__admin/quotas", json={"rpm": 2})
    async with talk(mockserver) as client:
        await client.hear()
        assert (await client.respond())[-1]["response"]["status"] == "completed"
        response = (await client.respond())[-1]["response"]
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == "rate_limit_exceeded"


async def test_a_server_that_stops_closes_its_sessions(serve: Serve) -> None:
    async with MockServer() as server:
        async with talk(server) as client:
            await client.hear()
            server._state.reset()
            stopping = asyncio.create_task(server.__aexit__(None, None, None))
            message = await client.socket.receive(timeout=10)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            await stopping


async def test_a_plain_get_is_told_that_a_websocket_is_wanted(mockserver: MockServer) -> None:
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        async with session.get(f"{mockserver.url}/v1/realtime?model=gpt-realtime") as response:
            assert response.status == 400


async def test_a_lenient_server_talks_about_anything(serve: Serve) -> None:
    async with talk(serve(lenient=True), "/v1/realtime?model=gpt-6-voice") as client:
        await client.hear()
        await client.say("session.update", session={"tools": [5, {"type": "function"}], "audio": None, "x": 1})
        assert (await client.hear())["type"] == "session.updated"
        assert (await client.respond(output_modalities=5, tools=7))[-1]["response"]["status_details"] is None
