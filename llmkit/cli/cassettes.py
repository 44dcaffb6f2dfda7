"""`llmkit cassettes …`: the commands that look at cassettes; those that change them are in `changes`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from llmkit.cli import conversations, rows
from llmkit.cli.changes import COMMANDS
from llmkit.cli.display import age, as_json, cost, count, dollars, out, say, shown, size, some, styled, table
from llmkit.recording.cassette import load
from llmkit.recording.cassette.yaml_writer import block
from llmkit.recording.errors import RecordingError
from llmkit.recording.library.checks import Finding, Severity
from llmkit.recording.library.comparison import Change
from llmkit.recording.library.library import Library, committed, diff, is_failure, pairs
from llmkit.recording.library.masking import harmless
from llmkit.recording.library.pruning import PLAYED, Played
from llmkit.recording.library.summary import Bill, CassetteFile, Stats, Summary
from llmkit.recording.scrubbing.leaks import Allowed

F = TypeVar("F", bound=Callable[..., Any])

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_ORDERS: dict[str, Callable[[Summary], Any]] = {
    "path": lambda one: str(one.path),
    "calls": lambda one: -one.bill.calls,
    "tokens": lambda one: -(one.bill.tokens_in + one.bill.tokens_out),
    "cost": lambda one: -(one.bill.cost or 0),
    "size": lambda one: -one.size,
    "age": lambda one: one.recorded_at,
}


class _Failure(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Commands whose errors are told in a line, with exit code 2."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # whoever reads has seen enough; click ends quietly
        except (RecordingError, OSError) as error:
            raise _Failure(shown(error)) from None


@click.group(cls=_Group)
def cassettes() -> None:
    """Look at recordings, check them, and change them.

    PATHS are cassettes or directories of them. Exit codes: 0 all is well, 1 something to act on, 2 it can't be done.
    """


_paths = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_json = click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
_root = click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False, exists=True), help="The project's directory."
)


@cassettes.command(short_help="List them: calls, tokens, cost, size, age, models.")
@_paths
@_json
@click.option("--sort", type=click.Choice(list(_ORDERS)), default="path", show_default=True, help="What to order by.")
@click.pass_context
def ls(context: click.Context, paths: tuple[Path, ...], sort: str, *, is_json: bool) -> None:
    """List cassettes: calls, tokens, cost, size, age and models (default: ./cassettes).

    "~" before an age: no reply says when it came, only the file does. "?" is a cost that isn't known.
    """
    library = Library(*paths)
    summaries = sorted(library.summaries(), key=_ORDERS[sort])
    if is_json:
        as_json([rows.summary(one) for one in summaries])
    else:
        _list(summaries, library.stats().bill)
    _complain_of_broken(context, library.cassettes())


def _list(summaries: list[Summary], total: Bill) -> None:
    names = ("calls", "in", "out", "cost", "size", "age", "≥400", "models", "path")
    whole = [_row(one) for one in summaries if not one.problem]
    broken = [_broken_row(one) for one in summaries if one.problem]
    end = (
        f"{total.calls:,}", f"{total.tokens_in:,}", f"{total.tokens_out:,}", cost(total),
        size(sum(one.size for one in summaries)), "", "", "", count(len(summaries), "cassette"),
    )  # fmt: skip
    out(table(*names, rows=[*whole, *broken], left=("models", "path"), end=end))


def _row(one: Summary) -> list[Any]:
    bill = one.bill
    refusals = styled(f"{one.refusals}" if one.refusals else "", "yellow")
    tokens = (f"{bill.tokens_in:,}", f"{bill.tokens_out:,}")
    return [
        f"{bill.calls:,}",
        *tokens,
        cost(bill),
        size(one.size),
        age(one),
        refusals,
        some(one.models),
        shown(one.path),
    ]


def _broken_row(one: Summary) -> list[Any]:
    return ["-", "-", "-", "-", size(one.size), age(one), "", styled("broken", "red"), shown(one.path)]


def _complain_of_broken(context: click.Context, found: list[CassetteFile]) -> None:
    for one in found:
        if one.problem:
            say(f"{one.problem.path}:{one.problem.line}: broken cassette: {one.problem.problem}")
    if any(one.problem for one in found):
        context.exit(1)


@cassettes.command(short_help="Show interactions as conversations.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@_json
@click.option("-n", "--interaction", "number", type=click.IntRange(min=1), help="Show only this one, from 1.")
@click.option("--raw", "is_raw", is_flag=True, help="Show the interactions as they are written down.")
@click.pass_context
def show(context: click.Context, paths: tuple[Path, ...], number: int | None, *, is_json: bool, is_raw: bool) -> None:
    """Show interactions as conversations."""
    library = Library(*paths)
    chosen = [
        (cassette, place, one)
        for cassette in library.cassettes()
        for place, one in enumerate(cassette.interactions, 1)
        if number in (None, place)
    ]
    if number and not chosen and not any(one.problem for one in library.cassettes()):
        most = max((len(one.interactions) for one in library.cassettes()), default=0)
        raise RecordingError(f"there is no interaction {number}: the last one is {most}")
    if is_json:
        as_json([rows.interaction(*one) for one in chosen])
    elif is_raw:
        out(*(harmless(block(one)) for _, _, one in chosen))
    else:
        conversations.show(chosen, library.prices)
    _complain_of_broken(context, library.cassettes())


@cassettes.command(name="diff", short_help="Compare two, or one with what git has of it.")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", required=False, type=click.Path(path_type=Path))
@_json
@click.option("--exact", "is_exact", is_flag=True, help="Count also what is another in every recording.")
@click.option("--revision", default="HEAD", show_default=True, help="What of git to compare with.")
@click.pass_context
def diff_(
    context: click.Context, before: Path, after: Path | None, revision: str, *, is_json: bool, is_exact: bool
) -> None:
    """Compare two cassettes or two directories of them, or one with what git has of it.

    Times, ids, dates, fingerprints and most headers don't count; streams are compared as what they tell. Exits with 0
    where nothing differs, else with 1.
    """
    there = after or before
    are_directories = before.is_dir() and there.is_dir()
    for path in () if are_directories else (before, there):
        if not path.is_file():
            raise RecordingError(f"{str(path)!r} is no file: name one cassette or directory, or two of a kind")
    if are_directories:
        compared = {
            path: diff(old, new, is_exact=is_exact) for path, old, new in pairs(before, after, revision=revision)
        }
    else:
        old = load(before) if after else committed(before, revision=revision)
        compared = {there: diff(old, load(there), is_exact=is_exact)}
    changed = {path: changes for path, changes in compared.items() if changes}
    _show_changed(changed, are_directories=are_directories, is_json=is_json)
    context.exit(1 if changed else 0)


def _show_changed(changed: dict[Path, list[Change]], *, are_directories: bool, is_json: bool) -> None:
    if is_json and are_directories:
        as_json([rows.changed(path, changes) for path, changes in changed.items()])
    elif is_json:
        as_json([rows.change(one) for changes in changed.values() for one in changes])
    else:
        for path, changes in changed.items():
            out(*[styled(shown(path), "bold")] * are_directories)
            conversations.show_changes(changes)
    number = sum(map(len, changed.values()))
    where = f" in {count(len(changed), 'cassette')}" if are_directories else ""
    say(count(number, "interaction") + f" differ{'s' * (number == 1)}{where}" if changed else "nothing differs")


@cassettes.command(short_help="Find everything that a build should fail on.")
@_paths
@_json
@_root
@click.option("--played", type=click.Path(path_type=Path), help=f"What a run of pytest has played, if not {PLAYED}.")
@click.option("--strict", "is_strict", is_flag=True, help="Fail on warnings, too.")
@click.option("--max-age-days", type=float, help="Warn of older recordings (default: llmkit_max_age_days).")
@click.option(
    "--allow", multiple=True, metavar="DIGEST:REASON", help="No secret, though it looks like one; repeatable."
)
@click.pass_context
def check(
    context: click.Context,
    paths: tuple[Path, ...],
    root: Path | None,
    played: Path | None,
    max_age_days: float | None,
    allow: tuple[str, ...],
    *,
    is_json: bool,
    is_strict: bool,
) -> None:
    """Find everything that a build should fail on (default: ./cassettes).

    Broken files, secrets, orphans, colliding names and leftovers are errors; duplicates and old recordings are
    warnings; recorded refusals are notes. What the last run of pytest found to be orphans is read from .pytest_cache,
    below the project's directory. No secret is shown, only its digest, by which --allow or
    llmkit_allowed_secrets let it be.
    """
    library = Library(*paths, root=root)
    if allow:
        library = Library(*paths, root=root, allowed=_allowed(library.allowed, allow))
    found = library.check(max_age_days=max_age_days, played=Played.read(played) if played else None)
    if is_json:
        as_json([rows.finding(one) for one in found])
    elif found:
        _show_findings(found)
    number = {severity: sum(one.severity == severity for one in found) for severity in reversed(Severity)}
    told = ", ".join(count(number[severity], str(severity)) for severity in number)
    say(f"checked {count(len(library.files), 'cassette')}: {told}")
    context.exit(1 if is_failure(found, is_strict=is_strict) else 0)


def _allowed(configured: Allowed, entries: tuple[str, ...]) -> Allowed:
    lines = [": ".join(part.strip() for part in entry.partition(":")[::2]) for entry in entries]
    try:
        return Allowed({**configured.reasons, **Allowed.parse(lines).reasons})
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--allow") from None


def _show_findings(found: list[Finding]) -> None:
    by_path: dict[Path, dict[tuple[Any, ...], list[str]]] = {}
    for one in found:
        same = by_path.setdefault(one.path, {}).setdefault((one.severity, one.kind, one.message), [])
        same.append(f"line {one.line}" if one.line else f"#{one.interaction}" if one.interaction else "")
    for path, about in by_path.items():
        lines = [
            ["", styled(str(severity), _STYLES[severity]), kind, some(where, 3), shown(message)]
            for (severity, kind, message), where in about.items()
        ]
        out(styled(shown(path), "bold"), table(*[""] * 5, rows=lines, left=("",), header=False))


@cassettes.command(short_help="Add them up, and say what a replay saves.")
@_paths
@_json
@click.pass_context
def stats(context: click.Context, paths: tuple[Path, ...], *, is_json: bool) -> None:
    """Add everything up (default: ./cassettes): calls, tokens and cost by surface and model, and what replay saves."""
    library = Library(*paths)
    found = library.stats()
    if is_json:
        as_json(rows.stats(found))
    else:
        _show_stats(found)
    _complain_of_broken(context, library.cassettes())


def _show_stats(found: Stats) -> None:
    bill = found.bill
    share = f" ({found.streams / bill.calls:.0%})" if bill.calls else ""
    unpriced = f"; {count(bill.unpriced, 'call')} without a known price" if bill.unpriced else ""
    spans = (
        f"{found.oldest.recorded_at:%Y-%m-%d} … {found.newest.recorded_at:%Y-%m-%d}"
        if found.oldest and found.newest
        else "-"
    )
    facts = [
        ("cassettes", f"{found.files:,}" + (f", {found.broken} of them broken" if found.broken else "")),
        ("calls", f"{bill.calls:,}, {found.streams:,} of them streams{share}"),
        ("refusals", f"{found.refusals:,}"),
        ("tokens", f"{bill.tokens_in:,} in, {bill.tokens_out:,} out"),
        ("saved", f"{dollars(bill.cost)} by each replay of all of it{unpriced}"),
        ("size", size(found.size)),
        ("recorded", spans),
    ]
    facts_table = table("", "", rows=[[styled(name, "bold"), value] for name, value in facts], left=("",), header=False)
    out(facts_table, "", _bills("surface", found.by_surface), "", _bills("model", found.by_model), "")
    statuses = [(str(status), f"{calls:,}") for status, calls in found.by_status]
    out(table("status", "calls", rows=statuses, left=("status",)), "")
    out(table("size", "largest", rows=[(size(one.size), shown(one.path)) for one in found.largest], left=("largest",)))


def _bills(name: str, bills: tuple[tuple[str, Bill], ...]) -> Any:
    lines = [(of, f"{one.calls:,}", f"{one.tokens_in:,}", f"{one.tokens_out:,}", cost(one)) for of, one in bills]
    return table(name, "calls", "in", "out", "cost", rows=lines, left=(name,))


for _command in COMMANDS:
    cassettes.add_command(_command)
