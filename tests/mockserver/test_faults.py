"""Faults, as clients feel them."""

import json
import math
import re
import threading
from typing import Any

import httpx
import openai
import pytest

from mockserver import MockServer, fault, faults, reply
from mockserver.answers import Answer, framed
from mockserver.faults.registry import REGISTRY, Effect, register
from mockserver.scripting.steps import Moment
from tests.mockserver.asking import AZURE_CHAT, CHAT, EMBEDDINGS, chat, user
from tests.mockserver.conftest import KEY, Serve


class TestRateLimited:
    """429, in both dialects."""

    def test_the_sdk_waits_as_told_and_then_succeeds(self, mockserver: MockServer) -> None:
        mockserver.script(fault.rate_limited(retry_after_s=0.01).times(2), reply("Hello"))
        with openai.OpenAI(base_url=mockserver.openai_url, api_key=KEY, max_retries=2) as client:
            completion = client.chat.completions.create(model="gpt-4o", messages=user())
        assert completion.choices[0].message.content == "Hello"
        assert [exchange.status for exchange in mockserver.journal] == [429, 429, 200]

    @pytest.mark.parametrize("limit", ["requests", "tokens"])
    def test_openai_names_the_quota(self, mockserver: MockServer, http: httpx.Client, limit: Any) -> None:
        mockserver.script(fault.rate_limited(retry_after_s=1.5, limit=limit))
        response = http.post(CHAT, json=chat())
        error = response.json()["error"]
        assert (error["type"], error["code"]) == (limit, "rate_limit_exceeded")
        assert "Please try again in 1.5s." in error["message"]
        assert response.headers["retry-after-ms"] == "1500"
        assert response.headers[f"x-ratelimit-reset-{limit}"] == "1.5s"

    def test_azure_counts_whole_seconds(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.rate_limited(retry_after_s=1.5))
        response = http.post(AZURE_CHAT, json=chat())
        assert response.json()["error"]["code"] == "RateLimitReached"
        assert "Please retry after 2 seconds." in response.json()["error"]["message"]
        assert "under Azure OpenAI API version 2024-10-21" in response.json()["error"]["message"]
        assert response.headers["retry-after"] == "2"

    def test_at_once_means_zero(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.rate_limited(retry_after_s=0))
        assert http.post(CHAT, json=chat()).headers["retry-after"] == "0"


