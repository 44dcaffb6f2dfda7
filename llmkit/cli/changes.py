"""`llmkit cassettes …`: the commands that change cassettes."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.text import Text

from llmkit.cli import rows
from llmkit.cli.display import as_json, count, done, out, say, shown, styled, table
from llmkit.recording.cassette.vcr_format import Spelling
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.library import migration, pruning
from llmkit.recording.library.editing import By, Scrubbed, merge_into, split_into
from llmkit.recording.library.library import Library
from llmkit.recording.library.migration import Outcome, Step
from llmkit.recording.library.project import Project
from llmkit.recording.library.pruning import PLAYED, Played, Removal
from llmkit.recording.scrubbing.credential_places import DROPPED_HEADERS, is_credential_header
from llmkit.recording.scrubbing.scrub import Scrubber

_some_paths = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
_any_paths = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_json = click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
_dry = click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would be done.")
_force = click.option("--force", is_flag=True, help="Overwrite files that exist.")
_root = click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False, exists=True), help="The project's directory."
)
_secret_env = click.option(
    "--secret-env", multiple=True, metavar="NAME", help="A variable whose value is a secret; repeatable."
)


@click.command(short_help="Take secrets out.")
@_some_paths
@_json
@_dry
@_secret_env
@click.pass_context
def scrub(
    context: click.Context, paths: tuple[Path, ...], secret_env: tuple[str, ...], *, is_json: bool, is_dry: bool
) -> None:
    """Take secrets out of cassettes: what today's environment names, credentials by their place, and where they echo.

    Says where something was taken out, never what.
    """
    looked_at = list(Library(*paths).scrub(_scrubber(secret_env), is_dry=is_dry))
    scrubbed = [one for one in looked_at if isinstance(one, Scrubbed)]
    places = [(shown(one.path), f"#{number}", shown(where)) for one in scrubbed for number, where in one.places]
    if is_json:
        as_json(
            [
                {
                    "path": shown(one.path),
                    "places": [{"interaction": n, "where": shown(where)} for n, where in one.places],
                }
                for one in scrubbed
            ]
        )
    elif places:
        out(table("path", "where", "scrubbed", rows=_grouped(places), left=("path", "where", "scrubbed")))
    would = done(len(places), is_dry=is_dry)
    touched = sum(bool(one.places) for one in scrubbed)
    say(f"{count(len(places), 'place')} in {count(touched, 'cassette')} {would} scrubbed")
    _fail_if_broken(context, [one for one in looked_at if isinstance(one, BrokenCassette)])


def _grouped(places: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the rows of ``scrub``, with the headers of each interaction that are only noise in one."""
    rows: dict[tuple[str, str], list[str]] = {}
    noise: Counter[tuple[str, str]] = Counter()
    for path, number, where in places:
        told = rows.setdefault((path, number), [])
        if _is_noise(where):
            noise[path, number] += 1
        else:
            told.append(where)
    for place, left_out in noise.items():
        rows[place].append(f"{count(left_out, 'header')} without a secret (left out)")
    return [(*place, where) for place, told in rows.items() for where in told]


def _is_noise(where: str) -> bool:
    """Tell whether ``where`` is a header that was left out, and that holds no credential."""
    name = where.removesuffix(" (left out)").rpartition("headers ")[2]
    return where.endswith(" (left out)") and not (name in {"cookie", *DROPPED_HEADERS} or is_credential_header(name))


def _scrubber(variables: Sequence[str]) -> Scrubber:
    scrubber = Scrubber.from_environment()
    for name in variables:
        if not os.environ.get(name):
            raise click.BadParameter(f"{name} is not set", param_hint="--secret-env")
        more = scrubber.knowing([os.environ[name]])
        if os.environ[name] not in more.secrets:
            say(f"{name} is not looked for: its value is too short, or a word, whose removal would mangle texts")
        scrubber = more
    return scrubber


