"""LiteLLM: ``python -m tests.conformance.clients.litellm_client``."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import fetches the price list from GitHub

import litellm  # type: ignore[import-not-found]

from tests.conformance.clients import talk


def plain(target: Mapping[str, Any]) -> None:
    """One question, one answer."""
    _check(_ask(target))


def streamed(target: Mapping[str, Any]) -> None:
    """The same request as a stream, put together by LiteLLM."""
    chunks = list(_ask(target, stream=True, stream_options={"include_usage": True}))
    deltas = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    talk.check_same([delta for delta in deltas if delta], _ask(target).choices[0].message.content)
    _check(litellm.stream_chunk_builder(chunks, messages=talk.MESSAGES))


def tools(target: Mapping[str, Any]) -> None:
    """A tool call, its result, an answer in words."""
    _answered(target, _ask(target, tools=[talk.TOOL]))


def streamed_tools(target: Mapping[str, Any]) -> None:
    """The same call in pieces."""
    chunks = list(_ask(target, tools=[talk.TOOL], stream=True))
    called, whole = litellm.stream_chunk_builder(chunks, messages=talk.MESSAGES), _ask(target, tools=[talk.TOOL])
    arguments, expected = (
        [call.function.arguments for call in reply.choices[0].message.tool_calls or []] for reply in (called, whole)
    )
    talk.expect(arguments == expected, f"streamed {arguments!r}, but the plain reply calls {expected!r}")
    _answered(target, called)


def _answered(target: Mapping[str, Any], reply: Any) -> None:
    choice = reply.choices[0]
    talk.expect(choice.finish_reason == "tool_calls", f"expected a tool call, got {choice!r}")
    results = []
    for call in choice.message.tool_calls:
        talk.check_call_id(call.id)
        said = talk.weather(call.function.name, call.function.arguments)
        results.append({"role": "tool", "tool_call_id": call.id, "content": said})
    called = choice.message.model_dump(exclude_none=True)
    _check(_ask(target, messages=[*talk.MESSAGES, called, *results], tools=[talk.TOOL]))


def _ask(target: Mapping[str, Any], **options: Any) -> Any:
    return litellm.completion(**{"messages": talk.MESSAGES, **target, **options})


def _check(reply: Any) -> None:
    talk.check_words(
        reply.choices[0].message.content,
        finish_reason=reply.choices[0].finish_reason,
        prompt=reply.usage.prompt_tokens,
        completion=reply.usage.completion_tokens,
    )


def _conversations(target: Mapping[str, Any]) -> dict[str, Callable[[], None]]:
    return {
        "plain": partial(plain, target),
        "streamed": partial(streamed, target),
        "tools": partial(tools, target),
        "streamed tools": partial(streamed_tools, target),
    }


def main() -> int:
    """Hold all conversations in both dialects."""
    shared = {"api_key": talk.KEY, "num_retries": 0, "timeout": 20}
    ours = {"model": f"openai/{talk.MODEL}", "api_base": f"{talk.ORIGIN}/v1", **shared}
    azure = {"model": f"azure/{talk.MODEL}", "api_base": talk.ORIGIN, "api_version": talk.AZURE_VERSION, **shared}
    return talk.hold({"openai": _conversations(ours), "azure": _conversations(azure)})


if __name__ == "__main__":
    sys.exit(main())
