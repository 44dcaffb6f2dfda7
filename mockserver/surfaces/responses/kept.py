"""Responses between requests: what is kept of them, and how background ones come along with the clock."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mockserver import catalogue, problems
from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.store import Store
from mockserver.surfaces import Setting, Spent
from mockserver.surfaces.responses import bodies
from mockserver.surfaces.responses.bodies import Body, billed, cancelled, started
from mockserver.surfaces.responses.conversation import Item, identified, items_of

Record = dict[str, Any]

_KIND = "response"
_CONVERSATION = "conversation"
# the one recorded was done two seconds after it was asked for; when it was begun is unverified
_QUEUED_S = 0.5
_RUNS_S = 2.0


def keep(setting: Setting, body: Body, *, items: Sequence[Item], earlier: Sequence[Item], at_once: bool) -> None:
    """Keep a finished response with the items that came in and those of earlier turns.

    A background one runs from now on, unless it was streamed and so seen to the end `at_once`.
    """
    since = None if at_once or not body["background"] else setting.now
    record = {"body": body, "input": list(items), "earlier": list(earlier), "since": since, "model": setting.model.name}
    setting.store.put(_KIND, body["id"], record)


def find(call: Call, setting: Setting) -> Record:
    """The record that the path names; Problem 404 if there is none, and a made-up one where that is let pass."""
    name = call.ids.get("response_id", "")
    record = setting.store.get(_KIND, name)
    if record is not None:
        return record
    if setting.lenient:
        return _made_up(call, setting, name)
    # as recorded by pydantic-ai
    raise problems.error(404, f"Response with id '{name}' not found.")


def previous(name: Any, setting: Setting) -> Record | None:
    """The response that a request goes on from, None if it names none; Problem 400 for one that there is not."""
    if not isinstance(name, str):
        return None
    record = setting.store.get(_KIND, name)
    if record is None and not setting.lenient:
        message = f"Previous response with id '{name}' not found."
        raise problems.error(400, message, param="previous_response_id", code="previous_response_not_found")
    return record


def turns(record: Record | None) -> list[Item]:
    """All items of a record: of earlier turns, what came in, what was said."""
    return [] if record is None else [*record["earlier"], *record["input"], *record["body"]["output"]]


def referred(names: Sequence[str], setting: Setting) -> dict[str, Item]:
    """Kept items by id, as far as `names` wants any; Problem 404 for one that is not kept."""
    if not names:
        return {}
    records = setting.store.all(_KIND)
    items = {item["id"]: item for record in records for item in (*record["input"], *record["body"]["output"])}
    absent = [name for name in names if name not in items]
    if absent and not setting.lenient:
        # as quoted in public bug reports
        message = (
            f"Item with id '{absent[0]}' not found. Items are not persisted when `store` is set to false. Try again"
            " with `store` set to true, or remove this item from your input."
        )
        raise problems.error(404, message, param="input")
    return items


def conversation(name: str, store: Store) -> list[Item]:
    """The items of a conversation; one that nobody has spoken in yet has none, for it is not made here."""
    known = store.get(_CONVERSATION, name)
    return list(known["items"]) if known else []


def extend_conversation(name: str, store: Store, items: Sequence[Item]) -> None:
    """Add items to a conversation."""
    store.put(_CONVERSATION, name, {"items": [*conversation(name, store), *items]})


def seen(record: Record, setting: Setting) -> Body:
    """The body of a record as it is now."""
    body: Body = record["body"]
    status = _status(record, setting.now)
    if status is None:
        return billed(body)
    return cancelled(body) if status == "cancelled" else started(body, status)


def cancel(record: Record, setting: Setting) -> Body:
    """Stop a background response; one that is over stays as it is, as the guide to background mode says."""
    if not record["body"]["background"] and not setting.lenient:
        # never recorded; as quoted in the servers that follow the API, such as vLLM and SGLang
        raise problems.error(400, "Cannot cancel a synchronous response.")
    if _status(record, setting.now) in ("queued", "in_progress"):
        record = {**record, "since": "cancelled"}
        setting.store.put(_KIND, record["body"]["id"], record)
    return seen(record, setting)


def finish(record: Record, setting: Setting) -> Body:
    """The whole body, of a background response too: whoever streams it sees it to the end."""
    if isinstance(record["since"], int | float):
        setting.store.put(_KIND, record["body"]["id"], {**record, "since": None})
    return cancelled(record["body"]) if record["since"] == "cancelled" else dict(record["body"])


def forget(record: Record, setting: Setting) -> Body:
    """Delete a response."""
    name = record["body"]["id"]
    setting.store.delete(_KIND, name)
    # as recorded by ruby-openai
    return {"id": name, "object": "response.deleted", "deleted": True}


def _status(record: Record, now: float) -> str | None:
    """Where a background response is, None for one that is over."""
    since = record["since"]
    if isinstance(since, str):
        return since
    if since is None or now - since >= _RUNS_S:
        return None
    return "queued" if now - since < _QUEUED_S else "in_progress"


def _made_up(call: Call, setting: Setting, name: str) -> Record:
    """What a lenient server knows of a response that was never made."""
    model = catalogue.find("gpt-4o")
    assert model is not None  # noqa: S101 - it is in the catalogue
    dice = Dice(setting.seed, "made-up response", name)
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": "This response was made up."}
    said: Item = {"type": "message", "status": "completed", "content": [text], "role": "assistant"}
    blank = bodies.response(call, replace(setting, model=model), name=name)
    body = bodies.finished(
        blank, output=identified([said], dice), spent=Spent(prompt=8, completion=7), cut=False, at=setting.created
    )
    asked = identified(items_of("Make something up."), dice)
    return {"body": body, "input": asked, "earlier": [], "since": None, "model": model.name}
