"""The official Python SDK."""

from collections.abc import Callable
from typing import Any

import openai

from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said

MESSAGES: Any = [{"role": "user", "content": asking.QUESTION}]


class SDK:
    """Asks with `timeout=1`, which the SDK takes for each read."""

    def __init__(self, base_url: str) -> None:
        self._client = openai.OpenAI(base_url=base_url, api_key=asking.KEY, timeout=asking.LIMIT_S)

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        return self._client.chat.completions.create(model=asking.MODEL, messages=MESSAGES), read

    def streamed(self) -> Said:
        return joined(self._client.chat.completions.create(model=asking.MODEL, messages=MESSAGES, stream=True))


def read(reply: Any) -> Said:
    return reply.choices[0].message.content, reply.choices[0].finish_reason


def joined(chunks: Any) -> Said:
    pieces, finish = [], None
    for chunk in chunks:
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    return "".join(pieces), finish


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=SDK, distribution="openai", is_own=asking.defined_in("openai")))
