"""Common prompts, ready to send: each returns messages for `client.chat`.

    from llmkit.templates import patterns

    client.chat(patterns.classify(review, ["positive", "negative"]), temperature=0)

The text that they work on always is a user message of its own, or a marked part of one, apart from the instructions.
They are template files beside this module: `patterns.template("classify")` is one, to look at or to start from.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.templates.template import Template

NAMES = ("answer", "classify", "extract", "few_shot", "rewrite", "summarise", "translate")

Messages = list[dict[str, Any]]
Shots = Iterable[Sequence[str]]
"""Examples: a text, and the answer that is wanted for it."""


def template(name: str) -> Template:
    """The template of one pattern; raises TemplateInvalid for a name that is none."""
    if name not in NAMES:
        raise TemplateInvalid(f"There is no pattern {name!r}: they are {', '.join(NAMES)}")
    return Template.load(Path(__file__).with_name(f"{name}.md"))


def few_shot(instruction: str, shots: Shots, text: str) -> Messages:
    """An instruction, examples as turns of the conversation, and the text to treat likewise."""
    return template("few_shot").render(instruction=instruction, shots=_turns(shots, least=1), text=text)


def summarise(
    text: str, *, words: int = 100, audience: str = "", language: str = "", bullets: bool = False
) -> Messages:
    """The text in at most so many words; with `bullets` as a list that `parsers.Items` reads."""
    return template("summarise").render(text=text, words=words, audience=audience, language=language, bullets=bullets)


def extract(text: str, fields: Mapping[str, str] | Sequence[str]) -> Messages:
    """Fields of the text, each with what it holds, as JSON that `parsers.Json` reads."""
    return template("extract").render(text=text, fields=_meanings(fields, "fields", least=1))


def classify(text: str, labels: Mapping[str, str] | Sequence[str], *, shots: Shots = ()) -> Messages:
    """One of the labels, as `parsers.Choice(*labels)` reads it; a mapping tells what each means."""
    return template("classify").render(
        text=text, labels=_meanings(labels, "labels", least=2), shots=_turns(shots, least=0)
    )


def translate(text: str, to: str, *, source: str = "", glossary: Mapping[str, str] | None = None) -> Messages:
    """The text in another language; `glossary` tells how terms are translated."""
    return template("translate").render(text=text, to=to, source=source, glossary=dict(glossary or {}))


def answer(question: str, passages: Sequence[str]) -> Messages:
    """An answer from the passages alone, which names them by number."""
    if isinstance(passages, str) or not passages:
        raise TemplateInvalid(f"passages = {excerpt(passages)}: it has to be a list of texts that is not empty")
    return template("answer").render(question=question, passages=list(passages))


def rewrite(text: str, instruction: str) -> Messages:
    """The text said otherwise: friendlier, shorter, without jargon."""
    return template("rewrite").render(text=text, instruction=instruction)


def _turns(shots: Shots, *, least: int) -> list[dict[str, str]]:
    pairs = list(shots)
    if len(pairs) < least or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise TemplateInvalid(f"The examples are {excerpt(pairs)}: they have to be pairs of a text and its answer")
    return [{"user": text, "assistant": said} for text, said in pairs]


def _meanings(named: Mapping[str, str] | Sequence[str], what: str, *, least: int) -> dict[str, str]:
    names = [] if isinstance(named, str) else [name for name in named if name]
    if len(names) < least or len(set(names)) < len(names):
        raise TemplateInvalid(f"{what} = {excerpt(named)}: it takes {least} or more different names")
    return dict(named) if isinstance(named, Mapping) else dict.fromkeys(names, "")
