"""pydantic-ai."""

from collections.abc import Callable
from typing import Any

from pydantic_ai import Agent  # type: ignore[import-not-found]  # in an environment of its own
from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]

from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said

OWN = asking.defined_in("pydantic_ai", "openai")


class PydanticAI:
    """Asks with `timeout=1` and `request_timeout=1`, its clock for a whole request."""

    def __init__(self, base_url: str) -> None:
        model = OpenAIChatModel(asking.MODEL, provider=OpenAIProvider(base_url=base_url, api_key=asking.KEY))
        settings = {"timeout": asking.LIMIT_S, "request_timeout": asking.LIMIT_S}
        self._agent = Agent(model, model_settings=settings)

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        return self._agent.run_sync(asking.QUESTION), _read

    def streamed(self) -> Said:
        with self._agent.run_stream_sync(asking.QUESTION) as result:
            text = "".join(result.stream_text(delta=True, debounce_by=None))
            return text, result.response.finish_reason


def _read(result: Any) -> Said:
    return result.output, result.response.finish_reason


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=PydanticAI, distribution="pydantic-ai-slim", is_own=OWN))
