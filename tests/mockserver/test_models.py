"""The models surface and the catalogue behind it."""

import httpx
import openai
import pytest

from llmkit.models import registry
from mockserver import catalogue
from tests.mockserver.conftest import Serve


def test_the_sdk_lists_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"gpt-4o", "text-embedding-3-small"} <= set(names)


def test_one_model_is_found_by_its_name(client: openai.OpenAI) -> None:
    assert client.models.retrieve("gpt-4o-2024-08-06").id == "gpt-4o-2024-08-06"


def test_an_unknown_one_is_not(http: httpx.Client) -> None:
    response = http.get("/v1/models/abc")
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "The model 'abc' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_azure_lists_capabilities(azure: openai.AzureOpenAI) -> None:
    models = {model.id: model.to_dict() for model in azure.models.list()}
    assert models["gpt-4o"]["capabilities"]["chat_completion"] is True  # type: ignore[index] # not in the SDK's type
    assert models["text-embedding-3-small"]["capabilities"]["embeddings"] is True  # type: ignore[index]


def test_azures_v1_lists_as_openai_does(http: httpx.Client) -> None:
    assert http.get("/openai/v1/models").json()["data"][0]["object"] == "model"


@pytest.mark.parametrize(
    ("name", "snapshot"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4-0613", "gpt-4-0613"),
        ("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc123", "ft:gpt-4o-mini-2024-07-18:acme::abc123"),
        ("gpt-35-turbo", "gpt-35-turbo"),
    ],
)
def test_versions_and_other_spellings_are_known(name: str, snapshot: str) -> None:
    model = catalogue.find(name)
    assert model is not None
    assert model.snapshot == snapshot


@pytest.mark.parametrize("name", ["gpt-99", "does-not-exist", "gpt-4o-nonsense", "gpt-5.2-proo", "gpt-3.5", "ft:", ""])
def test_made_up_names_are_not(name: str) -> None:
    assert catalogue.find(name) is None


def test_every_model_of_the_clients_registry_is_played() -> None:
    assert [name for name in registry() if catalogue.find(name) is None] == []


@pytest.mark.parametrize(
    ("name", "effort"), [("gpt-5-pro", "high"), ("gpt-5.1-codex", "medium"), ("gpt-6-sol", "medium")]
)
def test_a_model_thinks_as_hard_as_it_does_when_nobody_says(http: httpx.Client, name: str, effort: str) -> None:
    answer = http.post("/v1/responses", json={"model": name, "input": "Hello"})
    assert answer.json()["reasoning"]["effort"] == effort


def test_every_alias_leads_to_a_version_that_is_known() -> None:
    for name in catalogue.names():
        model = catalogue.find(name)
        assert model is not None
        assert catalogue.find(model.snapshot) is not None, name


def test_only_a_lenient_server_deletes_a_model_that_nobody_made(http: httpx.Client, serve: Serve) -> None:
    name = "ft:gpt-4o-mini:acemeco:suffix:abc123"
    error = http.delete(f"/v1/models/{name}").json()["error"]
    assert (error["message"], error["code"]) == (f"The model '{name}' does not exist", "model_not_found")
    assert http.delete("/v1/models/gpt-4o").status_code == 403
    lenient = httpx.delete(f"{serve(lenient=True).url}/v1/models/{name}", headers={"authorization": "Bearer any"})
    assert lenient.json() == {"id": name, "object": "model", "deleted": True}
