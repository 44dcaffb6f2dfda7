"""Request predicates that say why they do not match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from mockserver.calls import Call

_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a request must be like; what is None or empty may be anything.

    `path`, `model` and `deployment` may hold `*` and `?`. `header` maps names to values, `body` paths such as
    `messages[-1].content` to JSON values.
    """

    surface: str | None = None
    path: str | None = None
    model: str | None = None
    deployment: str | None = None
    stream: bool | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    def mismatch(self, call: Call) -> str:
        """The first thing about `call` that is not as wanted, in words; empty if it matches."""
        for name in ("surface", "stream"):
            wanted, actual = getattr(self, name), getattr(call, name)
            if wanted is not None and wanted != actual:
                return f"{name} is {actual!r}, not {wanted!r}"
        for name in ("path", "model", "deployment"):
            wanted, actual = getattr(self, name), getattr(call, name)
            if wanted is not None and not fnmatchcase(actual or "", wanted):
                return f"{name} is {actual!r}, not {wanted!r}"
        return self._header_mismatch(call) or self._body_mismatch(call)

    def _header_mismatch(self, call: Call) -> str:
        for name, wanted in self.header.items():
            actual = call.headers.get(name.lower())
            if actual != wanted:
                return f"header {name!r} is {actual!r}, not {wanted!r}"
        return ""

    def _body_mismatch(self, call: Call) -> str:
        for path, wanted in self.body.items():
            actual = at_path(call.body, path)
            if actual is _ABSENT:
                return f"the body has no {path!r}"
            if not _same(actual, wanted):
                return f"{path} is {actual!r}, not {wanted!r}"
        return ""

    def spec(self) -> dict[str, Any]:
        """The condition as scripts write it, without what may be anything."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, {})}


def at_path(value: Any, path: str) -> Any:
    """What lies at `messages[0].content` or `messages.0.content`, a private marker if nothing does."""
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return _ABSENT
    return value


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON: 1 equals 1.0 but not true."""
    return (type(one) is type(other) and one == other) or (_is_number(one) and _is_number(other) and one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
