"""llm, as a Python library."""

import os
import tempfile
from collections.abc import Callable
from typing import Any

os.environ["LLM_USER_PATH"] = tempfile.mkdtemp(prefix="llm-")  # not the settings and logs of whoever runs this

from llm.default_plugins.openai_models import Chat  # type: ignore[import-not-found]  # in an environment of its own

from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said


class LLM:
    """Asks without a timeout: this client has no setting for one."""

    def __init__(self, base_url: str) -> None:
        self._model = Chat(asking.MODEL, key=asking.KEY, api_base=base_url)

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        response = self._model.prompt(asking.QUESTION, key=asking.KEY, stream=False)
        response.text()  # it asks when it is read
        return response, _read

    def streamed(self) -> Said:
        response = self._model.prompt(asking.QUESTION, key=asking.KEY, stream=True)
        return "".join(response), _read(response)[1]


def _read(response: Any) -> Said:
    told = response.response_json or {}
    finish = told.get("finish_reason") or next(
        (choice.get("finish_reason") for choice in told.get("choices", ())), None
    )
    return response.text(), finish


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=LLM, distribution="llm", is_own=asking.defined_in("llm", "openai")))
