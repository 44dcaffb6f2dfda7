"""Batches, which really run: the official SDK, on a clock that stands still until it is moved."""

import json
import threading
import time
from typing import Any

import httpx
import openai
import pytest
from openai.types import Batch

from mockserver import MockServer, fault, reply
from tests.mockserver.conftest import KEY, Serve

CHAT = "/v1/chat/completions"
_DAY_S = 86_400


@pytest.fixture(autouse=True)
def _still(mockserver: MockServer) -> None:
    mockserver.clock.stop()


def _line(custom_id: str, text: str = "Hello", *, url: str = CHAT, **body: Any) -> dict[str, Any]:
    """A line of the input of a batch."""
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": asked}


def _input(client: openai.OpenAI, *lines: dict[str, Any] | str) -> str:
    """The id of an uploaded file with these lines."""
    content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return client.files.create(file=("in.jsonl", content.encode()), purpose="batch").id


def _batch(client: openai.OpenAI, *lines: dict[str, Any] | str, endpoint: Any = CHAT, **more: Any) -> Batch:
    file = _input(client, *lines)
    return client.batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h", **more)


def _after(server: MockServer, client: openai.OpenAI, batch: Batch, seconds: float) -> Batch:
    server.clock.advance(seconds)
    return client.batches.retrieve(batch.id)


def _entries(client: openai.OpenAI, file: str | None) -> dict[str, Any]:
    """The lines of an output or error file by their custom ids."""
    assert file is not None
    entries = map(json.loads, client.files.content(file).text.splitlines())
    return {entry["custom_id"]: entry for entry in entries}


def test_every_line_is_answered_as_if_it_had_been_asked(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, _line("a", "One"), _line("b", "Two"), metadata={"night": "1"})
    done = _after(mockserver, client, batch, 1)
    assert (done.status, done.metadata, done.model) == ("completed", {"night": "1"}, "gpt-4o")
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 2, "completed": 2, "failed": 0}
    assert done.error_file_id is None
    entries = _entries(client, done.output_file_id)
    live = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Two"}])
    said = entries["b"]["response"]["body"]["choices"][0]["message"]["content"]
    assert said == live.choices[0].message.content
    assert (entries["a"]["response"]["status_code"], entries["a"]["error"]) == (200, None)
    assert entries["a"]["id"].startswith("batch_req_")
    assert done.usage is not None
    billed = [entry["response"]["body"]["usage"]["total_tokens"] for entry in entries.values()]
    assert done.usage.total_tokens == sum(billed)


def test_a_batch_goes_through_its_states_as_the_clock_goes(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, *(_line(f"{n}") for n in range(4)))
    seen = [(batch.status, 0)]
    for _ in range(9):
        batch = _after(mockserver, client, batch, 0.1)
        counts = batch.request_counts
        assert counts is not None
        seen.append((batch.status, counts.completed))
    states = list(dict.fromkeys(status for status, _ in seen))
    assert states == ["validating", "in_progress", "finalizing", "completed"]
    done = [count for _, count in seen]
    assert done == sorted(done)
    assert {1, 2, 3, 4} & set(done) > {4}  # some were seen done before all were
    assert batch.expires_at == batch.created_at + _DAY_S
    times = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    assert times == sorted(time for time in times if time is not None)


def test_a_day_passes_in_one_move_of_the_clock(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, _line("a"))
    done = _after(mockserver, client, batch, 30 * 3600)
    assert done.status == "completed"
    assert done.completed_at is not None
    assert done.completed_at - done.created_at < 2  # it was done long ago, though nobody had asked


def test_in_real_time_a_small_batch_takes_about_a_second(serve: Serve) -> None:
    with openai.OpenAI(base_url=serve().openai_url, api_key=KEY, max_retries=0) as client:
        batch = _batch(client, _line("a"))
        give_up_at = time.monotonic() + 30
        while batch.status != "completed" and time.monotonic() < give_up_at:
            batch = client.batches.retrieve(batch.id)
        assert batch.status == "completed"


def test_embeddings_run_too(mockserver: MockServer, client: openai.OpenAI) -> None:
    body = {"model": "text-embedding-3-small", "input": "words"}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": body}
    done = _after(mockserver, client, _batch(client, line, endpoint="/v1/embeddings"), 1)
    (entry,) = _entries(client, done.output_file_id).values()
    assert len(entry["response"]["body"]["data"][0]["embedding"]) == 1536


