"""Schedules: what is drawn, which turn it is, and scripts that travel as tokens."""

import json
import random
import string
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver import MockServer, ScriptError, fault, faults, reply, script
from mockserver.calls import Call
from mockserver.faults.landmarks import LANDMARKS
from mockserver.scripting.reading import from_data
from mockserver.scripting.script import Script
from mockserver.scripting.steps import Step
from mockserver.scripting.tokens import script_of, token_of
from tests.mockserver.asking import CHAT, chat, user
from tests.mockserver.sockets import ask

ODDS = [
    fault.server_error().probability(0.3),
    fault.rate_limited(retry_after_s=1).probability(0.4).match(model="gpt-4o"),
    fault.latency(delay_s={"low": 0, "high": 1}).probability(0.5),
]


def call(number: int) -> Call:
    body = {"model": "gpt-4o", "messages": user(f"question {number}")}
    return Call(
        number=1,
        method="POST",
        path=CHAT,
        surface="chat",
        dialect="openai",
        request_id="r",
        body=body,
        model="gpt-4o",
    )


def fates(order: Sequence[int], *, seed: int, threads: int = 1) -> dict[int, list[Any]]:
    """What became of each question, attempt by attempt."""
    steps = Script(ODDS, seed=seed)
    found: dict[int, list[Any]] = defaultdict(list)

    def attempts_at(number: int) -> None:
        for _ in range(order.count(number)):
            step = steps.take(call(number)).step
            found[number].append(step and (step.label, step.occasion))

    if threads == 1:
        for number in order:
            step = steps.take(call(number)).step
            found[number].append(step and (step.label, step.occasion))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(attempts_at, sorted(set(order))))
    return dict(found)


class TestChance:
    """A draw depends on the seed, on what is asked and on the attempt, and on nothing else."""

    @settings(max_examples=30, deadline=None)
    @given(order=st.lists(st.integers(0, 5), max_size=30), seed=st.integers(0, 1000), shuffle=st.randoms())
    def test_the_order_of_requests_changes_nothing(self, order: list[int], seed: int, shuffle: random.Random) -> None:
        shuffled = list(order)
        shuffle.shuffle(shuffled)
        assert fates(order, seed=seed) == fates(shuffled, seed=seed)

    def test_nor_do_threads(self) -> None:
        order = list(range(8)) * 25
        assert fates(order, seed=3, threads=8) == fates(order, seed=3)

    def test_another_seed_is_another_schedule(self) -> None:
        order = list(range(8)) * 5
        assert fates(order, seed=1) != fates(order, seed=2)

    def test_each_attempt_is_drawn_anew_and_hits_as_often_as_told(self) -> None:
        steps = Script([fault.server_error().probability(0.3)], seed=5)
        hits = sum(steps.take(call(number % 40)).step is not None for number in range(2000))
        assert 500 < hits < 700

    @pytest.mark.parametrize(("chance", "hits"), [(0, 0), (1, 50)])
    def test_never_and_always(self, chance: float, hits: int) -> None:
        steps = Script([fault.server_error().probability(chance)])
        assert sum(steps.take(call(0)).step is not None for _ in range(50)) == hits

    def test_concurrent_requests_over_sockets_meet_the_same_fates(self, network_allowance: Any) -> None:
        def statuses(seed: int) -> dict[int, list[int]]:
            odds = fault.http_error(status=418).probability(0.5)
            with MockServer(seed=seed, script=[odds]) as server, ThreadPoolExecutor(6) as pool:
                network_allowance.allow(server.host, server.port)

                def attempts(number: int) -> list[int]:
                    body = chat(messages=user(f"question {number}"), max_tokens=1)
                    return [ask(server, body).status for _ in range(5)]

                return dict(enumerate(pool.map(attempts, range(6))))

        first = statuses(7)
        assert first == statuses(7)
        assert {200, 418} == {status for each in first.values() for status in each}

    def test_a_latency_is_drawn_from_its_distribution_and_the_same_again(self) -> None:
        def occasions() -> list[tuple[Any, ...]]:
            steps = Script([fault.latency(delay_s={"median": 1, "sigma": 0.5}).times("forever")], seed=2)
            taken = [steps.take(call(number)).step for number in (0, 0, 1)]
            return [step.occasion for step in taken if step]

        assert occasions() == occasions()
        assert len(set(occasions())) == 3

    def test_a_virtual_clock_counts_a_drawn_latency(self, network_allowance: Any) -> None:
        delays = set()
        with MockServer(seed=1, script=[fault.latency(delay_s={"low": 10, "high": 20}).times("forever")]) as server:
            network_allowance.allow(server.host, server.port)
            server.clock.stop(at=1000.0)
            with ThreadPoolExecutor(1) as pool:
                for _ in range(3):
                    began = server.clock.now()
                    asked = pool.submit(ask, server, chat(max_tokens=1))
                    server.clock.wait_for_sleepers(1)
                    delays.add(round((server.clock.next_wake() or 0) - began, 6))
                    server.clock.advance(20)
                    assert asked.result().status == 200
        assert len(delays) == 3
        assert all(10 <= delay <= 20 for delay in delays)


