"""Where the text of templates comes from: strings, and files below one directory."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from llmkit.errors import TemplateInvalid, excerpt


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one template, as it was written; `name` is what messages call it."""

    name: str
    text: str

    def line(self, number: int | None) -> str:
        """One line of it, counted from 1; "" where there is none."""
        lines = self.text.split("\n")
        return lines[number - 1].strip() if number and number <= len(lines) else ""

    def error(self, message: str, *, line: int | None = None) -> TemplateInvalid:
        """The error that says what is wrong with this template, where, and how the line reads."""
        place = f"{self.name}, line {line}" if line else self.name
        return TemplateInvalid(f"{place}: {message}{self.quoted(line)}", template=self.name, line=line)

    def quoted(self, line: int | None) -> str:
        """The line, for the end of a message."""
        shown = self.line(line)
        return f"\n    {line} | {shown if len(shown) <= 120 else shown[:120] + '…'}" if shown else ""


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory that a template may include from, and nothing outside of it.

    `path` is None for a template that was made of a string: it can include nothing.
    """

    path: Path | None

    def read(self, name: str, *, asked_by: Source, line: int) -> tuple[Source, Path]:
        """The template of this name, a path below the directory; raises FileNotFoundError, or TemplateInvalid."""
        if self.path is None:
            raise asked_by.error(
                f"it includes {name!r}, but a template made of a string belongs to no directory: pass directory=…",
                line=line,
            )
        found = self._inside(name)
        if found is None:
            raise asked_by.error(
                f"it includes {name!r}, which is not below {str(self.path)!r}: includes are paths below the "
                "template's directory, with / between their parts",
                line=line,
            )
        try:
            return Source(str(self.path / name), read_text(found)), found
        except FileNotFoundError:
            raise
        except OSError as error:
            raise asked_by.error(f"it includes {name!r}, but it cannot be read: {error}", line=line) from None

    def _inside(self, name: str) -> Path | None:
        """The file of this name, links followed; None where it, or what it links to, lies outside."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or any(mark in name for mark in ("\\", ":", "\0")):
            return None
        try:
            root = (self.path or Path()).resolve()
            found = root.joinpath(*parts).resolve()
        except (RuntimeError, OSError):  # a link that leads to itself
            return None
        return found if found.is_relative_to(root) else None


def read_text(path: Path) -> str:
    """The text of a file, with plain line ends; raises OSError, and TemplateInvalid for what is not UTF-8."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    try:
        return plain(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise TemplateInvalid(
            f"{path}, line {line}: it is not UTF-8 text ({error.reason} at byte {error.start})",
            template=str(path),
            line=line,
        ) from None


def plain(text: object) -> str:
    """The text with plain line ends, as jinja2 will read it, so that lines are counted alike everywhere."""
    if not isinstance(text, str):
        raise TemplateInvalid(f"A template is made of text, not of {excerpt(text)}; Template.load(path) reads a file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def stamps(paths: Iterator[Path]) -> tuple[tuple[str, int, int, int], ...] | None:
    """What changes when one of the files changes; None where one is gone."""
    try:
        return tuple(_stamp(path) for path in paths)
    except OSError:
        return None


def _stamp(path: Path) -> tuple[str, int, int, int]:
    found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and this is all that a cached load does
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
