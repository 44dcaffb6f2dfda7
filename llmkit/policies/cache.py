"""Which answers may be kept and given again, and under which key.

The key covers the whole request as it is sent and the endpoint that it goes to. Kept are only answers that the API has
finished, to requests that have one answer: an explicit `temperature=0`, or embeddings. Everything else says why not, as
a `Skip`. Who wants sampled answers kept too opts in; what is cut short, filtered, refused or degraded is never kept.

A `seed` alone does not count: the API calls it a best effort, and gives other answers when its backend changes.

How a call uses it, with a `CacheStore`:

    identity = endpoint_identity(…)                                      # once a client
    skip = not_asked(request.surface, request.body, opted_in=…)          # a Skip goes on the reply, and nothing is kept
    key = key_of(request.surface, request.body, endpoint=identity)       # None: skip = NO_KEY
    entry = store.get_now(key) if store.local else await store.get(key)
    payload = loads(entry) if entry and policy.is_fresh(entry, time.time()) else None      # None: a miss
    … completion(payload), or the events of `replayed(text)` for a stream; on a miss, the request …
    skip = not_kept(request.surface, reply.payload)
    await store.put(key, entry_of(reply.payload, now=time.time()), keep_s=policy.keep_s)

The payload that is kept is the API's JSON, after the key that a server may echo has been scrubbed from it.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from llmkit.errors import ConfigError

VERSION = 1
"""Part of every key: a release that keeps other things under it finds none of the old."""

DAY_S = 86_400.0

Code = Literal["sampled", "stateful", "tools", "unspeakable", "incomplete", "filtered", "refused", "empty", "absent"]

FINISHED = frozenset({"stop", "tool_calls", "function_call"})
_STREAMING = frozenset({"stream", "stream_options"})
_OWN_TOOLS = frozenset({"function", "custom", None})  # the caller's; those of the API look at a world that changes
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_compact = json.JSONEncoder(separators=(",", ":")).encode
_PIECE = re.compile(r"\s*\S{1,24}|\s+")


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an answer was not looked for or not kept."""

    code: Code
    reason: str

    def __str__(self) -> str:
        return self.reason


NO_CACHE = Skip("absent", "this client has no cache: give it cache=PATH, or cache=True where it has a shared state")
NO_KEY = Skip("unspeakable", "the request cannot be written in one form: an object in it has keys of several types")


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached answer: the JSON text of the API's reply, and when it was stored (seconds since 1970)."""

    payload: str
    stored_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How long answers are given again (`fresh_s`), and how long they stay for a fallback to recall (`keep_s`)."""

    fresh_s: float = 30 * DAY_S
    keep_s: float = 90 * DAY_S

    def __post_init__(self) -> None:
        if not 0 < self.fresh_s <= self.keep_s < math.inf:
            raise ConfigError(
                f"fresh_s = {self.fresh_s!r} and keep_s = {self.keep_s!r} are not valid: they have to be seconds above "
                "0, the second not below the first"
            )

    def is_fresh(self, entry: Entry, now: float) -> bool:
        """Whether it may be given again at `now`, in seconds since 1970; older ones are for `Fallback(stale=True)`."""
        return now - entry.stored_at < self.fresh_s


def endpoint_identity(**facts: str | None) -> str:
    """The endpoint as a part of keys: address, API version, organization, project, and whatever else tells it apart.

    Not the key: another key of the same project gets the same answers.
    """
    return _canonical({name: value for name, value in facts.items() if value is not None})


def key_of(surface: str, body: Mapping[str, Any], *, endpoint: str) -> str | None:
    """The key of a request: 64 hexadecimal digits, the same for any order of its keys; None where JSON has no one form.

    Everything in `body` counts, as it is spelt: 0 and 0.0 are two keys, for who knows what a server makes of them. Only
    whether it is streamed does not, since a stream adds up to the answer that is given without one.
    """
    if "stream" in body:
        body = {name: value for name, value in body.items() if name not in _STREAMING}
    try:
        request = _canonical(body)
    except (TypeError, ValueError, RecursionError):  # such as keys of several types, which cannot be sorted
        return None
    return hashlib.sha256(f"{VERSION}\n{endpoint}\n{surface}\n{request}".encode()).hexdigest()


def not_asked(surface: str, body: Mapping[str, Any], *, opted_in: bool = False) -> Skip | None:
    """Why the answer to this request is not to be looked for, nor kept; None if it may be.

    `opted_in` takes any answer of the model for the answer.
    """
    if opted_in or surface == "embeddings":
        return None
    if body.get("conversation") is not None or body.get("previous_response_id") is not None:
        return Skip("stateful", "the answer depends on a conversation that the API keeps")
    if surface == "responses" and body.get("store") is not False:
        return Skip("stateful", "the API keeps this response under its id, unless store=False is set")
    if body.get("web_search_options") is not None or not _OWN_TOOLS.issuperset(_tool_types(body)):
        return Skip("tools", "the request has a tool of the API's own, whose results change")
    temperature = body.get("temperature")
    if isinstance(temperature, bool) or temperature != 0:
        named = "not set" if temperature is None else repr(temperature)
        return Skip("sampled", f"temperature is {named}, so each answer differs: set temperature=0, or opt in")
    return None


def not_kept(surface: str, payload: Mapping[str, Any]) -> Skip | None:
    """Why this reply of the API must not be given again; None if it may be. Nothing overrules this."""
    flaws: dict[str, Callable[[Mapping[str, Any]], Skip | None]] = {"responses": _response, "embeddings": _vectors}
    if _was_filtered(payload):
        return Skip("filtered", "a content filter took something out")
    return flaws.get(surface, _choices)(payload)


def entry_of(payload: Mapping[str, Any], *, now: float) -> Entry:
    """What is kept of a reply; `now` is in seconds since 1970."""
    return Entry(_compact(payload), now)


def loads(entry: Entry) -> Mapping[str, Any] | None:
    """The API's reply in an entry; None where it is broken."""
    try:
        payload = _value(entry.payload)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def replayed(text: str) -> Iterator[str]:
    """A kept text in pieces, about a word each, for a stream that is given again."""
    return (found.group() for found in _PIECE.finditer(text))


