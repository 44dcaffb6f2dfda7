"""Answers from moulds: what they save is work, and nothing that a client or the journal could tell."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from mockserver import fault, reply
from mockserver.answers import chunk_of
from mockserver.app import routes
from mockserver.content_filter import ContentFilter
from mockserver.front import Front, Hall
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about
from mockserver.moulds.mould import Mould
from mockserver.moulds.press import Press
from mockserver.moulds.wording import as_one, in_pieces
from mockserver.pipeline import Pipeline
from mockserver.state import Settings, State
from mockserver.surfaces.choices import cut_text
from mockserver.truth.spelt import Chunks
from mockserver.wire import compact
from tests.mockserver.asking import CHAT
from tests.mockserver.conftest import KEY
from tests.mockserver.test_front import Wire, request

_AZURE = "/openai/v1/chat/completions"
_NOW = 1_790_000_000.0


class _NoMoulds(Press):
    @override
    def learn(self, *args: Any, **options: Any) -> None:
        pass


class Served:
    """One connection to a server in this process, on a clock that stands still."""

    def __init__(self, *, moulds: bool = True, **options: Any) -> None:
        self.state = State(Settings(**{"seed": 1, "now": lambda: _NOW, **options}))
        plain = {route.path: route for route in routes() if route.is_plain}
        self.wire: Any = Wire()
        press = Press(self.state) if moulds else _NoMoulds(self.state)
        self.hall = Hall(Pipeline(self.state), plain, lambda: self.wire, press)
        self._front: asyncio.Protocol = Front(self.hall)
        self._front.connection_made(self.wire)

    def ask(self, *bodies: dict[str, Any], path: str = CHAT) -> bytes:
        """The bytes of the answers."""
        begin = len(self.wire.written)
        for body in bodies:
            self._front.data_received(request(path, body, f"api-key: {KEY}"))
        return bytes(self.wire.written[begin:])

    @property
    def moulds(self) -> list[Mould]:
        """The moulds in use."""
        kept = [mould for head in self.hall.heads.values() for mould in head.memory.values()]
        return [mould for mould in kept if mould is not None]

    @property
    def told(self) -> list[dict[str, Any]]:
        """The journal."""
        return [exchange.as_json() for exchange in self.state.journal]


def chat(text: str = "What is a mould?", **parameters: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **parameters}


_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "user", "assistant", "developer"]),
            "content": st.one_of(st.text(max_size=60), st.sampled_from(["%(text)s %", "sk-0123456789ab", "\ue000"])),
        }
    ),
    min_size=1,
    max_size=4,
)
_PARAMETERS = st.fixed_dictionaries(
    {"model": st.sampled_from(["gpt-4o", "gpt-4o", "gpt-4.1-mini", "o3", "nobody"])},
    optional={
        "stream": st.booleans(),
        "stream_options": st.sampled_from([{"include_usage": True}, {"include_obfuscation": False}, None, {}]),
        "max_tokens": st.sampled_from([1, 5, 17, 10_000_000]),
        "temperature": st.sampled_from([0, 0.5, 3]),
        "seed": st.sampled_from([7, None]),
        "n": st.sampled_from([1, 2]),
        "stop": st.just("e"),
        "logprobs": st.just(value=True),
    },
)


@settings(max_examples=80, deadline=None)
@given(parameters=_PARAMETERS, talks=st.lists(_MESSAGES, min_size=3, max_size=5), path=st.sampled_from([CHAT, _AZURE]))
def test_with_moulds_all_is_as_it_is_without(
    parameters: dict[str, Any], talks: Sequence[list[dict[str, str]]], path: str
) -> None:
    bodies = [{**parameters, "messages": messages} for messages in [talks[0], *talks]]
    with_moulds, without = Served(), Served(moulds=False)
    assert with_moulds.ask(*bodies, path=path) == without.ask(*bodies, path=path)
    assert with_moulds.told == without.told


@settings(max_examples=100, deadline=None)
@given(prompt=st.text(max_size=60), limit=st.integers(1, 80), model=st.sampled_from(["gpt-4o", "gpt-3.5-turbo"]))
def test_a_text_in_pieces_is_cut_and_parted_as_its_tokens_are(prompt: str, limit: int, model: str) -> None:
    text = text_about(prompt, Dice(0, prompt))
    cut, tokens, is_cut = cut_text(text, limit, model)
    pieces = [compact(piece)[1:-1] for piece in usage.texts(cut, model=model)]
    assert in_pieces(text, limit=limit, model=model) == (pieces, tokens, is_cut)
    assert as_one(text, limit=limit, model=model) == ([compact(cut)[1:-1]], tokens, is_cut)


@pytest.mark.parametrize("path", [CHAT, _AZURE])
@pytest.mark.parametrize("stream", [False, True])
def test_the_second_of_two_requests_alike_casts_a_mould(path: str, *, stream: bool) -> None:
    served = Served()
    served.ask(chat(stream=stream), path=path)
    assert not served.moulds
    served.ask(chat("Another", stream=stream), path=path)
    assert len(served.moulds) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"stop": "a"},
        {"logprobs": True},
        {"store": True},
        {"response_format": {"type": "text"}},
        {"tools": []},
    ],
)
def test_what_asks_for_more_than_a_text_gets_no_mould(more: dict[str, Any]) -> None:
    served = Served()
    served.ask(*[chat(**more)] * 3)
    assert not served.moulds


def test_a_script_is_followed_though_there_is_a_mould() -> None:
    served = Served()
    served.ask(*[chat()] * 3)
    served.state.script.extend([reply("scripted"), fault.server_error(status=500)])
    assert b"scripted" in served.ask(chat())
    assert served.ask(chat()).startswith(b"HTTP/1.1 500")
    assert served.told[-1]["fault"] == "server_error"


def test_a_quota_is_counted_though_there_is_a_mould() -> None:
    served = Served()
    served.ask(*[chat()] * 3)
    served.state.quotas.set(rpm=1)
    assert b" 200 " in served.ask(chat())[:15]
    assert b" 429 " in served.ask(chat())[:15]


def test_a_prompt_that_is_too_long_is_refused_though_there_is_a_mould() -> None:
    served = Served()
    served.ask(*[chat()] * 3)
    assert b"context_length_exceeded" in served.ask(chat("word " * 130_000))


def test_another_key_is_refused_though_there_is_a_mould() -> None:
    served = Served(api_keys=frozenset({KEY}))
    served.ask(*[chat()] * 3)
    assert served.moulds
    served.wire.protocol = None
    front = Front(served.hall)
    front.connection_made(served.wire)
    front.data_received(request(CHAT, chat()).replace(KEY.encode(), b"sk-another-0123456789"))
    assert served.told[-1]["status"] == 401


def test_a_credential_in_a_text_is_hidden_though_there_is_a_mould() -> None:
    served = Served()
    served.ask(*[chat()] * 3, chat(f"my key is {KEY}"), chat("or sk-0123456789abcdef"))
    assert KEY not in str(served.told)
    assert "sk-0123456789abcdef" not in str(served.told)


def test_words_of_the_content_filter_leave_no_room_for_moulds() -> None:
    served = Served(content_filter=ContentFilter({"gun": ("violence", "high")}))
    served.ask(*[chat()] * 3)
    assert not served.moulds


def test_heads_that_never_come_again_are_forgotten() -> None:
    served = Served()
    front = Front(served.hall)
    front.connection_made(served.wire)
    for number in range(1_100):
        front.data_received(request(CHAT, {"model": 7}, f"traceparent: {number}"))
    assert len(served.hall.heads) <= 512


def test_the_frames_of_a_chunked_body_can_be_read_again() -> None:
    frames = [b"data: one\r\n\n", b"5\r\n", b"x" * 5_000]
    chunks = Chunks(frames)
    assert [frame.data for frame in chunks] == frames
    assert (len(chunks), chunks.size, chunks[1].data, len(chunks[:2])) == (3, 5_015, b"5\r\n", 2)
    assert chunks.raw == b"".join(map(chunk_of, [*frames, b""]))


def test_created_is_the_time_of_the_answer_not_of_the_mould() -> None:
    now = [_NOW]
    served = Served(now=lambda: now[0])
    served.ask(*[chat()] * 3)
    now[0] += 100
    (created,) = re.findall(rb'"created": (\d+)', served.ask(chat()))
    assert int(created) == _NOW + 100