def test_steps_of_the_script_hit_lines(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, *(_line(name) for name in "abcd"))
    mockserver.script(
        reply("scripted", match={"path": CHAT}),
        fault.server_error(match={"path": CHAT}),
        fault.reset(match={"path": CHAT}),
        fault.malformed_json(match={"path": CHAT}),
    )
    done = _after(mockserver, client, batch, 1)
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 4, "completed": 1, "failed": 3}
    (good,) = _entries(client, done.output_file_id).values()
    assert good["response"]["body"]["choices"][0]["message"]["content"] == "scripted"
    bad = _entries(client, done.error_file_id)
    assert bad["b"]["response"]["status_code"] == 500
    assert bad["b"]["response"]["body"]["error"]["type"] == "server_error"
    for name in "cd":
        assert (bad[name]["response"], bad[name]["error"]["code"]) == (None, "request_timeout")
    assert mockserver.script_left == []


def test_a_line_that_the_api_refuses_goes_to_the_error_file(mockserver: MockServer, client: openai.OpenAI) -> None:
    done = _after(mockserver, client, _batch(client, _line("a", temperature=9)), 1)
    assert (done.status, done.output_file_id) == ("completed", None)
    (entry,) = _entries(client, done.error_file_id).values()
    assert entry["response"]["status_code"] == 400
    assert entry["response"]["body"]["error"]["param"] == "temperature"


def test_a_late_answer_ends_the_batch_late(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, _line("a"), _line("b"))
    mockserver.script(fault.latency(delay_s=3600, match={"path": CHAT}))
    waiting = _after(mockserver, client, batch, 1800)
    assert (waiting.status, waiting.request_counts and waiting.request_counts.completed) == ("in_progress", 1)
    done = _after(mockserver, client, batch, 1802)
    assert done.status == "completed"
    assert done.completed_at is not None
    assert 3600 <= done.completed_at - done.created_at <= 3602


def test_a_line_that_is_never_answered_lets_the_batch_expire(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, _line("a"), _line("b"))
    mockserver.script(fault.hang(match={"path": CHAT}))
    assert _after(mockserver, client, batch, _DAY_S - 1).status == "in_progress"
    done = _after(mockserver, client, batch, 1)
    assert (done.status, done.expired_at) == ("expired", done.expires_at)
    assert list(_entries(client, done.output_file_id)) == ["b"]
    (entry,) = _entries(client, done.error_file_id).values()
    assert entry["response"] is None
    assert entry["error"] == {
        "code": "batch_expired",
        "message": "This request could not be executed before the completion window expired.",
    }


def test_a_cancelled_batch_keeps_what_was_done(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, *(_line(f"{n}") for n in range(4)))
    _after(mockserver, client, batch, 0.41)
    stopping = client.batches.cancel(batch.id)
    assert (stopping.status, stopping.cancelling_at is not None) == ("cancelling", True)
    done = _after(mockserver, client, batch, 1)
    assert (done.status, done.cancelled_at is not None, done.completed_at) == ("cancelled", True, None)
    assert list(_entries(client, done.output_file_id)) == ["0", "1"]
    left = _entries(client, done.error_file_id)
    assert {name: entry["error"]["code"] for name, entry in left.items()} == dict.fromkeys("23", "batch_cancelled")
    assert client.batches.cancel(batch.id).status == "cancelled"  # no problem, as observed


def test_a_batch_cancelled_while_it_is_validated_has_done_nothing(
    mockserver: MockServer, client: openai.OpenAI
) -> None:
    batch = client.batches.cancel(_batch(client, _line("a")).id)
    done = _after(mockserver, client, batch, 1)
    assert (done.status, done.in_progress_at, done.output_file_id, done.error_file_id) == ("cancelled", *[None] * 3)
    assert done.request_counts is not None
    assert done.request_counts.total == 0