@click.command(short_help="Delete orphans and what nothing plays.")
@_any_paths
@_json
@_root
@_dry
@click.option("--played", type=click.Path(path_type=Path), help=f"What a run of pytest has played, if not {PLAYED}.")
@click.option("--yes", "is_agreed", is_flag=True, help="Don't ask.")
@click.pass_context
def prune(
    context: click.Context,
    paths: tuple[Path, ...],
    root: Path | None,
    played: Path | None,
    *,
    is_json: bool,
    is_dry: bool,
    is_agreed: bool,
) -> None:
    """Delete orphans, and what the last run of pytest left unplayed (default: ./cassettes).

    What the run knew is read from .pytest_cache, below the project's directory. A broken file is never touched, nor one
    that has changed since the run.
    """
    library = Library(*paths, root=root)
    removals = library.removals(Played.read(played) if played else None)
    if not is_json and removals:
        out(table("what", "path", "why", rows=map(_removal_row, removals), left=("what", "path", "why")))
    if removals and not is_dry and not is_agreed:
        _ask(len(removals))
    gone = [] if is_dry else pruning.apply(removals)
    if is_json:
        as_json([rows.removal(one, is_done=one in gone) for one in removals])
    would = f"{len(removals)}" if is_dry else f"{len(gone)} of {len(removals)}"
    say(f"{would} {done(len(removals), is_dry=is_dry)} pruned" if removals else "nothing to prune")
    context.exit(0 if is_dry or len(gone) == len(removals) else 1)


def _removal_row(one: Removal) -> tuple[str, str, str]:
    return (
        "the file" if one.is_whole else f"#{', #'.join(map(str, one.interactions))}",
        shown(one.path),
        shown(one.reason),
    )


def _ask(number: int) -> None:
    if not sys.stdin.isatty():
        raise RecordingError("nothing was deleted: there is no terminal to ask on; use --yes, or --dry-run")
    click.confirm(f"Delete {'this' if number == 1 else f'these {number}'}?", abort=True, err=True)


@click.command(short_help="Make one of several.")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("paths", metavar="IN…", nargs=-1, required=True, type=click.Path(path_type=Path))
@_json
@_force
@click.option("--keep-duplicates", is_flag=True, help="Keep what several files hold as often as they do.")
def merge(target: Path, paths: tuple[Path, ...], *, is_json: bool, force: bool, keep_duplicates: bool) -> None:
    """Write all interactions of IN…, in order, to OUT."""
    files = Library(*paths).files
    number = merge_into(target, files, keep_duplicates=keep_duplicates, force=force)
    if is_json:
        as_json({"path": shown(target), "calls": number})
    say(f"{target} holds {count(number, 'interaction')} of {count(len(files), 'cassette')}")


