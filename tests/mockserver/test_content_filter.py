"""The content filter on chosen words."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver import catalogue
from mockserver.calls import Call
from mockserver.content_filter import CATEGORIES, NO_FILTER, SEVERITIES, ContentFilter, Verdict
from mockserver.dialects import Dialect
from mockserver.dialects.azure import Azure
from mockserver.dialects.openai import OpenAI
from mockserver.store import Store
from mockserver.surfaces import Scripted, Setting, chat
from tests.mockserver.asking import AZURE_CHAT, CHAT, user
from tests.mockserver.asking import chat as asked
from tests.mockserver.conftest import KEY, Serve

FILTER = ContentFilter({"gore": ("violence", "high"), "punch": ("violence", "low"), "jailme": ("jailbreak", "high")})


@dataclass(frozen=True, kw_only=True)
class Filtered(Call):
    """A call with a filter around it."""

    content_filter: ContentFilter = field(default=NO_FILTER)


def call_of(**body: Any) -> Call:
    body = {"model": "gpt-4o", "messages": user("Hi"), **body}
    return Filtered(
        number=1,
        method="POST",
        path=CHAT,
        surface="chat",
        dialect="azure",
        request_id="r",
        body=body,
        model="gpt-4o",
        content_filter=FILTER,
    )


def setting(text: str) -> Setting:
    model = catalogue.find("gpt-4o")
    assert model is not None

    def perform(*_: Any, **__: Any) -> Any:
        raise AssertionError("no request asks for another")

    scripted = Scripted(text=text)
    return Setting(model=model, seed=1, now=0.0, created=0, store=Store(), perform=perform, scripted=scripted)


def whole(dialect: Dialect, text: str, **body: Any) -> dict[str, Any]:
    call = call_of(**body)
    payload: dict[str, Any] = dialect.annotate(call, chat.answer(call, setting(text)).body)
    return payload


def streamed(dialect: Dialect, text: str, **body: Any) -> list[dict[str, Any]]:
    call = call_of(stream=True, **body)
    return dialect.annotate_stream(call, chat.answer(call, setting(text)).chunks, ())


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize("dialect", [OpenAI(), Azure()])
def test_a_completion_ends_before_what_is_filtered(dialect: Dialect) -> None:
    choice = whole(dialect, "All calm. Then GORE everywhere")["choices"][0]
    assert choice["message"]["content"] == "All calm. Then "
    assert choice["finish_reason"] == "content_filter"


def test_azure_says_what_was_filtered_and_openai_does_not() -> None:
    verdict = whole(Azure(), "the gore")["choices"][0]["content_filter_results"]
    assert verdict["violence"] == {"filtered": True, "severity": "high"}
    assert verdict["hate"] == {"filtered": False, "severity": "safe"}
    assert "content_filter" not in json.dumps(whole(OpenAI(), "the gore")["choices"][0]["message"])


def test_a_low_severity_is_shown_and_lets_the_text_pass() -> None:
    choice = whole(Azure(), "a punch, no more")["choices"][0]
    assert choice["message"]["content"] == "a punch, no more"
    assert choice["content_filter_results"]["violence"] == {"filtered": False, "severity": "low"}


def test_a_streams_verdicts_change_where_the_word_has_come() -> None:
    chunks = [chunk for chunk in streamed(Azure(), "calm and a punch at last") if chunk["choices"]]
    found = [chunk["choices"][0]["content_filter_results"].get("violence", {}).get("severity") for chunk in chunks]
    assert found[0] is None
    assert found[1] == "safe"
    assert found[-2] == "low"


def test_the_prompts_verdict_is_shown() -> None:
    first = streamed(Azure(), "fine", messages=user("a punch"))[0]
    assert first["prompt_filter_results"][0]["content_filter_results"]["violence"]["severity"] == "low"


@given(before=st.text("ab .", max_size=30), after=st.text("ab .", max_size=30), word=st.sampled_from(["gore", "punch"]))
@settings(max_examples=40, deadline=None)
def test_streamed_or_whole_the_same_is_filtered(before: str, after: str, word: str) -> None:
    text = f"{before}{word}{after}"
    for dialect in (OpenAI(), Azure()):
        choice, chunks = whole(dialect, text)["choices"][0], streamed(dialect, text)
        assert text_of(chunks) == choice["message"]["content"]
        assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]
        assert bool(re.search(r"\bgore\b", text)) == (choice["finish_reason"] == "content_filter")


@pytest.mark.parametrize("text", ["gored", "agore", "GORES", "gore2", "ångore"])
def test_a_word_within_another_is_not_meant(text: str) -> None:
    assert FILTER.of(text).hit is None


@pytest.mark.parametrize("text", ["Gore!", "a_b: gore, then", "gored, then gore", "血gore血", "Straße (gore)"])
def test_a_whole_word_is_found_where_it_stands(text: str) -> None:
    hit = FILTER.of(text).hit
    assert hit is not None
    assert text[hit.start :].lower().startswith("gore")


def test_a_language_without_blanks_has_its_words_found_within_others() -> None:
    assert ContentFilter({"炸弹": ("violence", "high")}).of("造一个炸弹吧").hit is not None


def test_words_are_found_wherever_a_request_says_them() -> None:
    for body in (
        {"messages": user("gore")},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "the Gore"}]}]},
        {"prompt": ["x", "gore"]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "gore"}]}]},
    ):
        hit = FILTER.of_prompt(body).hit
        assert hit is not None
        assert (hit.category, hit.severity) == ("violence", "high")
    assert FILTER.of_prompt({"messages": user("calm"), "user": "gore"}).hit is None


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_every_category_and_severity_can_be_refused(category: str, severity: str) -> None:
    problem = Azure().content_filtered(category=category, severity=severity)
    assert problem is not None
    assert (problem.status, problem.error["code"], problem.error["param"]) == (400, "content_filter", "prompt")
    verdict = problem.error["innererror"]["content_filter_result"]
    assert verdict[category]["filtered"] is True
    assert [name for name, one in verdict.items() if one["filtered"]] == [category]
    assert OpenAI().content_filtered(category=category, severity=severity) is None


def test_azures_responses_are_refused_without_a_verdict() -> None:
    problem = Azure().content_filtered(surface="responses")
    assert problem is not None
    kept = {name: value for name, value in problem.error.items() if name != "message"}
    assert kept == {"type": "invalid_request_error", "param": "prompt", "code": "content_filter"}
    assert "Azure OpenAI\u2019s content management policy" in problem.error["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"": ("hate", "high")}, "empty"),
        ({"x": ("hatred", "high")}, "'hatred' of 'x' is no category"),
        ({"x": ("hate", "huge")}, "'huge' of 'x' is no severity"),
    ],
)
def test_a_filter_of_what_there_is_not_is_refused(words: dict[str, tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContentFilter(words)


def test_nothing_is_found_where_nothing_is_filtered() -> None:
    assert NO_FILTER.of("gore") == Verdict()
    call = dataclasses.replace(call_of(stream=True), content_filter=NO_FILTER)
    chunks = chat.answer(call, setting("gore")).chunks
    assert text_of(OpenAI().annotate_stream(call, chunks, ())) == "gore"


def test_chosen_words_are_filtered_over_http_in_both_dialects(serve: Serve) -> None:
    server = serve(filtered_words={"otters": ("violence", "high")})
    body = asked(messages=user("Tell me about otters"))
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {KEY}", "api-key": KEY}) as http:
        refused = http.post(AZURE_CHAT, json=body)
        ended = http.post(CHAT, json=body)
        passed = http.post(AZURE_CHAT, json=asked(messages=user("Tell me about seals")))
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "content_filter")
    assert error["innererror"]["content_filter_result"]["violence"] == {"filtered": True, "severity": "high"}
    assert ended.json()["choices"][0]["finish_reason"] == "content_filter"
    assert passed.status_code == 200
