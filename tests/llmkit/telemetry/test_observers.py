"""Observers are told of what they ask for, in the order of a call's life, once each."""

from __future__ import annotations

import pytest

from llmkit import LLMError
from llmkit.telemetry import Event
from mockserver import MockServer, fault, reply
from tests.llmkit.telemetry.conftest import Open


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def kinds_told(self) -> list[str]:
        return [event.kind for event in self.events]


class Ends(Kept):
    kinds = frozenset({"ended"})


def test_a_call_tells_its_life(server: MockServer, connect: Open) -> None:
    server.script(fault.server_error(status=503), reply("Hello"))
    kept = Kept()
    connect(observers=[kept]).chat("Hi")
    first, second = ["leave", "sent", "failed", "waits"], ["leave", "sent", "answered", "billed", "ended"]
    assert kept.kinds_told == first + second


def test_a_stream_tells_its_life(connect: Open) -> None:
    kept = Kept()
    with connect(observers=[kept]).stream("Hi") as stream:
        list(stream)
    told = kept.kinds_told
    assert sorted(told) == sorted(["leave", "sent", "first token", "answered", "billed", "ended"])
    assert (told[:2], told[-1]) == (["leave", "sent"], "ended"), "what is short is read before anybody looks"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_tells_its_end_once(server: MockServer, connect: Open, streamed: bool) -> None:
    server.script(fault.http_error(status=401))
    kept = Kept()
    client = connect(observers=[kept])
    with pytest.raises(LLMError) as caught:
        client.stream("Hi").__enter__() if streamed else client.chat("Hi")
    assert kept.kinds_told == ["leave", "sent", "failed", "stops", "ended"]
    assert kept.events[-1].detail is caught.value


def test_an_observer_with_kinds_is_told_of_those_alone(connect: Open) -> None:
    ends = Ends()
    told = connect(observers=[ends]).chat("Hi")
    assert ends.kinds_told == ["ended"]
    assert ends.events[0].detail == told


def test_by_default_nobody_asks_for_what_costs_time_and_tells_nothing(connect: Open) -> None:
    asked = {kind for kind, observers in connect().services.observers.items() if observers}
    assert "leave" not in asked
    assert "answered" not in asked
    assert not any(connect(telemetry=False).services.observers.values())
