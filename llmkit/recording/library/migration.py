"""Moving a project over from vcrpy and pytest-recording, or back: first a plan, then file by file.

pytest-recording keeps ``cassettes/<module>/<Class>.<test>.yaml`` beside the test module
(https://github.com/kiwicom/pytest-recording); ours are all below one directory, by the path of the module from the
root. A file that would take a secret along is not written.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shlex
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
from llmkit.recording.library.library import files_of
from llmkit.recording.library.orphans import TestSource
from llmkit.recording.library.project import Project
from llmkit.recording.naming import file_name
from llmkit.recording.replies.content_coding import decoded
from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.leaks import NOTHING, Allowed
from llmkit.recording.scrubbing.scrub import Scrubber

_MARKERS = frozenset({"default_cassette", "vcr"})

REPLACED = "pytest-recording writes '-' for each of < > ? % * : | \" ' / \\ in the name of a test"
"""Why the name of a moved file may have to be changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One file to be read from ``source`` and written to ``target``; where they differ, ``source`` goes.

    ``note`` says what to look at; where it ``is_unsure``, a "-" in the name may stand for something else. Without a
    ``target`` the file stays as and where it is, and ``note`` says why.
    """

    source: Path
    target: Path | None
    note: str = ""
    is_unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a ``step``: how many interactions were written, or the ``problem`` for which nothing was."""

    step: Step
    interactions: int = 0
    problem: RecordingError | None = None
    lost: tuple[str, ...] = ()


def sources(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are or may be cassettes: those named, and of directories also the JSON of vcrpy."""
    found = (file for path in paths for file in files_of(path, ("*.yaml", "*.yml", "*.json")))
    return [file for file in dict.fromkeys(found) if file.suffix != ".json" or file in paths or _is_vcrpys_json(file)]


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


def plan_back(
    files: Iterable[Path], *, out: Path | None = None, spelling: Spelling = "yaml", below: Iterable[Path] = ()
) -> list[Step]:
    """Plan to write ``files`` as vcrpy's: beside or over them, or in ``out``, with the directories that they have.

    Those are counted from what the directories ``below`` share, or without these from what the files share.
    """
    files = list(files)
    parents = [path.absolute() if path.is_dir() else path.absolute().parent for path in below or files]
    shared = Path(os.path.commonpath(parents)) if parents else Path()
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


def _is_vcrpys_json(path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("interactions"), list)


def _plain(one: Interaction) -> Interaction:
    stable = Provider.from_environment().stable(one.request.uri)
    return replace(one, request=replace(one.request, uri=stable), response=decoded(one.response))


def _moved(directory: Path, project: Project) -> Iterator[Step]:
    if directory.absolute() == project.cassettes:
        return
    for path in sorted(directory.rglob("*.yaml")):
        module = directory.parent.joinpath(*path.relative_to(directory).parent.parts).with_suffix(".py")
        if not module.is_file() or path.parent == directory:
            yield Step(
                source=path,
                target=None,
                note=_stays(path, directory.parent.rglob("*.py"), "it belongs to no test module", project),
            )
            continue
        yield _of_test(path, module, project)


def _of_test(path: Path, module: Path, project: Project) -> Step:
    source = TestSource.parse(module.read_text(encoding="utf-8", errors="replace"))
    if not module.absolute().is_relative_to(project.root) or source is None:
        return Step(source=path, target=None, note=f"stays: {module} is outside of {project.root}, or can't be parsed")
    place = _place_of(path.stem, source)
    if place is None:
        return Step(source=path, target=None, note=_stays(path, [module], f"{module} has no such test", project))
    *classes, name = place
    below = module.absolute().relative_to(project.root).with_suffix("")
    target = project.cassettes.joinpath(below, *map(file_name, classes), f"{file_name(name)}.yaml")
    is_unsure = "-" in name
    return Step(source=path, target=target, note="check the '-' in the name" if is_unsure else "", is_unsure=is_unsure)


def _stays(path: Path, modules: Iterable[Path], why: str, project: Project) -> str:
    """Say why ``path`` stays, and where to move it if one of ``modules`` has a marker that names it."""
    for module in modules:
        if _is_named_in(module.read_text(encoding="utf-8", errors="replace"), path.name):
            target = project.cassettes / path.with_suffix(".yaml").name
            moving = shlex.join(["git", "mv", _from_here(path), _from_here(target)])
            return f'stays: a marker in {_from_here(module)} names it; {moving}, @pytest.mark.cassette("{path.stem}")'
    return f"stays: {why}; name it by a marker"


def _is_named_in(text: str, name: str) -> bool:
    """Tell whether a marker of pytest-recording in the module ``text`` names the file ``name``."""
    try:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError):
        return False
    marking = [one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr in _MARKERS]
    values = [value for one in marking for value in (*one.args, *(keyword.value for keyword in one.keywords))]
    names = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    return any(Path(one).name == name or Path(f"{one}.yaml").name == name for one in names)


def _from_here(path: Path) -> str:
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _place_of(stem: str, source: TestSource) -> Sequence[str] | None:
    """Return the classes and the name of the test that pytest-recording's ``stem`` is of."""
    function, bracket, parameters = stem.partition("[")
    path = function.split(".")
    # it writes only the innermost of nested classes
    found = next((name for name in sorted(source.names) if list(name[-len(path) :]) == path), None)
    if found is None and source.may_have(path[:-1], path[-1]):
        found = tuple(path)
    return None if found is None else [*found[:-1], found[-1] + bracket + parameters]