class TestFailures:
    """Refusals and 5xx."""

    @pytest.mark.parametrize("status", [500, 501, 503])
    def test_openai_fails_with_a_server_error(self, mockserver: MockServer, http: httpx.Client, status: int) -> None:
        mockserver.script(fault.server_error(status=status))
        response = http.post(CHAT, json=chat())
        assert response.status_code == status
        assert response.json()["error"]["type"] == "server_error"
        assert response.headers["x-request-id"] in response.json()["error"]["message"]

    @pytest.mark.parametrize("status", [502, 504])
    def test_the_edge_fails_in_html(self, mockserver: MockServer, http: httpx.Client, status: int) -> None:
        mockserver.script(fault.server_error(status=status))
        response = http.post(CHAT, json=chat())
        assert (response.status_code, response.headers["content-type"]) == (status, "text/html")
        assert f"<h1>{status}" in response.text

    def test_azure_points_to_its_support(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.server_error())
        assert "Azure support request" in http.post(AZURE_CHAT, json=chat()).json()["error"]["message"]

    def test_a_spent_quota_on_openai(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.insufficient_quota())
        error = http.post(CHAT, json=chat()).json()["error"]
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")

    def test_a_spent_quota_on_azure_asks_for_a_day(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.insufficient_quota())
        assert http.post(AZURE_CHAT, json=chat()).headers["retry-after"] == "86400"

    def test_azures_filter_refuses_a_prompt(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.content_filtered())
        response = http.post(AZURE_CHAT, json=chat())
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["status"]) == (400, "content_filter", 400)
        assert error["innererror"]["content_filter_result"]["violence"]["filtered"] is True

    def test_azures_filter_names_the_category_and_severity(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.content_filtered(category="hate", severity="high"))
        inner = http.post(AZURE_CHAT, json=chat()).json()["error"]["innererror"]
        assert inner["content_filter_result"]["hate"] == {"filtered": True, "severity": "high"}
        assert inner["content_filter_result"]["violence"]["filtered"] is False

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            (400, '"code":"invalid_value"'),
            (401, "Access denied due to invalid subscription key"),
            (403, '{"error":{"code":"403","message": "Access denied due to Virtual Network/Firewall rules."}}'),
            (404, '"code":"DeploymentNotFound"'),
            (405, '"message": "Resource not found"'),
            (408, '{"error":{"code":"Timeout","message":"The operation was timeout."}}'),
            (413, "Failed to buffer the request body: length limit exceeded"),
            (422, '{"error":{"code":"422","message":"Unprocessable Entity"}}'),
            (429, "Please retry after 1 seconds."),
            (500, "Azure support request"),
        ],
    )
    def test_azure_has_its_own_words_for_each_status(
        self, mockserver: MockServer, http: httpx.Client, status: int, text: str
    ) -> None:
        mockserver.script(fault.http_error(status=status))
        response = http.post(AZURE_CHAT, json=chat())
        assert response.status_code == (404 if status == 405 else status)
        assert text in response.text

    def test_every_status_from_400_to_599_has_an_answer(self, mockserver: MockServer, http: httpx.Client) -> None:
        statuses = [*range(400, 405), *range(406, 600)]
        mockserver.script(*(fault.http_error(status=status) for status in statuses))
        assert [http.post(CHAT, json=chat()).status_code for _ in statuses] == statuses

    def test_openais_filter_ends_the_reply(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.content_filtered())
        assert http.post(CHAT, json=chat()).json()["choices"][0]["finish_reason"] == "content_filter"

    def test_any_other_refusal_can_be_spelt_out(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(
            fault.refused(status=403, message="No.", type="request_forbidden", code="unsupported_country")
        )
        response = http.post(CHAT, json=chat())
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "unsupported_country"


class TestBodies:
    """Bodies that are not what they should be."""

    def test_malformed_json_is_complete_http(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.malformed_json())
        response = http.post(CHAT, json=chat())
        assert response.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            response.json()

    def test_of_a_stream_one_event_is_malformed(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.malformed_json())
        events = http.post(CHAT, json=chat(stream=True)).text.strip().split("\n\n")
        assert events[-1] == "data: [DONE]"
        broken = [event for event in events[:-1] if not event.endswith("}")]
        assert len(broken) == 1

    @pytest.mark.parametrize("how", ["rst", "fin"])
    def test_the_sdk_calls_a_cut_a_connection_error(
        self, mockserver: MockServer, client: openai.OpenAI, how: Any
    ) -> None:
        mockserver.script(fault.cut(at={"frame": 4}, how=how))
        stream = client.chat.completions.create(model="gpt-4o", messages=user(), stream=True)
        with pytest.raises(openai.APIConnectionError):
            list(stream)

    def test_of_embeddings_the_body_can_be_short_but_honest(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.truncated_body(how="eof"))
        response = http.post(EMBEDDINGS, json={"model": "text-embedding-3-small", "input": "x"})
        assert len(response.content) == int(response.headers["content-length"])
        with pytest.raises(json.JSONDecodeError):
            response.json()

    def test_azures_bodies_stay_compact_where_a_field_is_taken_out(
        self, mockserver: MockServer, http: httpx.Client
    ) -> None:
        mockserver.script(fault.missing_field(field="choices.0.message.content"))
        response = http.post(AZURE_CHAT, json=chat())
        assert "content" not in response.json()["choices"][0]["message"]
        assert ": " not in response.text.replace("content", "")[:20]


class TestHang:
    """Silence."""

    def test_it_lasts_until_the_client_leaves(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.hang())
        with pytest.raises(httpx.ReadTimeout):
            http.post(CHAT, json=chat(), timeout=0.1)
        assert http.post(CHAT, json=chat()).status_code == 200

    def test_it_ends_after_its_seconds_with_the_answer(self, mockserver: MockServer, http: httpx.Client) -> None:
        mockserver.script(fault.hang(seconds=0.01))
        assert http.post(CHAT, json=chat()).status_code == 200

    def test_a_stopping_server_does_not_wait_for_it(self, network_allowance: Any) -> None:
        outcome: list[BaseException] = []
        with MockServer(script=[fault.hang()]) as server:
            network_allowance.allow(server.host, server.port)

            def ask() -> None:
                try:
                    httpx.post(server.url + CHAT, headers={"authorization": "Bearer any"}, json=chat(), timeout=30)
                except httpx.HTTPError as exc:
                    outcome.append(exc)

            asking = threading.Thread(target=ask)
            asking.start()
            while not (len(server.journal) and server.journal[0].outcome):
                asking.join(0.005)
        asking.join(5)
        assert not asking.is_alive()
        assert len(outcome) == 1


def test_a_new_fault_is_one_function(mockserver: MockServer, http: httpx.Client) -> None:
    @register("response")
    def teapot(*, strength: int = 1) -> Effect:
        def effect(moment: Moment) -> Answer:
            return Answer(status=418, headers=moment.inner().headers, frames=framed([b"{}"] * strength))

        return effect

    try:
        mockserver.script(faults.make("teapot", strength=2))
        assert http.post(CHAT, json=chat()).status_code == 418
        assert "teapot" in dir(fault)
        assert fault.teapot.__name__ == "teapot"
    finally:
        del REGISTRY["teapot"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: fault.rate_limited(retry_after_s=-1), "retry_after_s is -1; it takes seconds from 0"),
        (lambda: fault.rate_limited(retry_after_s="1"), "retry_after_s is '1'; it takes seconds from 0 to 1000000"),
        (lambda: fault.rate_limited(limit="x"), "limit is 'x'; it takes 'requests' or 'tokens'"),
        (lambda: fault.server_error(status=200), "status is 200; it takes a whole number from 500 to 599"),
        (lambda: fault.server_error(status=True), "status is True; it takes a whole number"),
        (lambda: fault.refused(status=200, message=""), "status is 200; it takes a whole number from 400 to 599"),
        (lambda: fault.hang(seconds=-1), "seconds is -1; it takes seconds from 0 to 86400"),
        (lambda: fault.hang(seconds=math.nan), "seconds is nan; it takes seconds from 0 to 86400"),
        (lambda: fault.hang(seconds=10**400), "seconds is 1000000"),
        (lambda: fault.hang(seconds=10**5000), "seconds is a number of thousands of digits; it takes seconds"),
        (
            lambda: fault.refused(status=400, message="\ud800"),
            "it takes a text that UTF-8 can carry, and this one holds half of a surrogate pair",
        ),
        (lambda: fault.refused(status=400, message=5), "message is 5; it takes a text: put it in quotes"),
        (lambda: fault.cut(how="x"), "how is 'x'; it takes 'rst' or 'fin' or 'eof'"),
        (
            lambda: fault.cut(at={"frame": -1}),
            'at is {\'frame\': -1}; it takes {"frame": k} or {"frame": k, "byte": b}',
        ),
        (lambda: fault.cut(at={"frame": 10**400}), "both counted from 0 to 1000000"),
        (lambda: fault.cut(at={"frame": True}), "at is {'frame': True}; it takes"),
        (lambda: fault.cut(at={"byte": 1}), "at is {'byte': 1}; it takes"),
        (lambda: fault.cut(at={"frame": 1, "bite": 1}), "at is {'frame': 1, 'bite': 1}; it takes"),
        (lambda: fault.cut(at="end"), "one of 'finish', 'usage', 'done', 'utf8', 'tool_argument'"),
        (lambda: fault.cut(at=None), "at is None; it takes"),
        (lambda: fault.wrong_content_length(delta=0), "a whole number from -1000000 to 1000000 and not 0"),
        (lambda: fault.wrong_content_length(delta=1.5), "delta is 1.5; it takes a whole number"),
        (lambda: fault.missing_field(field="."), "field is '.'; it takes a dotted path"),
        (lambda: fault.latency(delay_s=math.inf), "delay_s is inf; it takes seconds from 0 to 86400"),
        (lambda: fault.latency(delay_s={"low": 2, "high": 1}), "delay_s is {'low': 2, 'high': 1}; it takes"),
        (lambda: fault.latency(delay_s={"median": 0, "sigma": 1}), "for a lognormal distribution"),
        (lambda: fault.latency(delay_s={"low": 0, "high": math.nan}), "for a uniform"),
        (lambda: fault.latency(delay_s={"low": 0, "high": 10**400}), "for a uniform"),
        (lambda: fault.content_filtered(category="x"), "category is 'x'; it takes 'hate' or 'self_harm'"),
        (lambda: fault.drip(size=0), "size is 0; it takes a whole number from 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        wrong()


def test_an_unknown_fault_names_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"there is no fault 'nonsense'; there are bad_chunk, bad_frame"):
        fault.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", EMBEDDINGS, {"model": "text-embedding-3-small", "input": "x"}),
        (
            "POST",
            "/v1/images/generations",
            {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024", "stream": True},
        ),
        ("POST", "/v1/audio/speech", {"model": "gpt-4o-mini-tts", "input": "x", "voice": "alloy"}),
        ("GET", "/v1/models", None),
    ],
)
def test_the_filter_leaves_alone_what_it_does_not_look_at(
    mockserver: MockServer, http: httpx.Client, method: str, path: str, body: Any
) -> None:
    mockserver.script(fault.content_filtered())
    assert http.request(method, path, json=body).status_code == 200
    assert len(mockserver.script_left) == 1
    assert (
        f"content_filtered acts on chat, completions, responses, realtime only, and this is {method} {path}"
        in (mockserver.journal[0].misses[0])
    )


