"""instructor, which asks for objects by way of tools: ``python -m tests.conformance.clients.instructor_client``."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import instructor  # type: ignore[import-not-found]  # in an environment of its own
import openai
from pydantic import BaseModel, ConfigDict, Field

from tests.conformance.clients import talk


class Weather(BaseModel):
    """The weather of the next days."""

    model_config = ConfigDict(title="get_weather", extra="forbid")

    city: str
    unit: Literal["celsius", "fahrenheit"]
    days: Annotated[int, Field(ge=1, le=7)]


def plain(client: Any) -> None:
    """An object, checked by pydantic, without an attempt more than one."""
    _, completion = _object(client)
    talk.check_usage(completion.usage.prompt_tokens, completion.usage.completion_tokens)


def streamed(client: Any) -> None:
    """An object that grows as it comes; instructor describes its tool otherwise than the plain one's."""
    grown = list(client.chat.completions.create_partial(**_request(Weather)))
    talk.expect(len(grown) > 1, f"expected an object in several pieces, got {grown!r}")
    talk.weather("get_weather", grown[-1].model_dump())


def tools(client: Any) -> None:
    """The call behind the object, its result, an answer in words."""
    _, completion = _object(client)
    # instructor wants the `content` that goes with a call, null as it came
    called = {"content": None, **completion.choices[0].message.model_dump(exclude_none=True)}
    talk.expect(called.get("tool_calls"), f"expected a tool call, got {called!r}")
    results = []
    for call in called["tool_calls"]:
        talk.check_call_id(call["id"])
        said = talk.weather("get_weather", call["function"]["arguments"])
        results.append({"role": "tool", "tool_call_id": call["id"], "content": said})
    reply = client.chat.completions.create(**_request(None, [*talk.MESSAGES, called, *results]))
    talk.check_words(
        reply.choices[0].message.content,
        finish_reason=reply.choices[0].finish_reason,
        prompt=reply.usage.prompt_tokens,
        completion=reply.usage.completion_tokens,
    )


def _object(client: Any) -> tuple[Weather, Any]:
    found, completion = client.chat.completions.create_with_completion(**_request(Weather))
    talk.weather("get_weather", found.model_dump())
    return found, completion


def _request(wanted: type[BaseModel] | None, messages: list[Any] = talk.MESSAGES) -> dict[str, Any]:
    return {"model": talk.MODEL, "messages": messages, "response_model": wanted, "max_retries": 0}


def _conversations(client: Any) -> dict[str, Callable[[], None]]:
    return {"plain": partial(plain, client), "streamed": partial(streamed, client), "tools": partial(tools, client)}


def main() -> int:
    """Hold all conversations in both dialects, and OpenAI's by way of a JSON schema as well."""
    shared: dict[str, Any] = {"api_key": talk.KEY, "max_retries": 0, "timeout": 20}
    ours = openai.OpenAI(base_url=f"{talk.ORIGIN}/v1", **shared)
    azure = openai.AzureOpenAI(azure_endpoint=talk.ORIGIN, api_version=talk.AZURE_VERSION, **shared)
    schema = instructor.from_openai(ours, mode=instructor.Mode.JSON_SCHEMA)
    return talk.hold(
        {
            "openai": _conversations(instructor.from_openai(ours))
            | {"schema": partial(plain, schema), "streamed schema": partial(streamed, schema)},
            "azure": _conversations(instructor.from_openai(azure)),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
