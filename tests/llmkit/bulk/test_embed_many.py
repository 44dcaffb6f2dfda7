"""Embeddings of any number of texts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import AsyncClient, Client, ContextOverflow, InvalidRequest, count_text
from llmkit.bulk.embedding import MOST_TEXTS, batches, distinct, lengths
from llmkit.models import spec_for
from mockserver import MockServer
from tests.llmkit.bulk.conftest import KEY

SPEC = spec_for("text-embedding-3-small")
TEXTS = [f"text number {number}" for number in range(50)]


def test_vectors_come_in_the_order_of_the_texts(server: MockServer, client: Client) -> None:
    many = client.embed_many(TEXTS, batch_tokens=40)
    assert len(server.journal) > 3
    assert many.vectors == client.embed(TEXTS).vectors


async def test_the_async_client_embeds_many_too(server: MockServer) -> None:
    async with AsyncClient(base_url=f"{server.url}/v1", api_key=KEY, model="gpt-4o") as client:
        assert len((await client.embed_many(TEXTS, batch_tokens=40)).vectors) == len(TEXTS)


def test_the_bill_is_that_of_all_requests(client: Client) -> None:
    usage = client.embed_many(TEXTS, batch_tokens=40).usage
    assert usage is not None
    assert usage.total_tokens == sum(count_text(text, model=SPEC.name) for text in TEXTS)


def test_a_text_that_comes_twice_is_sent_once(server: MockServer, client: Client) -> None:
    vectors = client.embed_many(["a", "b", "a"]).vectors
    assert vectors[0] == vectors[2] != vectors[1]
    assert server.journal[0].request["input"] == ["a", "b"]


def test_it_resumes(server: MockServer, client: Client, tmp_path: Path) -> None:
    first = client.embed_many(TEXTS, batch_tokens=40, resume=tmp_path / "vectors")
    asked = len(server.journal)
    again = client.embed_many(TEXTS, batch_tokens=40, resume=tmp_path / "vectors")
    assert again.vectors == first.vectors
    assert len(server.journal) == asked


def test_it_resumes_with_texts_added_taken_out_and_moved(server: MockServer, client: Client, tmp_path: Path) -> None:
    """No text is paid for twice, though the batches are others now."""
    path = tmp_path / "vectors"
    client.embed_many(TEXTS, batch_tokens=40, resume=path)
    asked = len(server.journal)
    changed = ["a new one", *reversed(TEXTS[3:]), TEXTS[0]]
    assert client.embed_many(changed, batch_tokens=60, resume=path).vectors == client.embed(changed).vectors
    assert [entry.request["input"] for entry in server.journal[asked:]] == [["a new one"], changed]


def test_other_parameters_are_other_vectors(server: MockServer, client: Client, tmp_path: Path) -> None:
    client.embed_many(["a"], resume=tmp_path / "vectors")
    short = client.embed_many(["a"], dimensions=8, resume=tmp_path / "vectors")
    assert (len(short.vectors[0]), len(server.journal)) == (8, 2)


def test_a_text_that_is_too_long_is_told_before_anything_is_sent(server: MockServer, client: Client) -> None:
    with pytest.raises(ContextOverflow, match=r"texts\[1\] has [\d,]+ tokens, and text-embedding-3-small reads 8,19"):
        client.embed_many(["a", "one two " * 4_500])
    assert not len(server.journal)


@pytest.mark.parametrize("texts", ["one text", [], [""], [7]])
def test_what_are_no_texts_is_refused(client: Client, texts: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        client.embed_many(texts)


@given(st.lists(st.text(min_size=1, max_size=40), max_size=40, unique=True), st.integers(1, 60))
def test_batches_hold_every_text_once_and_no_more_than_a_request_takes(texts: list[str], most: int) -> None:
    tokens = dict(zip(texts, lengths(texts, spec=SPEC), strict=True))
    parts = list(batches(tokens, most_tokens=most))
    assert [text for part in parts for text in part] == texts
    assert all(sum(tokens[text] for text in part) <= most or len(part) == 1 for part in parts)


def test_no_batch_has_more_texts_than_the_api_takes() -> None:
    texts = {str(number): 1 for number in range(5_000)}
    assert [len(part) for part in batches(texts)] == [MOST_TEXTS, MOST_TEXTS, 5_000 - 2 * MOST_TEXTS]


@given(st.lists(st.sampled_from("abcde")))
def test_every_text_finds_its_vector(texts: list[str]) -> None:
    different, order = distinct(texts)
    assert [different[place] for place in order] == texts
    assert len(set(different)) == len(different)