class TestTurns:
    """The nth call, states, and times."""

    def test_every_call_of_its_kind_counts_whoever_takes_it(self) -> None:
        steps = Script([reply("first"), fault.server_error().match(nth=3)])
        assert [step and step.label for step in (steps.take(call(0)).step for _ in range(4))] == [
            "reply",
            None,
            "server_error",
            None,
        ]

    def test_calls_of_another_kind_do_not_count(self) -> None:
        steps = Script([fault.server_error().match(nth=2, body={"messages[0].content": "question 1"})])
        taken = [steps.take(call(number)).step is not None for number in (0, 1, 0, 1)]
        assert taken == [False, False, False, True]

    def test_an_outage_begins_and_ends_by_the_clock(self) -> None:
        steps = Script([fault.close().times("forever").match(after_s=10, before_s=40)])
        assert [steps.take(call(0), now).step is not None for now in (100.0, 109.9, 110.0, 139.9, 140.0)] == [
            False,
            False,
            True,
            True,
            False,
        ]

    def test_a_state_is_set_by_one_step_and_asked_for_by_another(self) -> None:
        steps = Script([fault.server_error().times("forever").match(state="down"), reply("bye").then("down")])
        assert [(step := steps.take(call(0)).step) and step.label for _ in range(3)] == [
            "reply",
            "server_error",
            "server_error",
        ]


texts = st.text(string.ascii_letters + "äß€ .*?", max_size=8)
places = st.one_of(
    st.sampled_from(LANDMARKS),
    st.builds(lambda k: {"frame": k}, st.integers(0, 99)),
    st.builds(lambda k, b: {"frame": k, "byte": b}, st.integers(0, 99), st.integers(0, 99)),
)
delays = st.floats(0, 86_400, allow_nan=False)
FAULTS: dict[str, st.SearchStrategy[Step]] = {
    "rate_limited": st.builds(fault.rate_limited, retry_after_s=delays, limit=st.sampled_from(["requests", "tokens"])),
    "server_error": st.builds(fault.server_error, status=st.integers(500, 599)),
    "refused": st.builds(fault.refused, status=st.integers(400, 599), message=texts, code=texts),
    "latency": st.builds(
        fault.latency,
        delay_s=st.one_of(delays, delays.map(lambda top: {"low": 0, "high": top}), st.just({"median": 1, "sigma": 2})),
    ),
    "cut": st.builds(fault.cut, at=places, how=st.sampled_from(["rst", "fin", "eof"])),
    "stall": st.builds(fault.stall, at=places, stall_s=delays),
    "missing_field": st.builds(fault.missing_field, field=st.sampled_from(["a", "choices[0].delta", "x.0"])),
    "wrong_content_length": st.builds(fault.wrong_content_length, delta=st.integers(1, 1000)),
}
plain = {name: st.builds(getattr(fault, name)) for name in ("crlf", "reset", "duplicate", "hang", "empty_body")}
one_fault = st.one_of(*FAULTS.values(), *plain.values())
replies = st.one_of(
    st.builds(reply, texts, finish_reason=st.sampled_from(["stop", "length"])),
    st.builds(lambda body: reply(json=body), st.recursive(st.none() | st.booleans() | texts, st.lists, max_leaves=4)),
    st.builds(lambda text: reply(tool_calls=[{"name": "f", "arguments": {"a": text}}]), texts),
)
matches = st.fixed_dictionaries(
    {},
    optional={
        "model": texts,
        "path": texts,
        "key": texts.filter(bool),
        "stream": st.booleans(),
        "header": st.dictionaries(st.sampled_from(["x-a", "x-b"]), texts),
        "body": st.dictionaries(st.sampled_from(["user", "messages[0].role"]), st.one_of(texts, st.integers())),
        "nth": st.integers(1, 9),
        "after_s": delays,
        "state": texts,
    },
)