@pytest.mark.parametrize("path", [CHAT, AZURE_CHAT])
def test_the_filter_of_azure_looks_at_pictures_too(mockserver: MockServer, http: httpx.Client, path: str) -> None:
    mockserver.script(fault.content_filtered().times(2))
    picture = {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}
    assert http.post("/openai/v1/images/generations", json=picture).status_code == 400
    assert http.post(path, json=chat()).status_code in (200, 400)
    assert mockserver.script_left == []


def test_refusals_and_broken_bodies_befall_every_surface(serve: Serve) -> None:
    server = serve()
    requests: list[tuple[str, str, Any]] = [
        ("POST", CHAT, chat()),
        ("POST", CHAT, chat(stream=True)),
        ("POST", EMBEDDINGS, {"model": "text-embedding-3-small", "input": "x"}),
        ("GET", "/v1/models", None),
        ("GET", "/openai/models?api-version=2024-10-21", None),
    ]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}) as http:
        for method, path, body in requests:
            for name in ("rate_limited", "server_error", "insufficient_quota", "malformed_json"):
                server.script(faults.make(name))
                assert http.request(method, path, json=body).content
    assert {exchange.outcome for exchange in server.journal} == {
        "rate_limited",
        "server_error",
        "insufficient_quota",
        "malformed_json",
    }


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: fault.rate_limited(retry_after=1),
            TypeError,
            "rate_limited takes no 'retry_after'; did you mean 'retry_after_s'",
        ),
        (lambda: fault.server_error(1, 2), TypeError, "server_error: "),
        (lambda: reply("x", fault="cutt"), KeyError, "unknown fault 'cutt'; did you mean 'cut'"),
    ],
)
def test_a_slip_of_the_pen_says_what_was_perhaps_meant(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        make()
