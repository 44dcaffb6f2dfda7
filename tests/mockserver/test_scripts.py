"""Scripts: order, repetition, conditions, and their YAML."""

import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import MockServer, ScriptError, fault, reply, script
from mockserver.scripting.options import BadOption
from mockserver.scripting.reading import from_data, from_yaml
from mockserver.scripting.script import Script
from mockserver.scripting.steps import Step
from tests.mockserver.asking import CHAT, EMBEDDINGS, chat, user
from tests.mockserver.conftest import KEY, Serve


def said(http: httpx.Client, **parameters: Any) -> str:
    content: str = http.post(CHAT, json=chat(**parameters)).json()["choices"][0]["message"]["content"]
    return content


def test_steps_are_taken_in_order_and_then_replies_are_generated(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("one"), reply("two").times(2))
    assert [said(http) for _ in range(3)] == ["one", "two", "two"]
    assert said(http) not in ("one", "two")
    assert [exchange.outcome for exchange in mockserver.journal] == ["reply", "reply", "reply", "generated"]


def test_forever_never_ends(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("again").times("forever"))
    assert {said(http) for _ in range(5)} == {"again"}


def test_a_step_that_does_not_match_waits_and_the_journal_says_why(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("for mini").match(model="gpt-4o-mini"), reply("for all"))
    assert said(http) == "for all"
    assert said(http, model="gpt-4o-mini") == "for mini"
    assert mockserver.journal[0].misses == ("step 1 (reply): model is 'gpt-4o', not 'gpt-4o-mini'",)
    assert mockserver.journal[1].misses == ()


def test_a_text_waits_for_a_chat_request(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("hello"))
    http.post(EMBEDDINGS, json={"model": "text-embedding-3-small", "input": "x"})
    assert said(http) == "hello"
    assert "a reply with text fits chat and completions" in mockserver.journal[0].misses[0]


def test_a_refused_request_takes_no_step(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("hello"))
    http.post(CHAT, json={})
    assert said(http) == "hello"
    assert mockserver.journal[0].outcome == "refused"


def test_a_whole_body_can_be_scripted(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply(json={"choices": []}))
    assert http.post(CHAT, json=chat(stream=True)).json() == {"choices": []}


def test_the_finish_reason_can_be_scripted(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("cut sho", finish_reason="length"))
    assert http.post(CHAT, json=chat()).json()["choices"][0]["finish_reason"] == "length"


def test_delays_pass_before_the_answer_and_between_frames(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("a b", delay_s=0.01, chunk_delay_s=0.01))
    assert http.post(CHAT, json=chat(stream=True)).elapsed.total_seconds() >= 0.01


def test_each_step_is_taken_once_by_parallel_requests(serve: Serve) -> None:
    server = serve(script=[reply(str(number)) for number in range(60)])
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.url, headers=headers) as http, ThreadPoolExecutor(12) as pool:
        texts = list(pool.map(lambda _: said(http), range(60)))
    assert sorted(texts, key=int) == [str(number) for number in range(60)]
    assert [exchange.number for exchange in server.journal] == list(range(1, 61))


