"""The verdict: good clients are left in peace, bad ones are caught, and the words say how sure that is."""

import itertools
import pickle
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import MockServer, fault, reply
from mockserver.surfaces import Spent
from mockserver.truth.admin import verdict_as_json
from mockserver.truth.exchange import Exchange
from mockserver.truth.findings import Measure
from mockserver.truth.rules import RULES
from mockserver.truth.rules.retries import hurry
from mockserver.truth.verdict import Verdict, VerdictError, exit_code, judge
from tests.mockserver.asking import CHAT, EMBEDDINGS, chat, user
from tests.mockserver.conftest import KEY

LOST_CONNECTION = (httpx.RemoteProtocolError, httpx.ReadError)


@pytest.fixture
def sdk(mockserver: MockServer) -> Iterator[openai.OpenAI]:
    """The official SDK as it is out of the box: two retries."""
    with openai.OpenAI(base_url=mockserver.openai_url, api_key=KEY, max_retries=2, timeout=10) as made:
        yield made


def ask(client: openai.OpenAI, text: str = "otters", **options: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=user(text), **options)


def rules(verdict: Verdict) -> dict[str, str]:
    """What was found, and how sure it is."""
    return {finding.rule: finding.severity for finding in verdict.findings}


def whole(**facts: Any) -> Exchange:
    """A stream that the client has got whole."""
    common: dict[str, Any] = {"call": 1, "method": "POST", "surface": "chat", "status": 200, "fingerprint": "same"}
    common |= {"spent": Spent(prompt=9, completion=9), "ended_at": 1.0, "frames": 9, "ending": "whole"}
    return Exchange(**common | {"delivered": True, "complete": True, "soundness": "whole"} | facts)


def left(**facts: Any) -> Exchange:
    """One on which the client has hung up."""
    facts = {"client_left": True, "delivered": False, "complete": False, "soundness": "truncated"} | facts
    return whole(**facts)


# the official SDK does what it should


def test_the_sdk_waits_as_it_is_told_and_is_found_innocent(mockserver: MockServer, sdk: openai.OpenAI) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=30), fault.rate_limited(retry_after_s=0.25), reply("at last"))
    with mockserver.clock.drives() as waits:
        assert ask(sdk).choices[0].message.content == "at last"
    assert waits == [30, 0.25]
    verdict = mockserver.verdict().check()
    assert (verdict.exchanges, verdict.calls) == (3, 1)
    assert verdict


@pytest.mark.parametrize("step", [fault.server_error(), fault.server_error(status=503), fault.reset()])
def test_the_sdk_may_retry_what_may_pass(mockserver: MockServer, sdk: openai.OpenAI, step: Any) -> None:
    mockserver.script(step.times(2))
    with mockserver.clock.drives():
        ask(sdk)
        ask(sdk, "kelp")
    mockserver.verdict().check()


def test_asking_again_after_a_cut_stream_is_right_and_noted_as_paid_twice(
    mockserver: MockServer, sdk: openai.OpenAI
) -> None:
    mockserver.script(fault.cut(at={"frame": 4}))
    for _ in range(2):
        with suppress(openai.APIConnectionError, httpx2.TransportError):
            list(ask(sdk, stream=True))
    verdict = mockserver.verdict().check()
    assert [(note.rule, note.exchanges) for note in verdict.notes] == [("billed_twice", (1, 2))]
    assert rules(mockserver.verdict(forgive_cuts=False)) == {"billed_twice": "certain"}


def test_refused_for_good_and_given_up_is_right(mockserver: MockServer, sdk: openai.OpenAI) -> None:
    mockserver.script(fault.insufficient_quota())
    with pytest.raises(openai.RateLimitError), mockserver.clock.drives():
        ask(sdk.with_options(max_retries=0))
    with pytest.raises(openai.BadRequestError):
        ask(sdk, "kelp", temperature=9)
    mockserver.verdict().check()


