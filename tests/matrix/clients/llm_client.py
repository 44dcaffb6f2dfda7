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
    told = response.response_json or {}  # of a stream a sum of its own, of a plain reply the API's JSON
    choices = [told, *told.get("choices", ())]
    return response.text(), next((each["finish_reason"] for each in choices if each.get("finish_reason")), None)


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=LLM, distribution="llm", is_own=asking.defined_in("llm", "openai")))
