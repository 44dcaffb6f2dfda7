"""Moving a project over from vcrpy and pytest-recording, or back: first a plan, then file by file.

pytest-recording keeps ``cassettes/<module>/<Class>.<test>.yaml`` beside the test module
(https://github.com/kiwicom/pytest-recording); ours are all below one directory, by the path of the module from the
root. A file that would take a secret along is not written.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llmkit.recording import cassette
from llmkit.recording.addresses import Provider
from llmkit.recording.cassette import vcr_format
from llmkit.recording.cassette.vcr_format import Spelling
from llmkit.recording.errors import RecordingError, SecretLeak
from llmkit.recording.interaction import Interaction
from llmkit.recording.library.editing import scrubbed
from llmkit.recording.library.orphans import TestSource
from llmkit.recording.library.project import Project
from llmkit.recording.naming import file_name
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.leaks import NOTHING, Allowed
from llmkit.recording.scrubbing.scrub import Scrubber

# what pytest-recording writes as "-" in the name of a file
_REPLACED = re.compile(r"[<>?%*:|\"'/\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One file to be read from ``source`` and written to ``target``; where they differ, ``source`` goes.

    ``note`` says what to look at. Without a ``target`` the file stays as and where it is, and ``note`` says why.
    """

    source: Path
    target: Path | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a ``step``: how many interactions were written, or the ``problem`` for which nothing was."""

    step: Step
    interactions: int = 0
    problem: RecordingError | None = None
    lost: tuple[str, ...] = ()


def plan(files: Iterable[Path]) -> list[Step]:
    """Plan to rewrite ``files`` where they are; those in our format stay."""
    return [
        Step(source=path, target=None, note="is in our format")
        if _is_ours(path)
        else Step(source=path, target=path.with_suffix(".yaml") if path.suffix == ".json" else path)
        for path in files
    ]


def plan_layout(tests: Path, project: Project) -> list[Step]:
    """Plan to move the cassettes of pytest-recording, below the directory ``tests``, to where ours are looked for."""
    return [step for directory in sorted(tests.rglob("cassettes")) for step in _moved(directory, project)]


def migrate(step: Step, *, scrubber: Scrubber, allowed: Allowed = NOTHING, is_dry: bool = False) -> Outcome:
    """Write the cassette of ``step`` in our format, decoded and scrubbed; nothing where that leaves a secret in it."""
    if step.target is None:
        return Outcome(step=step)
    try:
        written = _checked(step.source, step.target, scrubber, allowed)
        if not is_dry:
            cassette.save(step.target, written)
            _forget(step)
    except RecordingError as error:
        return Outcome(step=step, problem=error)
    except FileNotFoundError:
        return Outcome(step=step, problem=RecordingError("it is a link to a file that is gone: delete it"))
    return Outcome(step=step, interactions=len(written))


def plan_back(files: Iterable[Path], *, out: Path | None = None, spelling: Spelling = "yaml") -> list[Step]:
    """Plan to write ``files`` as vcrpy's: below ``out``, or else beside or over them."""
    files = list(files)
    shared = Path(os.path.commonpath([path.absolute().parent for path in files])) if files else Path()
    places = [out / path.absolute().relative_to(shared) if out else path for path in files]
    return [
        Step(source=path, target=place.with_suffix(f".{spelling}")) for path, place in zip(files, places, strict=True)
    ]


def migrate_back(step: Step, *, spelling: Spelling = "yaml", is_dry: bool = False) -> Outcome:
    """Write the cassette of ``step`` in vcrpy's format; its source stays, unless it is written over."""
    if step.target is None:
        return Outcome(step=step)
    try:
        interactions = cassette.load(step.source)
        text = vcr_format.dump(interactions, spelling)
        if not is_dry:
            cassette.write(step.target, text)
    except RecordingError as error:
        return Outcome(step=step, problem=error)
    except FileNotFoundError:
        return Outcome(step=step, problem=RecordingError("it is a link to a file that is gone: delete it"))
    lost = tuple(vcr_format.what_is_lost(interactions))
    return Outcome(step=step, interactions=len(interactions), lost=lost)


def _checked(source: Path, target: Path, scrubber: Scrubber, allowed: Allowed) -> list[Interaction]:
    if target != source and target.exists():
        raise RecordingError(f"{target} exists: merge the two (llmkit cassettes merge), or delete one")
    written = scrubbed([_plain(one) for one in vcr_format.load(source)], scrubber)
    if found := [leak for one in written for leak in leaks.find(one, allowed=allowed)]:
        raise SecretLeak(found, target)
    return written


def _forget(step: Step) -> None:
    """Delete the source of what was moved, and the directories that hold nothing then."""
    if step.target == step.source:
        return
    step.source.unlink()
    with contextlib.suppress(OSError):  # one that still holds something
        step.source.parent.rmdir()
        step.source.parent.parent.rmdir()


def _is_ours(path: Path) -> bool:
    try:
        return vcr_format.is_ours(path)
    except OSError:
        return False


def _plain(one: Interaction) -> Interaction:
    stable = Provider.from_environment().stable(one.request.uri)
    return replace(one, request=replace(one.request, uri=stable), response=decoded(one.response))


def _moved(directory: Path, project: Project) -> Iterator[Step]:
    if directory.absolute() == project.cassettes:
        return
    for path in sorted(directory.rglob("*.yaml")):
        module = directory.parent.joinpath(*path.relative_to(directory).parent.parts).with_suffix(".py")
        if not module.is_file() or path.parent == directory:
            yield Step(source=path, target=None, note="stays: it belongs to no test module; name it by a marker")
            continue
        yield _of_test(path, module, project)


def _of_test(path: Path, module: Path, project: Project) -> Step:
    source = TestSource.parse(module.read_text(encoding="utf-8", errors="replace"))
    if not module.absolute().is_relative_to(project.root) or source is None:
        return Step(source=path, target=None, note=f"stays: {module} is outside of {project.root}, or can't be parsed")
    place = _place_of(path.stem, source)
    if place is None:
        return Step(source=path, target=None, note=f"stays: {module} has no such test; name it by a marker")
    *classes, name = place
    below = module.absolute().relative_to(project.root).with_suffix("")
    target = project.cassettes.joinpath(below, *map(file_name, classes), f"{file_name(name)}.yaml")
    unsure = "-" in name and f"check the name: a '-' in it may stand for one of {_REPLACED.pattern[1:-1]}"
    return Step(source=path, target=target, note=unsure or "")


def _place_of(stem: str, source: TestSource) -> Sequence[str] | None:
    """Return the classes and the name of the test that pytest-recording's ``stem`` is of."""
    function, bracket, parameters = stem.partition("[")
    path = function.split(".")
    # it writes only the innermost of nested classes
    found = next((name for name in sorted(source.names) if list(name[-len(path) :]) == path), None)
    if found is None and source.may_have(path[:-1], path[-1]):
        found = tuple(path)
    return None if found is None else [*found[:-1], found[-1] + bracket + parameters]
