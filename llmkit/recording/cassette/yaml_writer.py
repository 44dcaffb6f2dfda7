"""Writing a cassette's text: YAML that a person reviews and that any YAML loader, vcrpy's too, reads back.

The layout is vcrpy's (https://vcrpy.readthedocs.io, format version 1) with additions that vcrpy passes over:
JSON bodies are indented and keep their original ``spelling``; ``headers_ms`` and ``chunks`` tell when a reply came; one
that broke off has ``ended``; the file begins with ``format`` and closes with ``end``, the number of interactions, so
that a truncated file can't pass for a whole one. The shape is always the same, so it is written directly: PyYAML's own
dumper takes a second for two megabytes, and libyaml's escapes whole texts for one emoji.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from llmkit.recording.cassette.spelling import indented, spelling_of
from llmkit.recording.interaction import Headers, Interaction, Request, Response

FORMAT = "llmkit/1"

# what YAML 1.1 takes for a number, a date, a truth value or a mark of its own, no text that begins like this one is
_PLAIN = re.compile(r"[A-Za-z/](?:[\w./+\-;=*()?&%~@$^!' ]|:(?=[^\s])|(?<=\S)#)*(?<! )", re.ASCII)
_PLAIN_IN_LINE = re.compile(r"[A-Za-z/](?:[\w./+\-;=*()~@$^' ])*(?<! )", re.ASCII)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
# a loader drops these, takes them for a line break, or refuses them
_NOT_AS_IS = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_WIDTH = 110


class Writer:
    """Writes the same interactions again and again, as one after the other is added, and shows each of them once."""

    def __init__(self) -> None:
        self._shown: dict[int, tuple[Interaction, str]] = {}

    def text(self, interaction: Interaction) -> str:
        """Return the lines of one interaction."""
        shown = self._shown.get(id(interaction))
        if shown is None:
            shown = self._shown[id(interaction)] = (interaction, block(interaction))
        return shown[1]

    def dump(self, interactions: Iterable[Interaction]) -> str:
        """Write ``interactions`` as the text of a cassette."""
        return _document([self.text(one) for one in interactions])


def dump(interactions: Iterable[Interaction]) -> str:
    """Write ``interactions`` as the text of a cassette."""
    return _document([block(one) for one in interactions])


def _document(blocks: Sequence[str]) -> str:
    listed = "interactions:\n" + "".join(blocks) if blocks else "interactions: []\n"
    return f"version: 1\nformat: {FORMAT}\n{listed}end: {len(blocks)}\n"


def block(interaction: Interaction) -> str:
    """Return the lines of one interaction."""
    lines = [*_request(interaction.request), *_response(interaction.response)]
    facts = (("recorded_at", interaction.recorded_at), ("test", interaction.test))
    lines += [f"  {name}: {scalar(value, indent=4)}" for name, value in facts if value]
    return "\n".join(("- " + lines[0][2:], *lines[1:], ""))


def _request(request: Request) -> Iterator[str]:
    text, _ = _body(request.body)
    yield "  request:"
    yield f"    method: {scalar(request.method, indent=6)}"
    yield f"    uri: {scalar(request.uri, indent=6)}"
    yield from _headers(request.headers)
    yield f"    body: {_payload(text, indent=6)}"


def _response(response: Response) -> Iterator[str]:
    text, spelling = _body(response.body)
    yield "  response:"
    yield "    status:"
    yield f"      code: {response.status}"
    yield f"      message: {scalar(response.reason, indent=8)}"
    yield from _headers(response.headers)
    yield "    body:"
    yield f"      string: {_payload(text, indent=8)}"
    if spelling is not None:
        yield f"      spelling: {scalar(spelling, indent=8)}"
    if response.headers_ms:
        yield f"    headers_ms: {response.headers_ms}"
    if response.chunks:
        yield from _filled("    chunks: [", [f"[{at_ms}, {length}]" for at_ms, length in response.chunks])
    if response.ended:
        yield f"    ended: {scalar(response.ended, indent=6)}"


def _headers(headers: Headers) -> Iterator[str]:
    if not headers:
        yield "    headers: {}"
        return
    yield "    headers:"
    for name, values in headers.items():
        yield f"      {scalar(name, indent=8)}: [{', '.join(_in_line(value) for value in values)}]"


def _filled(opening: str, items: Sequence[str]) -> Iterator[str]:
    """Lay ``items`` out in lines; the first begins with ``opening``, and the last closes the bracket."""
    line = opening
    for number, item in enumerate(items):
        piece = item + ("," if number < len(items) - 1 else "]")
        if len(line) + len(piece) > _WIDTH and line != opening:
            yield line.rstrip()
            line = "      "
        line += f"{piece} "
    yield line.rstrip()


def _body(body: bytes) -> tuple[str | bytes, str | None]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body, None
    if text.lstrip()[:1] not in ("{", "["):
        return text, None
    spelling = spelling_of(text)
    return (indented(text), spelling) if spelling else (text, None)


def _payload(body: str | bytes, *, indent: int) -> str:
    if isinstance(body, str):
        return scalar(body, indent=indent)
    encoded = base64.encodebytes(body).decode("ascii").rstrip("\n").replace("\n", "\n" + " " * indent)
    return f"!!binary |\n{' ' * indent}{encoded}"


def scalar(text: str, *, indent: int) -> str:
    """Return ``text`` as a YAML scalar: plain or quoted in a line, or as a block whose lines have ``indent`` spaces."""
    if "\n" in text and not _NOT_AS_IS.search(text):
        return _literal(text, " " * indent)
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _in_line(text: str) -> str:
    return text if _PLAIN_IN_LINE.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _quoted(text: str) -> str:
    if "\n" in text or _NOT_AS_IS.search(text):
        escaped = json.dumps(text, ensure_ascii=False)
        # JSON spells a character beyond the first plane as two escapes, which in YAML are two characters
        return _NOT_AS_IS.sub(lambda found: f"\\U{ord(found[0]):08x}", escaped)
    return "'" + text.replace("'", "''") + "'"


def _literal(text: str, margin: str) -> str:
    """Return ``text``, of several lines, as a literal block: nothing in it is escaped."""
    kept = text.rstrip("\n")
    endings = len(text) - len(kept)
    chomping = ("-", "", "+")[min(endings, 2)] if kept else "+"
    hint = "2" if text[0] in " \n\t" else ""
    lines = [f"{margin}{line}" if line else "" for line in kept.split("\n")] if kept else []
    blank = [""] * (endings - 1 if kept else endings)
    return "\n".join([f"|{hint}{chomping}", *lines, *blank])
