"""What the admin API answers, as JSON Schema."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from mockserver.surfaces import Spent
from mockserver.truth.exchange import Chunk
from mockserver.truth.ledger import Entry
from mockserver.truth.sums import Sum

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """One of the document's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Mapping[str, Any]) -> Schema:
    """The same, or null."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def text(says: str = "") -> Schema:
    """A text."""
    return {"type": "string", "description": says} if says else {"type": "string"}


def _object(properties: Mapping[str, Any], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object of just these, all of which are there unless optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def _list(item: Mapping[str, Any]) -> Schema:
    return {"type": "array", "items": dict(item)}


def _map(item: Mapping[str, Any]) -> Schema:
    return {"type": "object", "additionalProperties": dict(item)}


WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}

_OF_TYPES = {int: COUNT, float: NUMBER, str: text(), bool: YES_NO}
_SUM = _object({each.name: COUNT for each in fields(Sum)})
_ENTRY = _object({name: _OF_TYPES[hint] for name, hint in get_type_hints(Entry).items()})
_CHUNK = _object({name: _OF_TYPES[hint] for name, hint in get_type_hints(Chunk).items()})
_SPENT = _object({each.name: COUNT for each in fields(Spent)})
_GAUGE = _object({"limit": NUMBER, "remaining": NUMBER, "reset_s": NUMBER})
_STEP_SHOWN = {"type": "object", "description": "a step as scripts write it: see Step"}
_PARAMETER = _object(
    {"takes": text(), "required": YES_NO, "schema": {"type": "object"}, "default": {}}, optional=("default",)
)
_FINDING = _object(
    {
        "rule": text(),
        "severity": {"enum": ["certain", "likely"]},
        "message": text(),
        "exchanges": _list(COUNT),
        "call": nullable(COUNT),
        "advice": text(),
    }
)
_EXCHANGE: Schema = {
    "number": COUNT,
    "started_at": NUMBER,
    "method": text(),
    "path": text(),
    "query": _map(text()),
    "surface": nullable(text()),
    "dialect": nullable(text()),
    "deployment": nullable(text()),
    "model": nullable(text()),
    "key": text("the digest of the API key"),
    "stream": YES_NO,
    "request_id": text(),
    "operation": nullable(text()),
    "status": COUNT,
    "outcome": text(),
    "fault": nullable(text()),
    "step": nullable(COUNT),
    "spent": nullable(_SPENT),
    "frames": COUNT,
    "bytes": COUNT,
    "client_left": YES_NO,
    "misses": _list(text()),
    "answered_at": nullable(NUMBER),
    "ended_at": nullable(NUMBER),
    "attempt": COUNT,
    "call": COUNT,
    "worker": text(),
    "retry_count": nullable(WHOLE),
    "headers": _map(text()),
    "delivered": YES_NO,
    "soundness": {"enum": ["whole", "truncated", "broken"]},
    "complete": YES_NO,
    "ending": text(),
    "retry_after_s": nullable(NUMBER),
}
_BODIES: Schema = {
    "request": {},
    "files": {"type": "object"},
    "response": _object({"status": COUNT, "headers": _map(text()), "body": {}, "chunks": _list(_CHUNK)}),
    "bodies_dropped": YES_NO,
}

SCHEMAS: dict[str, Schema] = {
    "Error": _object({"error": _object({"message": text("what is wrong, and what would be right")})}),
    "Health": _object({"status": {"const": "ok"}, "version": text(), "requests": COUNT}),
    "Token": _object({"token": text("the script with its seed, to be replayed")}),
    "Script": _object(
        {
            "steps": _list(_STEP_SHOWN),
            "seed": WHOLE,
            "token": text("of the whole script, also of what was taken"),
            "problem": text("what is wrong with the newest version of the script's file"),
        },
        optional=("problem",),
    ),
    "Faults": _object(
        {
            "faults": _list(
                _object(
                    {
                        "name": text(),
                        "acts_on": {"enum": ["response", "stream", "connection"]},
                        "description": text(),
                        "parameters": _map(_PARAMETER),
                    }
                )
            )
        }
    ),
    "Exchange": _object({**_EXCHANGE, **_BODIES}, optional=tuple(_BODIES)),
    "WholeExchange": _object({**_EXCHANGE, **_BODIES}),
    "Journal": _object({"exchanges": _list(ref("Exchange")), "dropped": COUNT, "next": COUNT}),
    "Ledger": _object(
        {
            "total": _SUM,
            "by_key": _map(_SUM),
            "by_model": _map(_SUM),
            "by_surface": _map(_SUM),
            "entries": _list(_ENTRY),
        },
        optional=("entries",),
    ),
    "Verdict": _object(
        {
            "ok": YES_NO,
            "findings": _list(_FINDING),
            "notes": _list(_FINDING),
            "exchanges": COUNT,
            "calls": COUNT,
            "dropped": COUNT,
        }
    ),
    "Quotas": _object(
        {
            "rpm": nullable(COUNT),
            "tpm": nullable(COUNT),
            "accounts": _list(
                _object({"key": text(), "dialect": text(), "subject": text(), "requests": _GAUGE, "tokens": _GAUGE})
            ),
        }
    ),
    "Clock": _object({"now": NUMBER, "virtual": YES_NO, "next_wake": nullable(NUMBER)}),
    "Filter": _object({"words": _map(_object({"category": text(), "severity": text()}))}),
    "Cassette": _object(
        {
            "name": nullable(text()),
            "cassettes": _list(text()),
            "recordings": COUNT,
            "played": COUNT,
            "leak": nullable(text()),
        }
    ),
}
