"""What is known of one model: the shape of an entry of `models.toml`."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Family = Literal["chat", "reasoning", "completion", "embedding"]
Framing = Literal["2023", "chat", "o", "gpt-5"]
Surface = Literal["chat", "responses", "completions", "embeddings"]
Capability = Literal[
    "streaming",
    "system",  # system messages
    "tools",
    "parallel_tools",
    "json_object",
    "json_schema",
    "vision",
    "audio",
    "reasoning",
    "logprobs",
    "prompt_caching",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fact is from; `verified` if that is the provider's own page, or a recorded reply of its API."""

    url: str
    read_on: date | None = None
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the limits, the price, the parameters and the day of retirement of a model are from."""

    limits: Source | None = None
    price: Source | None = None
    parameters: Source | None = None
    retires: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens.

    A request of more than `long_prompt` input tokens costs `long`, all of it.
    """

    input: float
    cached_input: float
    output: float
    long_prompt: int | None = None
    long: "Price | None" = None

    def cost(self, *, input_tokens: int, output_tokens: int = 0, cached_tokens: int = 0) -> float:
        """What one request costs, in US dollars; `cached_tokens` are those of the input that were cached."""
        if self.long is not None and self.long_prompt is not None and input_tokens > self.long_prompt:
            return self.long.cost(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens)
        fresh = input_tokens - cached_tokens
        return (fresh * self.input + cached_tokens * self.cached_input + output_tokens * self.output) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model; limits are in tokens and None where nobody published one.

    `known` is False for a name outside the registry: its family and encoding are guesses, after its nearest relative,
    and nothing is held to be refused. `image_tokens` is the fewest and the most that one image costs. `efforts` is what
    `reasoning_effort` may be, () where that is not known. `refused` are parameters that the API refuses, `fixed` those
    that have to keep their default while the model reasons; `llmkit.parameters` applies them. The header of
    `models.toml` has the rest.
    """

    name: str
    family: Family = "chat"
    framing: Framing = "chat"
    encoding: str = "o200k_base"
    context_window: int | None = None
    max_input: int | None = None
    max_output: int | None = None
    dimensions: int | None = None
    surfaces: tuple[Surface, ...] = ()
    capabilities: frozenset[Capability] = frozenset()
    efforts: tuple[str, ...] = ()
    default_effort: str | None = None
    refused: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    chat_tools: Literal["none", "unreasoned"] | None = None
    image_tokens: tuple[int, int] | None = None
    price: Price | None = None
    retires: date | None = None
    replacement: str | None = None
    sources: Sources = field(default_factory=Sources)
    known: bool = True

    @property
    def source(self) -> str | None:
        """Where the limits are from."""
        return self.sources.limits.url if self.sources.limits else None

    @property
    def read_on(self) -> date | None:
        """The day on which the source of the limits was read."""
        return self.sources.limits.read_on if self.sources.limits else None

    @property
    def advice(self) -> str | None:
        """What to do about a model that is not known; None for one that is."""
        if self.known:
            return None
        return (
            f"{self.name!r} is not among the models that llmkit knows: its limits and price are not checked, and it is "
            f"taken for a {self.family} model with the tokenizer {self.encoding}. If it is a deployment, name its "
            f'model in llmkit.toml: [azure.deployments] "{self.name}" = "gpt-4o"; if it is a model, describe it there: '
            f'[models."{self.name}"] like = "gpt-4o", context_window = …; or call llmkit.models.register(…)'
        )
