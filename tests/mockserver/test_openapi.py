"""The admin API's own document: every real answer is as it says."""

from typing import Any

import httpx
import jsonschema_rs
import pytest

from mockserver import MockServer, fault, faults
from tests.mockserver.asking import CHAT, chat

ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/health", None),
    ("POST", "/script", {"steps": [{"fault": "cut", "at": "finish"}, {"reply": "x"}], "seed": 7}),
    ("POST", "/script/steps", [{"reply": {"text": "x"}, "times": 2}]),
    ("POST", "/script", {"steps": [{"fault": "nothing"}]}),
    ("POST", "/script", "text"),
    ("GET", "/script", None),
    ("GET", "/faults", None),
    ("GET", "/journal", None),
    ("GET", "/journal?bodies=false&since=1&limit=1", None),
    ("GET", "/journal?bodies=maybe", None),
    ("GET", "/journal/1", None),
    ("GET", "/journal/999", None),
    ("GET", "/ledger", None),
    ("GET", "/ledger?entries=false", None),
    ("GET", "/verdict?rows=1&ignore=storm", None),
    ("GET", "/verdict?rows=1", None),
    ("PUT", "/quotas", {"rpm": 100, "tpm": None}),
    ("PUT", "/quotas", {"rpm": 0}),
    ("GET", "/quotas", None),
    ("POST", "/clock", {"virtual": True, "at": 5, "advance_s": 61}),
    ("POST", "/clock", {"advance_s": -1}),
    ("POST", "/clock", {"virtual": False}),
    ("GET", "/clock", None),
    ("GET", "/filter", None),
    ("GET", "/cassette", None),
    ("PUT", "/cassette", {"name": "chat/one"}),
    ("DELETE", "/cassette", None),
    ("GET", "/openapi.json", None),
    ("DELETE", "/script", None),
    ("DELETE", "/journal", None),
    ("POST", "/reset", None),
]


def template(path: str) -> str:
    plain = path.partition("?")[0]
    return "/__admin/journal/{number}" if plain[9:].isdecimal() else f"/__admin{plain}"


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


def test_every_answer_is_as_the_document_says(mockserver: MockServer, http: httpx.Client) -> None:
    document = http.get("/__admin/openapi.json").json()
    mockserver.script(fault.rate_limited(retry_after_s=1), fault.cut(at="finish"))
    http.post(CHAT, json=chat())
    with pytest.raises(httpx.TransportError):
        http.post(CHAT, json=chat(stream=True))
    http.post(CHAT, json=chat(stream=True))
    met: set[tuple[str, str]] = set()
    for method, path, body in ASKED:
        answer = http.request(method, f"/__admin{path}", json=body) if body else http.request(method, f"/__admin{path}")
        operation = document["paths"][template(path)][method.lower()]
        told = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        validator(document, told).validate(answer.json())
        met.add((template(path), method.lower()))
    told_of = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert told_of - met == {("/__admin/metrics", "get"), ("/__admin/ui", "get")}


def test_every_fault_is_in_the_schema_of_a_step_with_its_parameters(http: httpx.Client) -> None:
    document = http.get("/__admin/openapi.json").json()
    step = validator(document, document["components"]["schemas"]["Step"])
    kinds = http.get("/__admin/faults").json()["faults"]
    assert [kind["name"] for kind in kinds] == faults.names()
    schemas = document["components"]["schemas"]
    told = {each["title"]: each["properties"].keys() for each in schemas["FaultOfStep"]["oneOf"]}
    assert all(kind["parameters"].keys() <= told[kind["name"]] & schemas["Step"]["properties"].keys() for kind in kinds)
    assert step.is_valid({"fault": "rate_limited", "retry_after_s": 1, "times": "forever", "match": {"nth": 2}})
    assert not step.is_valid({"fault": "rate_limited", "retry_after_s": -1})
    assert not step.is_valid({"fault": "rate_limted"})
    assert not step.is_valid({"times": 2})


def test_the_examples_in_the_document_are_taken(http: httpx.Client) -> None:
    document = http.get("/__admin/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                validator(document, content["schema"]).validate(content["example"])
                assert http.request(method, path, json=content["example"]).status_code == 200
