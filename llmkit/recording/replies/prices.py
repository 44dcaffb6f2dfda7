"""What a reply costs, by the prices that a project names and else by the list that the package genai-prices brings.

The list is the one that is installed, nothing is fetched: https://github.com/pydantic/genai-prices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from importlib import metadata

from llmkit.recording.replies.ledger import Usage

_MILLION = 1_000_000
# what may follow a model's name and still be that model: -2024-08-06, -20240806, -0613, -v2; not -mini
_VERSION = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|v\d+)")
_FORM = "write `model = <USD per million tokens in> / <out>`, or `deployment = model` for a model that has a price"


@dataclass(frozen=True, slots=True)
class Rate:
    """USD for a million tokens in and out; without a price of their own, ``cached`` tokens cost what all others do."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """Return what ``usage`` costs in USD."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        prompt = self.prompt * (usage.prompt_tokens - cached)
        prompt += (self.prompt if self.cached is None else self.cached) * cached
        return (prompt + self.completion * usage.completion_tokens) / _MILLION


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of models: ``rates`` and ``aliases`` of a project, then those of genai-prices where it is installed.

    A name also stands for its dated versions (``gpt-4o`` for ``gpt-4o-2024-08-06``, not for ``gpt-4o-mini``), and the
    longest name wins. A model that neither knows has no price; none is guessed.
    """

    rates: Mapping[str, Rate] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Prices:
        """Read lines: ``gpt-4o = 2.50 / 10``, ``gpt-4o = 2.50 / 10 / 1.25`` (cached) or ``my-deployment = gpt-4o``.

        Raises ValueError for any other line, for a name given twice, and for aliases that lead in a circle.
        """
        rates: dict[str, Rate] = {}
        aliases: dict[str, str] = {}
        for line in filter(None, map(str.strip, lines)):
            name, value = _sides(line)
            if name in rates or name in aliases:
                raise ValueError(f"the price of {name!r} is given twice; leave one of them out")
            if rate := _rate(value, line):
                rates[name] = rate
            else:
                aliases[name] = value.lower()
        for name in aliases:
            _follow(name, aliases)
        return cls(rates, aliases)

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what ``usage`` costs in USD, or None if its model has no known price."""
        model = usage.model.lower()
        if not model:
            return None
        alias = _longest(model, self.aliases)
        model = _follow(alias, self.aliases) if alias else model
        if name := _longest(model, self.rates):
            return self.rates[name].cost(usage)
        return _listed_cost(model, usage)


def price_list() -> str:
    """Return the name and version of the installed list of prices, or "" if there is none."""
    try:
        return f"genai-prices {metadata.version('genai-prices')}"
    except metadata.PackageNotFoundError:
        return ""


def _sides(line: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not (name and equals and value):
        raise ValueError(f"{line!r} is no price: {_FORM}")
    return name.lower(), value


def _rate(value: str, line: str) -> Rate | None:
    """Return the prices in ``value``, or None if it is the name of a model."""
    parts = [part.strip() for part in value.split("/")]
    numbers = [number for part in parts if (number := _dollars(part)) is not None]
    if not numbers and not any(character in value for character in "= \t$"):
        return None  # some deployments have a slash in their names
    if len(numbers) != len(parts) or len(parts) not in (2, 3):
        raise ValueError(f"{line!r} is no price: {_FORM}")
    return Rate(*numbers)


def _dollars(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number >= 0 else None


def _follow(name: str, aliases: Mapping[str, str]) -> str:
    seen = [name]
    while (name := aliases.get(name, "")) and name not in seen:
        seen.append(name)
    if name:
        raise ValueError(f"{' = '.join([*seen, name])!r} leads in a circle; name a model that has a price")
    return seen[-1]


def _longest(model: str, names: Iterable[str]) -> str:
    fitting = (n for n in names if model == n or (model.startswith(n) and _VERSION.fullmatch(model, len(n))))
    return max(fitting, key=len, default="")


def _listed_cost(model: str, usage: Usage) -> Decimal | None:
    try:
        import genai_prices  # here, because it is optional and importing it takes a quarter of a second
    except ImportError:
        return None
    # Azure OpenAI bills the same models at the same prices; a provider is named lest another one's price be taken
    tokens = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.prompt_tokens),
        cache_write_tokens=min(usage.cache_write_tokens, max(usage.prompt_tokens - usage.cached_tokens, 0)),
    )
    context = {"service_tier": usage.service_tier} if usage.service_tier else None
    try:
        found = genai_prices.calc_price(tokens, model, provider_id="openai", price_context=context)
    except LookupError:
        return None
    return found.total_price if _is_by_token(found.model_price.__dict__, usage) else None


def _is_by_token(price: Mapping[str, object], usage: Usage) -> bool:
    """Whether the price covers ``usage``, which doesn't tell audio and images from text."""
    names = {name for name, value in price.items() if value is not None}
    needed = {"input_mtok"} | ({"output_mtok"} if usage.completion_tokens else set())
    return needed <= names and not any("audio" in name or "image" in name for name in names)
