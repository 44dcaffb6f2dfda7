"""What an outcome is worth: the law is no silent wrong answer, no untyped exception, no wait past the limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.matrix.faults import TEXT, Fault

Kind = Literal["right", "told", "typed", "untyped", "silent", "waiting"]

LATE = 2.0  # times the limit: retries of a client that takes it for each of them may end a little behind it
_CLOSED = '"}'
_CUT_SHORT = ("length", "content_filter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one client made of one fault.

    right: the whole reply · told: a part of it, and a finish reason that says so · typed and untyped: an exception that
    is the client's own, or not · silent: what was not the server's whole reply, returned as if it were · waiting: the
    caller was still waiting when we gave up. `says` is the exception or what was returned, in a few words.
    """

    kind: Kind
    says: str = ""
    requests: int
    seconds: float

    def is_late(self, limit_s: float) -> bool:
        """Whether the caller was kept waiting well past the limit."""
        return self.kind == "waiting" or self.seconds > LATE * limit_s

    def breaks_the_law(self, limit_s: float) -> bool:
        """Whether it is silently wrong, no typed exception, or late."""
        return self.kind in ("silent", "untyped") or self.is_late(limit_s)


def judged(outcome: Mapping[str, Any], fault: Fault, *, requests: int) -> Cell:
    """The cell that an outcome of `clients.asking` makes."""
    kind, says = _JUDGES[outcome["how"]](outcome, fault)
    return Cell(kind=kind, says=says, requests=requests, seconds=outcome["seconds"])


def _of_raised(outcome: Mapping[str, Any], _fault: Fault) -> tuple[Kind, str]:
    name = outcome["error"]
    if outcome["typed"]:
        return "typed", f"`{name.rpartition('.')[2]}`"
    return "untyped", f"`{name.removeprefix('builtins.')}`" + (" in the caller's code" if outcome["ours"] else "")


def _of_returned(outcome: Mapping[str, Any], fault: Fault) -> tuple[Kind, str]:
    text, finish = outcome["text"], outcome["finish"]
    if text == TEXT and fault.whole:
        return "right", ""
    return ("told" if finish in _CUT_SHORT else "silent"), f"{_shown(text)}, finish {finish!r}"


def _shown(text: Any) -> str:
    if not isinstance(text, str):
        return f"text {text!r}"
    if text == TEXT:
        return "all of the text"
    begun = text.removesuffix(_CLOSED)  # what is parsed as it grows comes closed
    if TEXT.startswith(begun):
        return f"{len(begun)} of {len(TEXT)} letters"
    return f"another text of {len(text)} letters"


def _of_unreadable(outcome: Mapping[str, Any], _fault: Fault) -> tuple[Kind, str]:
    return "silent", f"a `{outcome['type']}` without a reply in it"


_JUDGES = {"raised": _of_raised, "returned": _of_returned, "unreadable": _of_unreadable}
