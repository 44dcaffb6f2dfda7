"""Responses of the server against those recorded from api.openai.com: the grammar of streams, keys, tokens, refusals.

The grammar is an automaton, written from the recordings: each recorded stream passes it, and each of ours.
"""

from __future__ import annotations

import collections
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mockserver import MockServer, catalogue
from mockserver.calls import Call
from mockserver.problems import Problem
from mockserver.surfaces.responses import requests, tokens
from mockserver.surfaces.responses.conversation import items_of, kind_of

DATA = Path(__file__).parents[3] / "shared" / "data"
# the others hold other surfaces, other providers, or nothing that streams
FILES = [path for path in sorted(DATA.glob("cassettes/*/*.yaml")) if b"/v1/responses" in path.read_bytes()]

pytestmark = pytest.mark.skipif(not FILES, reason=f"the recorded public traffic is not here: {DATA}")

Event = Mapping[str, Any]
KEY = "sk-test-0123456789abcdef"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
# written by hand, or from before the shape of 2025-11: the keys of these bodies say nothing about today's
SINCE = 1_762_700_000

# recorded, and made by tools that the server does not run, of one model, or of one month
ELSEWHERE = {
    "tool_usage": "of gpt-5.5 and later alone",
    "conversation": "only where one is named",
    "billing": "only in plain replies that are finished",
    "phase": "of gpt-5.3 and later alone",
    "encrypted_content": "only where it is included",
    "namespace": "of tools that were searched for",
}


# ---- reading