def test_who_is_told_to_come_back_tomorrow_may_give_up(mockserver: MockServer, http: httpx.Client) -> None:
    azure = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    mockserver.script(fault.insufficient_quota())
    refused = http.post(mockserver.url + azure, headers={"api-key": KEY}, json=chat(messages=user("otters")))
    assert refused.headers["retry-after"] == "86400"
    mockserver.verdict().check()


def test_many_calls_at_once_through_failures_are_right(mockserver: MockServer) -> None:
    mockserver.script(*[fault.server_error() if number % 2 else fault.rate_limited() for number in range(30)])
    with (
        openai.OpenAI(base_url=mockserver.openai_url, api_key=KEY, max_retries=10) as client,
        mockserver.clock.drives(),
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda number: ask(client, f"row {number}"), range(40)))
    mockserver.verdict(rows=[f"row {number}" for number in range(40)]).check()


def test_the_same_asked_in_parallel_by_the_sdk_is_told_apart(mockserver: MockServer, sdk: openai.OpenAI) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=0.2, times=2), fault.rate_limited(retry_after_s=0.05, times=2))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ask(sdk), range(6)))
    verdict = mockserver.verdict().check()
    assert verdict.calls == 6


def test_who_leaves_a_stream_that_is_in_order_has_no_use_for_it() -> None:
    judge([left(number=1), whole(number=2, call=2, fingerprint="another")]).check()


def test_asking_another_deployment_is_no_loss(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.server_error())
    http.post(CHAT, json=chat())
    http.post(CHAT, json=chat(model="gpt-4o-mini"))
    mockserver.verdict().check()


def test_asking_for_no_stream_after_a_cut_one_is_no_loss(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.cut(at="finish", how="eof"))
    http.post(CHAT, json=chat(stream=True))
    http.post(CHAT, json=chat())
    mockserver.verdict().check()


# bad clients are caught


def test_who_does_not_wait_as_told(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=5, times=2))
    mockserver.clock.stop()
    for wait in (4.9, 5, 0):
        http.post(CHAT, json=chat())
        mockserver.clock.advance(wait)
    (finding,) = mockserver.verdict().findings
    assert (finding.rule, finding.severity, finding.exchanges, finding.call) == (
        "retry_after_ignored",
        "likely",
        (1, 2),
        1,
    )
    assert "asked again after 4.90 s, though told to wait 5.00 s" in finding.message
    mockserver.verdict(tolerance_s=0.2).check()


def rows_through_a_wait(server: MockServer, http: httpx.Client, *, count: int, every_s: float) -> None:
    """Another row every so many seconds, whatever the answer."""
    server.clock.stop()
    for number in range(count):
        http.post(CHAT, json=chat(messages=user(f"row {number}"), n=1 + number % 2))
        server.clock.advance(every_s)


def test_who_sends_row_after_row_into_a_wait(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=30, times=30))
    rows_through_a_wait(mockserver, http, count=30, every_s=0.2)
    (finding,) = mockserver.verdict(allow_giving_up=True).findings
    assert (finding.rule, finding.severity) == ("retry_after_ignored", "likely")
    assert finding.exchanges == tuple(range(3, 31))  # the first half second may have been under way already
    assert "27 new calls to gpt-4o began within a wait of 30 s that a 429 with their key had told" in finding.message
    assert mockserver.verdict(allow_giving_up=True, ignore="retry_after_ignored")


