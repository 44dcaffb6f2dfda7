"""The admin API as an OpenAPI 3.1 document; what steps and faults may be is read off their registry.

https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any

from mockserver.admin.describing import fault_schema, step_schema
from mockserver.admin.guard import PREFIX
from mockserver.admin.schemas import SCHEMAS, nullable, ref, text
from mockserver.truth.findings import Measure

_WHOLE = {"type": "integer", "minimum": 0, "maximum": 999_999_999_999_999}
_NUMBER = {"type": "number", "minimum": 0, "maximum": 1_000_000_000}
_STEPS = {"type": "array", "items": ref("Step")}
_JSON = "application/json"
_SCRIPT = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"steps": _STEPS, "seed": nullable({"type": "integer"})},
            "required": ["steps"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"token": text()}, "required": ["token"], "additionalProperties": False},
        _STEPS,
    ]
}
_QUOTA = nullable({"type": "integer", "minimum": 1, "maximum": 1_000_000_000})
_QUOTAS = {"type": "object", "properties": {"rpm": _QUOTA, "tpm": _QUOTA}, "additionalProperties": False}
_SECONDS = nullable({"type": "number", "minimum": 0, "maximum": 253_402_300_799})
_CLOCK = {
    "type": "object",
    "properties": {"virtual": nullable({"type": "boolean"}), "at": _SECONDS, "advance_s": _SECONDS},
    "additionalProperties": False,
}
_NAME = {"type": "object", "properties": {"name": text()}, "required": ["name"], "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One method of one path: what it is for, what it takes and what it gives."""

    method: str
    path: str
    name: str
    says: str
    gives: Mapping[str, Any]
    takes: Mapping[str, Any] | None = None
    query: Sequence[Mapping[str, Any]] = ()
    content_type: str = _JSON
    example: Any = None


