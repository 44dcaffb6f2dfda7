"""Where something stands in a text: line and column, and the path of a value in JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmkit.errors import ParseFailed, excerpt

Step = str | int

_TOKEN = re.compile(r'[ \t\r\n]*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[][{}:,])|(?P<plain>[^][{}:,"\s]+))', re.DOTALL)
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Both counted from 1, the column in characters."""
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def place(text: str, position: int) -> str:
    """`line 3, column 7`, for a message."""
    return "line {}, column {}".format(*line_and_column(text, position))


def failure(message: str, *, text: str, position: int | None = None, path: str | None = None) -> ParseFailed:
    """The error of a parser, whose message says where."""
    at = "" if position is None else f"{place(text, position)}: "
    return ParseFailed(f"{at}{message}", text=text, position=position, path=path)


def quoted(text: str) -> str:
    """The beginning of a reply, for a message; an empty one by name."""
    return f"the reply begins {excerpt(text.strip())}" if text.strip() else "the reply is empty"


def path_of(steps: Sequence[Step]) -> str:
    """The path of a value in JSON: `$.items[2].price`."""
    return "$" + "".join(_step(step) for step in steps)


def _step(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{step!r}]"


@dataclass(frozen=True, slots=True)
class Token:
    """A key or value of a JSON text: the steps to it, where it begins, how it is written (`{` for an object)."""

    steps: tuple[Step, ...]
    position: int
    written: str
    is_key: bool


def tokens(json_text: str) -> Iterator[Token]:
    """The keys and values of a valid JSON text, in order. Slow: for saying where something is, once it is wrong."""
    steps: list[Step | None] = []
    awaits_key: list[bool] = []
    for token in _TOKEN.finditer(json_text):
        mark, position = token["mark"], token.end() - len(token[0].lstrip(" \t\r\n"))
        if mark in (":", ",", "}", "]"):
            _move(mark, steps, awaits_key)
            continue
        is_key = bool(awaits_key and awaits_key[-1])
        if is_key:
            steps[-1] = unescaped(token["text"])
            awaits_key[-1] = False
        yield Token(tuple(step for step in steps if step is not None), position, token[0].strip(), is_key)
        if mark:
            steps.append(0 if mark == "[" else None)
            awaits_key.append(mark == "{")


def positions(json_text: str) -> dict[tuple[Step, ...], int]:
    """Where each value of a valid JSON text begins, by the steps to it."""
    return {token.steps: token.position for token in tokens(json_text) if not token.is_key}


def unescaped(text: str) -> str:
    """What a JSON string says."""
    value: str = json.loads(text, strict=False)
    return value


def _move(mark: str, steps: list[Step | None], awaits_key: list[bool]) -> None:
    """What a mark between values means for the steps of the next."""
    if mark in "}]":
        steps.pop()
        awaits_key.pop()
    elif mark == ",":
        last = steps[-1]
        if isinstance(last, int):
            steps[-1] = last + 1
        else:
            awaits_key[-1] = True