@pytest.mark.parametrize(
    ("step", "every_s", "notes"),
    [
        (fault.rate_limited(retry_after_s=30), 0.2, 1),  # the others were served
        (fault.rate_limited(retry_after_s=30, match={"body": {"n": 1}}, times=30), 0.2, 1),  # so was every second
        (fault.rate_limited(retry_after_s=0.3, times=30), 0.31, 0),  # the wait is over each time
        (fault.rate_limited(retry_after_s=30, times=30), 0.02, 1),  # all were under way within half a second
        (fault.rate_limited(retry_after_s=30, times=30), 0.0001, 0),  # all were sent before the first answer was read
        (fault.server_error(times=30), 0.2, 0),
    ],
)
def test_other_calls_in_a_wait_are_at_most_noted(
    mockserver: MockServer, http: httpx.Client, step: Any, every_s: float, notes: int
) -> None:
    mockserver.script(step)
    rows_through_a_wait(mockserver, http, count=20, every_s=every_s)
    verdict = mockserver.verdict(allow_giving_up=True, ignore="storm").check()
    assert len([note for note in verdict.notes if note.rule == "retry_after_ignored"]) == notes


@pytest.mark.parametrize(("code", "notes"), [("rate_limit_exceeded", 1), ("insufficient_quota", 0)])
def test_a_wait_told_with_spent_money_is_none(code: str, notes: int) -> None:
    facts: dict[str, Any] = {"status": 429, "complete": False, "response_headers": {"Retry-After": "86400"}}
    facts["pieces"] = (f'{{"error": {{"code": "{code}"}}}}'.encode(),)
    journal = [whole(number=n, call=n, started_at=n, answered_at=n, fingerprint=str(n), **facts) for n in range(1, 9)]
    assert len(judge(journal, allow_giving_up=True, ignore="billed_twice").notes) == notes


def test_other_keys_and_models_need_not_wait(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=30, times=12))
    mockserver.clock.stop()
    for number in range(12):
        model = ("gpt-4o", "gpt-4o-mini", "gpt-4.1")[number % 3]
        headers = {"authorization": f"Bearer other-{number % 2}"}
        http.post(CHAT, json=chat(model=model, messages=user(f"row {number}")), headers=headers)
        mockserver.clock.advance(1)
    assert mockserver.verdict(allow_giving_up=True).check().notes == ()


def test_a_call_that_waits_out_each_refusal_leaves_others_alone(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=2, times=8))
    mockserver.clock.stop()
    for _ in range(2):
        for number in range(8):
            http.post(CHAT, json=chat(messages=user(f"row {number}")))
        mockserver.clock.advance(2)
    assert mockserver.verdict().check().notes == ()


def test_it_is_certain_where_the_client_counts_its_retries(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=5))
    for count in range(2):
        http.post(CHAT, json=chat(), headers={"x-stainless-retry-count": str(count)})
    assert rules(mockserver.verdict()) == {"retry_after_ignored": "certain"}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fault.refused(status=400, message="no"), "2 times after a 400"),
        (fault.refused(status=404, message="no", code="model_not_found"), "404 model_not_found"),
        (fault.insufficient_quota(), "429 insufficient_quota"),
    ],
)
def test_who_retries_what_is_refused_for_good(
    mockserver: MockServer, http: httpx.Client, step: Any, message: str
) -> None:
    mockserver.script(step.times(3))
    for _ in range(3):
        http.post(CHAT, json=chat())
    verdict = mockserver.verdict()
    assert rules(verdict) == {"non_retryable_retried": "likely"}
    assert message in verdict.findings[0].message


def test_who_storms(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.server_error(times=15))
    for _ in range(16):
        http.post(CHAT, json=chat())
    verdict = mockserver.verdict()
    assert rules(verdict) == {"storm": "certain"}
    assert "16 attempts for one call, more than 10" in verdict.findings[0].message
    assert "no pause" in mockserver.verdict(max_attempts=20).findings[0].message


def test_whose_pauses_do_not_grow(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.server_error(times=5))
    mockserver.clock.stop()
    for _ in range(6):
        http.post(CHAT, json=chat())
        mockserver.clock.advance(0.5)
    verdict = mockserver.verdict()
    assert rules(verdict) == {"storm": "likely"}
    assert "pauses that do not grow: 0.50 s" in verdict.findings[0].message


