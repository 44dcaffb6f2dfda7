"""Semantic search over a folder of Markdown: finds the section that answers a question."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import openai

MODEL = os.environ.get("SEARCH_MODEL", "text-embedding-3-small")
DIMENSIONS = 256
TIMEOUT_S = float(os.environ.get("EXAMPLES_TIMEOUT_S", "30"))

_HEADING = re.compile(r"^#{1,3} +(.+)$", re.MULTILINE)


class SearchUnavailable(Exception):
    """Nothing can be searched for now."""


@dataclass(frozen=True)
class Section:
    file: str
    heading: str
    text: str


@dataclass(frozen=True)
class Index:
    sections: tuple[Section, ...]
    vectors: tuple[Sequence[float], ...]

    @classmethod
    def of(cls, folder: Path) -> Index:
        """Read and embed every section of the Markdown files below ``folder``."""
        sections = [section for path in sorted(folder.rglob("*.md")) for section in sections_of(path, folder)]
        return cls(tuple(sections), embed([f"{section.heading}\n{section.text}" for section in sections]))

    def search(self, question: str, *, most: int = 3) -> list[Section]:
        """Return the sections nearest to ``question``, the nearest first."""
        [wanted] = embed([question])
        nearest = sorted(zip(self.vectors, self.sections, strict=True), key=lambda pair: -_likeness(pair[0], wanted))
        return [section for _, section in nearest[:most]]


def sections_of(path: Path, folder: Path) -> list[Section]:
    """Split a file at its headings."""
    parts = _HEADING.split(path.read_text(encoding="utf-8"))
    named = zip(parts[1::2], parts[2::2], strict=True)
    return [Section(str(path.relative_to(folder)), heading, text.strip()) for heading, text in named if text.strip()]


def embed(texts: list[str]) -> tuple[Sequence[float], ...]:
    with openai.OpenAI(timeout=TIMEOUT_S) as client:
        try:
            reply = client.embeddings.create(model=MODEL, input=texts, dimensions=DIMENSIONS)
        except (openai.OpenAIError, ValueError) as error:  # the SDK lets a reply that is no JSON through as ValueError
            raise SearchUnavailable(f"no embeddings: {error}") from error
    return tuple(item.embedding for item in sorted(reply.data, key=lambda item: item.index))


def _likeness(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))  # the vectors have length 1
