"""Journal, ledger and verdict as `/__admin` gives them; each takes the query of its request.

ValueError, with a message for people, where the query says something else than it can.
"""

from collections.abc import Mapping
from typing import Any

from mockserver.truth.journal import Journal
from mockserver.truth.ledger import Ledger
from mockserver.truth.verdict import judge

_YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NUMBERS = ("tolerance_s", "min_pause_s", "growth", "patient_s")
_WHOLE_NUMBERS = ("max_attempts", "herd")
_SWITCHES = ("expect_repeats", "allow_giving_up", "forgive_cuts")


def journal_as_json(journal: Journal, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The exchanges in order of arrival, and how many older ones were dropped.

    `since`: only those after this number; `limit`: the latest of them; `bodies=false`: without what was asked and
    answered. Who comes again with the `next` of the answer as `since` gets what is new, and what was not at its end.
    """
    asked = _checked(query, ("since", "limit", "bodies"))
    since, limit = _whole(asked, "since", 0), _whole(asked, "limit", None)
    found = journal.since(since or 0, limit=limit)
    bodies = _switch(asked, "bodies") if "bodies" in asked else True
    unfinished = [each.number - 1 for each in found if each.ended_at is None]
    latest = found[-1].number if found else since or 0
    return {
        "exchanges": [each.as_json(bodies=bodies) for each in found],
        "dropped": journal.dropped,
        "next": min([latest, *unfinished]),
    }


def ledger_as_json(journal: Journal, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The sums by key, model and surface; `entries=false`: without those of each request."""
    asked = _checked(query, ("entries",))
    return Ledger(journal).as_json(entries=_switch(asked, "entries") if "entries" in asked else True)


def verdict_as_json(journal: Journal, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The verdict by the options that the query names: see `verdict.Measure`.

    `rows` is a number, or a text of one row; it and `ignore` may hold several, parted by commas.
    """
    asked = _checked(query, (*_NUMBERS, *_WHOLE_NUMBERS, *_SWITCHES, "rows", "ignore"))
    options: dict[str, Any] = {name: _number(asked, name) for name in _NUMBERS if name in asked}
    options |= {name: _whole(asked, name, None) for name in _WHOLE_NUMBERS if name in asked}
    options |= {name: _switch(asked, name) for name in _SWITCHES if name in asked}
    options |= {name: _listed(asked[name]) for name in ("ignore",) if name in asked}
    if "rows" in asked:
        options["rows"] = _whole(asked, "rows", None) if asked["rows"].isdecimal() else _listed(asked["rows"])
    return judge(journal, **options).as_json()


def _checked(query: Mapping[str, str] | None, known: tuple[str, ...]) -> Mapping[str, str]:
    for name in query or {}:
        if name not in known:
            raise ValueError(f"there is no parameter {name!r}; there is {', '.join(known)}")
    return query or {}


def _whole(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isdecimal() and text.isascii() and len(text) < 16):
        raise ValueError(f"{name} is {text!r}; it takes a whole number from 0")
    return int(text)


def _number(query: Mapping[str, str], name: str) -> float:
    try:
        number = float(query[name])
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} is {query[name]!r}; it takes a number from 0")
    return number


def _switch(query: Mapping[str, str], name: str) -> bool:
    if query[name].lower() not in _YES_NO:
        raise ValueError(f"{name} is {query[name]!r}; it takes true or false")
    return _YES_NO[query[name].lower()]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