def test_who_comes_back_in_a_herd(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.server_error(times=30))
    mockserver.clock.stop()
    for _ in range(2):
        for number in range(30):
            http.post(CHAT, json=chat(messages=user(f"row {number}")))
        mockserver.clock.advance(2)
    (finding,) = mockserver.verdict().findings
    assert (finding.rule, finding.severity, len(finding.exchanges)) == ("storm", "likely", 30)
    assert "30 calls came back at once" in finding.message


def test_the_sdk_itself_takes_a_stream_that_ends_early_for_whole(mockserver: MockServer, sdk: openai.OpenAI) -> None:
    mockserver.script(fault.cut(at={"frame": 8}, how="eof"))
    piece = "".join(chunk.choices[0].delta.content or "" for chunk in ask(sdk, stream=True))
    verdict = mockserver.verdict(allow_giving_up=True)
    assert rules(verdict) == {"truncated_taken_for_whole": "likely"}
    assert "cannot be seen" in verdict.findings[0].message
    messages: Any = [*user("otters"), {"role": "assistant", "content": piece}, *user("and then?")]
    sdk.chat.completions.create(model="gpt-4o", messages=messages)
    (finding,) = mockserver.verdict().findings
    assert (finding.severity, finding.exchanges) == ("certain", (1, 2))
    assert "request 2 quotes it" in finding.message


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_who_swallows_a_broken_connection(mockserver: MockServer, http: httpx.Client, how: Any) -> None:
    mockserver.script(fault.cut(at={"frame": 8}, how=how))
    with suppress(*LOST_CONNECTION):
        http.post(CHAT, json=chat(stream=True))
    http.post(CHAT, json=chat(messages=user("the next row")))
    verdict = mockserver.verdict()
    assert rules(verdict) == {"truncated_taken_for_whole": "likely"}
    assert "though 1 other request followed" in verdict.findings[0].message
    mockserver.verdict(allow_giving_up=True).check()


@pytest.mark.parametrize(
    ("step", "end"),
    [
        (fault.server_error(status=503), "the last with a 503"),
        (fault.rate_limited(), "the last with a 429"),
        (fault.reset(), "the last with a reset"),
    ],
)
def test_who_loses_a_row(mockserver: MockServer, http: httpx.Client, step: Any, end: str) -> None:
    mockserver.script(step)
    for number in range(3):
        with suppress(*LOST_CONNECTION):
            http.post(CHAT, json=chat(messages=user(f"row {number}")))
    (finding,) = mockserver.verdict().findings
    assert (finding.rule, finding.severity, finding.exchanges) == ("row_lost", "likely", (1,))
    assert end in finding.message
    mockserver.verdict(allow_giving_up=True).check()


@pytest.mark.parametrize(
    "step",
    [
        fault.html(),
        fault.empty_body(),
        fault.invalid_utf8(),
        fault.corrupt_gzip(),
        fault.error_event(),
        fault.bad_frame(),
    ],
    ids=lambda step: step.label,
)
def test_what_no_client_can_take_for_an_answer_is_a_lost_row(
    mockserver: MockServer, http: httpx.Client, step: Any
) -> None:
    mockserver.script(step)
    with suppress(httpx.DecodingError):
        http.post(CHAT, json=chat(stream=step.label in ("error_event", "bad_frame")))
    assert rules(mockserver.verdict()) == {"row_lost": "likely"}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "step",
    [fault.html(), fault.missing_field(field="choices"), fault.null_field(field="choices")],
    ids=lambda step: step.label,
)
def test_an_answer_that_has_nothing_of_what_was_made_is_a_lost_row(
    mockserver: MockServer, http: httpx.Client, step: Any, stream: bool
) -> None:
    mockserver.script(step)
    http.post(CHAT, json=chat(stream=stream))
    assert mockserver.journal[0].soundness == "broken"
    assert rules(mockserver.verdict()) == {"row_lost": "likely"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (EMBEDDINGS, {"model": "text-embedding-3-small", "input": "otters"}, "data"),
        ("/v1/responses", {"model": "gpt-4o", "input": "otters"}, "output"),
        ("/v1/moderations", {"input": "otters"}, "results"),
    ],
)
def test_every_surface_has_a_field_without_which_nothing_is_answered(
    mockserver: MockServer, http: httpx.Client, path: str, body: Any, field: str
) -> None:
    mockserver.script(fault.missing_field(field=field), fault.missing_field(field="model"))
    for _ in range(2):
        http.post(path, json=body)
    assert [each.soundness for each in mockserver.journal] == ["broken", "whole"]


