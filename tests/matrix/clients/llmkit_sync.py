"""Our client, blocking."""

from collections.abc import Callable
from typing import Any

from llmkit import Client, LLMError
from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said


class LLMKit:
    """Asks with `deadline_s=1`, or with the options that it is given."""

    def __init__(self, base_url: str, question: str = asking.QUESTION, **options: Any) -> None:
        self._options = {"model": asking.MODEL, "api_key": asking.KEY, "deadline_s": asking.LIMIT_S, **options}
        self._base_url, self._question = base_url, question

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        with Client(base_url=self._base_url, **self._options) as client:
            return client.chat(self._question), read

    def streamed(self) -> Said:
        with Client(base_url=self._base_url, **self._options) as client, client.stream(self._question) as stream:
            text = "".join(event.text for event in stream)
            return text, stream.reply.finish_reason


def read(reply: Any) -> Said:
    return reply.text, reply.finish_reason


def is_own(error: BaseException) -> bool:
    return isinstance(error, LLMError)


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=LLMKit, distribution="llmkit", is_own=is_own))
