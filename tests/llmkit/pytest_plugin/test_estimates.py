"""What a call could cost is known before it is sent, and what is not known is taken to be dear."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit._pytest.budget import Budget, Till
from llmkit._pytest.estimate import Experience, is_billed, model_of
from llmkit._pytest.failures import BudgetReached
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.replies.ledger import Usage
from llmkit.recording.replies.prices import Prices
from llmkit.recording.take import Asked
from llmkit.tokens import count_text

CHAT = "https://api.openai.com/v1/chat/completions"
PRICES = Prices.parse(["gpt-4o = 1 / 1", "dear = 1000000 / 1000000"])


def request(*, uri: str = CHAT, method: str = "POST", **body: Any) -> Request:
    return Request(method=method, uri=uri, body=json.dumps({"model": "gpt-4o", **body}).encode())


def asked(one: Request | None = None, **body: Any) -> Asked:
    one = one or request(messages=[{"role": "user", "content": "Hi"}], **body)
    return Asked(sent=one, written=one, key="")


def replied(one: Asked, *, status: int = 200, model: str = "gpt-4o", body: bytes = b"", **usage: int) -> Interaction:
    body = body or json.dumps({"model": model} | ({"usage": usage} if usage else {})).encode()
    return Interaction(request=one.written, response=Response(status=status, body=body))


def budget(tmp_path: Path, limit: str) -> Budget:
    return Budget(limit=Decimal(limit), price=PRICES.cost, till=Till(path=tmp_path / "till.json"))


def spent(one: Budget) -> Decimal:
    with one.till.open() as sums:
        assert sums.aside == 0
        return sums.spent


def estimate(**body: Any) -> Usage:
    return Experience().estimate(request(**body))


def test_an_answer_is_taken_to_be_as_long_as_it_may_be() -> None:
    assert estimate(max_completion_tokens=100).completion_tokens == 100
    assert estimate(max_tokens=100, n=3).completion_tokens == 300
    assert estimate(max_output_tokens=7).completion_tokens == 7


@pytest.mark.parametrize("limit", [None, -5, 0, True, "100", 1.5])
def test_what_limits_nothing_is_no_limit(limit: object) -> None:
    assert estimate(max_tokens=limit).completion_tokens == 256


def test_without_a_limit_the_longest_answer_so_far_counts() -> None:
    experience = Experience()
    experience.learn(request(), Usage(completion_tokens=5000))
    assert experience.estimate(request()).completion_tokens == 7500
    assert experience.estimate(request(model="other")).completion_tokens == 256


def test_vectors_are_no_answer() -> None:
    one = request(uri="https://api.openai.com/v1/embeddings", input="a" * 300)
    usage = Experience().estimate(one)
    assert usage.completion_tokens == 0
    assert usage.prompt_tokens > count_text("a" * 300, model="gpt-4o")


def test_a_prompt_is_counted_as_the_api_counts_it() -> None:
    assert estimate(messages=[{"role": "user", "content": "Hi"}]).prompt_tokens == 8


def test_an_image_and_the_descriptions_of_tools_are_part_of_the_prompt() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert estimate(messages=[{"role": "user", "content": [image]}]).prompt_tokens > 500
    tools = [{"type": "function", "function": {"name": "f", "description": "word " * 300}}]
    assert estimate(messages=[{"role": "user", "content": "Hi"}], tools=tools).prompt_tokens > 300


IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}
SOUND = {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "wav"}}
FILE = {"type": "input_file", "file_id": "file-1"}


@pytest.mark.parametrize(("part", "least"), [(IMAGE, 1000), (SOUND, 2000), (FILE, 128_000)])
@pytest.mark.parametrize("field", ["input", "messages"])
def test_an_image_a_sound_or_a_file_counts_at_its_most_in_every_body(
    field: str, part: dict[str, Any], least: int
) -> None:
    assert estimate(**{field: [{"role": "user", "content": [part]}]}).prompt_tokens >= least


def test_an_image_counts_by_its_tokens_and_not_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 1_000_000}"}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert estimate(messages=[{"role": "user", "content": [image]}], tools=tools).prompt_tokens < 100_000


@pytest.mark.parametrize("text", ["日本語" * 50, "🙂" * 50, "𓀀" * 50])
def test_a_text_outside_of_messages_is_counted_by_the_tokenizer(text: str) -> None:
    for field in ("input", "prompt", "instructions"):
        assert estimate(**{field: text}).prompt_tokens >= count_text(text, model="gpt-4o")


def test_each_prompt_of_a_list_has_an_answer_and_the_best_of_several_costs_them_all() -> None:
    assert estimate(prompt=["a", "b", "c"], max_tokens=100).completion_tokens == 300
    assert estimate(prompt=[[1, 2], [3]], max_tokens=100).completion_tokens == 200
    assert estimate(prompt=[1, 2, 3], max_tokens=100).completion_tokens == 100
    assert estimate(prompt="a", n=2, best_of=5, max_tokens=100).completion_tokens == 500


def test_an_answer_without_a_limit_is_no_longer_than_the_model_can_make_it() -> None:
    experience = Experience()
    experience.learn(request(), Usage(completion_tokens=16_000))
    assert experience.estimate(request()).completion_tokens == 16_384


def test_what_the_api_counted_beyond_an_estimate_is_expected_of_the_next_call() -> None:
    experience = Experience()
    stored = request(input="Hi", prompt={"id": "pmpt_1"})
    before = experience.estimate(stored).prompt_tokens
    experience.learn(stored, Usage(prompt_tokens=9000))
    assert experience.estimate(stored).prompt_tokens == 9000
    experience.learn(stored, Usage(prompt_tokens=1))
    assert experience.estimate(stored).prompt_tokens == 9000 > before


@pytest.mark.parametrize(
    ("one", "is_it"),
    [
        (request(), True),
        (request(method="GET", uri="https://api.openai.com/v1/models"), False),
        (request(uri="https://openrouter.ai/api/v1/chat/completions"), True),
        (Request(method="POST", uri="https://weather.example.com/now", body=b"{}"), False),
        (Request(method="POST", uri="https://api.openai.com/v1/files", body=b"..."), False),
        (Request(method="POST", uri="https://api.openai.com/v1/threads/t1/runs", body=b"{}"), True),
        (Request(method="POST", uri="https://api.openai.com/v1/something/new", body=b"{}"), True),
    ],
)
def test_what_may_be_billed_is_told_from_what_is_not(one: Request, is_it: bool) -> None:
    assert is_billed(one) is is_it


def test_the_model_is_that_of_the_body_of_a_form_or_of_the_deployment() -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n'
    assert (
        model_of(Request(method="POST", uri="https://api.openai.com/v1/audio/transcriptions", body=form)) == "whisper-1"
    )
    azure = "https://resource.openai.azure.com/openai/deployments/mine/chat/completions?api-version=1"
    assert model_of(Request(method="POST", uri=azure, body=b"{}")) == "mine"
    assert model_of(Request(method="POST", uri=azure, body=b'{"model": "named"}')) == "named"


def test_a_model_without_a_price_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(BudgetReached, match=r"'my-own' has no known price(.|\n)*llmkit_prices = my-own = gpt-4o"):
        budget(tmp_path, "100").reserve(asked(request(model="my-own")))


def test_a_call_that_names_no_model_is_refused(tmp_path: Path) -> None:
    one = Request(method="POST", uri="https://api.openai.com/v1/responses", body=b'{"prompt": {"id": "p"}}')
    with pytest.raises(BudgetReached, match="names no model"):
        budget(tmp_path, "100").reserve(asked(one))


def test_a_reply_costs_what_it_reports_instead_of_what_was_set_aside(tmp_path: Path) -> None:
    one, call = budget(tmp_path, "1"), asked(max_tokens=1000)
    one.reserve(call)
    one.enter(call, replied(call, prompt_tokens=20, completion_tokens=30))
    assert spent(one) == Decimal("0.00005")


def test_a_refusal_costs_nothing_so_that_retries_are_not_counted(tmp_path: Path) -> None:
    one = budget(tmp_path, "0.001")
    for _ in range(5):
        call = asked(max_tokens=900)
        one.reserve(call)
        one.enter(call, replied(call, status=429))
    assert spent(one) == 0


def test_a_stream_costs_what_its_last_event_reports(tmp_path: Path) -> None:
    one, call = budget(tmp_path, "1"), asked(max_tokens=1000, stream=True)
    one.reserve(call)
    last = json.dumps({"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    one.enter(call, replied(call, body=f"data: {{}}\n\ndata: {last}\n\ndata: [DONE]\n\n".encode()))
    assert spent(one) == Decimal("0.000003")


def test_a_stream_that_reports_nothing_costs_what_was_set_aside_or_more_if_it_was_long(tmp_path: Path) -> None:
    one = budget(tmp_path, "1")
    for call, events, least in ((asked(max_tokens=1000), 3, 1000), (asked(), 5000, 5000)):
        before = spent(one)
        one.reserve(call)
        one.enter(call, replied(call, body=b'data: {"choices": []}\n\n' * events))
        assert spent(one) - before >= Decimal(least) / 1_000_000


def test_a_reply_of_an_unknown_model_costs_what_the_model_costs_that_was_asked_for(tmp_path: Path) -> None:
    one, call = budget(tmp_path, "1"), asked(max_tokens=1000)
    one.reserve(call)
    one.enter(call, replied(call, model="served-by-another", prompt_tokens=20, completion_tokens=30))
    assert spent(one) == Decimal("0.00005")


def test_what_got_no_reply_may_have_been_billed_and_stays_set_aside(tmp_path: Path) -> None:
    one = budget(tmp_path, "0.0015")
    one.reserve(asked(max_tokens=1000))
    with pytest.raises(BudgetReached, match=r"\$0\.00 of \$0\.0015 are spent and \$0\.001\d* set aside"):
        one.reserve(asked(max_tokens=1000))


def test_what_is_not_billed_passes_a_spent_budget(tmp_path: Path) -> None:
    one = budget(tmp_path, "0")
    call = asked(Request(method="POST", uri="https://weather.example.com/now", body=b"{}"))
    one.reserve(call)
    one.enter(call, replied(call))
    assert spent(one) == 0


def test_processes_share_what_was_spent_and_learnt(tmp_path: Path) -> None:
    here, there = budget(tmp_path, "0.006"), budget(tmp_path, "0.006")
    call = asked()
    here.reserve(call)
    here.enter(call, replied(call, prompt_tokens=8, completion_tokens=4000))
    with pytest.raises(BudgetReached, match=r"could cost \$0\.006"):
        there.reserve(asked())


def test_threads_never_set_aside_more_than_there_is(tmp_path: Path) -> None:
    one, sent = budget(tmp_path, "0.0105"), []

    def ask() -> None:
        call = asked(max_tokens=1000)
        try:
            one.reserve(call)
        except BudgetReached:
            return
        sent.append(call)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 10


@given(calls=st.lists(st.tuples(st.integers(1, 500), st.integers(0, 100)), max_size=20), cents=st.integers(0, 200))
def test_calls_with_a_limit_never_pass_the_budget(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, int]], cents: int
) -> None:
    limit = Decimal(cents) / 100_000
    one = budget(tmp_path_factory.mktemp("till"), str(limit))
    for most, percent in calls:
        call = asked(max_tokens=most)
        try:
            one.reserve(call)
        except BudgetReached:
            continue
        one.enter(call, replied(call, prompt_tokens=8, completion_tokens=most * percent // 100))
    assert spent(one) <= limit
