"""The ledger: what was generated, what of it reached the socket, and what is billed."""

import pickle

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import MockServer, fault
from mockserver.answers import Answer, framed
from mockserver.surfaces import Spent
from mockserver.truth.admin import ledger_as_json
from mockserver.truth.journal import Journal
from mockserver.truth.ledger import Ledger
from tests.mockserver.asking import CHAT, EMBEDDINGS, chat, user


def test_a_reply_is_billed_as_its_usage_says(mockserver: MockServer, http: httpx.Client) -> None:
    response = http.post(CHAT, json=chat())
    usage = response.json()["usage"]
    (entry,) = mockserver.ledger.entries
    assert (entry.prompt_tokens, entry.completion_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert entry.billable_tokens == usage["total_tokens"]
    assert entry.generated_bytes == entry.sent_bytes == len(response.content)


def test_a_stream_that_was_cut_is_billed_whole_though_little_of_it_went_out(
    mockserver: MockServer, http: httpx.Client
) -> None:
    http.post(CHAT, json=chat(stream=True))
    mockserver.script(fault.cut(at={"frame": 3}, how="fin"))
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(CHAT, json=chat(stream=True))
    whole, cut = mockserver.ledger.entries
    assert (cut.billable_tokens, cut.generated_frames) == (whole.billable_tokens, whole.generated_frames)
    assert (cut.sent_frames, whole.sent_frames) == (3, whole.generated_frames)
    assert cut.sent_bytes < cut.generated_bytes == whole.sent_bytes


def test_refusals_cost_nothing(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(), fault.server_error(), fault.insufficient_quota())
    for _ in range(3):
        http.post(CHAT, json=chat())
    http.post(CHAT, json=chat(temperature=9))
    total = mockserver.ledger.total
    assert (total.requests, total.refused, total.billable_tokens, total.generated_bytes) == (4, 4, 0, 0)
    assert total.sent_bytes > 0


def test_sums_are_by_key_model_and_surface(mockserver: MockServer, http: httpx.Client) -> None:
    http.post(CHAT, json=chat())
    http.post(CHAT, json=chat(model="gpt-4o-mini"), headers={"authorization": "Bearer another-key"})
    http.post(EMBEDDINGS, json={"model": "text-embedding-3-small", "input": "otters"})
    ledger = mockserver.ledger
    assert {name: total.requests for name, total in ledger.by_surface.items()} == {"chat": 2, "embeddings": 1}
    assert set(ledger.by_model) == {"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"}
    assert sorted(total.requests for total in ledger.by_key.values()) == [1, 2]
    assert "another-key" not in str(ledger.by_key)
    shown = ledger_as_json(pickle.loads(pickle.dumps(mockserver.journal)))
    assert shown["total"]["billable_tokens"] == ledger.total.billable_tokens
    assert len(shown["entries"]) == 3


def test_after_a_reset_it_is_empty(mockserver: MockServer, http: httpx.Client) -> None:
    http.post(CHAT, json=chat(messages=user("otters")))
    mockserver.reset()
    assert (mockserver.ledger.total.requests, mockserver.ledger.entries) == (0, [])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=60), st.integers(1, 20))
def test_sums_are_exact_whatever_the_journal_forgets(spent: list[tuple[int, int, bool]], kept: int) -> None:
    journal = Journal(max_exchanges=kept, max_bytes=50)
    under_way = []
    for prompt, completion, ends in spent:
        number = journal.open(started_at=0, method="POST", path="/")
        answer = Answer(status=200, frames=framed([b"x" * 10]))
        journal.update(number, spent=Spent(prompt=prompt, completion=completion), model=f"m{prompt}")
        journal.generated(number, answer)
        journal.answered(number, answer)
        if ends:
            journal.progress(number, 1, 10)
            journal.ended(number, 1.0)
        else:
            under_way.append(number)
    for number in under_way:
        journal.progress(number, 1, 10)
        journal.ended(number, 2.0)
    total = Ledger(journal).total
    assert (total.requests, total.sent_bytes, total.generated_bytes) == (len(spent), 10 * len(spent), 10 * len(spent))
    assert total.billable_tokens == sum(prompt + completion for prompt, completion, _ in spent)
    assert sum(each.requests for each in Ledger(journal).by_model.values()) == len(spent)
