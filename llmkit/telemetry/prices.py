"""What one reply costs: the bill that the API tells, at the prices that `llmkit.models` knows."""

from collections.abc import Mapping
from typing import Any

from llmkit.config import AzureSettings, OpenAISettings
from llmkit.models import ModelSpec, Price, spec_for
from llmkit.responses import Usage

Settings = OpenAISettings | AzureSettings

_USUAL_TIERS = ("default", "auto", "standard")
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")


def cost_of(settings: Settings, asked: str, reply: Any) -> float | None:
    """US dollars for a reply to a request to the model or deployment `asked`; None where that is not known.

    It is not where the reply tells no usage, nobody knows the model's price, it was served at another tier than the
    usual, or it bills sound, whose tokens have another price.
    """
    bill: Usage | None = reply.usage
    if bill is None or _is_special(reply.payload):
        return None
    price = _price(settings, asked, reply.model)
    if price is None:
        return None
    prompt = bill.prompt_tokens
    cached = min(prompt, bill.cached_tokens)
    return price.cost(input_tokens=prompt, output_tokens=bill.completion_tokens, cached_tokens=cached)


def _price(settings: Settings, asked: str, answered: str) -> Price | None:
    """What the application says of the name that it asked for; else the price of the model that says it answered."""
    own = settings.spec(asked)
    if asked in settings.deployments or _is_own(own):
        return own.price
    named = spec_for(answered) if answered else own
    return named.price if named.known else own.price


def _is_own(spec: ModelSpec) -> bool:
    """Whether the price is the application's own, and not of the registry that comes with llmkit."""
    source = spec.sources.price
    return source is not None and not source.url.startswith("http")


def _is_special(payload: Mapping[str, Any]) -> bool:
    tier = payload.get("service_tier")
    if tier is not None and tier not in _USUAL_TIERS:
        return True
    bill = payload.get("usage")
    if not isinstance(bill, dict):
        return False
    for name in _DETAILS:
        details = bill.get(name)
        if isinstance(details, dict) and details.get("audio_tokens"):
            return True
    return False