@click.command(short_help="Make several of one.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@_json
@_force
@click.option(
    "--by",
    type=click.Choice(["test", "model", "path", "interaction"]),
    default="test",
    show_default=True,
    help="What goes into one file.",
)
def split(path: Path, directory: Path, by: By, *, is_json: bool, force: bool) -> None:
    """Write the interactions of FILE into several files in DIR."""
    written = split_into(path, directory, by=by, force=force)
    if is_json:
        as_json([{"path": shown(target), "calls": number} for target, number in written.items()])
    else:
        out(
            table(
                "calls",
                "path",
                rows=[(str(number), shown(target)) for target, number in written.items()],
                left=("path",),
            )
        )
    say(f"{path} stays as it is")


@click.command(short_help="Move over from vcrpy or pytest-recording, or back.")
@_any_paths
@_json
@_root
@_dry
@_secret_env
@click.option(
    "--to",
    "to",
    type=click.Choice(["llmkit", "vcrpy"]),
    default="llmkit",
    show_default=True,
    help="The format to write.",
)
@click.option(
    "--layout", type=click.Choice(["pytest-recording"]), help="Also move cassettes from where that keeps them."
)
@click.option(
    "--tests",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=None,
    help="Where the tests are, for --layout.",
)
@click.option(
    "--format",
    "spelling",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="vcrpy's serializer, for --to vcrpy.",
)
@click.option(
    "--out", "directory", type=click.Path(path_type=Path, file_okay=False), help="Where to write, for --to vcrpy."
)
@click.pass_context
def migrate(
    context: click.Context,
    paths: tuple[Path, ...],
    root: Path | None,
    to: str,
    layout: str | None,
    tests: Path | None,
    spelling: Spelling,
    directory: Path | None,
    secret_env: tuple[str, ...],
    *,
    is_json: bool,
    is_dry: bool,
) -> None:
    """Rewrite cassettes of vcrpy and pytest-recording in our format, or ours as vcrpy's.

    Each is decoded and scrubbed; one that would still hold a secret is not written. The exit code is 1 where something
    is not written, or with --layout stays behind.
    """
    if bool(paths) == bool(layout):
        raise click.UsageError("name PATHS to rewrite where they are, or --layout pytest-recording to move cassettes")
    if layout and to == "vcrpy":
        raise click.UsageError("--layout goes only from pytest-recording to ours")
    if to == "vcrpy":
        steps = migration.plan_back(Library(*paths).files, out=directory, spelling=spelling, below=paths)
        outcomes = [migration.migrate_back(step, spelling=spelling, is_dry=is_dry) for step in steps]
    else:
        outcomes = _to_ours(paths, root, tests or Path("tests"), _scrubber(secret_env), is_dry=is_dry)
    _tell(outcomes, is_json=is_json, is_dry=is_dry)
    is_left = any(one.problem or (layout and one.step.target is None) for one in outcomes)
    context.exit(1 if is_left else 0)


def _to_ours(
    paths: Sequence[Path], root: Path | None, tests: Path, scrubber: Scrubber, *, is_dry: bool
) -> list[Outcome]:
    """Rewrite the cassettes at ``paths``, or move those of pytest-recording below ``tests`` where there are none."""
    project = Project.around(paths[0], root=root) if paths else Project.around(Path.cwd(), root=root or Path.cwd())
    steps = migration.plan(migration.sources(Library(*paths).paths)) if paths else migration.plan_layout(tests, project)
    return [migration.migrate(step, scrubber=scrubber, allowed=project.allowed, is_dry=is_dry) for step in steps]


def _tell(outcomes: Sequence[Outcome], *, is_json: bool, is_dry: bool) -> None:
    if is_json:
        as_json([rows.outcome(one) for one in outcomes])
    elif outcomes:
        out(table("calls", "from", "to", rows=map(_outcome_row, outcomes), left=("from", "to")))
    for one in outcomes:
        if one.problem:
            say(f"{one.step.source}: {one.problem}")
        for lost in one.lost:
            say(f"{one.step.target}: {lost}")
    if any(one.step.is_unsure for one in outcomes):
        say(f"{migration.REPLACED}: where that is no '-' in the test, rename the file as pytest names it")
    written = sum(one.step.target is not None and one.problem is None for one in outcomes)
    say(f"{written} of {count(len(outcomes), 'cassette')} {done(len(outcomes), is_dry=is_dry)} written")


def _outcome_row(one: Outcome) -> list[str | Text]:
    if one.problem:
        return ["", shown(one.step.source), styled("not written, see below", "red")]
    return [str(one.interactions or ""), shown(one.step.source), shown(_target(one.step))]


def _target(step: Step) -> str:
    where = "" if step.target is None else "(in place)" if step.target == step.source else _from_here(step.target)
    return "; ".join(part for part in (where, step.note) if part)


def _from_here(path: Path) -> str:
    """Return ``path`` from here on, as the paths are that were typed."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _fail_if_broken(context: click.Context, broken: Sequence[BrokenCassette]) -> None:
    for one in broken:
        say(f"{one.path}:{one.line}: broken cassette, left as it is: {one.problem}")
    if broken:
        context.exit(1)


COMMANDS = (scrub, prune, merge, split, migrate)
