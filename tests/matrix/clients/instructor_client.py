"""instructor, which asks for an object in JSON and checks it."""

import json
from collections.abc import Callable
from typing import Any

import instructor  # type: ignore[import-not-found]  # in an environment of its own
import openai
from pydantic import BaseModel

from tests.matrix.clients import asking
from tests.matrix.clients.asking import Said
from tests.matrix.clients.openai_sdk import MESSAGES

OWN = asking.defined_in("instructor", "openai")


class Answer(BaseModel):
    """What it asks for."""

    answer: str


class Instructor:
    """Asks over an SDK with `timeout=1`; its streams are objects that grow."""

    def __init__(self, base_url: str) -> None:
        sdk = openai.OpenAI(base_url=base_url, api_key=asking.KEY, timeout=asking.LIMIT_S)
        self._client = instructor.from_openai(sdk, mode=instructor.Mode.JSON)
        self._request: Any = {"model": asking.MODEL, "messages": MESSAGES, "response_model": Answer}

    def plain(self) -> tuple[Any, Callable[[Any], Said]]:
        return self._client.chat.completions.create(**self._request), _read

    def streamed(self) -> Said:
        grown = list(self._client.chat.completions.create_partial(**self._request))
        return _read(grown[-1]) if grown else (None, None)


def _read(found: Any) -> Said:
    return json.dumps({"answer": found.answer}), "not told"


if __name__ == "__main__":
    asking.serve(asking.Adapter(make=Instructor, distribution="instructor", is_own=OWN))
