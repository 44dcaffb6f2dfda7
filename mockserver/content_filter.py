"""The content filter that Azure puts around its models: words that stand for content of a category and severity.

Categories, severities and what is filtered by default (medium and high; a jailbreak or protected material where it is
detected): https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter. Shapes of the verdicts as in
replies recorded from *.openai.azure.com. Which words a real filter finds is its own business; here they are chosen.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

Category = Literal[
    "hate", "self_harm", "sexual", "violence", "jailbreak", "protected_material_code", "protected_material_text"
]
Severity = Literal["safe", "low", "medium", "high"]

CATEGORIES: tuple[str, ...] = get_args(Category)
SEVERITIES: tuple[str, ...] = get_args(Severity)

_HARMS = ("hate", "self_harm", "sexual", "violence")
_MATERIAL = ("protected_material_code", "protected_material_text")
_FILTERED = ("medium", "high")
# letters that belong to the word beside them; those of Thai, Lao, Chinese, Japanese and Korean stand without blanks
_LETTER = "[^\\W\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"

# fields of a request that hold no words of its own
_WORDLESS = frozenset({"role", "type", "id", "tool_call_id", "url", "file_id", "file_data", "data", "name"})


class Hit(NamedTuple):
    """A category that is kept from the reader, how severe it is, and at which letter of the text it begins."""

    category: str
    severity: str
    start: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filter found in a text: the severity of each category, none of those that were not found.

    Categories other than the four harms are only detected or not: there, any severity but "safe" is a detection.
    `hit` is the first thing found that is filtered; `refused` filters whatever was found, however harmless.
    """

    found: Mapping[str, str] = field(default_factory=dict)
    hit: Hit | None = None
    refused: bool = False

    def on_prompt(self) -> dict[str, Any]:
        """The verdict as it stands beside a prompt."""
        return self._of(("hate", "jailbreak", "self_harm", "sexual", "violence"))

    def on_completion(self) -> dict[str, Any]:
        """The verdict as it stands beside what the model says."""
        return self._of(("hate", *_MATERIAL, "self_harm", "sexual", "violence"))

    def _of(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self._one(name) for name in sorted({*names, *self.found})}

    def _one(self, name: str) -> dict[str, Any]:
        severity = self.found.get(name, "safe")
        filtered = _is_filtered(name, severity) or (self.refused and name in self.found)
        if name in _HARMS:
            return {"filtered": filtered, "severity": severity}
        return {"detected": severity != "safe" or filtered, "filtered": filtered}


@dataclass(frozen=True, slots=True)
class ContentFilter:
    """Finds chosen `words`, whatever their case and whatever field they stand in, each with its category and severity.

    Whole words: "ant" is not found in "elephant".

    ValueError for an empty word, and for a category or severity that there is none of.
    """

    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for word, (category, severity) in self.words.items():
            if not word:
                raise ValueError("a filtered word is empty; give it a letter at least")
            if category not in CATEGORIES:
                raise ValueError(f"{category!r} of {word!r} is no category; there are {', '.join(CATEGORIES)}")
            if severity not in SEVERITIES:
                raise ValueError(f"{severity!r} of {word!r} is no severity; there are {', '.join(SEVERITIES)}")

    def of(self, text: str, *, until: int | None = None) -> Verdict:
        """What is found in a text, or in so many letters of it."""
        if not self.words:
            return _NOTHING
        end = len(text) if until is None else until
        found: dict[str, str] = {}
        hits = []
        for word, (category, severity) in self.words.items():
            place = _pattern(word).search(text)
            if place is None or place.end() > end:
                continue
            found[category] = max(severity, found.get(category, "safe"), key=SEVERITIES.index)
            if _is_filtered(category, severity):
                hits.append(Hit(category, severity, place.start()))
        return Verdict(found, min(hits, key=lambda hit: hit.start, default=None))

    def of_prompt(self, body: Mapping[str, Any]) -> Verdict:
        """What is found in what a request says."""
        if not self.words:
            return _NOTHING
        said = {name: body[name] for name in ("messages", "prompt", "input", "instructions") if name in body}
        return self.of("\n".join(_texts(said)))


_NOTHING = Verdict()
NO_FILTER = ContentFilter()


@lru_cache(maxsize=256)
def _pattern(word: str) -> re.Pattern[str]:
    """The word where no letter goes before or follows that would make it another."""
    before = f"(?<!{_LETTER})" if re.match(_LETTER, word) else ""
    after = f"(?!{_LETTER})" if re.match(_LETTER, word[-1]) else ""
    return re.compile(f"{before}{re.escape(word)}{after}", re.IGNORECASE)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            if name not in _WORDLESS:
                yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _is_filtered(category: str, severity: str) -> bool:
    return severity in _FILTERED if category in _HARMS else severity != "safe"
