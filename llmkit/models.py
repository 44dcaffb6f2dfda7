"""What is known of each model: limits, tokenizer, family. The data is `models.toml`, with its sources."""

import functools
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Any, Literal

Family = Literal["chat", "reasoning", "completion", "embedding"]
Framing = Literal["2023", "chat", "o", "gpt-5"]

# -2024-08-06, -0613, -preview, -latest, -2025-03-11-preview, and the -v2 of old embedding deployments
_VERSION = re.compile(r"(-(\d{4}-\d{2}-\d{2}|\d{4}|preview|latest|v\d))+")
# what a new name tells: reasoning models came with o1, and every flagship since gpt-5 is one
_O_SERIES = re.compile(r"o\d+\b")
_SINCE_GPT_5 = re.compile(r"gpt-([5-9]|\d\d)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model; limits are in tokens and None where nobody published one.

    `known` is False for a name outside the registry: its family and encoding are guesses, after its nearest relative.
    `image_tokens` is the fewest and the most that one image costs; `source` says where limits come from, as of
    `read_on`.
    """

    name: str
    family: Family = "chat"
    framing: Framing = "chat"
    encoding: str = "o200k_base"
    context_window: int | None = None
    max_output: int | None = None
    image_tokens: tuple[int, int] | None = None
    known: bool = True
    source: str | None = None
    read_on: date | None = None


@functools.lru_cache(maxsize=1024)
def spec_for(model: str) -> ModelSpec:
    """What is known of `model`, by its name, a dated version of it, or the base of an `ft:` model; never fails.

    A variant of a known model (`gpt-4o-audio-preview`) takes its encoding and family, but none of its limits; any other
    name is taken for a new model: o200k_base, and reasoning where it looks like one. Both have `known=False`.
    """
    name = base_name(model)
    specs = registry()
    relative = next((known for known in specs if name == known or name.startswith(f"{known}-")), None)
    if relative is None:
        return _guess(model)
    spec = specs[relative]
    if _VERSION.fullmatch(name, len(relative)) or name == relative:
        return spec
    return ModelSpec(name=model, family=spec.family, framing=spec.framing, encoding=spec.encoding, known=False)


def base_name(model: str) -> str:
    """The registry's spelling of a model name, without `ft:` and a fine-tuned model's owner, or Azure's `gpt-35-`."""
    return model.removeprefix("ft:").partition(":")[0].lower().replace("gpt-35-", "gpt-3.5-", 1)


@functools.cache
def registry() -> dict[str, ModelSpec]:
    """Every model of `models.toml`, longest name first, so that the first prefix that fits is the most specific."""
    data = tomllib.loads((resources.files("llmkit") / "models.toml").read_text(encoding="utf-8"))
    names = sorted(data["models"], key=len, reverse=True)
    return {name: _spec(name, data["models"][name], source=data["source"], read=data["date"]) for name in names}


def _guess(model: str) -> ModelSpec:
    if _SINCE_GPT_5.match(model):
        return ModelSpec(name=model, family="reasoning", framing="gpt-5", known=False)
    if _O_SERIES.match(model):
        return ModelSpec(name=model, family="reasoning", framing="o", known=False)
    return ModelSpec(name=model, known=False)


def _spec(name: str, row: dict[str, Any], *, source: str, read: date) -> ModelSpec:
    images = row.pop("image_tokens", None)
    return ModelSpec(name=name, image_tokens=tuple(images) if images else None, source=source, read_on=read, **row)


def register_all(table: dict[str, Any], *, origin: str) -> None:
    """Adds the models of a table of a file."""
