"""Request predicates that say why they do not match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple

from mockserver.calls import Call, digest_of
from mockserver.scripting.options import BadOption, Texts, Values, check, shown, suggestion, within

_ABSENT = object()

Turn = Annotated[int, within(1, 1_000_000, "a whole number")]
Instant = Annotated[float, within(0, 1_000_000_000, "seconds")]


class Situation(NamedTuple):
    """What a condition looks at besides the call: seconds since the script began, its state, and the step's own count.

    `nth` is which of the calls that meet the rest of the condition this one is, counted from 1.
    """

    elapsed_s: float = 0.0
    state: str = ""
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a request must be like; what is None or empty may be anything.

    `path`, `model` and `deployment` may hold `*` and `?`. `key` is an API key, of which only the digest is kept.
    `header` maps names, none of a credential, to values, `body` paths such as `messages[-1].content` to JSON values.
    `nth` is the number of the one call, of those that are like the rest, that is meant; `after_s` and `before_s` bound
    the time since the script began; `state` is one that an earlier step's `then` has set.
    """

    surface: str | None = None
    path: str | None = None
    model: str | None = None
    deployment: str | None = None
    key: str | None = None
    stream: bool | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    nth: int | None = None
    after_s: float | None = None
    before_s: float | None = None
    state: str | None = None

    def mismatch(self, call: Call, situation: Situation | None = None) -> str:
        """The first thing about `call` that is not as wanted, in words; empty if it matches."""
        situation = situation or Situation()
        return self.unlike(call) or self._time_mismatch(situation) or self._turn_mismatch(situation)

    def unlike(self, call: Call) -> str:
        """What about the call itself is not as wanted, whenever it comes; empty if nothing is."""
        for name in ("surface", "stream"):
            wanted, actual = getattr(self, name), getattr(call, name)
            if wanted is not None and wanted != actual:
                return f"{name} is {actual!r}, not {wanted!r}"
        for name in ("path", "model", "deployment"):
            wanted, actual = getattr(self, name), getattr(call, name)
            if wanted is not None and not fnmatchcase(actual or "", wanted):
                return f"{name} is {actual!r}, not {wanted!r}"
        if self.key is not None and call.key != self.key:
            return "it comes with another key"
        return self._header_mismatch(call) or self._body_mismatch(call)

    def _time_mismatch(self, situation: Situation) -> str:
        elapsed_s = situation.elapsed_s
        if self.after_s is not None and elapsed_s < self.after_s:
            return f"the script is {elapsed_s:g} s old, and the step begins after {self.after_s:g} s"
        if self.before_s is not None and elapsed_s >= self.before_s:
            return f"the script is {elapsed_s:g} s old, and the step ended at {self.before_s:g} s"
        if self.state is not None and situation.state != self.state:
            return f"state is {situation.state!r}, not {self.state!r}"
        return ""

    def _turn_mismatch(self, situation: Situation) -> str:
        if self.nth is not None and situation.nth != self.nth:
            return f"it is call {situation.nth} of its kind, not {self.nth}"
        return ""

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
        """The condition as scripts write it, without what may be anything; of the key its digest."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        spec = {name: value for name, value in values.items() if value not in (None, {})}
        return spec if self.key is None else {**spec, "key": _DIGEST + self.key}


_DIGEST = "sha256:"


def condition_of(given: Mapping[str, Any]) -> Condition:
    """The condition that a script writes as this mapping; BadOption, with its name, for what is none."""
    if not isinstance(given, Mapping):
        raise BadOption("match", f"match is {shown(given)}; it takes a mapping of {', '.join(CONDITIONS)}")
    for name in given:
        if name not in CONDITIONS:
            raise BadOption(str(name), f"unknown condition {name!r}; {suggestion(name, CONDITIONS)}")
    check(_annotated, {name: value for name, value in given.items() if value is not None})
    _demand_kept(given.get("header") or {})
    values: dict[str, Any] = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items()
    }
    if values.get("key") is not None:
        digest = values["key"].removeprefix(_DIGEST)
        values["key"] = digest if values["key"].startswith(_DIGEST) else digest_of(values["key"])
    return Condition(**{name: value for name, value in values.items() if value is not None})


# of calls these are never kept (see `Call.headers`), so that a condition on one would wait for ever
_CREDENTIALS = ("authorization", "api-key", "ocp-apim-subscription-key", "cookie", "proxy-authorization")


def _demand_kept(header: Mapping[str, str]) -> None:
    for name in header:
        if name.lower() in _CREDENTIALS:
            advice = "; use `key` for the API key" if name.lower() in _CREDENTIALS[:3] else "; leave it out"
            raise BadOption("header", f"header names {name!r}, which is never looked at as it is a credential{advice}")


CONDITIONS = tuple(each.name for each in fields(Condition))


def _annotated(
    *,
    surface: str,
    path: str,
    model: str,
    deployment: str,
    key: str,
    stream: bool,
    header: Texts,
    body: Values,
    nth: Turn,
    after_s: Instant,
    before_s: Instant,
    state: str,
) -> None:
    """Only its annotations are used: what scripts may write as conditions."""


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
