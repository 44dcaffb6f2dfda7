"""Pieces → messages: where each message ends, what is blank at its edges, and when its content is a list of parts."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.templates.content import Image, Part
from llmkit.templates.pieces import Begin, Inserted, Piece, Pieces, Said

MOST_CHARACTERS = 16_000_000
"""The length of all text of one rendering; the largest context windows hold a third of that."""

_BLANK_LINES = re.compile(r"(?:[ \t]*\n)+")


class Assembly:
    """Takes pieces one by one. What comes before the first role belongs to `default_role`, where there is one."""

    def __init__(self, default_role: str | None) -> None:
        self.messages: list[dict[str, Any]] = []
        self._role = default_role
        self._is_written = False  # whether the template wrote the role: if it did not, blanks alone are no message
        self._fields: Mapping[str, Any] = {}
        self._content: list[str | Image | Part] = []
        self._characters = 0

    def add(self, piece: Piece) -> None:
        """Adds a piece; raises TemplateInvalid for text that belongs to no message."""
        if isinstance(piece, str):
            self._add_text(piece)
        elif isinstance(piece, Pieces):
            for inner in piece.pieces:
                self.add(inner)  # type: ignore[arg-type] # whatever it is, it came out of `{{ … }}` or the template
        elif isinstance(piece, Begin | Inserted):
            self._end()
            self._is_written = True
            self._role, self._fields = (piece.role, piece.fields) if isinstance(piece, Begin) else (None, {})
            self.messages += piece.messages if isinstance(piece, Inserted) else ()  # type: ignore[arg-type] # new dicts
        else:
            self._belongs(piece)
            self._content.append(piece)

    def end(self) -> list[dict[str, Any]]:
        """All messages."""
        self._end()
        return self.messages

    def _add_text(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise TemplateInvalid(f"it makes more than {MOST_CHARACTERS:,} characters")
        if self._role is None and not isinstance(text, Said) and not text.strip():
            return
        self._belongs(text)
        self._content.append(text)

    def _belongs(self, piece: object) -> None:
        if self._role is None:
            raise TemplateInvalid(
                f"{excerpt(piece)} belongs to no message: write a role such as `user:` in the line before it"
            )

    def _end(self) -> None:
        if self._role is not None and (self._is_written or self._says_something()):
            self.messages.append({"role": self._role, **self._fields, "content": self._said()})
        self._content, self._role = [], None

    def _says_something(self) -> bool:
        return any(not isinstance(piece, str) or isinstance(piece, Said) or piece.strip() for piece in self._content)

    def _said(self) -> str | list[dict[str, Any]] | None:
        """The content of the message: a text, or parts where there is more than text."""
        parts = list(self._parts())
        if all(isinstance(part, str) for part in parts):
            text = "".join(str(part) for part in parts)
            return None if not text and "tool_calls" in self._fields else text
        said = [{"type": "text", "text": part} if isinstance(part, str) else part.part() for part in parts]
        return [part for part in said if part.get("text") != ""]

    def _parts(self) -> Iterator[str | Image | Part]:
        """The texts between images, and the images."""
        text: list[str] = []
        for piece in self._content:
            if isinstance(piece, str):
                text.append(piece)
            else:
                yield _trimmed(text)
                yield piece
                text = []
        yield _trimmed(text)


def _trimmed(pieces: list[str]) -> str:
    """The text without the template's own blank lines before it and blanks after it; values are left as they are."""
    first = next((index for index, piece in enumerate(pieces) if isinstance(piece, Said)), len(pieces))
    before, values = "".join(pieces[:first]), pieces[first:]
    if not values:
        return _without_blank_lines(before).rstrip()
    last = next(index for index in range(len(values), 0, -1) if isinstance(values[index - 1], Said))
    return _without_blank_lines(before) + "".join(values[:last]) + "".join(values[last:]).rstrip()


def _without_blank_lines(text: str) -> str:
    found = _BLANK_LINES.match(text)
    return text[found.end() :] if found else text
