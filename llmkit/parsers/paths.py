"""A value deep inside of JSON, by its path: `items[0].name`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmkit.errors import ConfigError, excerpt
from llmkit.parsers.places import Step, failure, path_of
from llmkit.parsers.structured import Json

_STEP = re.compile(r"\.?(?P<name>[^.\[\]\"']+)|\[(?P<index>-?[0-9]+)\]|\[(?P<quote>[\"'])(?P<key>.*?)(?P=quote)\]")


@dataclass(frozen=True, slots=True)
class KeyPath:
    """The value at a path of a reply's JSON: `KeyPath("items[0].name")(text)`.

    A path has names after dots, indexes in brackets (-1 is the last), and names in quotes where they hold other
    characters: `$.a["b c"][2]`. `of` reads the reply, as JSON unless another parser is given. Raises ParseFailed with
    the step that leads nowhere and what is there instead; ConfigError for what is no path.
    """

    path: str
    of: Callable[[str], Any] = field(default=Json())

    def __post_init__(self) -> None:
        steps_of(self.path)

    def __call__(self, text: str) -> Any:
        """The value at the path."""
        value = self.of(text)
        done: list[Step] = []
        for step in steps_of(self.path):
            problem = _problem(value, step)
            if problem:
                raise failure(f"{path_of(done)} {problem}", text=text, path=path_of([*done, step]))
            value = value[step]
            done.append(step)
        return value


def steps_of(path: str) -> tuple[Step, ...]:
    """The names and indexes of a path; raises ConfigError."""
    rest = path.strip().removeprefix("$")
    steps: list[Step] = []
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise ConfigError(f"{path!r} is no path, from {rest!r} on: write it like items[0].name or $['a b'].c")
        name = found["name"] if found["name"] is not None else found["key"]
        steps.append(int(found["index"]) if found["index"] is not None else name)
        rest = rest[found.end() :]
    return tuple(steps)


def _problem(value: object, step: Step) -> str | None:
    """Why the step leads nowhere, None if it leads somewhere."""
    if isinstance(step, int) and isinstance(value, list):
        return None if -len(value) <= step < len(value) else f"has {len(value)} items, none of them is number {step}"
    if isinstance(step, str) and isinstance(value, Mapping):
        return None if step in value else f"has no {step!r}; it has {', '.join(map(repr, value)) or 'nothing'}"
    wanted = "a list" if isinstance(step, int) else "an object"
    return f"is {excerpt(value)}, not {wanted} that has {step!r}"
