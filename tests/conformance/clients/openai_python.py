"""The official Python SDK, sync and async: ``python -m tests.conformance.clients.openai_python``."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import openai

from tests.conformance.clients import talk


def plain(client: openai.OpenAI) -> None:
    """One question, one answer."""
    _plain_text(client)


def streamed(client: openai.OpenAI) -> None:
    """The same request as a stream, with its usage at the end."""
    pieces, reason, usage = [], None, None
    for chunk in _ask(client, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces += [choice.delta.content] if choice.delta.content else []
            reason = choice.finish_reason or reason
    talk.check_same(pieces, _plain_text(client))
    talk.check_words(
        "".join(pieces),
        finish_reason=reason,
        prompt=usage and usage.prompt_tokens,
        completion=usage and usage.completion_tokens,
    )


def tools(client: openai.OpenAI) -> None:
    """A tool call, its result, an answer in words."""
    first = _ask(client, tools=[talk.TOOL])
    choice = first.choices[0]
    talk.expect(choice.finish_reason == "tool_calls", f"expected a tool call, got {choice!r}")
    talk.check_usage(first.usage.prompt_tokens, first.usage.completion_tokens)
    _answered(client, choice.message.model_dump(exclude_none=True))


def streamed_tools(client: openai.OpenAI) -> None:
    """The same call, its arguments in pieces, put together by the SDK's own accumulator."""
    with client.chat.completions.stream(model=talk.MODEL, messages=talk.MESSAGES, tools=[talk.TOOL]) as stream:
        message = stream.get_final_completion().choices[0].message
    whole = _ask(client, tools=[talk.TOOL]).choices[0].message
    calls, same = message.tool_calls or [], whole.tool_calls or []
    arguments = [call.function.arguments for call in calls]
    expected = [call.function.arguments for call in same]
    talk.expect(arguments == expected, f"streamed {arguments!r}, but the plain reply calls {expected!r}")
    _answered(client, whole.model_dump(exclude_none=True))


def awaited(client: openai.AsyncOpenAI) -> None:
    """Plain and streamed over the async client."""
    asyncio.run(_awaited(client))


async def _awaited(client: openai.AsyncOpenAI) -> None:
    async with client:
        create: Any = client.chat.completions.create
        completion = await create(model=talk.MODEL, messages=talk.MESSAGES)
        stream = await create(model=talk.MODEL, messages=talk.MESSAGES, stream=True)
        deltas = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    talk.check_same([delta for delta in deltas if delta], completion.choices[0].message.content)


def _ask(client: openai.OpenAI, messages: list[Any] = talk.MESSAGES, **options: Any) -> Any:
    return client.chat.completions.create(model=talk.MODEL, messages=messages, **options)


def _plain_text(client: openai.OpenAI) -> str | None:
    completion = _ask(client)
    choice, usage = completion.choices[0], completion.usage
    talk.check_words(
        choice.message.content,
        finish_reason=choice.finish_reason,
        prompt=usage.prompt_tokens,
        completion=usage.completion_tokens,
    )
    text: str | None = choice.message.content
    return text


def _answered(client: openai.OpenAI, called: dict[str, Any]) -> None:
    results = []
    for call in called["tool_calls"]:
        talk.check_call_id(call["id"])
        said = talk.weather(call["function"]["name"], call["function"]["arguments"])
        results.append({"role": "tool", "tool_call_id": call["id"], "content": said})
    second = _ask(client, [*talk.MESSAGES, called, *results], tools=[talk.TOOL])
    talk.check_words(
        second.choices[0].message.content,
        finish_reason=second.choices[0].finish_reason,
        prompt=second.usage.prompt_tokens,
        completion=second.usage.completion_tokens,
    )


def _conversations(sync: openai.OpenAI, awaitable: openai.AsyncOpenAI) -> dict[str, Callable[[], None]]:
    return {
        "plain": partial(plain, sync),
        "streamed": partial(streamed, sync),
        "tools": partial(tools, sync),
        "streamed tools": partial(streamed_tools, sync),
        "async": partial(awaited, awaitable),
    }


def main() -> int:
    """Hold all conversations in both dialects."""
    ours: dict[str, Any] = {"base_url": f"{talk.ORIGIN}/v1", "api_key": talk.KEY, "max_retries": 0, "timeout": 20}
    azure: dict[str, Any] = {
        "azure_endpoint": talk.ORIGIN,
        "api_version": talk.AZURE_VERSION,
        "api_key": talk.KEY,
        "max_retries": 0,
        "timeout": 20,
    }
    return talk.hold(
        {
            "openai": _conversations(openai.OpenAI(**ours), openai.AsyncOpenAI(**ours)),
            "azure": _conversations(openai.AzureOpenAI(**azure), openai.AsyncAzureOpenAI(**azure)),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