def _value(text: str) -> object:
    """What `json.loads` makes of it, in half the time."""
    try:
        return from_json(text)
    except ValueError:  # half a surrogate pair, or what is nested more deeply than it goes: both may be kept
        return json.loads(text)


def _tool_types(body: Mapping[str, Any]) -> Iterable[Any]:
    tools = body.get("tools")
    if not isinstance(tools, list | tuple):
        return ()
    return (tool.get("type") if isinstance(tool, Mapping) else "?" for tool in tools)


def _choices(payload: Mapping[str, Any]) -> Skip | None:
    choices = _list(payload.get("choices"))
    if not choices:
        return Skip("empty", "the reply has no choices")
    return next(filter(None, (_choice(one if isinstance(one, Mapping) else {}) for one in choices)), None)


def _choice(choice: Mapping[str, Any]) -> Skip | None:
    message = choice.get("message")
    said: Mapping[str, Any] = message if isinstance(message, Mapping) else {"content": choice.get("text")}
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return Skip("filtered", "a content filter cut the reply")
    if finish not in FINISHED:
        return Skip("incomplete", f"the reply is not whole: its finish reason is {finish!r}")
    if said.get("refusal"):
        return Skip("refused", "the model refused to answer")
    if not any(said.get(name) for name in ("content", "tool_calls", "function_call", "audio")):
        return Skip("empty", "the reply has neither text nor tool calls")
    return None


def _response(payload: Mapping[str, Any]) -> Skip | None:
    if payload.get("status") != "completed":
        return Skip("incomplete", f"the reply is not whole: its status is {payload.get('status')!r}")
    items = [item for item in _list(payload.get("output")) if isinstance(item, Mapping)]
    parts = [part for item in items for part in _list(item.get("content")) if isinstance(part, Mapping)]
    if any(part.get("type") == "refusal" for part in parts):
        return Skip("refused", "the model refused to answer")
    if not any(part.get("text") for part in parts) and not any("call" in str(item.get("type")) for item in items):
        return Skip("empty", "the reply has neither text nor tool calls")
    return None


def _vectors(payload: Mapping[str, Any]) -> Skip | None:
    return None if _list(payload.get("data")) else Skip("empty", "the reply has no vectors")


def _was_filtered(payload: Mapping[str, Any]) -> bool:
    """Whether Azure's annotations say of anything that it was filtered."""
    places = [payload, *(one for one in _list(payload.get("choices")) if isinstance(one, Mapping))]
    names = ("prompt_filter_results", "prompt_annotations", "content_filter_results", "content_filters")
    return any(_says_filtered(place[name]) for place in places for name in names if name in place)


def _says_filtered(annotation: object) -> bool:
    if isinstance(annotation, Mapping):
        return any(
            (name in ("filtered", "blocked") and value is True) or _says_filtered(value)
            for name, value in annotation.items()
        )
    return any(map(_says_filtered, _list(annotation)))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
