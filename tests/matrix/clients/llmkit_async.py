"""Our client, awaited."""

import asyncio
from collections.abc import Callable
from typing import Any

from llmkit import AsyncClient
from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said
from tests.matrix.clients.llmkit_sync import is_own, read


class AsyncLLMKit:
    """Asks with `deadline_s=1`, or with the options that it is given."""

    def __init__(self, base_url: str, question: str = asking.QUESTION, **options: Any) -> None:
        self._options = {"model": asking.MODEL, "api_key": asking.KEY, "deadline_s": asking.LIMIT_S, **options}
        self._base_url, self._question = base_url, question

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        return asyncio.run(self._plain()), read

    def streamed(self) -> Said:
        return asyncio.run(self._streamed())

    async def _plain(self) -> Any:
        async with AsyncClient(base_url=self._base_url, **self._options) as client:
            return await client.chat(self._question)

    async def _streamed(self) -> Said:
        async with AsyncClient(base_url=self._base_url, **self._options) as client:
            async with client.stream(self._question) as stream:
                text = "".join([event.text async for event in stream])
            return text, stream.reply.finish_reason


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=AsyncLLMKit, distribution="llmkit", is_own=is_own))
