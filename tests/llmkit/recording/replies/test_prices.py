from __future__ import annotations

import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.replies.ledger import Usage
from llmkit.recording.replies.prices import Prices, price_list

MILLION = 1_000_000


def cost(prices: Prices, model: str, *, prompt: int = MILLION, completion: int = 0, cached: int = 0) -> Decimal | None:
    return prices.cost(Usage(model=model, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached))


def listed(model: str, *, prompt: int = MILLION, completion: int = 0, cached: int = 0) -> Decimal:
    known = cost(Prices(), model, prompt=prompt, completion=completion, cached=cached)
    assert known is not None
    return known


def test_a_price_is_in_dollars_for_a_million_tokens_in_and_out() -> None:
    assert cost(Prices.parse(["mine = 2.50 / 10"]), "mine", completion=MILLION // 2) == Decimal("7.50")


def test_a_price_for_cached_tokens_may_be_given() -> None:
    assert cost(Prices.parse(["mine = 2 / 10 / 1"]), "mine", cached=MILLION // 2) == Decimal("1.5")


def test_cached_tokens_without_a_price_cost_as_much_as_the_others() -> None:
    assert cost(Prices.parse(["mine = 2 / 10"]), "mine", cached=MILLION // 2) == Decimal(2)


@pytest.mark.parametrize("served", ["mine", "MINE", "mine-2024-08-06", "mine-20240806", "mine-0613", "mine-v2"])
def test_a_price_is_for_every_version_of_its_model(served: str) -> None:
    assert cost(Prices.parse(["mine = 1 / 1"]), served) == Decimal(1)


@pytest.mark.parametrize("served", ["mine-mini", "mine-4", "mine2", "min", "xmine", "mine-2024-08-06-mini"])
def test_a_price_is_not_for_another_model_with_a_similar_name(served: str) -> None:
    assert cost(Prices.parse(["mine = 1 / 1"]), served) is None


def test_the_longest_name_wins() -> None:
    prices = Prices.parse(["mine = 1 / 1", "mine-2024-08-06 = 5 / 5", "mine-0613 = 7 / 7"])
    assert cost(prices, "mine-2024-08-06") == Decimal(5)


def test_the_price_of_a_project_goes_before_the_list() -> None:
    assert cost(Prices.parse(["gpt-4o = 1 / 1"]), "gpt-4o-2024-08-06") == Decimal(1)
    assert cost(Prices.parse(["gpt-4o = 1 / 1"]), "gpt-4o-mini") == listed("gpt-4o-mini")


def test_a_deployment_has_the_price_of_its_model() -> None:
    assert cost(Prices.parse(["my-deployment = gpt-4o"]), "my-deployment") == listed("gpt-4o")
    assert cost(Prices.parse(["a = b", "b = mine", "mine = 3 / 3"]), "a") == Decimal(3)


@pytest.mark.parametrize(
    "line",
    [
        "gpt-4o",
        "= 1 / 2",
        "gpt-4o =",
        "gpt-4o = 1",
        "m = 1 / x",
        "m = 1 / -2",
        "m = 1 / NaN",
        "m = 1/2/3/4",
        "m = $1 / $2",
    ],
)
def test_a_line_that_is_no_price_is_refused_with_the_form(line: str) -> None:
    with pytest.raises(ValueError, match="is no price: write `model = <USD per million tokens in> / <out>`"):
        Prices.parse([line])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'mine' is given twice"):
        Prices.parse(["mine = 1 / 2", "Mine = gpt-4o"])


def test_aliases_that_lead_in_a_circle_are_refused() -> None:
    with pytest.raises(ValueError, match="'a = b = a' leads in a circle"):
        Prices.parse(["a = b", "b = a"])


def test_blank_lines_are_passed_over() -> None:
    assert Prices.parse(["", "  "]) == Prices()


def test_the_list_knows_the_models_of_openai() -> None:
    assert listed("gpt-4o-mini", completion=MILLION) == Decimal("0.75")
    assert listed("text-embedding-3-small") == Decimal("0.02")


def test_cached_tokens_are_cheaper_by_the_list() -> None:
    assert listed("gpt-4o", cached=MILLION) == listed("gpt-4o") / 2


def test_a_service_tier_has_its_price() -> None:
    usage = Usage(model="gpt-5", prompt_tokens=MILLION, service_tier="flex")
    assert Prices().cost(usage) == listed("gpt-5") / 2


def test_writing_to_the_prompt_cache_has_its_price() -> None:
    written = Usage(model="gpt-6-sol", prompt_tokens=1000, cache_write_tokens=1000)
    assert Prices().cost(written) != listed("gpt-6-sol", prompt=1000)


@pytest.mark.parametrize(
    "model", ["", "gpt-4o-banana", "gpt-4o-2099-01-01", "my-deployment", "claude-3-5-sonnet-20241022"]
)
def test_no_price_is_guessed_for_an_unknown_model(model: str) -> None:
    assert cost(Prices(), model) is None


@pytest.mark.parametrize("model", ["whisper-1", "tts-1", "gpt-image-1", "gpt-audio"])
def test_no_price_is_guessed_for_what_is_not_billed_by_tokens_of_text(model: str) -> None:
    assert cost(Prices(), model) is None


def test_without_the_list_only_the_prices_of_the_project_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices = Prices.parse(["mine = 1 / 1"])
    assert (cost(prices, "mine"), cost(prices, "gpt-4o")) == (Decimal(1), None)


def test_the_list_is_named_with_its_version() -> None:
    assert price_list().startswith("genai-prices ")


counts = st.integers(0, 10**9)


@given(st.sampled_from(["gpt-4o", "mine"]), counts, counts, counts, counts)
def test_a_cost_is_never_negative_however_odd_the_counts(
    model: str, prompt: int, out: int, read: int, made: int
) -> None:
    usage = Usage(model=model, prompt_tokens=prompt, completion_tokens=out, cached_tokens=read, cache_write_tokens=made)
    known = Prices.parse(["mine = 2 / 8 / 1"]).cost(usage)
    assert known is not None
    assert known >= 0
