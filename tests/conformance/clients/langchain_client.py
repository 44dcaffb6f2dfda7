"""LangChain over `langchain-openai`: ``python -m tests.conformance.clients.langchain_client``."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from langchain_core.messages import ToolMessage  # type: ignore[import-not-found]  # in an environment of its own
from langchain_openai import (  # type: ignore[import-not-found]  # in an environment of its own
    AzureChatOpenAI,
    ChatOpenAI,
)

from tests.conformance.clients import talk


def plain(model: Any) -> None:
    """One question, one answer."""
    _check(model.invoke(talk.MESSAGES))


def streamed(model: Any) -> None:
    """The same request as a stream; LangChain adds its pieces up."""
    pieces = list(model.stream(talk.MESSAGES))
    talk.check_same([piece.content for piece in pieces if piece.content], model.invoke(talk.MESSAGES).content)
    _check(_sum(pieces))


def tools(model: Any) -> None:
    """A tool call, its result, an answer in words."""
    equipped = model.bind_tools([talk.TOOL])
    _answered(equipped, equipped.invoke(talk.MESSAGES))


def streamed_tools(model: Any) -> None:
    """The same call in pieces."""
    equipped = model.bind_tools([talk.TOOL])
    called, whole = _sum(list(equipped.stream(talk.MESSAGES))), equipped.invoke(talk.MESSAGES)
    arguments, expected = ([call["args"] for call in message.tool_calls] for message in (called, whole))
    talk.expect(arguments == expected, f"streamed {arguments!r}, but the plain reply calls {expected!r}")
    _answered(equipped, called)


def _sum(pieces: list[Any]) -> Any:
    total = pieces[0]
    for piece in pieces[1:]:
        total += piece
    return total


def _answered(equipped: Any, called: Any) -> None:
    talk.expect(called.tool_calls, f"expected a tool call, got {called!r}")
    results = []
    for call in called.tool_calls:
        talk.check_call_id(call["id"])
        results.append(ToolMessage(talk.weather(call["name"], call["args"]), tool_call_id=call["id"]))
    _check(equipped.invoke([*talk.MESSAGES, called, *results]))


def _check(message: Any) -> None:
    usage = message.usage_metadata or {}
    talk.check_words(
        message.content,
        finish_reason=message.response_metadata.get("finish_reason"),
        prompt=usage.get("input_tokens"),
        completion=usage.get("output_tokens"),
    )


def _conversations(model: Any) -> dict[str, Callable[[], None]]:
    return {
        "plain": partial(plain, model),
        "streamed": partial(streamed, model),
        "tools": partial(tools, model),
        "streamed tools": partial(streamed_tools, model),
    }


def main() -> int:
    """Hold all conversations in both dialects."""
    shared = {"model": talk.MODEL, "api_key": talk.KEY, "max_retries": 0, "timeout": 20, "stream_usage": True}
    ours = ChatOpenAI(base_url=f"{talk.ORIGIN}/v1", **shared)
    azure = AzureChatOpenAI(
        azure_endpoint=talk.ORIGIN, api_version=talk.AZURE_VERSION, azure_deployment=talk.MODEL, **shared
    )
    return talk.hold({"openai": _conversations(ours), "azure": _conversations(azure)})


if __name__ == "__main__":
    sys.exit(main())
