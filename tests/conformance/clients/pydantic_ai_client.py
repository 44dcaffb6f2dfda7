"""pydantic-ai, whose agent runs the tools itself: ``python -m tests.conformance.clients.pydantic_ai_client``."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_ai import Agent  # type: ignore[import-not-found]  # in an environment of its own
from pydantic_ai.messages import ToolCallPart  # type: ignore[import-not-found]
from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]
from pydantic_ai.providers.azure import AzureProvider  # type: ignore[import-not-found]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]

from tests.conformance.clients import talk

MakeModel = Callable[[], Any]


def plain(make: MakeModel) -> None:
    """One question, one answer."""
    _check(asyncio.run(_ask(make)))


def streamed(make: MakeModel) -> None:
    """The same request as a stream."""

    async def run() -> tuple[list[str], Any]:
        async with Agent(make()).run_stream(talk.QUESTION) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)], result

    pieces, result = asyncio.run(run())
    talk.check_same(pieces, asyncio.run(_ask(make)).output)
    _check_end(result.response)


def tools(make: MakeModel) -> None:
    """The agent calls the tool with checked arguments and answers in words."""
    result = asyncio.run(_ask(make, tools=[get_weather]))
    _check_called(result.all_messages())
    _check(result)


def streamed_tools(make: MakeModel) -> None:
    """The same, both turns streamed."""

    async def run() -> tuple[list[str], Any]:
        async with Agent(make(), tools=[get_weather]).run_stream(talk.QUESTION) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)], result

    pieces, result = asyncio.run(run())
    talk.expect(len(pieces) > 1, f"expected a text in several pieces, got {pieces!r}")
    _check_called(result.all_messages())
    _check_end(result.response)


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"], days: Annotated[int, Field(ge=1, le=7)]) -> str:
    """The weather of the next days."""
    return talk.weather("get_weather", {"city": city, "unit": unit, "days": days})


async def _ask(make: MakeModel, **options: Any) -> Any:
    return await Agent(make(), **options).run(talk.QUESTION)


def _check_called(messages: list[Any]) -> None:
    calls = [part for message in messages for part in message.parts if isinstance(part, ToolCallPart)]
    talk.expect(calls, f"expected a tool call in {messages!r}")
    for call in calls:
        talk.check_call_id(call.tool_call_id)
        talk.weather(call.tool_name, call.args)


def _check(result: Any) -> None:
    talk.expect(result.output == result.response.text, f"the output {result.output!r} isn't what the model said")
    _check_end(result.response)


def _check_end(response: Any) -> None:
    talk.check_words(
        response.text,
        finish_reason=response.finish_reason,
        prompt=response.usage.input_tokens,
        completion=response.usage.output_tokens,
    )


def _conversations(make: MakeModel) -> dict[str, Callable[[], None]]:
    return {
        "plain": partial(plain, make),
        "streamed": partial(streamed, make),
        "tools": partial(tools, make),
        "streamed tools": partial(streamed_tools, make),
    }


def _openai() -> Any:
    return OpenAIChatModel(talk.MODEL, provider=OpenAIProvider(base_url=f"{talk.ORIGIN}/v1", api_key=talk.KEY))


def _azure() -> Any:
    provider = AzureProvider(azure_endpoint=talk.ORIGIN, api_version=talk.AZURE_VERSION, api_key=talk.KEY)
    return OpenAIChatModel(talk.MODEL, provider=provider)


def main() -> int:
    """Hold all conversations in both dialects; each in a loop, and so with a model, of its own."""
    return talk.hold({"openai": _conversations(_openai), "azure": _conversations(_azure)})


if __name__ == "__main__":
    sys.exit(main())
