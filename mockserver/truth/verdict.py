"""The verdict: what the journal says against the client.

A server sees the wire and nothing else. What follows from it alone is "certain"; what depends on the client's reasons
is "likely", and the message says what cannot be seen. What happened to the client through no fault of its own, such as
paying twice for a stream that was cut, is a note.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver.truth.exchange import Exchange
from mockserver.truth.findings import Finding, Measure
from mockserver.truth.rules import RULES
from mockserver.truth.rules.case import Case


class VerdictError(AssertionError):
    """The client has been found wanting; `verdict` says in what."""

    def __init__(self, verdict: "Verdict") -> None:
        super().__init__(str(verdict))
        self.verdict = verdict

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.verdict,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the journal says against the client.

    `findings` are what it did wrong, `notes` what happened to it; `exchanges` how many requests were judged, `calls`
    how many calls they were taken for, and `dropped` how many the journal no longer had.
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = field(default=())
    exchanges: int = 0
    calls: int = 0
    dropped: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def check(self) -> "Verdict":
        """The verdict itself if nothing was found; VerdictError, an AssertionError with the table, otherwise."""
        if not self.ok:
            raise VerdictError(self)
        return self

    raise_if_bad = check

    def of(self, rule: str) -> list[Finding]:
        """The findings by this rule."""
        return [finding for finding in self.findings if finding.rule == rule]

    def as_json(self) -> dict[str, Any]:
        """The verdict as the admin API shows it."""
        return {
            "ok": self.ok,
            "findings": [finding.as_json() for finding in self.findings],
            "notes": [note.as_json() for note in self.notes],
            "exchanges": self.exchanges,
            "calls": self.calls,
            "dropped": self.dropped,
        }

    def __str__(self) -> str:
        """A table for people."""
        return "\n".join([self._headline(), *_table(self.findings), *self._rest()])

    def __repr__(self) -> str:
        return f"<Verdict {self}>"

    def _headline(self) -> str:
        judged = f"{_counted(self.exchanges, 'request')} in {_counted(self.calls, 'call')}"
        if self.ok:
            return f"verdict: nothing found in {judged}"
        return f"verdict: {_counted(len(self.findings), 'finding')} in {judged}"

    def _rest(self) -> list[str]:
        rest = [f"note: {note.message} (exchanges {_listed(note.exchanges)})" for note in self.notes[:_SHOWN]]
        if len(self.notes) > _SHOWN:
            rest.append(f"note: … and {len(self.notes) - _SHOWN} more like these")
        if self.dropped:
            rest.append(f"note: {self.dropped} older exchanges are no longer in the journal and were not judged")
        return rest


def judge(exchanges: Sequence[Exchange], **options: Any) -> Verdict:
    """Judge the client by a journal or some of its exchanges; the options are those of `Measure`.

    TypeError or ValueError for options that there are not.
    """
    measure = Measure.of(options)
    case = Case.of(exchanges[:], measure)
    unknown = [name for name in measure.ignore if name not in RULES]
    if unknown:
        raise ValueError(f"there is no rule {unknown[0]!r} to ignore; there is {', '.join(RULES)}")
    used = [rule for name, rule in RULES.items() if name not in measure.ignore]
    found = [finding for rule in used for finding in rule.findings(case)]
    notes = [note for rule in used for note in rule.remarks(case)]
    found.sort(key=lambda each: each.exchanges[:1] or (0,))
    return Verdict(
        findings=tuple(found),
        notes=tuple(notes),
        exchanges=len(case.exchanges),
        calls=len(case.calls),
        dropped=getattr(exchanges, "dropped", 0),
    )


def exit_code(verdict: Verdict) -> int:
    """What a process that judges ends with: 0 where nothing was found, 1 otherwise."""
    return 0 if verdict.ok else 1


_SHOWN = 20  # rows of a table, before the rest is only counted


def _table(findings: Iterable[Finding]) -> list[str]:
    found = list(findings)
    if not found:
        return []
    width = max(len(finding.rule) for finding in found)
    lines = [
        f"  {each.rule:<{width}}  {each.severity:<7}  {each.message} (exchanges {_listed(each.exchanges)})"
        for each in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"  … and {len(found) - _SHOWN} more")
    advice = {each.rule: each.advice for each in found if each.advice}
    return [*lines, *(f"  {rule}: {text}" for rule, text in advice.items())]


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:6]))
    return f"{shown}, … {numbers[-1]}" if len(numbers) > 6 else shown or "none"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
