"""Responses: made, read again, stopped, deleted, counted, compacted.

See https://platform.openai.com/docs/api-reference/responses; bodies as recorded from api.openai.com, of which each
module names its own sources.
"""

from collections.abc import Sequence
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating.dice import Dice
from mockserver.surfaces import Result, Setting, Spent
from mockserver.surfaces.paging import Paging
from mockserver.surfaces.responses import bodies, kept, requests, tokens
from mockserver.surfaces.responses.bodies import Body
from mockserver.surfaces.responses.conversation import (
    Item,
    identified,
    items_of,
    new_id,
    references,
    resolved,
    users_latest,
)
from mockserver.surfaces.responses.events import Event, Streaming, events
from mockserver.surfaces.responses.writing import write

_PAGES = Paging()
_CACHED_FROM, _CACHED_STEP = 1024, 128  # https://platform.openai.com/docs/guides/prompt-caching


def create(call: Call, setting: Setting) -> Result:
    """A response, whole or as events; kept unless `store` is false."""
    earlier, cached_to = _earlier(call, setting)
    items = _incoming(call, setting)
    if not setting.lenient:
        requests.check_calls([*earlier, *items])
        requests.check_reasoning(items)
    conversation, prompt_tokens = _fitting(call, setting, [*earlier, *items])
    name = _name(call, setting, turns=len(earlier))
    written = write(call, setting, conversation, names=Dice(setting.seed, "items of", name))
    spent = Spent(
        prompt=prompt_tokens,
        completion=written.tokens,
        cached=_cached(min(cached_to, prompt_tokens)),
        reasoning=written.reasoning,
    )
    blank = bodies.response(call, setting, name=name)
    body = bodies.finished(blank, output=written.output, spent=spent, cut=written.cut, at=setting.created)
    _keep(call, setting, body, identified(items, Dice(setting.seed, "input of", name)), earlier)
    if call.stream:
        return Result(events=_events(call, body, setting.model.name), spent=spent)
    if body["background"]:
        return Result(body=bodies.started(body, "queued"), spent=spent)
    return Result(body=bodies.billed(body), spent=spent)


def estimate(call: Call, model: Model) -> int:
    """The tokens of what comes in, and as many as the answer may have where the request says so.

    What a hosted tool fetches is billed, but nobody knows it beforehand.
    """
    limit = call.body.get("max_output_tokens")
    asked = {**call.body, "tools": tokens.functions_of(call.body.get("tools"))}
    counted = tokens.input_tokens(items_of(call.body.get("input")), asked=asked, model=model)
    return counted + (limit if isinstance(limit, int) else 0)


def retrieve(call: Call, setting: Setting) -> Result:
    """A response as it is now, or the events of it after the number `starting_after`."""
    record = kept.find(call, setting)
    if call.query.get("stream") != "true":
        return Result(body=kept.seen(record, setting))
    body = kept.finish(record, setting)
    after = call.query.get("starting_after", "")
    first = int(after) + 1 if after.isascii() and after.isdigit() and len(after) < 10 else 0
    told = _events(call, body, record["model"])
    return Result(events=told[first:] or told[-1:])


def cancel(call: Call, setting: Setting) -> Result:
    """A background response, stopped."""
    return Result(body=kept.cancel(kept.find(call, setting), setting))


def delete(call: Call, setting: Setting) -> Result:
    """A note that the response is gone."""
    return Result(body=kept.forget(kept.find(call, setting), setting))


def input_items(call: Call, setting: Setting) -> Result:
    """The items that a response was made of, those of earlier turns included, the latest first."""
    if not setting.lenient:
        _PAGES.check(call)
    record = kept.find(call, setting)
    return _PAGES.page(call, setting, [*record["earlier"], *record["input"]])


def count(call: Call, setting: Setting) -> Result:
    """The tokens that a request would be billed before anything is said."""
    earlier, _ = _earlier(call, setting)
    items = [*earlier, *_incoming(call, setting)]
    return Result(
        body={
            "object": "response.input_tokens",
            "input_tokens": tokens.input_tokens(items, asked=call.body, model=setting.model),
        }
    )


