"""The breaker's rules and laws, with time that only moves as it is told to. Rows 4.I4 and 4.T7."""

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llmkit import errors
from llmkit.errors import ConfigError
from llmkit.policies import State
from llmkit.policies.circuit_breaker import CircuitBreaker, Kind, Outcome, Shut, Ticket, outcome_of

BREAKER = CircuitBreaker(failures=3, open_s=5, longest_open_s=60)
FAILURE, SUCCESS, NEUTRAL = Outcome("failure"), Outcome("success"), Outcome("neutral")


class Door:
    """A breaker with its state and clock."""

    def __init__(self, breaker: CircuitBreaker = BREAKER) -> None:
        self.breaker, self.now, self.number = breaker, 1000.0, 0
        self.state: State = None

    def ask(self, *, lease_s: float = 30) -> Ticket | Shut:
        self.number += 1
        self.state, answer = self.breaker.admit(self.state, self.now, token=f"t{self.number}", lease_s=lease_s)
        return answer

    def admitted(self, **options: Any) -> Ticket:
        ticket = self.ask(**options)
        assert isinstance(ticket, Ticket)
        return ticket

    def tell(self, ticket: Ticket, outcome: Outcome) -> None:
        self.state, _ = self.breaker.record(self.state, self.now, ticket=ticket, outcome=outcome)

    def sees(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.tell(self.admitted(), outcome)


def test_it_opens_half_opens_and_closes() -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, FAILURE)
    assert door.ask() == Shut(5)
    door.now += 5
    probe = door.admitted()
    assert door.ask() == Shut(1, probing=True)
    door.tell(probe, SUCCESS)
    assert door.ask() == Ticket(2)


def test_the_default_opens_well_within_a_hundred_failures() -> None:
    door, sent = Door(CircuitBreaker()), 0
    for _ in range(100):
        ticket = door.ask()
        if isinstance(ticket, Ticket):
            sent += 1
            door.tell(ticket, FAILURE)
    assert sent == 20


@pytest.mark.parametrize("between", [SUCCESS, NEUTRAL])
def test_only_a_success_ends_a_row_of_failures(between: Outcome) -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, between, FAILURE)
    assert isinstance(door.ask(), Shut) is (between is NEUTRAL)


def test_a_failure_long_after_the_others_begins_a_new_row() -> None:
    door = Door()
    door.sees(FAILURE, FAILURE)
    door.now += 301
    door.sees(FAILURE, FAILURE)
    assert isinstance(door.ask(), Ticket)


@pytest.mark.parametrize("asked_s", [0.0, 2.0, 37.5, 3600.0])
def test_it_is_open_for_as_long_as_the_server_says(asked_s: float) -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, Outcome("failure", asked_s))
    door.now = math.nextafter(1000 + asked_s, 0)
    assert isinstance(door.ask(), Shut)
    door.now = 1000 + asked_s
    assert isinstance(door.ask(), Ticket)


def test_a_wait_beyond_a_day_is_taken_for_a_day() -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, Outcome("failure", 1e12))
    assert door.ask() == Shut(86_400)


def test_each_failed_probe_doubles_the_time_open_up_to_its_cap() -> None:
    door, waits = Door(), []
    door.sees(FAILURE, FAILURE)
    for _ in range(6):
        door.sees(FAILURE)
        shut = door.ask()
        assert isinstance(shut, Shut)
        waits.append(shut.retry_in_s)
        door.now += shut.retry_in_s
    assert waits == [5, 10, 20, 40, 60, 60]
    door.sees(SUCCESS, FAILURE, FAILURE, FAILURE)
    assert door.ask() == Shut(5)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), errors.RateLimited("no", status_code=429)])
def test_a_probe_that_tells_nothing_frees_the_door(error: BaseException) -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, FAILURE)
    door.now += 5
    door.tell(door.admitted(), outcome_of(error))
    assert isinstance(door.ask(), Ticket)


def test_a_probe_of_a_killed_process_frees_the_door_when_its_lease_ends() -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, FAILURE)
    door.now += 5
    lost = door.admitted(lease_s=30)
    door.now += 29.5
    assert door.ask() == Shut(0.5, probing=True)
    door.now += 0.5
    second = door.admitted()
    door.tell(lost, SUCCESS)
    assert isinstance(door.ask(), Shut), "the lost probe no longer decides"
    door.tell(second, SUCCESS)
    assert isinstance(door.ask(), Ticket)


def test_a_probe_that_asks_again_is_still_the_probe() -> None:
    door = Door()
    door.sees(FAILURE, FAILURE, FAILURE)
    door.now += 5
    probe = door.admitted()
    door.number -= 1
    assert door.ask() == probe


