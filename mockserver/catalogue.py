"""The models that the server plays: which names exist, what each can do, and which dated version answers."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal[
    "chat", "reasoning", "completion", "embeddings", "moderation", "image", "speech", "transcription", "realtime"
]

# what may follow a family's name: a dated or numbered version, perhaps its preview, or the id of a fine-tuned model
_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(-preview)?|-latest|:\S+")
_GENERATION = re.compile(r"gpt-(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """`name` as requested, `snapshot` as replied; `window` and `output` in tokens.

    `dimensions` is of embeddings only, `effort` of reasoning models: the one of a request that asks for none. `only` is
    the one surface that serves it, where others serve its kind but not it.
    """

    name: str
    family: str
    kind: Kind
    snapshot: str
    window: int = 0
    output: int = 0
    dimensions: int = 0
    fixed: bool = False
    effort: str = ""
    only: str = ""

    @property
    def generation(self) -> tuple[int, int]:
        """(5, 4) of gpt-5.4 and all that is made of it; (0, 0) of what is no GPT."""
        return _generation(self.family)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What some families refuse: a parameter at the path `given`, with `value` if that is not None."""

    families: tuple[str, ...]
    given: str
    message: str
    value: str | None = None
    status: int = 400
    param: str | None = None
    code: str | None = None

    def applies(self, model: Model, body: Mapping[str, Any]) -> bool:
        """Whether `model` refuses this request for it."""
        if model.family not in self.families:
            return False
        found: Any = body
        for name in self.given.split("."):
            found = (found or {}).get(name)
        return found == self.value if self.value is not None else found not in (None, False)


@lru_cache(maxsize=1024)
def _generation(family: str) -> tuple[int, int]:
    found = _GENERATION.match(family)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


@lru_cache(maxsize=1024)
def find(name: str) -> Model | None:
    """The model called `name`, also as a dated version, fine-tuned or in Azure's spelling; None if there is none."""
    family = _family(_plain(name))
    if family is None:
        return None
    known = _models()[family]
    return replace(known, name=name, snapshot=known.snapshot if name == family else name)


def names() -> list[str]:
    """Every name without a date, sorted."""
    return sorted(_models())


def is_retired(name: str) -> bool:
    """Whether a model of this name was served once and is no longer."""
    return name in _retired()


@cache
def _retired() -> frozenset[str]:
    return frozenset(each["name"] for each in _table()["retired"])


@cache
def refusals() -> tuple[Refusal, ...]:
    """What single families refuse."""
    return tuple(Refusal(**{**each, "families": tuple(each["families"])}) for each in _table()["refusal"])


def _plain(name: str) -> str:
    """Without the wrapping of a fine-tuned model (`ft:gpt-4o:org::id`) and of Azure (`gpt-35-turbo`)."""
    base = name.split(":")[1] if name.startswith("ft:") and name.count(":") > 1 else name
    return base.replace("gpt-35-", "gpt-3.5-", 1)


def _family(name: str) -> str | None:
    if name in _models():
        return name
    if name in _snapshots():
        return _snapshots()[name]
    if name.endswith(("-chat", "chatgpt-4o")) and f"{name}-latest" in _models():
        return f"{name}-latest"  # as Azure calls it
    fits = [family for family in _models() if name.startswith(family) and _VERSION.fullmatch(name, len(family))]
    return max(fits, key=len, default=None)


@cache
def _snapshots() -> dict[str, str]:
    return {model.snapshot: family for family, model in _models().items()}


@cache
def _models() -> dict[str, Model]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    return {
        name: Model(name=name, family=name, kind=kind, **facts)
        for kind in kinds
        for name, facts in _table().get(kind, {}).items()
    }


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
