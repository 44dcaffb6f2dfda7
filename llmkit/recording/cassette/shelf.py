"""The file that a tape records to: each write leaves it whole, and loses nothing that other processes write there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from llmkit.recording import cassette
from llmkit.recording.cassette.file import remove, unreadable
from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.cassette.yaml_writer import Writer
from llmkit.recording.interaction import Interaction

_Signature = tuple[int, int, int]


class Shelf:
    """One cassette file. What it held at first stays or goes by what `write` is told; what others add stays."""

    def __init__(self, path: Path, *, first: Path | None = None) -> None:
        self.path = path
        self._first = first or path
        self._before: list[Interaction] | None = None
        self._ours: list[str] = []
        self._others: list[Interaction] = []
        self._present: set[int] = set()
        self._gone: set[int] = set()
        self._signature: _Signature | None = None
        self._writer = Writer()
        self._was_there = False

    def read(self) -> bytes | None:
        """Return the bytes of the file, or None if there is none; `BrokenCassette` if it can't be read."""
        for source in dict.fromkeys((self.path, self._first)):
            try:
                signature = _signature(source)
                raw = cassette.read(source)
            except FileNotFoundError:
                continue
            self._signature = signature if source == self.path else None
            return raw
        return None

    def hold(self, before: Sequence[Interaction] | None) -> None:
        """Take ``before`` for what the file held when it was `read`; None if there was none."""
        self._before = list(before or ())
        self._present = set(range(len(self._before)))
        self._was_there = before is not None

    def write(self, ours: Sequence[Interaction], stays: Callable[[int], bool]) -> None:
        """Let the file hold ``ours``, what others added, and what it held at first where it ``stays``, by its place."""
        with cassette.locked(self.path):
            self._look()
            self._save({place for place in range(len(self._before or ())) if stays(place)}, ours)

    def restore(self) -> None:
        """Take out all that was written here, and put back what the file held at first."""
        if self._ours:
            with cassette.locked(self.path):
                self._look()
                self._save(set(range(len(self._before or ()))), [])

    def _save(self, stays: set[int], ours: Sequence[Interaction]) -> None:
        self._present = stays - self._gone
        kept = [one for place, one in enumerate(self._before or ()) if place in self._present]
        interactions = [*kept, *self._others, *ours]
        self._ours = [self._writer.text(one) for one in ours]
        if interactions or self._is_pending or (self._was_there and not self._before):
            cassette.write(self.path, self._writer.dump(interactions))
            self._signature = _signature(self.path)
        else:
            remove(self.path)
            self._signature = None

    @property
    def _is_pending(self) -> bool:
        """Whether this file is to stand for another, which stays while this one is missing."""
        return self.path != self._first

    def _look(self) -> None:
        """Learn what others have added since the file was last read or written here, and what they took out."""
        try:
            signature = _signature(self.path)
        except FileNotFoundError:
            self._others = []
            return
        if signature == self._signature:
            return
        found = parse(self.path, cassette.read(self.path))
        left = Counter(map(self._writer.text, found))
        here = {place for place, one in enumerate(self._before or ()) if _taken(left, self._writer.text(one))}
        self._gone |= self._present - here
        for text in self._ours:
            _taken(left, text)
        self._others = [one for one in found if _taken(left, self._writer.text(one))]


def _taken(left: Counter[str], text: str) -> bool:
    """Take one ``text`` out of what is ``left``; tell whether there was one."""
    if not left[text]:
        return False
    left[text] -= 1
    return True


def _signature(path: Path) -> _Signature:
    """Return what changes whenever the file is replaced; raises as `cassette.read`."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None
    return found.st_mtime_ns, found.st_size, found.st_ino
