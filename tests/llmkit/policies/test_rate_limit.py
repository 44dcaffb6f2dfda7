"""The limiter's law: in no window of a minute is there more than the budget. Part of row 4.I3."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ConfigError
from llmkit.policies import State
from llmkit.policies.rate_limit import MANY, WINDOW_S, Full, Place, RateLimit


class Line:
    """A limit with its state and clock."""

    def __init__(self, **limits: Any) -> None:
        self.limit, self.now = RateLimit(**limits), 1000.0
        self.state: State = None

    def ask(self, tokens: int = 0, **options: Any) -> Place | Full:
        self.state = json.loads(json.dumps(self.state))
        self.state, place = self.limit.reserve(self.state, self.now, tokens=tokens, **options)
        return place

    def wait_s(self, tokens: int = 0) -> float:
        return self.ask(tokens).wait_s

    def placed(self, tokens: int = 0) -> Place:
        place = self.ask(tokens)
        assert isinstance(place, Place)
        return place

    def settle(self, place: Place, tokens: int) -> None:
        self.state, _ = self.limit.settle(self.state, self.now, place=place, tokens=tokens)

    def release(self, place: Place) -> None:
        self.state, _ = self.limit.release(self.state, self.now, place=place)


def test_requests_beyond_the_budget_wait_until_the_first_is_a_minute_old() -> None:
    line = Line(rpm=2)
    assert line.wait_s() == 0
    line.now += 10
    assert line.wait_s() == 0
    assert line.wait_s() == 50
    assert line.wait_s() == 60


def test_tokens_beyond_the_budget_wait() -> None:
    line = Line(tpm=100)
    assert [line.wait_s(60), line.wait_s(40), line.wait_s(1)] == [0, 0, 60]


def test_without_limits_nothing_waits() -> None:
    line = Line()
    assert {line.wait_s(10**9) for _ in range(200)} == {0}


def test_what_was_estimated_too_high_comes_back() -> None:
    line = Line(tpm=100)
    place = line.placed(100)
    line.settle(place, 30)
    assert line.wait_s(70) == 0
    assert line.wait_s(1) > 0


def test_what_was_estimated_too_low_is_taken_from_those_after() -> None:
    line = Line(tpm=100)
    line.settle(line.placed(10), 100)
    assert line.wait_s(1) == 60


def test_a_request_that_was_never_sent_gives_its_place_back() -> None:
    line = Line(rpm=1, tpm=100)
    line.release(line.placed(100))
    assert line.wait_s(100) == 0


def test_settling_after_the_window_changes_nothing() -> None:
    line = Line(tpm=100)
    place = line.placed(50)
    line.now += 61
    line.placed(100)
    line.settle(place, 0)
    assert line.wait_s(1) == 60


def test_no_place_is_taken_that_is_too_far_away() -> None:
    line = Line(rpm=1)
    line.placed()
    assert line.ask(longest_wait_s=59) == Full(60, "rpm")
    assert line.wait_s() == 60


def test_more_than_a_minutes_budget_never_fits() -> None:
    assert Line(rpm=9, tpm=100).ask(101) == Full(math.inf, "tpm")


def test_a_large_request_is_not_starved_by_small_ones() -> None:
    line = Line(tpm=100)
    line.placed(60)
    line.now += 1
    assert line.wait_s(90) == 59
    assert line.wait_s(1) == 59, "it came later, and waits behind"


def test_nobody_overtakes_when_tokens_come_back() -> None:
    line = Line(tpm=100)
    first = line.placed(100)
    assert line.wait_s(50) == 60
    line.settle(first, 10)
    assert line.wait_s(20) == 60


def test_requests_of_a_busy_second_are_joined_at_the_last() -> None:
    line = Line(rpm=100)
    for number in range(100):
        line.now = 1000.25 + number / 200
        line.placed()
    line.now = 1060.25
    assert line.wait_s() == 0, "the first stand for themselves"
    for _ in range(40):
        wait_s = line.wait_s()
    assert line.now + wait_s == 1060.25 + 99 / 200, "the last ones count until the last of them is a minute old"


def test_a_long_line_is_remembered_in_few_entries() -> None:
    line = Line(rpm=10_000, tpm=10**9)
    for _ in range(1000):
        line.now += 0.01
        line.placed(7)
    assert isinstance(line.state, tuple)
    assert len(line.state) <= MANY + 11


@pytest.mark.parametrize("limits", [{"rpm": 0}, {"tpm": -5}, {"rpm": "60"}, {"rpm": True}, {"tpm": 1.5}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="number a minute"):
        RateLimit(**limits)


requests = st.tuples(
    st.floats(0, 20),  # seconds after the one before
    st.integers(0, 120),  # tokens as estimated
    st.floats(0, 1),  # share of them that was used
    st.sampled_from(["sent", "sent", "sent", "unsent"]),
)


@given(
    st.lists(requests, max_size=150),
    st.none() | st.integers(1, 8),
    st.none() | st.integers(60, 300),
    st.sampled_from([1.0, 0.1, 0.01]),
)
def test_no_window_of_a_minute_holds_more_than_the_budget(
    script: list[tuple[float, int, float, str]], rpm: int | None, tpm: int | None, scale: float
) -> None:
    """Also of many requests a second, whose entries are joined."""
    rpm, tpm = rpm and int(rpm / scale**0.5), tpm and int(tpm / scale**0.5)
    line = Line(rpm=rpm, tpm=tpm)
    sent: list[tuple[float, int]] = []
    for pause_s, tokens, used, fate in script:
        line.now += pause_s * scale
        place = line.ask(tokens, longest_wait_s=120)
        if isinstance(place, Full):
            assert place.wait_s > 120
        elif fate == "unsent":
            line.release(place)
        else:
            line.settle(place, int(tokens * used))
            sent.append((place.at, int(tokens * used)))
    for end, _ in sent:
        inside = [amount for at, amount in sent if at <= end < at + WINDOW_S]
        assert len(inside) <= (rpm or math.inf)
        assert sum(inside) <= (tpm or math.inf)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 100)), max_size=MANY), st.integers(0, 100))
def test_a_wait_is_exact(history: list[tuple[float, int]], wanted: int) -> None:
    """At its end there is room, and a moment before there is none, or another is ahead in the line."""
    line = Line(rpm=5, tpm=100)
    places = []
    for pause_s, tokens in history:
        line.now += pause_s
        places.append(line.placed(tokens))
    place = line.placed(wanted)
    ahead = max([line.now, *(one.at for one in places)])
    assert place.at == line.now + place.wait_s or place.wait_s == place.at - line.now
    assert place.at >= ahead
    if place.at > ahead:
        before = math.nextafter(place.at, 0)
        inside = [one for one in places if one.at + WINDOW_S > before]
        assert len(inside) + 1 > 5 or sum(one.tokens for one in inside) + wanted > 100