def compact(call: Call, setting: Setting) -> Result:
    """A conversation in short: what the user said since it was last compacted, and an item that stands for the rest.

    As recorded by pydantic-ai. A lenient server leaves the messages out: the types of the official SDK, which its suite
    holds replies to, know only messages of the assistant there.
    """
    earlier, _ = _earlier(call, setting)
    items = [*earlier, *_incoming(call, setting)]
    prompt_tokens = tokens.input_tokens(items, asked=call.body, model=setting.model)
    dice = setting.dice(call, "compaction")
    said = [] if setting.lenient else users_latest(items)
    summary = {"id": new_id("compaction", dice), "type": "compaction", "encrypted_content": f"gAAAAAB{dice.token(473)}"}
    spent = Spent(prompt=prompt_tokens, completion=min(prompt_tokens, dice.randint(60, 200)))
    body = {
        "id": _name(call, setting, turns=len(earlier)),
        "object": "response.compaction",
        "created_at": setting.created,
        "output": [*identified(said, dice), summary],
        "usage": bodies.usage(spent),
    }
    return Result(body=body, spent=spent)


def _earlier(call: Call, setting: Setting) -> tuple[list[Item], int]:
    """The items of earlier turns, and how many tokens the last of them was billed: so many may be in the cache."""
    name = _conversation(call.body)
    if name is not None:
        return kept.conversation(name, setting.store), 0
    record = kept.previous(call.body.get("previous_response_id"), setting)
    cost = (record["body"]["usage"] or {}) if record else {}
    return kept.turns(record), cost.get("input_tokens", 0)


def _incoming(call: Call, setting: Setting) -> list[Item]:
    """The items that the request brings, those included that it refers to."""
    items = items_of(call.body.get("input"))
    return resolved(items, kept.referred(references(items), setting))


def _keep(call: Call, setting: Setting, body: Body, items: Sequence[Item], earlier: Sequence[Item]) -> None:
    name = _conversation(call.body)
    if name is not None:
        kept.extend_conversation(name, setting.store, [*items, *body["output"]])
    if body["store"] or body["background"]:
        kept.keep(setting, body, items=items, earlier=earlier, at_once=call.stream)


def _conversation(body: dict[str, Any]) -> str | None:
    """The id of the conversation that a request belongs to."""
    named = body.get("conversation")
    name = named.get("id") if isinstance(named, dict) else named
    return name if isinstance(name, str) else None


def _fitting(call: Call, setting: Setting, items: list[Item]) -> tuple[list[Item], int]:
    """The conversation and its tokens; too long a one loses its beginning where that is allowed, else Problem."""
    counted = tokens.input_tokens(items, asked=call.body, model=setting.model)
    while counted > setting.model.window > 0:
        if call.body.get("truncation") != "auto" or len(items) < 2:
            message = "Your input exceeds the context window of this model. Please adjust your input and try again."
            raise problems.error(400, message, param="input", code="context_length_exceeded")
        items = items[1 + len(items) // 10 :]
        counted = tokens.input_tokens(items, asked=call.body, model=setting.model)
    return items, counted


def _cached(count: int) -> int:
    return count // _CACHED_STEP * _CACHED_STEP if count >= _CACHED_FROM else 0


def _name(call: Call, setting: Setting, *, turns: int) -> str:
    """An id that the same request gets again, however it is to be delivered, unless its conversation has gone on."""
    asked = {name: value for name, value in call.body.items() if name not in ("stream", "stream_options")}
    return f"resp_{Dice(setting.seed, 'response id', setting.model.name, asked, turns).hexadecimal(50)}"


def _events(call: Call, body: Body, model: str) -> tuple[Event, ...]:
    options = call.body.get("stream_options")
    asked = options.get("include_obfuscation") if isinstance(options, dict) else None
    declined = asked is False or call.query.get("include_obfuscation") == "false" or body["background"]
    padding = None if declined else Dice(0, "obfuscation", body["id"])
    return events(body, Streaming(model=model, padding=padding))