@st.composite
def steps_of_any_kind(draw: st.DrawFn) -> Step:
    step = draw(st.one_of(replies, one_fault))
    for more in draw(st.lists(one_fault, max_size=2)):
        step &= more
    step = step.given(match=draw(matches))
    if draw(st.booleans()):
        step = step.times(draw(st.one_of(st.integers(1, 1000), st.just("forever"))))
    if draw(st.booleans()):
        step = step.probability(draw(st.floats(0, 1)))
    return step.then(draw(texts)) if draw(st.booleans()) else step


scripts = st.lists(steps_of_any_kind(), max_size=5)


class TestTokens:
    """A token is the whole script, and nothing else is a token."""

    @settings(max_examples=80, deadline=None)
    @given(steps=scripts, seed=st.integers())
    def test_every_script_comes_back_from_its_token(self, steps: list[Step], seed: int) -> None:
        written = script_of(token_of(Script(steps, seed=seed)))
        assert list(written.steps) == steps
        assert written.seed == seed

    @settings(max_examples=50, deadline=None)
    @given(steps=scripts)
    def test_json_and_yaml_say_the_same_as_python(self, steps: list[Step]) -> None:
        data = {"steps": [step.spec() for step in steps]}
        assert list(from_data(json.loads(json.dumps(data)), source="json").steps) == steps
        assert list(from_data(yaml.safe_load(yaml.safe_dump(data)), source="yaml").steps) == steps

    def test_a_token_is_short(self) -> None:
        steps = [fault.rate_limited(retry_after_s=1).times(2), reply("Hello") & fault.cut(at="finish", how="eof")]
        assert len(token_of(Script(steps, seed=7))) <= 70

    def test_used_up_steps_are_still_in_it(self) -> None:
        steps = Script([reply("once")])
        before = token_of(steps)
        steps.take(call(0))
        assert token_of(steps) == before

    def test_a_key_is_not_in_it(self) -> None:
        steps = script_of(token_of(Script([reply("x").match(key="sk-secret-key-123456")]))).steps
        assert "secret" not in json.dumps(steps[0].spec())
        assert steps[0].condition == reply("x").match(key="sk-secret-key-123456").condition

    @given(
        junk=st.one_of(
            st.text(), st.binary(), st.none(), st.integers(), st.text(string.ascii_letters).map("s1-".__add__)
        )
    )
    def test_junk_is_refused_in_words(self, junk: Any) -> None:
        with pytest.raises(ScriptError, match="token"):
            script_of(junk)

    @settings(max_examples=60)
    @given(data=st.data())
    def test_a_token_with_a_slip_is_refused(self, data: st.DataObject) -> None:
        token = token_of(Script([reply("Hello"), fault.cut(at="utf8")], seed=3))
        at = data.draw(st.integers(3, len(token) - 2))
        letter = data.draw(st.sampled_from([each for each in string.ascii_letters if each != token[at]]))
        with pytest.raises(ScriptError):
            script_of(token[:at] + letter + token[at + 1 :])
        with pytest.raises(ScriptError):
            script_of(token[:at])


def test_every_fault_is_known_to_yaml(tmp_path: Path) -> None:
    needed: dict[str, Any] = {
        "refused": {"status": 400, "message": "x"},
        "http_error": {"status": 402},
        "latency": {"delay_s": 1},
        "missing_field": {"field": "id"},
        "null_field": {"field": "id"},
    }
    steps = [{"fault": name, **needed.get(name, {})} for name in faults.names()]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump({"steps": steps}))
    assert [step.spec() for step in script(file).steps] == steps
