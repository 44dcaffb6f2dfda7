"""Code blocks of a reply: what stands between fences, as Markdown has them.

Source: https://spec.commonmark.org/0.31.2/#fenced-code-blocks
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llmkit.parsers.places import failure, quoted

_OPENING = re.compile(r"(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n]*?)[ \t]*\r?(?:\n|\Z)")
_ALIASES = {
    "py": "python", "python3": "python", "js": "javascript", "ts": "typescript", "sh": "bash", "shell": "bash",
    "zsh": "bash", "yml": "yaml", "c++": "cpp", "cs": "csharp", "c#": "csharp", "rb": "ruby", "rs": "rust",
    "golang": "go", "md": "markdown", "htm": "html", "ps1": "powershell", "kt": "kotlin",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block; `language` is the first word after its fence, "" if there is none. `position` is of its code."""

    language: str
    code: str
    line: int
    position: int
    start: int
    end: int


def blocks(text: str) -> tuple[Block, ...]:
    """All code blocks of a text; raises ParseFailed for one that is never closed, since its end was cut off."""
    return tuple(_blocks(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlocks:
    """All code blocks of a reply, in order: `CodeBlocks()(text)`, each with its language and line.

    Raises ParseFailed where there is none, and where one is never closed.
    """

    def __call__(self, text: str) -> tuple[Block, ...]:
        """The blocks, in order."""
        found = blocks(text)
        if not found:
            raise failure(f"there is no code block in the reply: {quoted(text)}", text=text, position=0)
        return found


@dataclass(frozen=True, slots=True)
class Code:
    """The code of the one code block of a reply, in one language if that is named: `Code("python")(text)`.

    Blocks of other languages are passed over. With `unlabelled`, a block without a language counts as one of the
    language. Raises ParseFailed where there are none or several, and where one is never closed.
    """

    language: str | None = None
    unlabelled: bool = False

    def __call__(self, text: str) -> str:
        """The code, with the line end before the closing fence."""
        found = CodeBlocks()(text)
        fitting = [block for block in found if self._fits(block)]
        if len(fitting) == 1:
            return fitting[0].code
        wanted = f"{self.language} block" if self.language else "code block"
        there = "; ".join(f"{block.language or 'no language'} in line {block.line}" for block in found)
        position = fitting[1].start if fitting else 0
        hint = "; with unlabelled=True one without a language would do" if self._would_do(found) else ""
        message = f"one {wanted} is wanted, {len(fitting)} are there: {there}{hint}"
        raise failure(message, text=text, position=position)

    def _would_do(self, found: tuple[Block, ...]) -> bool:
        return not self.unlabelled and any(not block.language for block in found)

    def _fits(self, block: Block) -> bool:
        if self.language is None or (self.unlabelled and not block.language):
            return True
        return _plain(block.language) == _plain(self.language)


def _plain(language: str) -> str:
    language = language.lower()
    return _ALIASES.get(language, language)


def _blocks(text: str) -> Iterator[Block]:
    position, line, counted = 0, 1, 0
    while position < len(text):
        opening = _OPENING.match(text, position)
        if opening and not ("`" in opening["info"] and opening["fence"][0] == "`"):
            line += text.count("\n", counted, opening.start())  # from the last block on, not from the beginning
            counted = opening.start()
            block = _block(text, opening, line)
            yield block
            position = block.end
        else:
            position = _next_line(text, position)


def _block(text: str, opening: re.Match[str], line: int) -> Block:
    """The block that begins with this fence, in this line."""
    fence = opening["fence"]
    closing = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*\r?$\n?", re.MULTILINE)
    end = closing.search(text, opening.end())
    if end is None:
        raise failure(
            f"the code block that begins in line {line} is never closed: the reply was cut off",
            text=text,
            position=len(text),
        )
    code = text[opening.end() : end.start()]
    if opening["indent"]:
        code = re.sub(rf"^ {{0,{len(opening['indent'])}}}", "", code, flags=re.MULTILINE)
    words = opening["info"].split()
    return Block(
        language=words[0].strip("{}.") if words else "",
        code=code,
        line=line,
        position=opening.end(),
        start=opening.start(),
        end=end.end(),
    )


def _next_line(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1