def test_steps_may_be_added_while_requests_run() -> None:
    steps = Script()
    threads = [threading.Thread(target=steps.extend, args=([reply("x")] * 50,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(steps.spec()) == 400


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "twice", None, 10**400])
def test_times_takes_a_number_or_forever(count: Any) -> None:
    with pytest.raises(ValueError, match="it takes a whole number from 1 to 1000000 or 'forever'"):
        reply("x").times(count)


def test_a_fault_may_be_called_by_its_name() -> None:
    # a type checker sees a module
    assert fault("rate_limited", retry_after_s=2, times=3) == fault.rate_limited(retry_after_s=2, times=3)  # type: ignore[operator]
    with pytest.raises(KeyError, match="did you mean 'hang'"):
        fault("hng")  # type: ignore[operator]


def test_what_is_no_step_is_refused(mockserver: MockServer) -> None:
    with pytest.raises(TypeError, match=r"'hello' is no step; make steps with reply\(…\)"):
        mockserver.script("hello")  # type: ignore[arg-type]


def test_python_takes_steps_as_json_has_them(mockserver: MockServer) -> None:
    mockserver.script({"reply": "x", "fault": "cut", "at": "utf8", "times": 2}, fault.reset())
    assert mockserver.script_left == [(reply("x") & fault.cut(at="utf8")).times(2), fault.reset()]
    with pytest.raises(ScriptError, match=r"^steps\[0\], at: at is 'nowhere'; it takes"):
        mockserver.script({"fault": "cut", "at": "nowhere"})


def test_a_fault_says_by_name_what_it_takes() -> None:
    with pytest.raises(
        TypeError, match=r"^rate_limited: too many positional arguments; it takes retry_after_s=…, limit=…$"
    ):
        fault.rate_limited(5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"text": 5}, "text is 5; it takes a text"),
        ({"finish_reason": "tired"}, "finish_reason is 'tired'; it takes 'stop' or 'length' or"),
        ({"delay_s": -1}, "delay_s is -1; it takes seconds from 0 to 86400"),
        ({"delay_s": math.inf}, "delay_s is inf; it takes seconds from 0 to 86400"),
        ({"delay_s": True}, "delay_s is True; it takes seconds"),
        ({"chunk_delay_s": 10**400}, "it takes seconds from 0 to 86400"),
        ({"embedding": ["x"]}, "it takes a list of numbers from -3.4e38 to 3.4e38"),
        ({"embedding": [10**400]}, "it takes a list of numbers"),
        ({"embedding": [1e308]}, "it takes a list of numbers"),
        ({"embedding": [math.nan]}, "it takes a list of numbers"),
        ({"embedding": [True]}, "it takes a list of numbers"),
        ({"embedding": []}, "it takes a list of numbers"),
        ({"embedding": 5}, "embedding is 5; it takes a list of numbers"),
        ({"tool_calls": 5}, 'tool_calls is 5; it takes a list of objects with "name" and "arguments"'),
        ({"tool_calls": ["f"]}, r'tool_calls is \[.f.\]; it takes a list of objects with "name" and "arguments"'),
        ({"tool_calls": {"name": "f"}}, 'it takes a list of objects with "name" and "arguments"'),
        ({"tool_calls": [{"arguments": {}}]}, r"tool_calls\[0\].name is None; it takes the name of a function"),
        ({"tool_calls": [{"name": "f"}, {"name": 5}]}, r"tool_calls\[1\].name is 5; it takes the name of a function"),
        (
            {"tool_calls": [{"name": "f", "args": {}}]},
            r"tool_calls\[0\] has an unknown key 'args'; did you mean 'arguments'\? valid: arguments, name",
        ),
        ({"tool_calls": [{"name": "f", "arguments": {"a": math.nan}}]}, "it takes what JSON can express"),
        ({"json": {1, 2}}, "it takes what JSON can express"),
        ({"json": [math.inf]}, "it takes what JSON can express"),
        ({"json": {"a": "\ud800"}}, "it takes what JSON can express"),
        ({"text": "\ud800"}, "it takes a text that UTF-8 can carry, and this one holds half of a surrogate pair"),
    ],
)
def test_a_reply_that_could_not_be_sent_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reply(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": 5}, "model is 5; it takes a text: put it in quotes"),
        ({"stream": "yes"}, "stream is 'yes'; it takes true or false"),
        ({"header": {"x": 5}}, "header is {'x': 5}; it takes a mapping of names to texts"),
        ({"body": {"user": math.nan}}, "it takes a mapping of paths to values"),
        ({"header": {"Authorization": "Bearer x"}}, "header names 'Authorization', .* a credential; use `key`"),
        ({"header": {"api-key": "x"}}, "header names 'api-key', .* a credential; use `key`"),
        ({"header": {"cookie": "x"}}, "header names 'cookie', .* a credential; leave it out"),
    ],
)
def test_a_condition_that_could_not_be_met_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reply("x").match(**wrong)


