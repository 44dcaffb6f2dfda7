"""The families of endpoints: each reads a request of its kind and makes what a success says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generation import Dice


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """What a script wants said instead of something generated; what is None is left to the generator."""

    text: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    embedding: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What content depends on besides the request: the model, the seed, the time (Unix seconds) and the script."""

    model: Model
    seed: int
    now: float
    scripted: Scripted = field(default_factory=Scripted)

    def dice(self, call: Call, purpose: str) -> Dice:
        """Random numbers for this request and purpose, the same for the same request."""
        return Dice(self.seed, purpose, call.surface, self.model.name, call.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A success that no dialect has spelt yet: a `body`, or the `chunks` of a stream; `tokens` is its cost."""

    body: dict[str, Any] = field(default_factory=dict)
    chunks: tuple[dict[str, Any], ...] = ()
    tokens: int = 0


class Surface(Protocol):
    """One family of endpoints."""

    @property
    def name(self) -> str:
        """The word for it: chat, embeddings, models."""

    def check(self, call: Call, model: Model) -> None:
        """Raise the Problem with which the API would refuse the request."""

    def result(self, call: Call, setting: Setting) -> Result:
        """What the API would say to a request that passed `check`."""
