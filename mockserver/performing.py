"""Requests that the server makes to itself, as batches do: which operation answers, and what is left of its answer."""

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from mockserver.answers import Answer
from mockserver.calls import Call
from mockserver.dialects import Dialect
from mockserver.surfaces import Operation, Performed, Place


class Served(Protocol):
    """An operation at one place, as the application routes it."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def dialect(self) -> Dialect: ...  # noqa: D102
    @property
    def place(self) -> Place: ...  # noqa: D102
    @property
    def operation(self) -> Operation: ...  # noqa: D102


class Errand(NamedTuple):
    """Where a request goes that the server makes to itself."""

    operation: Operation
    place: Place
    path: str
    ids: dict[str, str]


# by place, method and path below the root; filled by the application, which a visit cannot know: it is part of it
_SERVED: dict[tuple[Place, str, str], Served] = {}


def register(routes: Iterable[Served]) -> None:
    """Let the server ask itself for these."""
    for route in routes:
        _SERVED.setdefault((route.place, route.operation.method, route.operation.path), route)


def errand_for(call: Call, method: str, path: str, body: dict[str, Any]) -> Errand | None:
    """The errand that asks what `call` may ask at `path` (`/v1/…`, or without `/v1`); None if nothing is served there.

    It stays in the dialect of `call`; on Azure the body's model is the deployment, as in the lines of a batch.
    """
    deployment = body.get("model")
    for place in _places(call, deployment):
        route = _SERVED.get((place, method, path.removeprefix("/v1")))
        if route is not None:
            ids = {"deployment": str(deployment)} if place == "deployment" else {}
            return Errand(route.operation, place, route.path.format(**ids), ids)
    return None


def _places(call: Call, deployment: Any) -> tuple[Place, ...]:
    if call.dialect != "azure":
        return ("openai",)
    named = isinstance(deployment, str) and deployment and not call.path.startswith("/openai/v1/")
    return ("deployment", "azure_v1") if named else ("azure_v1",)


def performed(answer: Answer, request_id: str) -> Performed:
    """What is left of an answer without a socket.

    A status of 0 where nothing came that HTTP calls an answer, a body of None where it is no JSON.
    """
    if answer.headless or answer.ending != "whole":
        return Performed(0, None, request_id, math.inf if answer.ending == "hang" else answer.delay_s)
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    return Performed(answer.status, body, request_id, answer.delay_s)
