"""LangChain over `langchain-openai`."""

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]  # in an environment of its own

from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said

OWN = asking.defined_in("langchain_openai", "langchain_core", "openai")


class LangChain:
    """Asks with `timeout=1` and `stream_chunk_timeout=1`."""

    def __init__(self, base_url: str) -> None:
        self._model = ChatOpenAI(
            model=asking.MODEL,
            base_url=base_url,
            api_key=asking.KEY,
            timeout=asking.LIMIT_S,
            stream_chunk_timeout=asking.LIMIT_S,
        )

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        return self._model.invoke(asking.QUESTION), _read

    def streamed(self) -> Said:
        return _read(reduce(add, self._model.stream(asking.QUESTION)))


def _read(message: Any) -> Said:
    return message.content, message.response_metadata.get("finish_reason")


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=LangChain, distribution="langchain-openai", is_own=OWN))
