"""What the benchmarks record and replay: chats, growing conversations and embeddings, for both recorders."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import vcr.matchers
import vcr.request
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode
from vcr.serializers import yamlserializer

from llmkit.recording.interaction import Interaction, Request, Response

URL = "https://api.openai.com/v1/chat/completions"
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "pack",
    "jugs",
)
MATCH_ON = (vcr.matchers.method, vcr.matchers.uri, vcr.matchers.body)
_ASKED = {"content-type": ["application/json"], "authorization": ["REDACTED"]}
_REPLIED = {"content-type": ["application/json"], "x-request-id": ["req_7"], "openai-processing-ms": ["431"]}


def text(length: int, seed: int) -> str:
    """Return ``length`` characters of words, other ones for each ``seed``."""
    chosen = random.Random(seed)
    words = (chosen.choice(WORDS) for _ in range(length // 4 + 1))
    return " ".join(words)[:length]


def asked(body: object, url: str = URL) -> Request:
    """Return a request for ``body``."""
    return Request(method="POST", uri=url, headers=_ASKED, body=_json(body))


def chat(number: int, *, reply: int = 1_200) -> Interaction:
    """Return a chat unlike those of other numbers, of 2.2 KB with its headers where the ``reply`` has 1,200."""
    messages = [
        {"role": "system", "content": "You are a terse assistant that answers in one sentence."},
        {"role": "user", "content": f"{number}: {text(200, number)}"},
    ]
    request = asked({"model": "gpt-4o", "temperature": 0.7, "messages": messages})
    return Interaction(request=request, response=_completion(text(reply, -number)))


def agent_loop(sessions: int, turns: int) -> list[Interaction]:
    """Return the calls of agents whose conversations grow by half a kilobyte a turn: to 19 KB in 40 turns."""
    return [one for session in range(sessions) for one in _session(session, turns)]


def embeddings(count: int, *, floats: int = 1_536) -> list[Interaction]:
    """Return ``count`` embeddings of so many ``floats``."""
    return [_embedding(number, floats) for number in range(count)]


def vcr_request(request: Request) -> Any:
    """Return ``request`` as vcrpy has it."""
    headers = {name: values[0] for name, values in request.headers.items()}
    return vcr.request.Request(request.method, request.uri, request.body, headers)


def vcr_response(response: Response) -> dict[str, Any]:
    """Return ``response`` as vcrpy has it."""
    return {
        "status": {"code": response.status, "message": response.reason},
        "headers": {name: list(values) for name, values in response.headers.items()},
        "body": {"string": response.body},
    }


def vcr_cassette(path: Path, interactions: Iterable[Interaction] = ()) -> Any:
    """Return vcrpy's cassette that compares bodies, holds ``interactions`` and will be saved at ``path``."""
    cassette = Cassette(str(path), match_on=MATCH_ON, record_mode=RecordMode.NEW_EPISODES)
    for one in interactions:
        cassette.append(vcr_request(one.request), vcr_response(one.response))
    cassette.rewound = True  # as it is after a load: what it holds may be played
    return cassette


def vcr_save(path: Path, interactions: Iterable[Interaction]) -> None:
    """Write ``interactions`` as vcrpy does."""
    vcr_cassette(path, interactions)._save(force=True)


def vcr_load(path: Path) -> Any:
    """Read a cassette as vcrpy does, with libyaml."""
    return Cassette.load(path=str(path), serializer=yamlserializer, match_on=MATCH_ON, record_mode=RecordMode.NONE)


def vcr_replay(cassette: Any, interactions: Sequence[Interaction]) -> Callable[[], None]:
    """Return what asks ``cassette`` for each of ``interactions``, as vcrpy's stubs do."""
    requests = [vcr_request(one.request) for one in interactions]

    def replay() -> None:
        for request in requests:
            assert cassette.can_play_response_for(request)
            cassette.play_response(request)

    return replay


def _session(session: int, turns: int) -> Iterable[Interaction]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": f"You are agent {session}."}]
    for turn in range(turns):
        number = 1_000 * session + turn
        messages.append({"role": "user", "content": text(210, number)})
        request = asked({"model": "gpt-4o", "messages": messages})
        answer = text(180, -number)
        yield Interaction(request=request, response=_completion(answer))
        messages.append({"role": "assistant", "content": answer})


def _completion(content: str) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 60, "completion_tokens": 240, "total_tokens": 300}
    reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06"}
    return Response(
        status=200, reason="OK", headers=_REPLIED, body=_json({**reply, "choices": [choice], "usage": usage})
    )


def _embedding(number: int, floats: int) -> Interaction:
    chosen = random.Random(number)
    vector = [round(chosen.gauss(0, 0.03), 9) for _ in range(floats)]
    data = {"object": "list", "model": "text-embedding-3-small", "data": [{"index": 0, "embedding": vector}]}
    request = asked({"model": "text-embedding-3-small", "input": f"{number}: {text(80, number)}"}, f"{URL}/embeddings")
    return Interaction(request=request, response=Response(status=200, reason="OK", headers=_REPLIED, body=_json(data)))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
