"""The clients that are compared, each with its environment."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import conversations
from tests.conformance.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A client: the module of `clients` that asks it, and the environment that holds it, None for our own.

    What `needs` nothing of its own shares the environment of that name with `tests.conformance`, so that both
    measure the same version.
    """

    name: str
    module: str
    environment: str | None
    needs: Sequence[str] = ()

    def command(self, workshop: Workshop) -> list[str]:
        """What answers the orders; makes the environment if need be, `Absent` where that can't be."""
        return [str(self._python(workshop)), "-m", f"tests.matrix.clients.{self.module}"]

    def _python(self, workshop: Workshop) -> Path:
        if self.environment is None:
            return Path(sys.executable)
        return workshop.python(self.environment, self.needs or _of_conformance()[self.environment])


def _of_conformance() -> Mapping[str, Sequence[str]]:
    return {client.name: client.needs for client in conversations.clients("python")}


LAYERS = (
    Layer(name="llmkit", module="llmkit_sync", environment=None),
    Layer(name="llmkit, async", module="llmkit_async", environment=None),
    Layer(name="openai", module="openai_sdk", environment="openai-python 3.52"),
    Layer(name="LiteLLM", module="litellm_client", environment="LiteLLM"),
    Layer(name="LangChain", module="langchain_client", environment="LangChain"),
    Layer(name="pydantic-ai", module="pydantic_ai_client", environment="pydantic-ai"),
    Layer(name="instructor", module="instructor_client", environment="instructor"),
    Layer(name="llm", module="llm_client", environment="llm", needs=["llm==0.36"]),
)
