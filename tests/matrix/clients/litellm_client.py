"""LiteLLM."""

import os
from collections.abc import Callable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import fetches the price list from GitHub

import litellm  # type: ignore[import-not-found]  # in an environment of its own

from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said
from tests.matrix.clients.openai_sdk import MESSAGES, joined, read


class LiteLLM:
    """Asks with `timeout=1`."""

    def __init__(self, base_url: str) -> None:
        self._target = {"model": f"openai/{asking.MODEL}", "api_base": base_url, "api_key": asking.KEY}

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        return self._ask(), read

    def streamed(self) -> Said:
        return joined(self._ask(stream=True))

    def _ask(self, **options: Any) -> Any:
        return litellm.completion(messages=MESSAGES, timeout=asking.LIMIT_S, **self._target, **options)


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=LiteLLM, distribution="litellm", is_own=asking.defined_in("litellm", "openai")))
