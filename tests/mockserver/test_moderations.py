"""Moderations: shapes, scores that do not change, and words that flag."""

from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockserver.surfaces.moderations import CATEGORIES, WORDS
from tests.mockserver.conftest import Serve

PATH = "/v1/moderations"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/otter.png"}}


def flags(http: httpx.Client, text: str) -> set[str]:
    (result,) = http.post(PATH, json={"input": text}).json()["results"]
    assert result["flagged"] == any(result["categories"].values())
    return {name for name, flagged in result["categories"].items() if flagged}


def test_the_sdk_reads_a_verdict_for_every_text(client: openai.OpenAI) -> None:
    response = client.moderations.create(input=["a walk by the sea", "I will kill you"])
    assert response.id.startswith("modr-")
    assert response.model == "omni-moderation-latest"
    assert [result.flagged for result in response.results] == [False, True]
    assert response.results[1].categories.harassment_threatening


def test_ordinary_text_is_not_flagged(http: httpx.Client) -> None:
    assert flags(http, "Sea otters float on their backs, skilled as they are.") == set()


@pytest.mark.parametrize(("word", "categories"), WORDS.items())
def test_a_listed_word_flags_its_categories(http: httpx.Client, word: str, categories: tuple[str, ...]) -> None:
    assert set(categories) <= flags(http, f"They said: {word.upper()}.")


def test_flags_and_scores_agree(http: httpx.Client) -> None:
    (result,) = http.post(PATH, json={"input": "a murder"}).json()["results"]
    assert list(result["category_scores"]) == list(CATEGORIES)
    assert {name: score >= 0.5 for name, score in result["category_scores"].items()} == result["categories"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4))
def test_a_text_is_judged_alike_alone_and_among_others(http: httpx.Client, texts: list[str]) -> None:
    together = http.post(PATH, json={"input": texts}).json()["results"]
    alone = [http.post(PATH, json={"input": text}).json()["results"][0] for text in texts]
    assert together == alone


def test_parts_of_both_kinds_get_one_verdict_that_says_what_it_is_about(http: httpx.Client) -> None:
    parts = [{"type": "text", "text": "an otter"}, IMAGE]
    (result,) = http.post(PATH, json={"input": parts}).json()["results"]
    applied = result["category_applied_input_types"]
    assert applied["violence"] == ["text", "image"]
    assert applied["hate"] == ["text"]


def test_a_picture_alone_is_not_judged_for_what_only_texts_can_be(http: httpx.Client) -> None:
    (result,) = http.post(PATH, json={"input": [IMAGE]}).json()["results"]
    assert result["category_applied_input_types"]["hate"] == []
    assert result["category_applied_input_types"]["sexual"] == ["image"]


def test_the_older_models_know_fewer_categories(http: httpx.Client) -> None:
    body = http.post(PATH, json={"model": "text-moderation-latest", "input": "x"}).json()
    (result,) = body["results"]
    assert body["model"] == "text-moderation-007"
    assert "illicit" not in result["categories"]
    assert "category_applied_input_types" not in result


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing required parameter: 'input'."),
        ({"input": 5}, "Invalid type for 'input'"),
        ({"input": []}, "Invalid 'input': empty array."),
        ({"input": [5]}, "Invalid type for 'input[0]': expected an object"),
        ({"input": [{"type": "video"}]}, "Supported values are: 'text' and 'image_url'."),
        ({"input": [{"type": "image_url", "image_url": {}}]}, "'input[0].image_url.url'"),
        ({"model": "text-moderation-latest", "input": [IMAGE]}, "Supported values are: 'text'."),
        ({"input": "x", "n": 1}, "Unrecognized request argument supplied: n"),
    ],
)
def test_what_is_no_input_is_refused(http: httpx.Client, body: Any, message: str) -> None:
    response = http.post(PATH, json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize("value", [None, 5, [5], [{"type": 7}], {"a": 1}, [None]])
def test_a_lenient_server_judges_anything(serve: Serve, value: Any) -> None:
    server = serve(lenient=True)
    headers = {"authorization": "Bearer sk-test-0123456789"}
    response = httpx.post(f"{server.openai_url}/moderations", json={"input": value, "n": 1}, headers=headers)
    assert response.status_code == 200
    assert response.json()["results"]


def test_azure_has_no_moderations(http: httpx.Client) -> None:
    assert http.post("/openai/v1/moderations", json={"input": "x"}).status_code == 404
