"""What is different on Azure."""

import json

import httpx
import openai
import pytest

from mockserver import MockServer, fault
from mockserver.calls import Call
from mockserver.dialects import Dialect
from mockserver.dialects.azure import Azure
from mockserver.dialects.openai import OpenAI
from mockserver.generating.dice import Dice
from tests.mockserver.asking import AZURE_CHAT, chat
from tests.mockserver.conftest import KEY, Serve

NOT_FOUND = b'{"error":{"code":"404","message": "Resource not found"}}'  # 56 bytes, the blank included
DEPLOYMENT = "/openai/deployments/{}/chat/completions?api-version=2024-10-21"


def test_the_sdk_is_served_by_deployment(azure: openai.AzureOpenAI) -> None:
    completion = azure.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hi"}])
    assert completion.model == "gpt-4o-2024-08-06"


def test_the_sdk_is_served_under_v1(http: httpx.Client, mockserver: object) -> None:
    assert http.post("/openai/v1/chat/completions", json=chat()).status_code == 200


def test_a_deployment_named_like_a_model_is_that_model(http: httpx.Client) -> None:
    assert http.post(DEPLOYMENT.format("gpt-4.1"), json=chat()).json()["model"] == "gpt-4.1-2025-04-14"


def test_the_path_decides_over_the_body(http: httpx.Client) -> None:
    assert http.post(DEPLOYMENT.format("gpt-4.1"), json=chat(model="gpt-4")).json()["model"].startswith("gpt-4.1")


def test_with_deployments_only_those_exist(serve: Serve) -> None:
    server = serve(deployments={"prod": "gpt-4o-mini"})
    with httpx.Client(base_url=server.url, headers={"api-key": KEY}) as http:
        assert http.post(DEPLOYMENT.format("prod"), json=chat()).json()["model"] == "gpt-4o-mini-2024-07-18"
        response = http.post(DEPLOYMENT.format("gpt-4o"), json=chat())
        unknown = http.post("/openai/v1/chat/completions", json=chat(model="gpt-4o"))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "DeploymentNotFound")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_model")


@pytest.mark.parametrize(
    "query",
    ["", *(f"?api-version={each}" for each in ("", "latest", "2024", "1999-01-01", "2024-13-01", "2024-10-21-beta"))],
)
def test_without_a_sound_api_version_nothing_is_found(http: httpx.Client, query: str) -> None:
    response = http.post(f"/openai/deployments/chat/chat/completions{query}", json=chat())
    assert response.status_code == 404
    assert response.content == NOT_FOUND
    assert response.headers["content-type"] == "application/json"
    assert response.headers["apim-request-id"]
    assert "x-ms-region" not in response.headers


@pytest.mark.parametrize("path", ["/openai/nonsense", "/chat/completions"])
def test_unknown_paths_are_refused_in_azures_words(http: httpx.Client, path: str) -> None:
    assert http.post(path, json={}).content == NOT_FOUND


def test_a_deployment_of_another_kind_is_refused(http: httpx.Client) -> None:
    error = http.post(DEPLOYMENT.format("text-embedding-3-small"), json=chat()).json()["error"]
    assert error["code"] == "OperationNotSupported"
    assert "The chatCompletion operation does not work with the specified model" in error["message"]


def test_filter_verdicts_come_with_every_choice(http: httpx.Client) -> None:
    body = http.post(AZURE_CHAT, json=chat(n=2)).json()
    assert body["prompt_filter_results"][0]["prompt_index"] == 0
    assert all(choice["content_filter_results"]["hate"]["severity"] == "safe" for choice in body["choices"])
    assert "service_tier" not in body


def test_json_comes_on_one_line_with_sorted_keys(http: httpx.Client) -> None:
    text = http.post(AZURE_CHAT, json=chat()).text
    assert text.startswith('{"choices":[{"content_filter_results":')


def test_rate_limits_come_as_plain_numbers(http: httpx.Client) -> None:
    headers = http.post(AZURE_CHAT, json=chat()).headers
    assert headers["x-ratelimit-reset-requests"].isdigit()
    assert headers["x-ratelimit-renewalperiod-tokens"] == "60"
    assert headers["x-ms-region"]
    assert headers["x-ms-deployment-name"] == "chat"


def test_refusals_by_the_model_have_openais_four_fields(http: httpx.Client) -> None:
    error = http.post(AZURE_CHAT, json=chat(temperature=9)).json()["error"]
    assert set(error) == {"message", "type", "param", "code"}


def test_embeddings_have_a_default_model_of_their_own(azure: openai.AzureOpenAI) -> None:
    assert azure.embeddings.create(model="anything", input="x").model == "text-embedding-3-small"


@pytest.mark.parametrize(
    ("version", "code", "message"),
    [
        ("2022-12-01", "429", "Rate limit is exceeded. Try again in 7 seconds."),
        ("2023-05-15", "429", "Requests to the Creates a completion for the chat message Operation under Azure OpenAI"),
        (
            "2024-06-01",
            "429",
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-06",
        ),
        (
            "2024-10-21",
            "RateLimitReached",
            "Your requests to chat for gpt-4o in East US 2 have exceeded the token rate",
        ),
    ],
)
def test_a_429_is_worded_as_in_the_year_of_the_api_version(
    mockserver: MockServer, http: httpx.Client, version: str, code: str, message: str
) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=7, limit="tokens"))
    response = http.post(AZURE_CHAT.replace("2024-10-21", version), json=chat())
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (429, code)
    assert error["message"].startswith(message)
    assert "7 seconds" in error["message"]
    assert response.headers["retry-after"] == "7"


def test_for_a_while_azure_spelt_the_wait_otherwise(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.rate_limited(retry_after_s=7, limit="tokens"))
    headers = http.post(AZURE_CHAT.replace("2024-10-21", "2023-12-01-preview"), json=chat()).headers
    assert headers["x-rate-limit-reset-tokens"] == "7"
    assert "retry-after" not in headers


def test_a_token_of_entra_opens_as_a_key_does_and_is_refused_in_its_own_words(serve: Serve) -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln"
    open_, closed = serve(), serve(api_keys=["another"])
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.post(open_.url + AZURE_CHAT, headers=headers, json=chat()).status_code == 200
    refused = httpx.post(closed.url + AZURE_CHAT, headers=headers, json=chat())
    assert refused.status_code == 401
    assert refused.json()["message"].startswith("Unauthorized. Access token is missing, invalid, audience is incorrect")


@pytest.mark.parametrize("dialect", [Azure(), OpenAI()])
@pytest.mark.parametrize("status", [*range(400, 418), 422, 429, *range(500, 505)])
def test_every_status_has_a_refusal(dialect: Dialect, status: int) -> None:
    call = Call(number=1, method="POST", path=AZURE_CHAT, surface="chat", dialect=dialect.name, request_id="r")
    problem = dialect.server_error(call, status)
    answer = dialect.refuse(problem, request_id="r", dice=Dice(1))
    assert answer.status in (status, 404)  # Azure's gateway does not know what is not allowed
    assert answer.body
    if answer.headers["content-type"].startswith("application/json"):
        assert json.loads(answer.body)
