"""Replies that are plain text, within bounds."""

from dataclasses import dataclass

from llmkit.parsers.places import failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The text of a reply without the blanks around it: `Text(longest=280)(text)`.

    `longest` counts characters. Raises ParseFailed for a text that is empty, too long, or has line breaks though
    `one_line` is asked for.
    """

    longest: int | None = None
    one_line: bool = False

    def __call__(self, text: str) -> str:
        """The text."""
        said = text.strip()
        start = len(text) - len(text.lstrip())
        if not said:
            raise failure("the reply is empty", text=text, position=0)
        if self.one_line and len(said.splitlines()) > 1:
            position = start + len(said.splitlines()[0])
            raise failure("the reply has a second line, and one is wanted", text=text, position=position)
        if self.longest is not None and len(said) > self.longest:
            raise failure(
                f"the reply has {len(said)} characters, {self.longest} are allowed: its end would have to be cut off",
                text=text,
                position=start + self.longest,
            )
        return said