def texts_of(path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Requests about responses, each with the text of its reply."""
    for interaction in yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)["interactions"]:
        if "/v1/responses" in interaction["request"]["uri"]:
            yield interaction["request"], _text(interaction["response"])


def _text(part: Mapping[str, Any]) -> str:
    if "parsed_body" in part:
        return part["parsed_body"] if isinstance(part["parsed_body"], str) else json.dumps(part["parsed_body"])
    body = part["body"]["string"]
    plain = body.encode() if isinstance(body, str) else body
    return (gzip.decompress(plain) if plain.startswith(b"\x1f\x8b") else plain).decode()


def events_of(text: str) -> list[Event]:
    """The events of a stream; each must have its name in a line of its own, as in its data."""
    found = []
    for block in text.replace("\r\n", "\n").strip("\n").split("\n\n"):
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        event = json.loads(data.removeprefix("data: "))
        assert event["type"] == name.removeprefix("event: ")
        found.append(event)
    return found


def recorded_streams() -> list[tuple[str, list[Event]]]:
    replies = [(path.stem, text) for path in FILES for _, text in texts_of(path)]
    return [(name, events_of(text)) for name, text in replies if text.startswith("event: ")]


def recorded_bodies() -> list[dict[str, Any]]:
    plain = [text for path in FILES for _, text in texts_of(path) if text.startswith("{")]
    bodies = [json.loads(text) for text in plain]
    return [body for body in bodies if body.get("object") == "response" and body["created_at"] > SINCE]


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(seed=7) as started:
        yield started


@pytest.fixture(autouse=True)
def _reachable(server: MockServer, network_allowance: Any) -> None:
    network_allowance.allow(server.host, server.port)


def ask(server: MockServer, **body: Any) -> httpx.Response:
    reply = httpx.post(f"{server.url}/v1/responses", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=10)
    assert reply.status_code == 200, reply.text
    return reply


QUESTIONS: dict[str, dict[str, Any]] = {
    "text": {"model": "gpt-4o", "input": "Count to 3", "instructions": "Be brief"},
    "thought": {"model": "gpt-5", "input": "What is 2 + 2?", "reasoning": {"effort": "low", "summary": "detailed"}},
    "hidden": {"model": "gpt-5.5", "input": "Why?", "include": ["reasoning.encrypted_content"]},
    "call": {"model": "gpt-4o", "input": "Weather in Paris?", "tools": [WEATHER]},
    "schema": {
        "model": "gpt-4o",
        "input": "A city",
        "text": {"format": {"type": "json_schema", "name": "city", "schema": {"type": "object"}}},
    },
    "cut": {"model": "gpt-4.1", "input": "Tell me about otters, kelp, urchins", "max_output_tokens": 16},
    "background": {"model": "gpt-4o", "input": "What is 2 + 2?", "background": True},
}


# ---- the automaton


@dataclass
class Grammar:
    """What the recordings have in common: takes events one by one, fails on one that has no place."""

    background: bool = False
    number: int = 0
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    pieces: list[str] = field(default_factory=list)
    done: list[Any] = field(default_factory=list)
    state: str = "start"

    def take(self, event: Event) -> None:
        assert event["sequence_number"] == self.number, "numbers go up by one"
        self.number += 1
        name = event["type"].removeprefix("response.").replace(".", "_")
        handler = getattr(self, f"_{name}", None)
        if handler is not None:
            handler(event)
        else:
            self._of_hosted_tool(event)

    def _created(self, event: Event) -> None:
        self._expect("start")
        self.background = event["response"]["background"]
        assert event["response"]["status"] == ("queued" if self.background else "in_progress")
        self.state = "created"

    def _queued(self, event: Event) -> None:
        assert self.state == "created" or (self.state == "start" and self.number > 1)  # or read again from there on
        assert event["response"]["status"] == "queued"
        self.state, self.background = "queued", True

    def _in_progress(self, event: Event) -> None:
        self._expect("queued" if self.background else "created")
        response = event["response"]
        assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
        self.state = "between"

    def _output_item_added(self, event: Event) -> None:
        self._expect("between")
        assert event["output_index"] == len(self.done)
        self.item = dict(event["item"])
        assert self.item.get("status", "in_progress") == "in_progress"
        assert not any(self.item.get(name) for name in ("arguments", "summary", "content"))
        self.state = "item"

    def _content_part_added(self, event: Event) -> None:
        self._within("item", event)
        assert event["part"]["text"] == ""
        self.pieces, self.state = [], "part"

    def _output_text_delta(self, event: Event) -> None:
        self._piece("part", event)

    def _output_text_annotation_added(self, event: Event) -> None:
        self._within("part", event)

    def _output_text_done(self, event: Event) -> None:
        self._within("part", event)
        assert "".join(self.pieces) == event["text"]
        self.state = "part over"

    def _content_part_done(self, event: Event) -> None:
        self._within("part over", event)
        self.part = event["part"]
        assert event["part"]["text"] == "".join(self.pieces)
        self.state = "item"

    def _reasoning_summary_part_added(self, event: Event) -> None:
        self._within("item", event)
        self.pieces, self.state = [], "summary"

    def _reasoning_summary_text_delta(self, event: Event) -> None:
        self._piece("summary", event)

    def _reasoning_summary_text_done(self, event: Event) -> None:
        self._within("summary", event)
        assert "".join(self.pieces) == event["text"]

    def _reasoning_summary_part_done(self, event: Event) -> None:
        self._within("summary", event)
        assert event["part"] == {"type": "summary_text", "text": "".join(self.pieces)}
        self.state = "item"

    def _function_call_arguments_delta(self, event: Event) -> None:
        self.pieces = [] if self.state == "item" else self.pieces
        self.state = "arguments"
        self._piece("arguments", event)

    def _function_call_arguments_done(self, event: Event) -> None:
        self._within("arguments", event)
        assert "".join(self.pieces) == event["arguments"]
        self.state = "item"

    def _of_hosted_tool(self, event: Event) -> None:
        assert self.item is not None
        assert event["type"].startswith(f"response.{self.item['type']}.")
        self._within("item", event)

    def _output_item_done(self, event: Event) -> None:
        self._expect("item")
        assert self.item is not None
        assert (event["item"]["id"], event["item"]["type"]) == (self.item["id"], self.item["type"])
        assert event["output_index"] == len(self.done)
        if event["item"]["type"] == "message":
            assert event["item"]["content"] == [self.part]
        self.done.append(event["item"])
        self.state = "between"

    def _completed(self, event: Event) -> None:
        self._end(event, "completed")

    def _incomplete(self, event: Event) -> None:
        self._end(event, "incomplete")

    def _end(self, event: Event, status: str) -> None:
        self._expect("between")
        assert event["response"]["status"] == status
        assert list(map(readable, event["response"]["output"])) == list(map(readable, self.done))
        assert event["response"]["usage"]["output_tokens"] > 0
        self.state = "over"

    def _piece(self, state: str, event: Event) -> None:
        self._within(state, event)
        assert isinstance(event["delta"], str)
        self.pieces.append(event["delta"])

    def _within(self, state: str, event: Event) -> None:
        self._expect(state)
        assert self.item is not None
        assert (event["item_id"], event["output_index"]) == (self.item["id"], len(self.done))

    def _expect(self, state: str) -> None:
        assert self.state == state


def readable(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item without what is encrypted anew each time."""
    return {name: value for name, value in item.items() if name != "encrypted_content"}


def follow(events: Sequence[Event], *, first: int = 0) -> None:
    """Take the events from the number `first` on, to the end."""
    grammar = Grammar(number=first)
    for event in events:
        grammar.take(event)
    assert grammar.state == "over"


# ---- streams


def test_each_recorded_stream_has_this_grammar() -> None:
    streams = recorded_streams()
    assert len(streams) > 15
    for _, events in streams:
        follow(events, first=events[0]["sequence_number"])


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_each_of_our_streams_has_it_too(server: MockServer, question: dict[str, Any]) -> None:
    reply = ask(server, **question, stream=True)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "[DONE]" not in reply.text
    follow(events_of(reply.text))


def test_the_grammar_refuses_what_was_never_recorded() -> None:
    _, events = recorded_streams()[0]
    for spoilt in ([*events[:3], *events[4:]], events[:-1], [events[1], *events], [*events, events[-1]]):
        with pytest.raises(AssertionError):
            follow(spoilt)


def test_our_events_have_the_keys_of_recorded_ones(server: MockServer) -> None:
    recorded = collections.defaultdict(list)
    for _, events in recorded_streams():
        for event in events:
            recorded[event["type"]].append(set(event))
    ours = [event for question in QUESTIONS.values() for event in events_of(ask(server, **question, stream=True).text)]
    compared = set()
    for event in ours:
        if event["type"] in recorded:
            always, ever = set.intersection(*recorded[event["type"]]), set.union(*recorded[event["type"]])
            assert always <= set(event) <= ever, event["type"]
            compared.add(event["type"])
    # what nobody recorded is named here, so that a new one does not slip in
    unrecorded = {event["type"] for event in ours} - compared
    assert {name.rpartition(".")[0] for name in unrecorded} <= {
        "response",  # response.incomplete
        "response.reasoning_summary_part",
        "response.reasoning_summary_text",
    }
    assert len(compared) >= 12


def test_each_delta_is_padded_as_recorded(server: MockServer) -> None:
    def widths(events: Sequence[Event]) -> set[int]:
        return {len(event["delta"] + event["obfuscation"]) % 16 for event in events if "obfuscation" in event}

    assert {width for _, events in recorded_streams() for width in widths(events)} == {0}
    assert widths(events_of(ask(server, **QUESTIONS["text"], stream=True).text)) == {0}


# ---- bodies


def test_a_body_has_the_keys_of_recorded_ones(server: MockServer) -> None:
    recorded = [set(body) for body in recorded_bodies()]
    latest = set.union(*recorded)
    for name, question in QUESTIONS.items():
        body = ask(server, **question).json()
        assert set.intersection(*recorded) <= set(body) <= latest, name
        assert latest - set(body) <= ELSEWHERE.keys(), name


def test_the_bill_has_the_keys_of_recorded_ones(server: MockServer) -> None:
    bills = [body["usage"] for body in recorded_bodies() if body["usage"]]
    ours = ask(server, **QUESTIONS["text"]).json()["usage"]
    assert ours.keys() == set().union(*bills)
    for part in ("input_tokens_details", "output_tokens_details"):
        assert ours[part].keys() == set().union(*(bill[part] for bill in bills))


def test_items_that_come_out_have_the_keys_of_recorded_ones(server: MockServer) -> None:
    recorded: collections.defaultdict[str, set[str]] = collections.defaultdict(set)
    for body in recorded_bodies():
        for item in body["output"]:
            recorded[item["type"]] |= set(item)
    for question in QUESTIONS.values():
        for item in ask(server, **question).json()["output"]:
            assert set(item) <= recorded[item["type"]]
            assert recorded[item["type"]] - set(item) <= {*ELSEWHERE, "content", "status"}


def test_values_that_nobody_asked_for_are_those_recorded(server: MockServer) -> None:
    plain = {"max_output_tokens", "temperature", "top_p", "text", "tool_choice", "truncation", "reasoning", "store"}
    plain |= {"parallel_tool_calls", "service_tier", "top_logprobs", "metadata", "user", "background", "error"}
    recorded = next(body for body in reversed(recorded_bodies()) if body["model"] == "gpt-4o-mini-2024-07-18")
    ours = ask(server, model="gpt-4o-mini", input="Say hi", max_output_tokens=recorded["max_output_tokens"]).json()
    assert {name: ours[name] for name in plain} == {name: recorded[name] for name in plain}


# ---- tokens

# the share of rows billed to the token, measured in November 2026
FLOORS = {"text": 0.88, "tools": 0.95, "forced": 0.92, "schema": 0.93, "calls": 0.95}


def rows() -> Iterator[dict[str, Any]]:
    """Rows of a prompt that is all there: no earlier turns, no hosted tools, images or files."""
    hidden = ("previous_response_id", "conversation", "moderation", "context_management")
    for line in (DATA / "usage.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["api"] not in ("responses", "input_tokens") or not row["usage"] or row["has_images"]:
            continue
        if not any(row["request"].get(name) for name in hidden) and "input_file" not in line:
            yield row


def group_of(request: Mapping[str, Any]) -> str | None:
    tools = request.get("tools") or []
    kinds = {kind_of(item) for item in items_of(request.get("input"))}
    wanted = ((request.get("text") or {}).get("format") or {}).get("type")
    if any(tool["type"] != "function" for tool in tools) or not kinds <= {
        "message",
        "function_call",
        "function_call_output",
    }:
        return None
    if wanted not in (None, "text"):
        return "schema"
    if "function_call" in kinds:
        return "calls"
    if tools:
        return "tools" if request.get("tool_choice") in (None, "auto") else "forced"
    return "text"


def test_prompts_are_billed_as_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    right, all_of = collections.Counter[str](), collections.Counter[str]()
    for row in rows():
        model, group = catalogue.find(row["model"]), group_of(row["request"])
        if model is None or group is None:
            continue
        items = items_of(row["request"].get("input"))
        counted = tokens.input_tokens(items, asked=row["request"], model=model)
        all_of[group] += 1
        right[group] += counted == row["usage"]["input_tokens"]
    with capsys.disabled():
        print(f"\nresponses billed as recorded: {', '.join(f'{g} {right[g]} of {all_of[g]}' for g in FLOORS)}")
    for group, floor in FLOORS.items():
        assert right[group] / all_of[group] >= floor, group


# ---- refusals


def refusals() -> Iterator[dict[str, Any]]:
    """Recorded refusals of whole requests to /v1/responses that are about the request alone."""
    for line in (DATA / "error_shapes.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        error = row["body"].get("error") if isinstance(row["body"], dict) else None
        if row["api"] == "responses" and row["status"] == 400 and error and isinstance(row["request"], dict):
            model = catalogue.find(row["request"].get("model") or "")
            if model is not None and "downloading" not in error["message"]:
                yield {"request": row["request"], "error": error, "model": model}


def refused(request: dict[str, Any], model: catalogue.Model) -> Mapping[str, Any]:
    """The error with which our checks refuse a request, empty if they don't."""
    call = Call(number=1, method="POST", path="", surface="responses", dialect="openai", request_id="", body=request)
    try:
        requests.check(call, model)
    except Problem as problem:
        return problem.error
    return {}


# by the start of the message: why the server does not say it
NOT_PLAYED = {
    "Previous response": "raised by the answer, not by the checks: see the tests of the server",
    "Your input exceeds": "the recording keeps no input",
    "The requested model": "of the dialect",
    "Invalid input: Expected context stuffing": "files are not read",
    "The file type you uploaded": "files are not read",
    "Failed to download": "files are not read",
    "Item '": "raised by the answer, not by the checks: see the tests of the server",
    "The response was filtered": "of the content filter that Azure puts around its models",
    "Hosted tool": "hosted tools are accepted from every model",
    "Deep research": "these models are not played",
}


def test_requests_are_refused_as_recorded() -> None:
    told = 0
    for row in refusals():
        error = row["error"]
        if error["message"].startswith(tuple(NOT_PLAYED)):
            continue
        ours = refused(row["request"], row["model"])
        assert {name: ours.get(name) for name in ("type", "param", "code")} == {
            name: error[name] for name in ("type", "param", "code")
        }, error
        if "Supported values" not in error["message"]:  # the lists of 2025 were shorter
            assert ours["message"] == error["message"]
        told += 1
    assert told >= 15
