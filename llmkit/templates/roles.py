r"""Which lines of a template begin a message: those that hold a role and a colon, and nothing else.

    system:
    You are terse.
    user(name=author):
    {{ question }}
    tool(tool_call_id=call.id):

That is decided on the template's own text, before any variable has a value, so no value can begin a message. Each such
line becomes a tag of jinja2 in the same line. What looks like a role, and is none, is refused rather than guessed at:
`\user:` is that text.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches

from llmkit.templates.sources import Source

ROLES = ("system", "developer", "user", "assistant", "tool")

# what jinja2 reads as its own: a line in it is no line of the text. Strings first: they may hold the closing marks
_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_JINJA = (
    r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{#.*?#\}"
    rf"|\{{\{{(?:{_STRING}|[^\"'])*?\}}\}}|\{{%(?:{_STRING}|[^\"'])*?%\}}"
)
_LINE = (
    r"^(?P<indent>[ \t]*)(?P<escape>\\*)(?P<hash>#{0,6}[ \t]*)"
    r"(?P<word>[A-Za-z]+)(?P<rest>[(\[][^\n]*[)\]])?[ \t]*:[ \t]*$"
)
_TOKEN = re.compile(rf"(?P<jinja>{_JINJA})|{_LINE}", re.DOTALL | re.MULTILINE)
_PROMPTY_ATTRIBUTES = re.compile(r'\[\s*(?:\w+\s*=\s*(?:"[^"\n]*"|\w+)\s*,?\s*)*\]')


def tagged(source: Source, *, prompty: bool = False) -> str:
    """The template's text with a tag in place of each line that begins a message.

    With `prompty`, roles may be indented, written in capitals and after `#`, as that format has them. Raises
    TemplateInvalid for lines that nearly are roles.
    """
    read = _prompty_line if prompty else _line
    return _TOKEN.sub(lambda found: found[0] if found["jinja"] else _replaced(found, source, read), source.text)


def _replaced(found: re.Match[str], source: Source, read: Callable[[re.Match[str]], str | None]) -> str:
    role = read(found)
    meant = role or _meant(found)
    if meant is None:
        return found[0]
    if found["escape"]:
        return f"{found['indent']}{found[0].strip().removeprefix(chr(92))}"
    number = found.string.count("\n", 0, found.start()) + 1
    if role is None:
        raise source.error(
            f"{found[0].strip()!r} alone in its line is nearly a role: write {meant + ':'!r} at the beginning of the "
            f"line to begin a message, or {chr(92) + found[0].strip()!r} for the text",
            line=number,
        )
    attributes = (found["rest"] or "")[1:-1].strip().rstrip(",")
    if "%}" in attributes:
        raise source.error("what is between the brackets of a role cannot hold %}", line=number)
    return f'{{% message "{role}"{", " if attributes else ""}{attributes} %}}'


def _line(found: re.Match[str]) -> str | None:
    """The role that the line begins, None if it begins none."""
    plain = not found["indent"] and not found["hash"] and (found["rest"] or "(").startswith("(")
    return found["word"] if plain and found["word"] in ROLES else None


def _prompty_line(found: re.Match[str]) -> str | None:
    word = found["word"].lower()
    plain = found["rest"] is None or _PROMPTY_ATTRIBUTES.fullmatch(found["rest"])
    return word if plain and len(found["hash"].strip()) <= 1 and word in ROLES else None


def _meant(found: re.Match[str]) -> str | None:
    """The role that a line which is none was probably meant to be; a plural is a word of its own."""
    word = found["word"].lower()
    if word in ROLES:
        return word
    if found["rest"] or found["word"] != word or word.removesuffix("s") in ROLES:
        return None
    return next(iter(get_close_matches(word, ROLES, n=1, cutoff=0.8)), None)
