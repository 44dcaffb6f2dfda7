"""Bytes on the socket: JSON as the API writes it, server-sent events, and answers that may break off on purpose.

Framing of events: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import asyncio
import json
import math
import re
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

CutHow = Literal["reset", "close", "eof"]
CUTS: tuple[CutHow, ...] = ("reset", "close", "eof")

DONE = b"data: [DONE]\n\n"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BodyTooLarge(Exception):
    """A body over the limit; `args[0]` is its size in bytes."""


class ClientLeft(Exception):
    """The client hung up before the answer had ended; `args[0]` is the response as far as it went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request gets back.

    `frames` is the body in the pieces in which it is sent; a streamed answer sends each one as it is, any other as one
    body. `delay_s` passes before the status line (infinity: until the client leaves or the server stops),
    `frame_delay_s` between frames. `cut` breaks the connection once `frames` are sent; `full_length` is then the
    Content-Length that was promised.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    frames: tuple[bytes, ...] = ()
    streamed: bool = False
    delay_s: float = 0.0
    frame_delay_s: float = 0.0
    cut: CutHow | None = None
    full_length: int | None = None

    @property
    def safe_headers(self) -> dict[str, str]:
        """The headers without control characters: some values come from requests, and a line break would forge more."""
        return {name: _CONTROL.sub("", value) for name, value in self.headers.items()}

    @property
    def body(self) -> bytes:
        """The frames as one."""
        return b"".join(self.frames)


def pretty(payload: Any) -> bytes:
    """JSON as api.openai.com prints it: two blanks of indent and a newline at the end."""
    return json.dumps(payload, indent=2, ensure_ascii=False).encode() + b"\n"


def compact(payload: Any, *, sort_keys: bool = False) -> bytes:
    """JSON on one line without blanks."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys).encode()


def event(data: bytes) -> bytes:
    """One server-sent event."""
    return b"data: " + data + b"\n\n"


def parse_json(raw: bytes, *, max_depth: int = 256) -> Any:
    """The JSON in `raw`; ValueError for what is not JSON, not Unicode, or nested deeper than `max_depth`."""
    try:
        payload = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    if _depth(raw) > max_depth:
        raise ValueError("nested too deep")
    if b"\\u" in raw:
        json.dumps(
            payload, ensure_ascii=False
        ).encode()  # half of a surrogate pair is no text; UnicodeError is a ValueError
    return payload


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _depth(raw: bytes) -> int:
    """How deep brackets nest; 0 where too few open for it to matter."""
    if raw.count(b"[") + raw.count(b"{") < 200:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


async def read_body(request: web.Request, *, limit: int) -> bytes:
    """The body as it was sent; BodyTooLarge beyond `limit` bytes, ValueError where it breaks off or is no HTTP."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        raise BodyTooLarge(request.content_length or limit + 1) from exc
    except web.RequestPayloadError as exc:
        raise ValueError(f"the body cannot be read: {exc}") from exc


async def send(
    request: web.Request, answer: Answer, *, stopping: asyncio.Event, sent: Callable[[int], None]
) -> web.StreamResponse:
    """Write `answer`; `sent` hears of each frame before it goes out. A server that stops drops the connection.

    ClientLeft if the client hangs up before the end.
    """
    if not await _pause(answer.delay_s, stopping):
        return _hang_up(request)
    if not answer.streamed and answer.cut is None:
        sent(len(answer.frames))
        return web.Response(status=answer.status, headers=answer.safe_headers, body=answer.body)
    response = web.StreamResponse(status=answer.status, headers=answer.safe_headers)
    response.content_length = answer.full_length
    return await _send_frames(request, response, answer, stopping, sent)


async def _send_frames(
    request: web.Request,
    response: web.StreamResponse,
    answer: Answer,
    stopping: asyncio.Event,
    sent: Callable[[int], None],
) -> web.StreamResponse:
    gone = 0
    try:
        await response.prepare(request)
        for frame in answer.frames:
            if gone and not await _pause(answer.frame_delay_s, stopping):
                return _hang_up(request, response)
            sent(gone + 1)
            await response.write(frame)
            gone += 1
        if answer.cut in ("reset", "close"):
            return await _break_off(request, response, abruptly=answer.cut == "reset")
        await response.write_eof()
    except ConnectionResetError as exc:  # the socket is known to be dead before the handler is cancelled for it
        sent(gone)
        raise ClientLeft(response) from exc
    return response


async def _pause(delay_s: float, stopping: asyncio.Event) -> bool:
    """Wait; False when the server stops meanwhile."""
    if delay_s <= 0:
        return not stopping.is_set()
    try:
        await asyncio.wait_for(stopping.wait(), None if math.isinf(delay_s) else delay_s)
    except TimeoutError:
        return True
    return False


async def _break_off(request: web.Request, response: web.StreamResponse, *, abruptly: bool) -> web.StreamResponse:
    """Drop the connection once the kernel has the frames: with a RST, or with a FIN that no last chunk precedes."""
    transport = request.transport
    if transport is not None:
        await _flush(transport)
        if abruptly:
            _reset(transport)
        else:
            transport.close()
    return response


async def _flush(transport: asyncio.Transport) -> None:
    transport.set_write_buffer_limits(high=0)
    for _ in range(1000):
        if transport.is_closing() or not transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.001)


def _reset(transport: asyncio.Transport) -> None:
    # closing a socket that lingers for zero seconds sends RST instead of FIN: see SO_LINGER in socket(7)
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _hang_up(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=503)


def frames_of(chunks: Iterable[Any], *, sort_keys: bool = False) -> tuple[bytes, ...]:
    """The events of a chat stream, the closing `[DONE]` included."""
    return (*(event(compact(chunk, sort_keys=sort_keys)) for chunk in chunks), DONE)
