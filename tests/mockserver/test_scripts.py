"""Scripts: order, repetition, conditions, and their YAML."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import MockServer, ScriptError, fault, reply, script
from mockserver.scripts import Script, from_data, from_yaml
from mockserver.steps import Step
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
    mockserver.script(reply("for mini").when(model="gpt-4o-mini"), reply("for all"))
    assert said(http) == "for all"
    assert said(http, model="gpt-4o-mini") == "for mini"
    assert mockserver.journal[0].misses == ("step 1 (reply): model is 'gpt-4o', not 'gpt-4o-mini'",)
    assert mockserver.journal[1].misses == ()


def test_a_text_waits_for_a_chat_request(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("hello"))
    http.post(EMBEDDINGS, json={"model": "text-embedding-3-small", "input": "x"})
    assert said(http) == "hello"
    assert "a reply with text fits chat only" in mockserver.journal[0].misses[0]


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


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "twice", None])
def test_times_takes_a_number_or_forever(count: Any) -> None:
    with pytest.raises(ValueError, match="it takes a whole number from 1 on, or 'forever'"):
        reply("x").times(count)


def test_what_is_no_step_is_refused(mockserver: MockServer) -> None:
    with pytest.raises(TypeError, match=r"'hello' is no step; make steps with reply\(…\)"):
        mockserver.script("hello")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"text": 5}, "text is 5; it takes a text"),
        ({"finish_reason": "tired"}, "finish_reason is 'tired'; it takes one of stop, length"),
        ({"delay_s": -1}, "delay_s is -1; it takes seconds from 0 on"),
        ({"embedding": ["x"]}, "it takes a list of numbers"),
        ({"tool_calls": [{"arguments": {}}]}, 'it takes objects with "name" and "arguments"'),
        ({"json": {1, 2}}, "it takes what JSON can express"),
    ],
)
def test_a_reply_that_could_not_be_sent_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reply(**wrong)


STEPS: list[Step] = [
    fault.rate_limited(retry_after_s=1).times(2),
    fault.cut_stream(after_frames=5, how="eof").when(stream=True, model="gpt-*"),
    reply("Hello"),
    reply(tool_calls=[{"name": "f", "arguments": {"a": 1}}]).when(body={"messages[0].role": "user"}),
    reply(json={"a": None}, delay_s=0.5).when(header={"x-test": "1"}, path="/v1/*").times("forever"),
]


def test_steps_survive_the_way_through_json() -> None:
    specs = [step.spec() for step in STEPS]
    assert [step.spec() for step in from_data({"steps": specs}, source="test")] == specs


def test_yaml_says_the_same_as_python(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(
        """
steps:
  - fault: rate_limited
    retry_after_s: 1
    times: 2
  - fault: cut_stream
    after_frames: 5
    how: eof
    when: {stream: true, model: gpt-*}
  - reply: Hello
  - reply:
      tool_calls: [{name: f, arguments: {a: 1}}]
    when:
      body: {"messages[0].role": user}
  - reply:
      json: {a: null}
    delay_s: 0.5
    when: {header: {x-test: "1"}, path: /v1/*}
    times: forever
"""
    )
    assert [step.spec() for step in script(file)] == [step.spec() for step in STEPS]


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
        ("steps:\n- reply: hi\n  tims: 2", "s.yaml:3: unknown key 'tims'; valid: chunk_delay_s"),
        (
            "steps:\n- fault: hang\n  second: 2",
            "s.yaml:3: unknown key 'second'; did you mean 'seconds'? valid: seconds",
        ),
        ("steps:\n- fault: server_error\n  status: 200", "s.yaml:3: status is 200; it takes a whole number from 500"),
        ("steps:\n- reply: hi\n  times: 0", "s.yaml:3: times is 0; it takes a whole number from 1 on, or 'forever'"),
        ("steps:\n- reply: hi\n  when: [1]", "s.yaml:3: when is [1]; it takes a mapping of surface, path"),
        ("steps:\n- reply: hi\n  when:\n    modle: x", "s.yaml:4: unknown key 'modle'; did you mean 'model'?"),
        ("steps:\n- reply: hi\n  when:\n    stream: maybe", "s.yaml:4: stream is 'maybe'; it takes true or false"),
        ("steps:\n- reply: hi\n  when: {header: x}", "s.yaml:3: header is 'x'; it takes a mapping of names to texts"),
        ("steps:\n- reply: {text: 1}", "s.yaml:2: text is 1; it takes a text"),
        ("steps:\n- reply: {tool_calls: 5}", "s.yaml:2: "),
        ("steps:\n- reply:\n    txt: hi", "s.yaml:3: unknown key 'txt'; did you mean 'text'?"),
        ("steps:\n- fault: refused\n  status: 403", "s.yaml:2: refused needs `message:`"),
        ("steps:\n- {}", "s.yaml:2: a step is a mapping with either `fault:` or `reply:`, not {}"),
        ("steps:\n- fault: hang\n  reply: x", "s.yaml:2: a step is a mapping with either"),
        ("steps: 5", "s.yaml:1: steps is 5; it takes a list"),
        ("step: []", "s.yaml:1: unknown key 'step'; did you mean 'steps'? valid: steps"),
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
