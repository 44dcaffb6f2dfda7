"""How one request is exchanged for its whole reply: the asynchronous work behind both clients."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from llmkit._flow import Call, drive
from llmkit._gate import Gate
from llmkit._transport import Response, Transport
from llmkit.errors import LLMError
from llmkit.requests import Request
from llmkit.responses import Completion, Embedding, parse_json

T = TypeVar("T")
Reply = TypeVar("Reply", Completion, Embedding)
Read = Callable[[Mapping[str, Any]], Reply]


async def exchange(transport: Transport, gate: Gate, request: Request, call: Call, read: Read[Reply]) -> Reply:
    """The whole reply to `request`, which counts only once `read` has found an answer in it."""

    async def send(timeout_s: float) -> tuple[Reply, Response]:
        return await in_time(call, timeout_s, "waiting for the reply", _receive(transport, request, call, read))

    call.request = request
    await transport.prepare()
    reply, response = await drive(call, gate, send)
    attempts = call.succeeded(status_code=response.status_code, request_id=response.request_id)
    await gate.billed(call, reply.usage)
    call.tell("billed", reply)
    return replace(reply, request_id=response.request_id, attempts=attempts)


async def _receive(transport: Transport, request: Request, call: Call, read: Read[Reply]) -> tuple[Reply, Response]:
    response = await transport.open(request, attempt=call.attempt)
    try:
        return read(parse_json(await response.read(), hide=transport.hidden_in_answers)), response
    except LLMError as error:
        response.spoilt(error)
        raise
    finally:
        await response.close()


async def in_time(call: Call, timeout_s: float, doing: str, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the deadline passes."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        late = call.out_of_time(doing)
    raise late