def test_what_is_over_cannot_be_cancelled(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _after(mockserver, client, _batch(client, _line("a")), 1)
    with pytest.raises(openai.ConflictError) as raised:
        client.batches.cancel(batch.id)
    assert raised.value.body == {
        "message": "Cannot cancel a batch with status 'completed'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        ("{invalid json here", "invalid_json_line", None),
        ("[1]", "invalid_json_line", None),
        ("[" * 100_000, "invalid_json_line", None),
        (_line("ok"), "duplicate_custom_id", "custom_id"),
        (_line("a", url="/v1/embeddings"), "invalid_url", "url"),
        (_line("a", stream=True), "streaming_unsupported", "body.stream"),
        (_line("a", model="gpt-4o-mini"), "mismatched_model", "body.model"),
        (_line("a", model="no-such-model"), "model_not_found", "body.model"),
        (_line("a", messages=None), "invalid_request", "body.messages"),
        (_line("a", model=None), "invalid_request", "body.model"),
        ({**_line("a"), "method": "GET"}, "invalid_value", "method"),
        ({**_line("a"), "body": "text"}, "invalid_type", "body"),
        ({**_line("a"), "custom_id": 7}, "invalid_type", "custom_id"),
        ({name: value for name, value in _line("a").items() if name != "url"}, "missing_required_parameter", "url"),
    ],
)
def test_one_wrong_line_fails_the_batch(
    mockserver: MockServer, client: openai.OpenAI, line: Any, code: str, param: str | None
) -> None:
    done = _after(mockserver, client, _batch(client, _line("ok"), "", line), 1)
    assert (done.status, done.failed_at is not None, done.output_file_id) == ("failed", True, None)
    assert done.errors is not None
    assert done.errors.data is not None
    (error,) = done.errors.data
    assert (error.code, error.param, error.line) == (code, param, 2)
    assert error.message


def test_a_file_that_is_not_there_fails_the_batch(mockserver: MockServer, client: openai.OpenAI) -> None:
    other = client.files.create(file=("a", b"x"), purpose="vision").id
    for file in ("file-nonexistent-xyz", other):
        batch = client.batches.create(input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h")
        done = _after(mockserver, client, batch, 1)
        assert done.errors is not None
        assert done.errors.data is not None
        (error,) = done.errors.data
        assert (done.status, error.code, error.param, error.line) == ("failed", "invalid_request", "file_id", None)


@pytest.mark.parametrize(
    ("field", "value", "param", "code"),
    [
        ("endpoint", "/v1/invalid", "endpoint", "invalid_value"),
        ("endpoint", 5, "endpoint", "invalid_type"),
        ("completion_window", "1h", "completion_window", "invalid_value"),
        ("input_file_id", None, "input_file_id", "invalid_type"),
        ("metadata", {"tags": ["a"]}, "metadata.tags", "invalid_type"),
        ("metadata", {str(n): "" for n in range(17)}, "metadata", "object_above_max_properties"),
        ("metadata", {"a": "x" * 513}, "metadata.a", "string_above_max_length"),
        (
            "output_expires_after",
            {"anchor": "created_at"},
            "output_expires_after.seconds",
            "missing_required_parameter",
        ),
    ],
)
def test_a_wrong_request_is_refused_at_once(http: httpx.Client, field: str, value: Any, param: str, code: str) -> None:
    body = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", field: value}
    error = http.post("/v1/batches", json=body).json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_missing_fields_are_named(http: httpx.Client) -> None:
    assert http.post("/v1/batches", json={}).json()["error"] == {
        "message": "Missing required parameter: 'input_file_id'.",
        "type": "invalid_request_error",
        "param": "input_file_id",
        "code": "missing_required_parameter",
    }


def test_an_unknown_batch_is_the_recorded_404(http: httpx.Client) -> None:
    for response in (http.get("/v1/batches/batch_x"), http.post("/v1/batches/batch_x/cancel")):
        assert response.status_code == 404
        assert response.json()["error"]["message"] == "No batch found with id 'batch_x'."


def test_lists_show_each_batch_as_it_stands_newest_first(mockserver: MockServer, client: openai.OpenAI) -> None:
    first = _batch(client, _line("a"))
    mockserver.clock.advance(1)
    second = _batch(client, _line("a"))
    assert [(each.id, each.status) for each in client.batches.list()] == [
        (second.id, "validating"),
        (first.id, "completed"),
    ]
    assert [each.id for each in client.batches.list(after=second.id)] == [first.id]


def test_results_go_away_when_the_batch_said_so(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, _line("a"), output_expires_after={"anchor": "created_at", "seconds": 3600})
    done = _after(mockserver, client, batch, 1)
    assert done.output_file_id is not None
    output = client.files.retrieve(done.output_file_id)
    assert (output.purpose, output.expires_at) == ("batch_output", output.created_at + 3600)
    mockserver.clock.advance(3600)
    with pytest.raises(openai.NotFoundError):
        client.files.content(done.output_file_id)


def test_the_input_may_be_deleted_once_it_is_validated(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, _line("a"))
    assert _after(mockserver, client, batch, 0.25).status == "in_progress"
    client.files.delete(batch.input_file_id)
    assert _after(mockserver, client, batch, 1).status == "completed"


def test_a_large_batch_is_answered_in_several_looks(mockserver: MockServer, client: openai.OpenAI) -> None:
    body = {"model": "text-embedding-3-small", "input": [[1]], "dimensions": 1}
    lines = [{"custom_id": f"{n}", "method": "POST", "url": "/v1/embeddings", "body": body} for n in range(1001)]
    batch = _batch(client, *lines, endpoint="/v1/embeddings")
    mockserver.clock.advance(3600)
    looks = [client.batches.retrieve(batch.id).request_counts for _ in range(3)]
    assert [counts.completed for counts in looks if counts is not None] == [500, 1000, 1001]


def test_whoever_asks_at_once_a_line_is_answered_once(mockserver: MockServer, client: openai.OpenAI) -> None:
    batch = _batch(client, *(_line(f"{n}") for n in range(20)))
    mockserver.clock.advance(1)
    threads = [threading.Thread(target=client.batches.retrieve, args=(batch.id,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(exchange.path == CHAT for exchange in mockserver.journal) == 20


def test_lines_stand_in_the_journal_as_exchanges_of_their_own(mockserver: MockServer, client: openai.OpenAI) -> None:
    done = _after(mockserver, client, _batch(client, _line("a")), 1)
    (entry,) = _entries(client, done.output_file_id).values()
    (line,) = [exchange for exchange in mockserver.journal if exchange.path == CHAT]
    assert (line.status, line.surface, line.operation) == (200, "chat", "performed by batches")
    assert line.request_id == entry["response"]["request_id"]
    assert line.spent is not None
    assert line.spent.total == entry["response"]["body"]["usage"]["total_tokens"]
    assert line.frames == 1
    assert line.ended_at is not None


def test_the_quotas_of_the_client_are_not_charged(
    mockserver: MockServer, http: httpx.Client, client: openai.OpenAI
) -> None:
    http.put("/__admin/quotas", json={"rpm": 1, "tpm": 100_000}).raise_for_status()
    done = _after(mockserver, client, _batch(client, _line("a"), _line("b")), 1)
    assert done.request_counts is not None
    assert done.request_counts.completed == 2
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "One is left"}])


@pytest.mark.parametrize("endpoint", ["/chat/completions", "/v1/chat/completions"])
def test_azure_runs_batches_on_the_deployment_that_lines_name(
    mockserver: MockServer, azure: openai.AzureOpenAI, endpoint: str
) -> None:
    batch = _batch(azure, _line("a", url=endpoint, model="my-deployment"), endpoint=endpoint)
    done = _after(mockserver, azure, batch, 1)
    assert done.status == "completed"
    (entry,) = _entries(azure, done.output_file_id).values()
    assert "id" not in entry
    assert entry["response"]["body"]["choices"][0]["content_filter_results"]["hate"]["severity"] == "safe"
    paths = {exchange.path: exchange.deployment for exchange in mockserver.journal}
    assert paths["/openai/deployments/my-deployment/chat/completions"] == "my-deployment"


def test_azures_v1_runs_batches_below_v1(mockserver: MockServer) -> None:
    with openai.OpenAI(base_url=f"{mockserver.url}/openai/v1", api_key=KEY, max_retries=0) as client:
        done = _after(mockserver, client, _batch(client, _line("a")), 1)
        (entry,) = _entries(client, done.output_file_id).values()
    assert entry["response"]["status_code"] == 200
    assert "/openai/v1/chat/completions" in {exchange.path for exchange in mockserver.journal}


def test_an_unknown_deployment_fails_its_line(serve: Serve) -> None:
    server = serve(deployments={"known": "gpt-4o"})
    server.clock.stop()
    with openai.AzureOpenAI(
        azure_endpoint=server.azure_endpoint, api_key=KEY, api_version="2024-10-21", max_retries=0
    ) as azure:
        done = _after(server, azure, _batch(azure, _line("a", model="unknown")), 1)
        (entry,) = _entries(azure, done.error_file_id).values()
    assert entry["response"]["status_code"] == 404
    assert entry["response"]["body"]["error"]["code"] == "DeploymentNotFound"


def test_the_same_seed_gives_the_same_results(serve: Serve) -> None:
    outputs = []
    for _ in range(2):
        server = serve(seed=7)
        server.clock.stop()
        with openai.OpenAI(base_url=server.openai_url, api_key=KEY, max_retries=0) as client:
            done = _after(server, client, _batch(client, _line("a"), _line("b")), 1)
            assert done.output_file_id is not None
            outputs.append((done.id, client.files.content(done.output_file_id).read()))
    assert outputs[0] == outputs[1]


def test_a_lenient_server_answers_for_what_is_made_up(serve: Serve) -> None:
    with openai.OpenAI(base_url=serve(lenient=True).openai_url, api_key=KEY, max_retries=0) as lenient:
        made = lenient.batches.create(input_file_id="input_file_id", endpoint="/v1/responses", completion_window="24h")
        assert made.status == "validating"
        assert lenient.batches.retrieve("batch_id").id == "batch_id"
        assert list(lenient.batches.list(after="after", limit=0)) == []


def test_a_lenient_server_lets_a_made_up_batch_be_cancelled(serve: Serve) -> None:
    with openai.OpenAI(base_url=serve(lenient=True).openai_url, api_key=KEY, max_retries=0) as lenient:
        assert lenient.batches.cancel("batch_id").object == "batch"