def _parameter(name: str, schema: Mapping[str, Any], says: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": dict(schema), "description": says}


_JOURNAL_QUERY = (
    _parameter("since", _WHOLE, "only exchanges after this number"),
    _parameter("limit", _WHOLE, "at most so many, the latest of them"),
    _parameter("bodies", {"type": "boolean"}, "false: without what was asked and answered"),
)


def _verdict_query() -> tuple[dict[str, Any], ...]:
    """The options of a verdict, by the types of their defaults."""
    schemas: dict[type, dict[str, Any]] = {bool: {"type": "boolean"}, int: _WHOLE, float: _NUMBER}
    known = []
    for each in fields(Measure):
        default = each.default if each.default is not MISSING else None
        schema = schemas.get(type(default), {"type": "string"})
        says = f"default {default!r}" if default not in (None, ()) else "several are parted by commas"
        known.append(_parameter(each.name, schema, says))
    return tuple(known)


_CALLS = (
    _Call(method="get", path="/health", name="health", says="That the server is up.", gives=ref("Health")),
    _Call(method="get", path="/script", name="showScript", says="Steps left, and the token.", gives=ref("Script")),
    _Call(
        method="post",
        path="/script",
        name="replaceScript",
        says="Replaces the script and starts it afresh; where something is wrong, the old one stays.",
        takes=_SCRIPT,
        gives=ref("Token"),
        example={"steps": [{"fault": "rate_limited", "retry_after_s": 1, "times": 2}, {"reply": "Hello"}], "seed": 7},
    ),
    _Call(method="delete", path="/script", name="clearScript", says="Forgets all steps.", gives=ref("Script")),
    _Call(
        method="post",
        path="/script/steps",
        name="extendScript",
        says="Appends steps.",
        takes=_SCRIPT,
        gives=ref("Script"),
        example=[{"reply": "Hello"}],
    ),
    _Call(method="get", path="/faults", name="showFaults", says="Every fault there is.", gives=ref("Faults")),
    _Call(
        method="get",
        path="/journal",
        name="showJournal",
        says="Exchanges in order of arrival. Who comes again with `next` as `since` gets what is new.",
        query=_JOURNAL_QUERY,
        gives=ref("Journal"),
    ),
    _Call(method="delete", path="/journal", name="clearJournal", says="Forgets them.", gives=ref("Journal")),
    _Call(
        method="get", path="/journal/{number}", name="showExchange", says="One exchange.", gives=ref("WholeExchange")
    ),
    _Call(
        method="get",
        path="/ledger",
        name="showLedger",
        says="What was generated, what reached the socket, and what would be billed.",
        query=(_parameter("entries", {"type": "boolean"}, "false: without those of each request"),),
        gives=ref("Ledger"),
    ),
    _Call(
        method="get",
        path="/verdict",
        name="showVerdict",
        says="What the journal says against the client.",
        query=_verdict_query(),
        gives=ref("Verdict"),
    ),
    _Call(method="get", path="/quotas", name="showQuotas", says="Limits, and who has used what.", gives=ref("Quotas")),
    _Call(
        method="put",
        path="/quotas",
        name="setQuotas",
        says="Limits a minute for each key and deployment, null for none; what was used is forgotten.",
        takes=_QUOTAS,
        gives=ref("Quotas"),
        example={"rpm": 3, "tpm": 1000},
    ),
    _Call(method="get", path="/clock", name="showClock", says="The server's time.", gives=ref("Clock")),
    _Call(
        method="post",
        path="/clock",
        name="setClock",
        says="Stops the clock (`virtual`, `at` Unix seconds), moves it (`advance_s`), or lets it run.",
        takes=_CLOCK,
        gives=ref("Clock"),
        example={"virtual": True},
    ),
    _Call(method="get", path="/filter", name="showFilter", says="Words that are filtered.", gives=ref("Filter")),
    _Call(
        method="post",
        path="/reset",
        name="reset",
        says="Forgets script, journal, ledger, quotas and objects.",
        gives=ref("Health"),
    ),
    _Call(method="get", path="/cassette", name="showCassette", says="What is played.", gives=ref("Cassette")),
    _Call(
        method="put",
        path="/cassette",
        name="beginCassette",
        says="Plays this cassette from its beginning, or records to it.",
        takes=_NAME,
        gives=ref("Cassette"),
        example={"name": "chat/greets the user"},
    ),
    _Call(method="delete", path="/cassette", name="endCassette", says="Plays all again.", gives=ref("Cassette")),
    _Call(method="get", path="/openapi.json", name="showApi", says="This document.", gives={"type": "object"}),
    _Call(
        method="get",
        path="/metrics",
        name="showMetrics",
        says="Metrics for Prometheus.",
        gives=text(),
        content_type="text/plain",
    ),
    _Call(
        method="get",
        path="/ui",
        name="showPage",
        says="A page that shows all of this.",
        gives=text(),
        content_type="text/html",
    ),
)


@cache
def methods_by_path() -> dict[str, tuple[str, ...]]:
    """What each path takes."""
    found: dict[str, tuple[str, ...]] = {}
    for call in _CALLS:
        path = PREFIX + call.path
        found[path] = (*found.get(path, ()), call.method.upper())
    return found


@cache
def document(version: str) -> dict[str, Any]:
    """The document; treat it as read-only."""
    paths: dict[str, dict[str, Any]] = {}
    for call in _CALLS:
        paths.setdefault(PREFIX + call.path, {})[call.method] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mockserver admin API",
            "version": version,
            "description": "Scripts, faults, journal, ledger, verdict, quotas and clock of a mock server.",
        },
        "paths": paths,
        "components": {"schemas": {**SCHEMAS, "Step": step_schema(), "FaultOfStep": fault_schema()}},
    }


def _operation(call: _Call) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": call.name, "summary": call.says, "responses": _responses(call)}
    if call.query:
        operation["parameters"] = list(call.query)
    if "{number}" in call.path:
        whole = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999}
        operation["parameters"] = [{"name": "number", "in": "path", "required": True, "schema": whole}]
    if call.takes is not None:
        content = {"schema": dict(call.takes), "example": call.example}
        operation["requestBody"] = {"required": True, "content": {_JSON: content}}
    return operation


def _responses(call: _Call) -> dict[str, Any]:
    body_refusals = {"413": "The body is too large.", "415": "The body is no JSON by its type."}
    refusals = {"400": "Something is wrong with the request.", "403": "A page of another site asks, or by its name."}
    refusals |= {"404": "There is no such thing."} if "{" in call.path else {}
    refusals |= body_refusals if call.takes is not None else {}
    error = {_JSON: {"schema": ref("Error")}}
    given = {"description": call.says, "content": {call.content_type: {"schema": dict(call.gives)}}}
    return {"200": given, **{status: {"description": says, "content": error} for status, says in refusals.items()}}
