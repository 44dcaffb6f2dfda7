"""The models that the server plays: which names exist, what each can do, and which dated version answers."""

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, cast

Kind = Literal["chat", "reasoning", "completion", "embeddings"]

# what may follow a family's name: a dated or numbered version, or the preview of one
_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(-preview)?|-latest|:\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """`name` as requested, `snapshot` as replied; `window` and `output` in tokens; `dimensions` of embeddings only."""

    name: str
    family: str
    kind: Kind
    snapshot: str
    window: int
    output: int = 0
    dimensions: int = 0
    fixed: bool = False

    @property
    def surface(self) -> str:
        """The surface that this model serves."""
        return {"chat": "chat", "reasoning": "chat", "completion": "completions"}.get(self.kind, "embeddings")


@lru_cache(maxsize=1024)
def find(name: str) -> Model | None:
    """The model called `name`, also as a dated version, fine-tuned or in Azure's spelling; None if there is none."""
    family = _family(_plain(name))
    if family is None:
        return None
    known = _models()[family]
    snapshot = known.snapshot if name == family else name
    return replace(known, name=name, snapshot=snapshot)


def names() -> list[str]:
    """Every name without a date, sorted."""
    return sorted(_models())


def _plain(name: str) -> str:
    """Without the wrapping of a fine-tuned model (`ft:gpt-4o:org::id`) and of Azure (`gpt-35-turbo`)."""
    base = name.split(":")[1] if name.startswith("ft:") and len(name.split(":")) > 2 else name
    return base.replace("gpt-35-", "gpt-3.5-", 1)


def _family(name: str) -> str | None:
    if name in _models():
        return name
    fits = [family for family in _models() if name.startswith(family) and _VERSION.fullmatch(name, len(family))]
    return max(fits, key=len, default=None)


@cache
def _models() -> dict[str, Model]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        name: Model(name=name, family=name, kind=cast("Kind", kind), **facts)
        for kind, models in table.items()
        for name, facts in models.items()
    }