@pytest.mark.parametrize("body", [{"choices": ["odd"]}, None])
def test_a_body_that_the_script_has_chosen_is_judged_by_itself(
    mockserver: MockServer, http: httpx.Client, body: Any
) -> None:
    mockserver.script(reply(json=body), reply(json=body))
    for stream in (False, True):
        http.post(CHAT, json=chat(stream=stream))
    assert [each.complete for each in mockserver.journal] == [body is not None] * 2


@pytest.mark.parametrize("step", [fault.crlf(), fault.comments(), fault.drip(interval_s=0)])
def test_streams_that_come_in_an_odd_way_are_whole(mockserver: MockServer, http: httpx.Client, step: Any) -> None:
    mockserver.script(step)
    http.post(CHAT, json=chat(stream=True))
    assert mockserver.verdict().check().notes == ()


@pytest.mark.parametrize("step", [fault.duplicate(), fault.drop(), fault.reorder()], ids=lambda step: step.label)
@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, chat(stream=True)), ("/v1/responses", {"model": "gpt-4o", "input": "x", "stream": True})]
)
def test_a_stream_that_is_not_what_was_generated_is_noted(
    mockserver: MockServer, http: httpx.Client, step: Any, path: str, body: Any
) -> None:
    mockserver.script(step)
    http.post(path, json=body)
    (note,) = mockserver.verdict(rows=1).check().notes
    assert f"it is not what was generated ({step.label})" in note.message
    http.post(path, json={**body, "user": "another"})
    assert len(mockserver.verdict().notes) == 1


@pytest.mark.parametrize(
    "step",
    [fault.no_done(), fault.cut(at="done", how="eof"), fault.cut(at="usage", how="eof")],
    ids=["no_done", "done", "usage"],
)
def test_who_has_every_word_and_the_finish_reason_has_lost_nothing(
    mockserver: MockServer, http: httpx.Client, step: Any
) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    mockserver.script(step)
    http.post(CHAT, json=body)
    verdict = mockserver.verdict(rows=1).check()
    assert [(note.rule, note.exchanges) for note in verdict.notes] == [("truncated_taken_for_whole", (1,))]
    assert "without its [DONE]" in verdict.notes[0].message
    http.post(CHAT, json=body)  # to ask again is no fault either
    mockserver.verdict(rows=1).check()


def test_without_the_finish_reason_of_every_choice_a_stream_is_a_piece(
    mockserver: MockServer, http: httpx.Client
) -> None:
    mockserver.script(fault.cut(at="finish", how="eof"))
    http.post(CHAT, json=chat(stream=True, n=2))
    assert rules(mockserver.verdict()) == {"truncated_taken_for_whole": "likely"}
    assert "1 row was to be answered, and 0 were" in str(mockserver.verdict(rows=1))


def test_who_hangs_up_on_silence_and_never_comes_back_loses_a_row(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.hang())
    with pytest.raises(httpx.ReadTimeout):
        http.post(CHAT, json=chat(), timeout=0.1)
    (finding,) = mockserver.verdict().findings
    assert (finding.rule, "the client hanging up" in finding.message) == ("row_lost", True)


