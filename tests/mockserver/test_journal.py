"""The journal: what it tells, and what it never does."""

import json
import pickle

import httpx
import pytest

from mockserver import MockServer, reply
from mockserver.truth.journal import HIDDEN, Journal, hidden
from tests.mockserver.asking import AZURE_CHAT, CHAT, chat, user
from tests.mockserver.conftest import KEY


def test_an_exchange_tells_what_was_asked_and_answered(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("hi").match(surface="embeddings"))
    http.post(AZURE_CHAT, json=chat(stream=True))
    (exchange,) = mockserver.journal
    assert (exchange.method, exchange.path) == ("POST", "/openai/deployments/chat/chat/completions")
    assert (exchange.surface, exchange.dialect, exchange.deployment, exchange.model) == (
        "chat",
        "azure",
        "chat",
        "gpt-4o",
    )
    assert exchange.query == {"api-version": "2024-10-21"}
    assert exchange.request["messages"] == user()
    assert (exchange.status, exchange.outcome, exchange.stream) == (200, "generated", True)
    assert exchange.frames > 4
    assert exchange.started_at > 1.7e9


def test_all_frames_are_counted_when_the_client_has_them(mockserver: MockServer, http: httpx.Client) -> None:
    for number in range(5):
        text = http.post(CHAT, json=chat(stream=True, messages=user(f"number {number}"))).text
        assert mockserver.journal[-1].frames == text.count("data: ")


def test_refused_requests_are_in_it_too(mockserver: MockServer, http: httpx.Client) -> None:
    http.post("/nowhere", json={})
    http.get(CHAT)
    assert [(exchange.status, exchange.surface) for exchange in mockserver.journal] == [(404, None), (405, None)]


@pytest.mark.parametrize("header", ["authorization", "api-key"])
def test_no_credential_gets_into_it(mockserver: MockServer, header: str) -> None:
    secret = "my-very-own-credential"
    value = f"Bearer {secret}" if header == "authorization" else secret
    body = chat(messages=user(f"my key is {secret}, keep it"), user=secret, metadata={"api_key": "hunter2", "a": KEY})
    for path in (CHAT, AZURE_CHAT + f"&api-key={secret}", f"/{secret}"):
        httpx.post(mockserver.url + path, headers={header: value, "cookie": f"k={secret}"}, json=body)
    journal = mockserver.journal
    shown = repr(journal) + str(pickle.dumps(journal)) + json.dumps([exchange.as_json() for exchange in journal])
    assert secret not in shown
    assert "hunter2" not in shown
    assert KEY not in shown
    assert HIDDEN in shown


def test_short_keys_do_not_blot_out_words() -> None:
    assert hidden("any text", ["any"]) == "any text"


def test_it_is_a_sequence(mockserver: MockServer, http: httpx.Client) -> None:
    for _ in range(3):
        http.get("/v1/models")
    journal = mockserver.journal
    assert len(journal) == 3
    assert journal[-1] == journal[2] == list(journal)[2]
    assert [exchange.number for exchange in journal[1:]] == [2, 3]
    with pytest.raises(IndexError):
        journal[3]


def test_it_pickles(mockserver: MockServer, http: httpx.Client) -> None:
    http.post(CHAT, json=chat())
    restored: Journal = pickle.loads(pickle.dumps(mockserver.journal))
    assert list(restored) == list(mockserver.journal)
    assert list(pickle.loads(pickle.dumps(Journal()))) == []


def test_after_reset_it_is_empty_and_numbers_go_on(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("never said"))
    http.get("/v1/models")
    mockserver.reset()
    assert len(mockserver.journal) == 0
    http.post(CHAT, json=chat())
    assert (mockserver.journal[0].number, mockserver.journal[0].outcome) == (2, "generated")


def test_an_exchange_cleared_away_is_not_brought_back() -> None:
    journal = Journal()
    number = journal.open(started_at=0, method="GET", path="/", query={})
    journal.clear()
    journal.update(number, status=200)
    journal.count_frames(number, 3)
    assert len(journal) == 0
