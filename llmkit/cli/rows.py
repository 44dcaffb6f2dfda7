"""What ``--json`` prints: the values of `llmkit.recording` as plain ones; no path and no message holds a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from llmkit.recording.interaction import Interaction
from llmkit.recording.library.checks import Finding
from llmkit.recording.library.comparison import Change
from llmkit.recording.library.masking import masked
from llmkit.recording.library.migration import Outcome
from llmkit.recording.library.pruning import Removal
from llmkit.recording.library.summary import Bill, CassetteFile, Stats, Summary
from llmkit.recording.matching.diff import MISSING, Difference
from llmkit.recording.replies.conversation import Turn, facts, render


def summary(one: Summary) -> dict[str, Any]:
    """Return a row of ``ls``; a file that is broken has ``problem`` and ``line``."""
    row = {
        "path": masked(str(one.path)),
        **bill(one.bill),
        "models": list(one.models),
        "size": one.size,
        "recorded_at": one.recorded_at.isoformat(timespec="seconds"),
        "dated_by": one.dated_by,
        "age_days": round(one.age_days, 2),
        "refusals": one.refusals,
    }
    return row | ({"problem": masked(one.problem.problem), "line": one.problem.line} if one.problem else {})


def bill(one: Bill) -> dict[str, Any]:
    """Return calls, tokens and cost; ``cost_usd`` is null where it isn't known."""
    return {
        "calls": one.calls,
        "tokens": {"in": one.tokens_in, "out": one.tokens_out},
        "cost_usd": _number(one.cost),
        "unpriced_calls": one.unpriced,
    }


def stats(one: Stats) -> dict[str, Any]:
    """Return what ``stats`` tells."""
    return {
        "files": one.files,
        "broken": one.broken,
        "size": one.size,
        **bill(one.bill),
        "saved_usd": _number(one.bill.cost),
        "streams": one.streams,
        "refusals": one.refusals,
        "by_surface": {name: bill(of) for name, of in one.by_surface},
        "by_model": {name: bill(of) for name, of in one.by_model},
        "by_status": {str(status): calls for status, calls in one.by_status},
        "oldest": summary(one.oldest) if one.oldest else None,
        "newest": summary(one.newest) if one.newest else None,
        "largest": [{"path": masked(str(of.path)), "size": of.size} for of in one.largest],
    }


def finding(one: Finding) -> dict[str, Any]:
    """Return one finding of ``check``; ``line`` and ``interaction`` count from 1, 0 is the whole file."""
    return {
        "severity": str(one.severity),
        "kind": one.kind,
        "path": masked(str(one.path)),
        "line": one.line,
        "interaction": one.interaction,
        "message": masked(one.message),
    }


def interaction(cassette: CassetteFile, number: int, one: Interaction) -> dict[str, Any]:
    """Return one interaction of ``show``: its facts, and who said what."""
    told, conversation = facts(one), render(one)
    return {
        "path": masked(str(cassette.path)),
        "interaction": number,
        "method": one.request.method,
        "uri": one.request.uri,
        "status": told.status,
        "surface": told.surface,
        "asked_model": told.asked,
        "served_model": told.served,
        "usage": asdict(told.usage),
        "recorded_at": one.recorded_at,
        "test": masked(one.test),
        "ended": conversation.ended,
        "asked": list(map(_turn, conversation.asked)),
        "replied": list(map(_turn, conversation.replied)),
    }


def change(one: Change) -> dict[str, Any]:
    """Return one change of ``diff``; ``before`` and ``after`` are numbers of interactions, from 1, or null."""
    return {
        "kind": one.kind,
        "before": one.before or None,
        "after": one.after or None,
        "about": list(one.about),
        "request": _differences(one.request),
        "response": _differences(one.response),
    }


def changed(path: Path, changes: Sequence[Change]) -> dict[str, Any]:
    """Return what ``diff`` finds in one file of a directory."""
    return {"path": masked(str(path)), "changes": [change(one) for one in changes]}


def removal(one: Removal, *, is_done: bool) -> dict[str, Any]:
    """Return one file that ``prune`` deletes, or takes ``interactions`` out of."""
    return {
        "path": masked(str(one.path)),
        "reason": masked(one.reason),
        "interactions": list(one.interactions),
        "deletes_file": one.is_whole,
        "done": is_done,
    }


def outcome(one: Outcome) -> dict[str, Any]:
    """Return what ``migrate`` made of one file."""
    return {
        "source": masked(str(one.step.source)),
        "target": masked(str(one.step.target)) if one.step.target else None,
        "interactions": one.interactions,
        "note": masked(one.step.note),
        "lost": list(one.lost),
        "problem": masked(str(one.problem)) if one.problem else None,
    }


def _turn(one: Turn) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if value or name in ("role", "text")}


def _differences(found: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{"where": one.where, "before": _absent(one.recorded), "after": _absent(one.asked)} for one in found]


def _absent(text: str) -> str | None:
    return None if text == MISSING else text


def _number(cost: Decimal | None) -> float | None:
    return None if cost is None else float(cost)