def test_rows_that_were_never_asked_are_lost_for_certain(mockserver: MockServer, http: httpx.Client) -> None:
    for number in (1, 10, 10):
        http.post(EMBEDDINGS, json={"model": "text-embedding-3-small", "input": f"row {number}: otters"})
    verdict = mockserver.verdict(rows=["row 1", "row 2", "row 10"])
    assert sorted((each.rule, each.severity, each.exchanges) for each in verdict.findings) == [
        ("row_duplicated", "certain", (2, 3)),
        ("row_lost", "certain", ()),
    ]
    mockserver.verdict(rows=["row 1", "row 10", "row 10"]).check()
    assert rules(mockserver.verdict(rows=4)) == {"row_lost": "certain", "row_duplicated": "likely"}
    assert rules(mockserver.verdict(rows=2)) == {"row_duplicated": "certain"}
    mockserver.verdict(rows=3).check()


def test_who_asks_again_for_what_it_has(mockserver: MockServer, http: httpx.Client) -> None:
    for number in (1, 2, 3, 2):
        http.post(CHAT, json=chat(messages=user(f"row {number}")))
    (finding,) = mockserver.verdict().findings
    assert (finding.rule, finding.severity, finding.exchanges) == ("row_duplicated", "likely", (2, 4))
    mockserver.verdict(expect_repeats=True).check()


def test_a_retry_of_a_whole_answer_is_a_duplicate_for_certain(mockserver: MockServer, http: httpx.Client) -> None:
    for count in range(2):
        http.post(CHAT, json=chat(), headers={"x-stainless-retry-count": str(count)})
    http.post(CHAT, json=chat(messages=user("kelp")), headers={"idempotency-key": "k"})
    http.post(CHAT, json=chat(messages=user("kelp")), headers={"idempotency-key": "k"})
    found = [(each.rule, each.severity, each.exchanges) for each in mockserver.verdict(expect_repeats=True).findings]
    assert found == [("row_duplicated", "certain", (1, 2)), ("row_duplicated", "certain", (3, 4))]


def test_repeats_that_are_meant_are_none(mockserver: MockServer, http: httpx.Client, sdk: openai.OpenAI) -> None:
    for _ in range(3):
        ask(sdk)
    for number in range(3):
        http.post(CHAT, json=chat(messages=user("kelp")), headers={"idempotency-key": f"k{number}"})
    mockserver.verdict().check()


def test_a_few_repeats_among_many_rows_are_a_mistake_though_the_sdk_makes_them(
    mockserver: MockServer, sdk: openai.OpenAI
) -> None:
    for number in (1, 2, 3, 4, 3):
        ask(sdk, f"row {number}")
    (finding,) = mockserver.verdict().findings
    assert (finding.rule, finding.severity, finding.exchanges) == ("row_duplicated", "likely", (3, 5))


def test_who_hangs_up_on_a_healthy_answer_and_asks_again_pays_twice() -> None:
    assert rules(judge([left(number=1), whole(number=2)])) == {"billed_twice": "certain"}
    verdict = judge([left(number=1, fault="stall"), whole(number=2)]).check()
    [note] = verdict.notes
    assert (note.rule, note.message[-46:]) == ("billed_twice", "as the client left before the answer was whole")


# how it is told


def test_a_failed_check_shows_a_table_with_what_to_do(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=60))
    for _ in range(2):
        http.post(CHAT, json=chat())
    verdict = mockserver.verdict()
    with pytest.raises(AssertionError) as caught:
        verdict.check()
    lines = str(caught.value).splitlines()
    assert lines[0] == "verdict: 1 finding in 2 requests in 1 call"
    assert lines[1].split()[:2] == ["retry_after_ignored", "likely"]
    assert lines[1].endswith("(exchanges 1, 2)")
    assert lines[2] == "  retry_after_ignored: wait as long as the answer says before the next attempt"
    assert (exit_code(verdict), exit_code(mockserver.verdict(ignore="retry_after_ignored"))) == (1, 0)
    restored = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(restored, VerdictError)
    assert restored.verdict == verdict


