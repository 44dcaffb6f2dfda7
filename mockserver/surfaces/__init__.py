"""The families of endpoints: each module lists its operations, checks requests of its kind and answers them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from mockserver.calls import Call
from mockserver.catalogue import Kind, Model
from mockserver.generating.dice import Dice
from mockserver.store import Store

# where an operation is served: /v1 · /openai/deployments/{deployment} · /openai · /openai/v1
Place = Literal["openai", "deployment", "resource", "azure_v1"]
EVERYWHERE: tuple[Place, ...] = ("openai", "deployment", "azure_v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """What a script wants said instead of something generated; what is None is left to the generator."""

    text: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    embedding: tuple[float, ...] | None = None


class Performed(NamedTuple):
    """How the server answered a request that it made to itself.

    `status` is 0 where nothing came that HTTP calls an answer, `body` None where it was no JSON. `delay_s` is how long
    a client would have waited, infinite where the answer never comes.
    """

    status: int
    body: Any
    request_id: str
    delay_s: float = 0.0


class Perform(Protocol):
    """Answers a request as if a client had made it, without a socket: how batches run their lines."""

    def __call__(self, call: Call, method: str, path: str, body: dict[str, Any]) -> Performed:
        """`call` is the one on whose behalf it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What content depends on besides the request.

    `now` is the clock's time and `created` what objects made now say of it (both in Unix seconds; `created` stands
    still where a seed is given, so that the same request gets the same bytes). A `lenient` server answers also for ids
    that were never given out.
    """

    model: Model
    seed: int
    now: float
    created: int
    store: Store
    perform: Perform
    lenient: bool = False
    scripted: Scripted = field(default_factory=Scripted)

    def dice(self, call: Call, purpose: str) -> Dice:
        """Random numbers for this request and purpose, the same for the same request."""
        return Dice(self.seed, purpose, call.surface, self.model.name, call.content_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Tokens that a reply costs; `cached`, `reasoning` and `audio` are parts of the two sums."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    audio: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A success that no dialect has spelt yet.

    One of: a JSON `body`; the `chunks` of a stream that ends with `[DONE]`; the `events` of one whose events have names
    and that ends without; `content`, bytes of `content_type`. `headers` go with the dialect's. `spent` is what it cost.
    """

    body: Any = None
    chunks: tuple[dict[str, Any], ...] = ()
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    content: bytes | None = None
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    status: int = 200

    @property
    def streamed(self) -> bool:
        """Whether it comes as events."""
        return bool(self.chunks or self.events)


def _no_check(_call: Call, _model: Model) -> None:
    """Nothing to refuse."""


def _nothing_spent(_call: Call, _model: Model) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method and path of a surface, below the root of each place that serves it.

    `check` raises the Problem with which the API would refuse the request; `answer` says what the API says to one that
    passed. `model` is where the request's model comes from: its body (or the deployment), the path, or None where no
    model is concerned; `default_model` is the one of a body that names none, and `kinds` are those that may answer, all
    where it is empty. `estimate` is what a quota of tokens is charged before anything is generated.
    """

    method: str
    path: str
    surface: str
    name: str
    answer: Callable[[Call, Setting], Result]
    check: Callable[[Call, Model], None] = _no_check
    estimate: Callable[[Call, Model], int] = _nothing_spent
    places: tuple[Place, ...] = EVERYWHERE
    model: Literal["body", "path"] | None = "body"
    default_model: str = ""
    kinds: tuple[Kind, ...] = ()
    takes: Literal["json", "form", "nothing"] = "json"
