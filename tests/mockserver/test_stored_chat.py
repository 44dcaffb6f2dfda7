"""Chat completions that are kept, as the official SDK sees them."""

from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from mockserver import MockServer, reply
from tests.mockserver.asking import CHAT
from tests.mockserver.conftest import KEY, Serve


def _stored(client: openai.OpenAI, text: str = "Hello", model: str = "gpt-4o", **more: Any) -> ChatCompletion:
    made: ChatCompletion = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], store=True, **more
    )
    return made


def test_a_stored_completion_is_read_again(client: openai.OpenAI) -> None:
    made = _stored(client, metadata={"run": "1"})
    read = client.chat.completions.retrieve(made.id)
    assert (read.id, read.choices, read.usage, read.metadata) == (made.id, made.choices, made.usage, {"run": "1"})


def test_what_does_not_ask_for_it_is_not_kept(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.retrieve(made.id)
    assert raised.value.status_code == 404
    assert list(client.chat.completions.list()) == []


def test_a_stream_is_kept_as_it_would_have_come_whole(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Hello"}], store=True, stream=True
    ) as stream:
        chunks = list(stream)
    kept = client.chat.completions.retrieve(chunks[0].id)
    assert kept.object == "chat.completion"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert kept.choices[0].message.content == said


def test_lists_are_filtered_by_model_and_metadata(client: openai.OpenAI) -> None:
    first = _stored(client, "One", metadata={"team": "a", "run": "1"})
    second = _stored(client, "Two", metadata={"team": "a"})
    third = _stored(client, "Three", model="gpt-4o-mini")
    listed = client.chat.completions.list
    assert [each.id for each in listed()] == [first.id, second.id, third.id]  # the oldest first
    assert [each.id for each in listed(order="desc", limit=1)] == [third.id, second.id, first.id]
    assert [each.id for each in listed(model=third.model)] == [third.id]
    assert [each.id for each in listed(metadata={"team": "a"})] == [first.id, second.id]
    assert [each.id for each in listed(metadata={"team": "a", "run": "1"})] == [first.id]
    assert [each.id for each in listed(after=first.id)] == [second.id, third.id]


def test_metadata_is_replaced(client: openai.OpenAI) -> None:
    made = _stored(client, metadata={"run": "1"})
    assert client.chat.completions.update(made.id, metadata={"kept": "yes"}).metadata == {"kept": "yes"}
    assert client.chat.completions.retrieve(made.id).metadata == {"kept": "yes"}
    assert client.chat.completions.update(made.id, metadata=None).metadata == {}
    with pytest.raises(openai.BadRequestError, match="expected a string"):
        client.chat.completions.update(made.id, metadata={"run": 1})  # type: ignore[dict-item] # the server refuses it


def test_a_deleted_completion_is_gone(client: openai.OpenAI) -> None:
    made = _stored(client)
    gone = client.chat.completions.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "chat.completion.deleted")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.delete(made.id)


def test_the_messages_are_those_that_were_answered(client: openai.OpenAI, http: httpx.Client) -> None:
    parts = [{"type": "text", "text": "Look "}, {"type": "text", "text": "here"}]
    messages: list[Any] = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": parts, "name": "kim"}]
    made = client.chat.completions.create(model="gpt-4o", messages=messages, store=True)
    page = http.get(f"{CHAT}/{made.id}/messages").json()
    assert page["data"] == [
        {"id": f"{made.id}-0", "role": "system", "content": "Be brief", "name": None, "content_parts": None},
        {"id": f"{made.id}-1", "role": "user", "content": "Look here", "name": "kim", "content_parts": parts},
    ]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (f"{made.id}-0", f"{made.id}-1", False)
    second = client.chat.completions.messages.list(made.id, after=f"{made.id}-0")
    assert [message.id for message in second] == [f"{made.id}-1"]


def test_azure_keeps_completions_too(azure: openai.AzureOpenAI) -> None:
    made = _stored(azure)
    assert azure.chat.completions.retrieve(made.id).choices[0].message == made.choices[0].message
    assert [each.id for each in azure.chat.completions.list()] == [made.id]


def test_reading_takes_no_scripted_reply(mockserver: MockServer, client: openai.OpenAI) -> None:
    made = _stored(client)
    mockserver.script(reply("for the next question"))
    client.chat.completions.retrieve(made.id)
    assert len(mockserver.script_left) == 1


def test_a_wrong_page_is_refused(http: httpx.Client) -> None:
    assert http.get(f"{CHAT}?limit=101").json()["error"]["code"] == "integer_above_max_value"
    assert http.get(f"{CHAT}/chatcmpl-x/messages").status_code == 404


def test_a_lenient_server_answers_for_what_is_made_up(serve: Serve) -> None:
    with openai.OpenAI(base_url=serve(lenient=True).openai_url, api_key=KEY, max_retries=0) as lenient:
        completions = lenient.chat.completions
        assert completions.retrieve("completion_id").id == "completion_id"
        assert completions.update("completion_id", metadata={"foo": "string"}).metadata == {"foo": "string"}
        assert list(completions.messages.list("completion_id", after="after", limit=0, order="asc")) == []
        assert list(completions.list(after="after", limit=0, metadata={"foo": "string"}, model="model")) == []
        assert completions.delete("completion_id").deleted