def test_it_is_json_with_options_from_a_query(mockserver: MockServer, http: httpx.Client) -> None:
    for _ in range(2):
        http.post(CHAT, json=chat())
    journal: Any = mockserver.journal
    shown = verdict_as_json(journal)
    assert (shown["ok"], shown["findings"][0]["rule"], shown["findings"][0]["exchanges"]) == (
        False,
        "row_duplicated",
        [1, 2],
    )
    assert verdict_as_json(journal, {"expect_repeats": "true"})["ok"]
    assert verdict_as_json(journal, {"rows": "2"})["ok"]
    assert verdict_as_json(journal, {"rows": "sea otters,kelp"})["findings"]
    for query, message in (
        ({"row": "1"}, "there is no parameter 'row'"),
        ({"max_attempts": "many"}, "max_attempts is 'many'"),
        ({"tolerance_s": "nan"}, "tolerance_s is 'nan'"),
        ({"expect_repeats": "perhaps"}, "expect_repeats is 'perhaps'"),
        ({"ignore": "storms"}, "there is no rule 'storms' to ignore; there is retry_after_ignored"),
    ):
        with pytest.raises(ValueError, match=message):
            verdict_as_json(journal, query)


def test_options_that_there_are_not_are_named() -> None:
    with pytest.raises(TypeError, match="a verdict has no option 'row'; it has tolerance_s"):
        judge([], row=3)


def test_a_stream_whose_length_is_a_lie_is_still_read_as_a_stream(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.duplicate() & fault.wrong_content_length(delta=5))
    with suppress(*LOST_CONNECTION):
        http.post(CHAT, json=chat(stream=True))
    assert mockserver.journal[0].soundness == "whole"


def test_every_rule_says_what_it_is_and_what_to_do() -> None:
    assert list(RULES) == [
        "retry_after_ignored",
        "non_retryable_retried",
        "storm",
        "truncated_taken_for_whole",
        "row_lost",
        "row_duplicated",
        "billed_twice",
    ]
    assert all(rule.description and rule.advice for rule in RULES.values())


@given(st.integers(0, 10_000), st.integers(3, 9), st.booleans())
def test_no_client_that_backs_off_exponentially_storms(seed: int, attempts: int, is_full: bool) -> None:
    """As the official SDKs do (a quarter of jitter), and as those do that double without any."""
    dice = random.Random(seed)
    ceilings = [min(0.5 * 2**number, 8.0) for number in range(attempts)]
    pauses = [ceiling * (1 if is_full else 1 - 0.25 * dice.random()) for ceiling in ceilings]
    assert not hurry(pauses, Measure())


@given(st.lists(st.integers(0, 3), max_size=25), st.integers(0, 2**32))
def test_whatever_was_exchanged_a_verdict_can_be_made_and_shown(kinds: list[int], seed: int) -> None:
    dice = random.Random(seed)
    verdict = judge([_exchange(number, kind, dice) for number, kind in enumerate(kinds, 1)])
    assert verdict.ok == (not verdict.findings)
    assert str(verdict).startswith("verdict: ")
    numbers = set(itertools.chain(*(finding.exchanges for finding in verdict.findings)))
    assert numbers <= set(range(1, len(kinds) + 1))


def _exchange(number: int, kind: int, dice: random.Random) -> Exchange:
    status = (200, 429, 500, 0)[kind]
    return Exchange(
        number=number,
        call=dice.randint(1, number),
        method="POST",
        surface="chat",
        status=status,
        started_at=number * dice.random(),
        ended_at=None if dice.random() < 0.1 else float(number),
        complete=status == 200 and dice.random() < 0.5,
        soundness=dice.choice(["whole", "truncated", "broken"]),
        ending=dice.choice(["whole", "rst", "fin"]),
        delivered=True,
        raw_request=dice.choice([b"", b"[]", b'{"messages": 3}', b"no json"]),
        response_headers={"Retry-After": "1"},
    )