def test_results_of_calls_from_before_come_too_late() -> None:
    door = Door()
    early = [door.admitted() for _ in range(10)]
    door.sees(FAILURE, FAILURE, FAILURE)
    before = door.state
    for ticket, outcome in zip(early, [SUCCESS, FAILURE] * 5, strict=True):
        door.tell(ticket, outcome)
    assert door.state == before
    door.now += 5
    door.sees(SUCCESS)
    for ticket in early:
        door.tell(ticket, FAILURE)
    assert isinstance(door.ask(), Ticket)


def test_a_healthy_deployment_leaves_the_state_as_it_is() -> None:
    door = Door()
    door.sees(SUCCESS, NEUTRAL, SUCCESS)
    assert door.state is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, "success"),
        (errors.ServerError("no", status_code=500), "failure"),
        (errors.ServerError("no"), "failure"),
        (errors.Overloaded("no", status_code=503), "failure"),
        (errors.ServerError("no", status_code=408), "neutral"),
        (errors.ServerError("no", status_code=409), "neutral"),
        (errors.RateLimited("no", status_code=429), "neutral"),
        (errors.QuotaExceeded("no", status_code=429), "neutral"),
        (errors.InvalidRequest("no", status_code=400), "neutral"),
        (errors.AuthenticationFailed("no", status_code=401), "neutral"),
        (errors.NotFound("no", status_code=404), "neutral"),
        (errors.ConnectionFailed("no"), "failure"),
        (errors.MalformedResponse("no", status_code=200), "failure"),
        (errors.StreamTruncated("no", status_code=200), "failure"),
        (errors.FirstTokenTimeout("no"), "failure"),
        (errors.IdleTimeout("no"), "failure"),
        (errors.DeadlineExceeded("no"), "neutral"),
        (asyncio.CancelledError(), "neutral"),
        (KeyboardInterrupt(), "neutral"),
        (GeneratorExit(), "neutral"),
    ],
)
def test_what_counts_as_a_failure(error: BaseException | None, kind: Kind) -> None:
    assert outcome_of(error).kind == kind


@pytest.mark.parametrize(
    "numbers",
    [{"failures": 0}, {"failures": True}, {"failures": 2.5}, {"open_s": 0}, {"open_s": 9, "longest_open_s": 8}],
)
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not valid"):
        CircuitBreaker(**numbers)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=10
)


@given(json_values)
def test_a_state_that_is_none_is_taken_for_the_beginning(state: Any) -> None:
    door = Door()
    door.state = state
    door.ask()
    door.tell(Ticket(0), FAILURE)


class Interleavings(RuleBasedStateMachine):
    """Any number of calls that begin, end, are cancelled or killed in any order, and the clock between them.

    The state goes through JSON at each step, as it does in a shared store.
    """

    def __init__(self) -> None:
        super().__init__()
        self.door = Door()
        self.calls: list[tuple[Ticket, float]] = []

    def _through_json(self) -> None:
        self.door.state = json.loads(json.dumps(self.door.state))

    @initialize(failures=st.integers(1, 5))
    def configured(self, failures: int) -> None:
        self.door = Door(CircuitBreaker(failures=failures, open_s=5, longest_open_s=60))

    @rule(lease_s=st.floats(0.1, 100))
    def begins(self, lease_s: float) -> None:
        self._through_json()
        answer = self.door.ask(lease_s=lease_s)
        if isinstance(answer, Ticket):
            self.calls.append((answer, self.door.now + lease_s))
        else:
            assert 0 < answer.retry_in_s <= 86_400

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["failure", "failure", "success", "neutral"]),
        asked_s=st.none() | st.floats(0, 200),
    )
    def ends(self, data: st.DataObject, kind: Kind, asked_s: float | None) -> None:
        self._through_json()
        ticket, _ = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        self.door.tell(ticket, Outcome(kind, asked_s))

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.door.now += seconds

    @invariant()
    def never_two_probes_within_their_leases(self) -> None:
        state: Any = self.door.state or (0,)
        probes = [
            ticket
            for ticket, lease_until in self.calls
            if ticket.probe and ticket.generation == state[0] and lease_until > self.door.now
        ]
        assert len(probes) <= 1

    @invariant()
    def it_lets_a_call_through_at_the_latest_when_time_and_lease_are_over(self) -> None:
        later = Door(self.door.breaker)
        later.state, later.now = self.door.state, self.door.now + 301
        assert isinstance(later.ask(), Ticket)


TestInterleavings = Interleavings.TestCase
