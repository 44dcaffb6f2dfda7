"""Changing cassettes as wholes: taking secrets out of them, and making one of several or several of one.

Each file is written in one step; nothing is written where a file is broken.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from llmkit.recording import cassette
from llmkit.recording.cassette.yaml_writer import block
from llmkit.recording.errors import RecordingError
from llmkit.recording.interaction import Headers, Interaction, Request
from llmkit.recording.matching.diff import differences
from llmkit.recording.naming import file_name
from llmkit.recording.replies.conversation import facts
from llmkit.recording.scrubbing.scrub import Scrubber, credentials

By = Literal["test", "model", "path", "interaction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """What was taken out of the cassette at ``path``: each place is the number of an interaction, from 1, and where."""

    path: Path
    places: tuple[tuple[int, str], ...] = ()


def scrub(path: Path, scrubber: Scrubber, *, is_dry: bool = False) -> Scrubbed:
    """Take out of the cassette at ``path`` what ``scrubber`` finds, and what the cassette itself names as credentials.

    Raises `BrokenCassette` for a file that is not whole, and leaves it alone.
    """
    with cassette.locked(path):
        before = cassette.load(path)
        after = scrubbed(before, scrubber)
        places = tuple(
            (n, where) for n, pair in enumerate(zip(before, after, strict=True), 1) for where in _places(*pair)
        )
        if before != after and not is_dry:
            cassette.save(path, after)
    return Scrubbed(path=path, places=places)


def scrubbed(interactions: Sequence[Interaction], scrubber: Scrubber) -> list[Interaction]:
    """Return ``interactions`` without secrets; one that is named in any of them goes from all."""
    named = (found for one in interactions for part in (one.request, one.response) for found in credentials(part))
    knowing = scrubber.knowing(named)
    return [
        Interaction(
            request=knowing.request(one.request),
            response=knowing.response(one.response),
            recorded_at=one.recorded_at,
            test=one.test,
        )
        for one in interactions
    ]


def merge(paths: Sequence[Path], *, keep_duplicates: bool = False) -> list[Interaction]:
    """Return the interactions of the cassettes at ``paths``, in order.

    What several of them hold is there as often as in the one that holds it most, or, with ``keep_duplicates``, as
    often as in all of them.
    """
    merged: list[Interaction] = []
    have: Counter[str] = Counter()
    for path in paths:
        seen: Counter[str] = Counter()
        for one in cassette.load(path):
            text = block(one)
            seen[text] += 1
            if keep_duplicates or seen[text] > have[text]:
                merged.append(one)
        have |= seen
    return merged


def merge_into(out: Path, paths: Sequence[Path], *, keep_duplicates: bool = False, force: bool = False) -> int:
    """Write what `merge` returns to ``out``, and return how many interactions these are.

    Raises `RecordingError` where ``out`` exists and is none of ``paths``, unless ``force``.
    """
    is_one_of_them = out.exists() and any(path.exists() and path.samefile(out) for path in paths)
    if out.exists() and not is_one_of_them and not force:
        raise RecordingError(f"{out} exists and is none of the files to merge: name it as one of them, or use --force")
    with cassette.locked(out):
        merged = merge(paths, keep_duplicates=keep_duplicates)
        cassette.save(out, merged)
    return len(merged)


def split(interactions: Sequence[Interaction], *, by: By = "test") -> dict[str, list[Interaction]]:
    """Sort ``interactions`` into groups, by the name of the file for each; within one they keep their order."""
    groups: dict[str, list[Interaction]] = {}
    names: dict[str, str] = {}
    width = len(str(len(interactions)))
    for number, one in enumerate(interactions, 1):
        about = f"{number:0{width}d}" if by == "interaction" else _ABOUT[by](one)
        groups.setdefault(about, []).append(one)
        names.setdefault(about, _free(f"{file_name(about)}", set(names.values())))
    return {f"{names[about]}.yaml": members for about, members in groups.items()}


def split_into(path: Path, directory: Path, *, by: By = "test", force: bool = False) -> dict[Path, int]:
    """Write the groups of the cassette at ``path`` into ``directory``; return how many interactions each file holds.

    Raises `RecordingError` where one of the files exists, unless ``force``; then none is written.
    """
    groups = {directory / name: members for name, members in split(cassette.load(path), by=by).items()}
    taken = [str(target) for target in groups if target.exists()]
    if taken and not force:
        raise RecordingError(f"{taken[0]} exists: choose another directory, or use --force to overwrite it")
    for target, members in groups.items():
        cassette.save(target, members)
    return {target: len(members) for target, members in groups.items()}


def _by_test(one: Interaction) -> str:
    return one.test.replace("::", ".").replace("/", ".") or "no-test"


def _by_model(one: Interaction) -> str:
    told = facts(one)
    return told.served or told.asked or "no-model"


def _by_path(one: Interaction) -> str:
    return f"{one.request.method} {urlsplit(one.request.uri).path.strip('/')}".replace("/", ".")


_ABOUT: Mapping[str, Callable[[Interaction], str]] = {"test": _by_test, "model": _by_model, "path": _by_path}


def _free(name: str, taken: set[str]) -> str:
    """Return ``name``, with a number where a file system without case has it already."""
    folded = {one.casefold() for one in taken}
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return next(one for one in names if one.casefold() not in folded)


def _places(before: Interaction, after: Interaction) -> Iterator[str]:
    """Name what differs, never what it was."""
    if before.request.uri != after.request.uri:
        yield "request.uri"
    yield from _header_places("request", before.request.headers, after.request.headers)
    yield from _body_places("request.body", before.request.body, after.request.body)
    yield from _header_places("response", before.response.headers, after.response.headers)
    yield from _body_places("response.body", before.response.body, after.response.body)
    yield from (
        f"response.{name}"
        for name in ("reason", "ended")
        if getattr(before.response, name) != getattr(after.response, name)
    )


def _header_places(side: str, before: Headers, after: Headers) -> Iterator[str]:
    for name, values in before.items():
        if name not in after:
            yield f"{side}.headers {name.lower()} (left out)"
        elif list(values) != list(after[name]):
            yield f"{side}.headers {name.lower()}"


def _body_places(side: str, before: bytes, after: bytes) -> Iterator[str]:
    if before == after:
        return
    if not _is_json(before) or not _is_json(after):
        yield side
        return
    found = differences(*(Request(method="POST", uri="/", body=body) for body in (before, after)))
    yield from (f"{side} {one.where}" for one in found)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
