"""The admin API."""

from typing import Any

import httpx
import pytest

from mockserver import MockServer, reply
from tests.mockserver.asking import CHAT, chat

STEPS = [{"fault": "rate_limited", "retry_after_s": 1, "times": 2}, {"reply": "Hello", "match": {"surface": "chat"}}]


def test_a_script_is_replaced_appended_to_and_deleted(http: httpx.Client) -> None:
    assert http.post("/__admin/script", json={"steps": STEPS}).json()["token"].startswith("s1-")
    assert http.post("/__admin/script/steps", json=[{"reply": "more"}]).json()["steps"] == [*STEPS, {"reply": "more"}]
    assert http.get("/__admin/script").json()["steps"][-1] == {"reply": "more"}
    http.post("/__admin/script", json={"steps": [{"reply": "only"}]})
    assert http.get("/__admin/script").json()["steps"] == [{"reply": "only"}]
    assert http.delete("/__admin/script").json()["steps"] == []


def test_a_script_comes_back_from_its_token(http: httpx.Client) -> None:
    token = http.post("/__admin/script", json={"steps": STEPS, "seed": 7}).json()["token"]
    http.delete("/__admin/script")
    assert http.post("/__admin/script", json={"token": token}).json() == {"token": token}
    shown = http.get("/__admin/script").json()
    assert (shown["steps"], shown["seed"], shown["token"]) == (STEPS, 7, token)


def test_what_is_put_is_what_happens(http: httpx.Client) -> None:
    http.post("/__admin/script", json={"steps": [{"fault": "server_error", "status": 503}, {"reply": "Hello"}]})
    assert http.post(CHAT, json=chat()).status_code == 503
    assert http.post(CHAT, json=chat()).json()["choices"][0]["message"]["content"] == "Hello"


def test_the_script_shows_what_is_still_to_come(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("a").times(2))
    http.post(CHAT, json=chat())
    assert http.get("/__admin/script").json()["steps"] == [{"reply": "a"}]


def test_the_journal_is_shown_and_cleared(http: httpx.Client) -> None:
    http.post(CHAT, json=chat())
    (exchange,) = http.get("/__admin/journal").json()["exchanges"]
    assert (exchange["status"], exchange["surface"], exchange["request"]["model"]) == (200, "chat", "gpt-4o")
    assert http.delete("/__admin/journal").json()["exchanges"] == []


def test_asking_the_admin_is_no_exchange(http: httpx.Client) -> None:
    assert http.get("/__admin/health").json() == http.get("/__admin/health").json()
    assert http.get("/__admin/health").json()["requests"] == 0


def test_reset_forgets_both(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("never"))
    http.get("/v1/models")
    assert http.post("/__admin/reset").json()["requests"] == 0
    assert http.get("/__admin/script").json()["steps"] == []
    assert len(mockserver.journal) == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"steps": [{"fault": "rate_limitd"}]},
            "request body, steps[0].fault: unknown fault 'rate_limitd'; did you mean",
        ),
        ([{"reply": "x", "times": "often"}], "request body, [0].times: times is 'often'; it takes"),
        (
            [{"reply": {"tool_calls": ["f"]}}],
            "request body, [0].reply.tool_calls: tool_calls is ['f']; it takes a list",
        ),
        ([{"reply": "x", "delay_s": 10**400}], "request body, [0].delay_s: delay_s is 1000"),
        ([{"reply": {"embedding": [1e308]}}], "request body, [0].reply.embedding: embedding is [1e+308]; it takes"),
        ([{"reply": "x", "match": {"model": 5}}], "request body, [0].match.model: model is 5; it takes a text"),
        ({"stps": []}, "request body, stps: unknown key 'stps'; did you mean 'steps'?"),
        (5, "request body: a script is a mapping with `steps:`, not 5"),
    ],
)
def test_bad_steps_are_a_400_that_says_why_and_changes_nothing(
    mockserver: MockServer, http: httpx.Client, body: Any, message: str
) -> None:
    mockserver.script(reply("kept"))
    response = http.post("/__admin/script", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)
    assert http.get("/__admin/script").json()["steps"] == [{"reply": "kept"}]


def test_what_is_no_json_is_a_400(http: httpx.Client) -> None:
    response = http.post("/__admin/script", content=b"{")
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("the request body is not JSON")


def test_unknown_paths_name_the_known_ones(http: httpx.Client) -> None:
    response = http.get("/__admin/nothing")
    assert response.status_code == 404
    assert "GET /__admin/journal" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:80"},
        {"host": "[::1"},
    ],
)
def test_pages_of_other_sites_change_nothing(
    mockserver: MockServer, http: httpx.Client, headers: dict[str, str]
) -> None:
    mockserver.script(reply("kept"))
    response = http.delete("/__admin/script", headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]["message"]
    assert len(mockserver.script_left) == 1


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "mockserver:8080", "host.docker.internal"]
)
def test_private_names_and_the_page_itself_are_let_in(http: httpx.Client, host: str) -> None:
    own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert http.post("/__admin/reset", headers=own).status_code == 200


def test_nothing_is_shared_with_other_origins(http: httpx.Client) -> None:
    headers = http.get("/__admin/journal", headers={"origin": "https://evil.example"}).headers
    assert "access-control-allow-origin" not in headers
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/__admin/journal", "GET, DELETE, HEAD"),
        ("GET", "/__admin/script/steps", "POST"),
        ("DELETE", "/__admin/journal/1", "GET, HEAD"),
        ("PUT", "/__admin/ui", "GET, HEAD"),
        ("OPTIONS", "/__admin/cassette", "GET, PUT, DELETE, HEAD"),
    ],
)
def test_other_methods_are_a_405_that_names_those_there_are(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert "does not take" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["journal?sinc=1", "journal?since=-1", "ledger?entries=2", "verdict?ros=1", "clock?x=1"]
)
def test_a_query_that_says_nothing_known_is_a_400(http: httpx.Client, path: str) -> None:
    response = http.get(f"/__admin/{path}")
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_bodies_of_other_types_and_sizes_are_refused(http: httpx.Client) -> None:
    yaml = {"content-type": "application/yaml"}
    assert http.post("/__admin/script", content=b"steps: []", headers=yaml).status_code == 415
    assert http.post("/__admin/script", content=b" " * (33 * 1024 * 1024)).status_code == 413


@pytest.mark.parametrize(
    "body", [{"virtual": 1}, {"at": "now"}, {"at": 1e12}, {"advance_s": True}, {"virtual": False, "advance_s": 1}]
)
def test_a_clock_that_cannot_be_set_so_stays_as_it_is(http: httpx.Client, body: Any) -> None:
    assert http.post("/__admin/clock", json=body).status_code == 400
    assert http.get("/__admin/clock").json()["virtual"] is False


def test_one_exchange_is_shown_by_its_number(http: httpx.Client) -> None:
    http.post(CHAT, json=chat())
    (number,) = [each["number"] for each in http.get("/__admin/journal?bodies=false").json()["exchanges"]]
    assert http.get(f"/__admin/journal/{number}").json()["request"]["model"] == "gpt-4o"
    assert http.get(f"/__admin/journal/{number + 1}").status_code == 404
