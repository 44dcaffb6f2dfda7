"""Learning from bills. Row 2.T2."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import Calibration, ConfigError, TokenCount

BILLS = st.lists(st.integers(-50, 500), min_size=3, max_size=40)


def learned(differences: list[int], margin: int = 0) -> Calibration:
    calibration = Calibration()
    for each in differences:
        calibration = calibration.learn(TokenCount(1000, margin), billed=1000 + each, model="gpt-4o")
    return calibration


def test_hidden_instructions_are_learned_from_three_bills() -> None:
    count = TokenCount(40)
    assert learned([18, 18]).adjust(count, model="gpt-4o").margin == 18
    adjusted = learned([18, 18, 18]).adjust(count, model="gpt-4o")
    assert (adjusted, adjusted.margin) == (58, 0)


def test_one_odd_bill_moves_the_margin_not_the_number() -> None:
    adjusted = learned([18, 18, 18, 300, 18]).adjust(TokenCount(40), model="gpt-4o")
    assert (adjusted, adjusted.margin) == (58, 282)


def test_models_and_kinds_of_counts_are_learned_apart() -> None:
    calibration = learned([80, 80, 80], margin=1)
    assert calibration.adjust(TokenCount(40), model="gpt-4o") == 40
    assert calibration.adjust(TokenCount(40, 1), model="gpt-5") == 40
    assert calibration.adjust(TokenCount(40, 1), model="gpt-4o") == 120
    assert (calibration.offset("gpt-4o", estimated=True), calibration.offset("gpt-4o")) == (80, 0)


def test_the_doubt_of_the_rules_goes_with_the_eighth_bill() -> None:
    assert learned([5] * 7, margin=3).adjust(TokenCount(40, 3), model="gpt-4o").margin == 3
    assert learned([5] * 8, margin=3).adjust(TokenCount(40, 3), model="gpt-4o").margin == 0


def test_learning_makes_a_new_value() -> None:
    before = Calibration()
    after = before.learn(TokenCount(10), billed=12, model="gpt-4o")
    assert (before, before == after) == (Calibration(), False)


@given(BILLS)
def test_every_bill_that_is_remembered_lies_within_the_margin(differences: list[int]) -> None:
    adjusted = learned(differences).adjust(TokenCount(1000), model="gpt-4o")
    assert all(abs(1000 + each - adjusted) <= adjusted.margin for each in differences[-32:])


@given(BILLS)
def test_it_travels(differences: list[int]) -> None:
    calibration = learned(differences)
    assert pickle.loads(pickle.dumps(calibration)) == calibration
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize("saved", [5, [1], {"gpt-4o": 5}, {"gpt-4o": "12"}, {"gpt-4o": [1, None]}])
def test_what_is_no_calibration_is_refused(saved: object) -> None:
    with pytest.raises(ConfigError, match="calibration"):
        Calibration.from_json(saved)