def test_a_refusal_names_its_option_and_pickles() -> None:
    with pytest.raises(BadOption) as caught:
        reply(tool_calls=[{"name": ""}])
    assert caught.value.option == "tool_calls"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_long_values_are_shortened_in_messages() -> None:
    with pytest.raises(BadOption) as caught:
        reply(embedding=["x" * 10_000])  # type: ignore[list-item]
    assert len(str(caught.value)) < 300


def test_null_can_be_the_whole_body(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply(json=None), *from_yaml("steps: [{reply: {json: null}}]", source="s.yaml").steps)
    assert [step.spec() for step in mockserver.script_left] == [{"reply": {"json": None}}] * 2
    assert [http.post(CHAT, json=chat()).json() for _ in range(2)] == [None, None]


def test_what_a_step_says_is_out_of_reach_of_its_maker(mockserver: MockServer, http: httpx.Client) -> None:
    body = {"choices": ["as scripted"]}
    mockserver.script(reply(json=body))
    body["choices"].append("afterwards")
    assert http.post(CHAT, json=chat()).json() == {"choices": ["as scripted"]}


STEPS: list[Step] = [
    fault.rate_limited(retry_after_s=1).times(2),
    fault.cut(at={"frame": 5}, how="eof").match(stream=True, model="gpt-*"),
    reply("Hello"),
    reply(tool_calls=[{"name": "f", "arguments": {"a": 1}}]).match(body={"messages[0].role": "user"}),
    reply(json={"a": None}, delay_s=0.5).match(header={"x-test": "1"}, path="/v1/*").times("forever"),
]


def test_steps_survive_the_way_through_json() -> None:
    specs = [step.spec() for step in STEPS]
    assert [step.spec() for step in from_data({"steps": specs}, source="test").steps] == specs


