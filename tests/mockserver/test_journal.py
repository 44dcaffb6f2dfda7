"""The journal: what it tells, and what it never does."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver import MockServer, fault, reply
from mockserver.answers import Answer, framed
from mockserver.truth.admin import journal_as_json
from mockserver.truth.hiding import HIDDEN, hidden, hidden_bytes
from mockserver.truth.journal import Journal
from mockserver.truth.ledger import Ledger
from mockserver.truth.soundness import text_of
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
    http.put(CHAT)
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
    number = _opened(journal)
    journal.clear()
    journal.update(number, status=200)
    journal.progress(number, 3, 30)
    journal.ended(number, 1.0)
    assert len(journal) == 0


def test_a_reply_is_kept_with_its_status_headers_and_body(mockserver: MockServer, http: httpx.Client) -> None:
    response = http.post(CHAT, json=chat(), headers={"user-agent": "a client", "x-stainless-retry-count": "1"})
    assert mockserver._state.journal.wait_until_ended(10)
    (exchange,) = mockserver.journal
    assert exchange.response == response.json()
    assert exchange.response_header("x-request-id") == response.headers["x-request-id"]
    assert (exchange.headers["user-agent"], exchange.retry_count) == ("a client", 1)
    assert "authorization" not in exchange.headers
    assert (exchange.delivered, exchange.complete, exchange.ending) == (True, True, "whole")
    assert exchange.spent is not None
    assert exchange.spent.total == response.json()["usage"]["total_tokens"]


def test_a_stream_is_kept_as_a_timeline(mockserver: MockServer, http: httpx.Client) -> None:
    text = http.post(CHAT, json=chat(stream=True)).text
    exchange = mockserver.journal[0]
    assert "".join(chunk.text for chunk in exchange.chunks) == exchange.response == text
    times = [chunk.at_s for chunk in exchange.chunks]
    assert times == sorted(times)
    assert times[0] >= 0
    assert exchange.bytes == sum(chunk.size for chunk in exchange.chunks) == len(text.encode())


def test_the_time_of_a_chunk_is_that_of_the_clock(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.latency(delay_s=60))
    mockserver.clock.stop()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http.post, CHAT, json=chat(stream=True))
        mockserver.clock.wait_for_sleepers()
        mockserver.clock.advance(60)
        asked.result()
    assert {chunk.at_s for chunk in mockserver.journal[0].chunks} == {60}


def test_what_is_told_to_wait_is_the_shorter_of_both_headers(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=0.25))
    http.post(CHAT, json=chat())
    exchange = mockserver.journal[0]
    assert (exchange.retry_after_s, exchange.error_code, exchange.fault) == (
        0.25,
        "rate_limit_exceeded",
        "rate_limited",
    )


def test_attempts_of_one_call_are_numbered(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.server_error(times=2))
    for text in ("a", "a", "b", "a", "a"):
        http.post(CHAT, json=chat(messages=user(text)))
    assert [(each.call, each.attempt) for each in mockserver.journal] == [(1, 1), (1, 2), (3, 1), (1, 3), (5, 1)]


def test_what_was_cut_is_neither_delivered_nor_complete(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.cut(at={"frame": 2}, how="fin"), fault.cut(at={"frame": 2}, how="eof"))
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(CHAT, json=chat(stream=True))
    http.post(CHAT, json=chat(stream=True))
    fin, eof = mockserver.journal
    assert (fin.ending, fin.delivered, fin.soundness, fin.complete) == ("fin", False, "truncated", False)
    assert (eof.ending, eof.delivered, eof.soundness, eof.complete) == ("whole", True, "truncated", False)


def test_a_form_is_kept_without_the_contents_of_its_files(mockserver: MockServer, http: httpx.Client) -> None:
    secret = b"the contents of the file"
    http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("rows.jsonl", secret)})
    exchange = mockserver.journal[0]
    assert exchange.request["purpose"] == "batch"
    assert (exchange.files["file"][0]["filename"], exchange.files["file"][0]["size"]) == ("rows.jsonl", len(secret))
    assert secret not in exchange.raw_request


def test_no_credential_is_in_it_though_a_stream_spells_it_in_pieces(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply(f"your key is {KEY}, keep it"))
    http.post(CHAT, json=chat(stream=True))
    exchange = mockserver.journal[0]
    spelt = "".join(text_of(chunk.text.encode(), streamed=True) for chunk in exchange.chunks)
    assert "0123456789abcdef" not in spelt + str(exchange.response)


@given(
    secret=st.from_regex(r"[A-Za-z0-9/_+.-]{8,30}", fullmatch=True),
    before=st.text(max_size=20),
    escapes=st.booleans(),
)
def test_no_body_that_holds_a_credential_is_kept_as_it_is(secret: str, before: str, escapes: bool) -> None:
    body = {"messages": [{"role": "user", "content": f"{before} {secret}"}], "n": 1}
    raw = json.dumps(body, ensure_ascii=escapes).encode()
    if escapes:
        raw = raw.replace(b"/", rb"\/")
    clean = hidden_bytes(raw, [secret])
    assert secret not in str(json.loads(clean))
    assert hidden_bytes(clean, [secret]) == clean


@pytest.mark.parametrize(
    "raw", [rb'{"a": "\u0073k-0123456789"}', rb'{"a": "Bearer ab\/cdefghij"}', rb'{"API-key": "pw"}']
)
def test_json_is_read_where_it_may_spell_a_credential_in_another_way(raw: bytes) -> None:
    assert json.loads(hidden_bytes(raw, [])) in ({"a": HIDDEN}, {"API-key": HIDDEN})


@given(st.binary(max_size=200))
def test_what_holds_none_is_kept_as_it_is_and_not_copied(data: bytes) -> None:
    harmless = data.replace(b"\\", b"").replace(b"-", b"").replace(b"Bearer", b"").replace(b'"', b"")
    assert hidden_bytes(harmless, ["a-very-long-secret"]) is harmless


def test_bodies_beyond_the_limit_are_dropped_from_the_oldest() -> None:
    journal = Journal(max_bytes=2500)
    for number in range(5):
        _exchanged(journal, b'{"text": "%d%s"}' % (number, b"x" * 1000))
    assert [exchange.is_bare for exchange in journal] == [True, True, True, False, False]
    assert [exchange.complete for exchange in journal] == [True] * 5
    assert journal[0].request is None
    assert len({exchange.fingerprint for exchange in journal}) == 5


def test_bodies_of_what_is_still_being_answered_are_dropped_at_its_end() -> None:
    journal = Journal(max_bytes=10)
    number = _opened(journal)
    answer = Answer(status=200, frames=framed([b"x" * 100, b"y"]), streamed=True)
    journal.generated(number, answer)
    journal.answered(number, answer)
    journal.progress(number, 1, 100)
    _exchanged(journal, b"another")
    assert (journal[0].is_bare, journal[0].complete) == (True, False)
    journal.progress(number, 2, 101)
    journal.ended(number, 2.0)
    assert (journal[0].complete, journal[0].response, journal[0].frames) == (True, None, 2)


def test_exchanges_beyond_the_limit_are_dropped_and_counted() -> None:
    journal = Journal(max_exchanges=10)
    for number in range(100):
        _exchanged(journal, b"%d" % number)
    assert 10 <= len(journal) <= 11
    assert len(journal) + journal.dropped == 100
    assert journal[-1].number == 100
    assert Ledger(journal).total.requests == 100


def test_the_page_gives_what_is_new_and_comes_back_to_what_had_not_ended() -> None:
    journal = Journal()
    _exchanged(journal, b"1")
    number = _opened(journal)
    _exchanged(journal, b"3")
    page = journal_as_json(journal)
    assert [each["number"] for each in page["exchanges"]] == [1, 2, 3]
    assert page["next"] == 1
    journal.ended(number, 2.0)
    page = journal_as_json(journal, {"since": "1", "bodies": "false"})
    assert [each["number"] for each in page["exchanges"]] == [2, 3]
    assert page["next"] == 3
    assert "request" not in page["exchanges"][0]
    assert [each["number"] for each in journal_as_json(journal, {"limit": "1"})["exchanges"]] == [3]
    with pytest.raises(ValueError, match="since is 'x'; it takes a whole number"):
        journal_as_json(journal, {"since": "x"})


def test_journals_of_workers_become_one_in_order_of_arrival() -> None:
    first, second, hub = Journal(), Journal(), Journal()
    for number, worker in enumerate((first, second, second, first)):
        _exchanged(worker, b'{"n": %d}' % number)
    for name, worker in (("w2", second), ("w1", first)):
        hub.absorb(json.loads(json.dumps(worker.drain())), worker=name)
    assert [(each.number, each.worker, each.request["n"]) for each in hub] == [
        (1, "w1", 0),
        (2, "w2", 1),
        (3, "w2", 2),
        (4, "w1", 3),
    ]
    assert (len(first), first.drain()) == (0, [])


def test_what_a_worker_tells_late_stands_where_it_belongs() -> None:
    late, punctual, hub = Journal(), Journal(), Journal()
    _exchanged(late, b'{"n": 1}')
    _exchanged(punctual, b'{"n": 2}')
    hub.absorb(punctual.drain(), worker="punctual")
    assert [each.number for each in hub] == [1]
    hub.absorb(late.drain(), worker="late")
    assert [(each.request["n"], each.number) for each in hub] == [(1, 2), (2, 1)]


def test_what_a_worker_is_still_answering_is_brought_up_to_date() -> None:
    worker, hub = Journal(), Journal()
    number = _opened(worker)
    hub.absorb(worker.drain(), worker="w")
    assert (len(hub), hub[0].ended_at, hub[0].number) == (1, None, 1)
    worker.answered(number, Answer(status=200, frames=framed([b"{}"])), request_id="req_1")
    worker.progress(number, 1, 2)
    worker.ended(number, 5.0)
    hub.absorb(worker.drain(), worker="w")
    assert [(each.number, each.ended_at, each.request_id, each.complete) for each in hub] == [(1, 5.0, "req_1", True)]


def test_what_a_worker_has_dropped_counts_at_the_hub() -> None:
    worker, hub = Journal(max_exchanges=10), Journal()
    for _ in range(50):
        _exchanged(worker, b"{}")
    hub.absorb(worker.drain(), worker="w")
    assert (Ledger(hub).total.requests, len(hub) + hub.dropped) == (50, 50)


def _opened(journal: Journal) -> int:
    return journal.open(started_at=0.0, method="POST", path="/v1/chat/completions", now=lambda: 1.0)


def _exchanged(journal: Journal, body: bytes) -> None:
    number = _opened(journal)
    journal.asked(number, body)
    answer = Answer(status=200, frames=framed([b"{}"]))
    journal.generated(number, answer)
    journal.answered(number, answer, request_id="req")
    journal.progress(number, 1, 2)
    journal.ended(number, 2.0)
