"""The conversations that every client holds with the server, and what must be true of each.

Runs in the client's own environment, so it imports the standard library alone; `talk.json` is what other languages
read as well. One JSON object a line goes to stdout:
``{"dialect": "openai", "conversation": "plain", "ok": true}``, with ``"error"`` where it isn't.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ORIGIN = os.environ.get("MOCKSERVER_ORIGIN", "")
_SHARED: dict[str, Any] = json.loads(Path(__file__).with_name("talk.json").read_text(encoding="utf-8"))
MODEL: str = _SHARED["model"]  # on Azure the name of the deployment as well
KEY: str = _SHARED["key"]
AZURE_VERSION: str = _SHARED["azure_version"]
MESSAGES: list[Any] = _SHARED["messages"]
QUESTION: str = MESSAGES[-1]["content"]
TOOL: Any = _SHARED["tool"]
_ARGUMENTS: Any = TOOL["function"]["parameters"]["properties"]


def hold(conversations: Mapping[str, Mapping[str, Callable[[], None]]]) -> int:
    """Hold the conversations of each dialect, print what became of them; 1 if one failed."""
    oks = [
        _held(dialect, name, conversation)
        for dialect, named in conversations.items()
        for name, conversation in named.items()
    ]
    return 0 if all(oks) else 1


def _held(dialect: str, name: str, conversation: Callable[[], None]) -> bool:
    line: dict[str, Any] = {"dialect": dialect, "conversation": name, "ok": True}
    try:
        conversation()
    except Exception as exc:  # whatever a client raises is its verdict on the server
        traceback.print_exc(file=sys.stderr)
        line |= {"ok": False, "error": f"{type(exc).__name__}: {exc}"[:500]}
    print(json.dumps(line), flush=True)
    return bool(line["ok"])


def expect(condition: object, message: str) -> None:
    """AssertionError with the message where the condition is false; `python -O` does not take it away."""
    if not condition:
        raise AssertionError(message)


def check_words(text: object, *, finish_reason: object = "stop", prompt: int | None, completion: int | None) -> None:
    """An answer in words: text, the reason of its end, and what it cost, in tokens."""
    expect(isinstance(text, str) and len(text.split()) > 1, f"expected words, got {text!r}")
    expect(finish_reason == "stop", f"expected the finish reason 'stop', got {finish_reason!r}")
    check_usage(prompt, completion)


def check_usage(prompt: int | None, completion: int | None) -> None:
    """Both counts are above 0."""
    expect(prompt and prompt > 0, f"expected prompt tokens, got {prompt!r}")
    expect(completion and completion > 0, f"expected completion tokens, got {completion!r}")


def check_same(pieces: Sequence[str], plain: str | None) -> None:
    """A stream in several pieces that says, put together, what the plain reply to the same request says."""
    expect(len(pieces) > 1, f"expected a text in several pieces, got {pieces!r}")
    expect("".join(pieces) == plain, f"streamed {''.join(pieces)!r}, but the plain reply is {plain!r}")


def weather(name: object, arguments: str | Mapping[str, Any]) -> str:
    """What the tool says, once its name and arguments are checked against its schema."""
    expect(name == TOOL["function"]["name"], f"expected a call of get_weather, got {name!r}")
    given = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
    expect(set(given) == set(_ARGUMENTS), f"expected the arguments {[*_ARGUMENTS]}, got {given!r}")
    expect(isinstance(given["city"], str) and given["city"], f"expected a city, got {given!r}")
    units, most = _ARGUMENTS["unit"]["enum"], _ARGUMENTS["days"]["maximum"]
    expect(given["unit"] in units, f"expected a unit of {units}, got {given!r}")
    days = given["days"]
    expect(type(days) is int and 1 <= days <= most, f"expected 1 to {most} days, got {given!r}")
    return json.dumps({"city": given["city"], "forecast": ["sunny"] * days})


def check_call_id(identifier: object) -> None:
    """An id as the API gives it to a tool call, `call_` and 24 letters or digits."""
    expect(re.fullmatch("call_[A-Za-z0-9]{24}", str(identifier)), f"{identifier!r} is no id of a tool call")