def test_yaml_says_the_same_as_python(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(
        """
steps:
  - fault: rate_limited
    retry_after_s: 1
    times: 2
  - fault: cut
    at: {frame: 5}
    how: eof
    match: {stream: true, model: gpt-*}
  - reply: Hello
  - reply:
      tool_calls: [{name: f, arguments: {a: 1}}]
    match:
      body: {"messages[0].role": user}
  - reply:
      json: {a: null}
    delay_s: 0.5
    match: {header: {x-test: "1"}, path: /v1/*}
    times: forever
"""
    )
    assert list(script(file).steps) == STEPS


def test_a_server_takes_a_file(tmp_path: Path, serve: Serve) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("steps: [{reply: from the file}]")
    server = serve(script=str(file))
    with httpx.Client(base_url=server.url, headers={"authorization": "Bearer any"}) as http:
        assert said(http, messages=user()) == "from the file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps:\n- fault: rate_limitd", "s.yaml:2: unknown fault 'rate_limitd'; did you mean 'rate_limited'? valid: "),
        ("steps:\n- reply: hi\n  tims: 2", "s.yaml:3: unknown key 'tims'; did you mean 'times'? valid: chunk_delay_s"),
        (
            "steps:\n- fault: hang\n  second: 2",
            "s.yaml:3: unknown key 'second'; did you mean 'seconds'? valid: match",
        ),
        ("steps:\n- fault: server_error\n  status: 200", "s.yaml:3: status is 200; it takes a whole number from 500"),
        (
            "steps:\n- reply: hi\n  times: 0",
            "s.yaml:3: times is 0; it takes a whole number from 1 to 1000000 or 'forever'",
        ),
        ("steps:\n- reply: hi\n  match: [1]", "s.yaml:3: match is [1]; it takes a mapping of surface, path"),
        ("steps:\n- reply: hi\n  match:\n    modle: x", "s.yaml:4: unknown condition 'modle'; did you mean 'model'?"),
        ("steps:\n- reply: hi\n  match:\n    stream: maybe", "s.yaml:4: stream is 'maybe'; it takes true or false"),
        ("steps:\n- reply: hi\n  match: {header: x}", "s.yaml:3: header is 'x'; it takes a mapping of names to texts"),
        ("steps:\n- reply: {text: 1}", "s.yaml:2: text is 1; it takes a text: put it in quotes"),
        ("steps:\n- reply: 5", "s.yaml:2: text is 5; it takes a text: put it in quotes"),
        ("steps:\n- reply: 2026-11-20", "s.yaml:2: text is datetime.date(2026, 11, 20); it takes a text: put it"),
        ("steps:\n- reply: hi\n  text: ho", "s.yaml:2: text is given twice; leave one of them out"),
        ("steps:\n- reply:\n    json: 1\n    tool_calls: 5", "s.yaml:4: tool_calls is 5; it takes a list of objects"),
        ("steps:\n- reply:\n    tool_calls: [f]", "s.yaml:3: tool_calls is ['f']; it takes a list of objects"),
        ("steps:\n- reply: {tool_calls: {name: x}}", "s.yaml:2: tool_calls is {'name': 'x'}; it takes a list"),
        ("steps:\n- reply: {embedding: 5}", "s.yaml:2: embedding is 5; it takes a list of numbers"),
        ("steps:\n- fault: hang\n  seconds: .nan", "s.yaml:3: seconds is nan; it takes seconds from 0 to 86400"),
        ("steps:\n- reply: a\n  times: 2\n  reply: b", "s.yaml:4: the key 'reply' is there twice; leave one of them"),
        ("steps:\n- reply: {text: a,\n  text: b}", "s.yaml:3: the key 'text' is there twice"),
        ("steps: &a [*a]", "s.yaml:1: a step is a mapping with `reply:` or `fault:` or both, not [[...]]"),
        ("steps:\n- reply:\n    txt: hi", "s.yaml:3: unknown key 'txt'; did you mean 'text'?"),
        ("steps:\n- fault: refused\n  status: 403", "s.yaml:2: refused needs `message:`"),
        ("steps:\n- {}", "s.yaml:2: a step is a mapping with `reply:` or `fault:` or both, not {}"),
        ("steps:\n- reply: x\n  fault: cut\n  hw: eof", "s.yaml:4: unknown key 'hw'; "),
        ("steps:\n- faults: [{fault: cut}, {fault: cutt}]", "s.yaml:2: unknown fault 'cutt'; did you mean 'cut'?"),
        ("steps:\n- faults:\n  - fault: cut\n    at: end", "s.yaml:4: at is 'end'; it takes"),
        (
            "steps:\n- times: 2\n  faults: []",
            "s.yaml:3: the step does nothing: `faults` is empty, and there is no `reply",
        ),
        ("steps:\n- faults: cut", "s.yaml:2: faults is 'cut'; it takes a list"),
        ("steps:\n- faults: [cut]", "s.yaml:2: an entry of `faults` is a mapping with `fault:`, not 'cut'"),
        ("steps:\n- fault: cut\n  at: {frame: .inf}", "s.yaml:3: at is {'frame': inf}; it takes"),
        ("steps:\n- fault: latency\n  delay_s: {low: 1}", "s.yaml:3: delay_s is {'low': 1}; it takes seconds"),
        ("steps:\n- fault: latency", "s.yaml:2: latency needs `delay_s:`"),
        ("steps:\n- fault: hang\n  probability: 2", "s.yaml:3: probability is 2; it takes a number from 0 to 1"),
        ("steps:\n- fault: hang\n  then: 2", "s.yaml:3: then is 2; it takes a text: put it in quotes"),
        ("steps: []\nseed: x", "s.yaml:2: seed is 'x'; it takes a whole number"),
        ("steps: 5", "s.yaml:1: steps is 5; it takes a list"),
        ("step: []", "s.yaml:1: unknown key 'step'; did you mean 'steps'? valid: seed, steps"),
        ("5", "s.yaml:1: a script is a mapping with `steps:`, not 5"),
        ("", "s.yaml: a script is a mapping with `steps:`, not None"),
        ("a: [", "s.yaml: this is not YAML:"),
    ],
)
def test_yaml_errors_name_the_line_and_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        from_yaml(text, source="s.yaml")
    assert str(caught.value).startswith(message)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="cannot read the script"):
        script(tmp_path / "none.yaml")
