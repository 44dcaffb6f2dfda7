"""Texts that match regular expressions."""

import re

import pytest

from mockserver.generating.dice import Dice
from mockserver.generating.patterns import Unsupported, is_found, matching


@pytest.mark.parametrize(
    "pattern",
    [
        "abc",
        "^[A-Z]{2}-[0-9]{4,6}$",
        r"^\d{3}-\d{2}-\d{4}$",
        r"^(red|green|blue)( (light|dark))?$",
        r"^[^@\s]+@[a-z]+\.(com|org)$",
        r"^(?:a|b)*c+?d{2,}$",
        r"^(?P<year>\d{4})-(?<month>0[1-9]|1[0-2])$",
        r"^[\w.-]+\/[a-z0-9_]*$",
        r"^[]a]-.$",
        r"^\S\D\W\t$",
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        r"^(?=.*\d)[a-z\d]{4,8}(?<!x)$",
        r"^(a|b)-\1$",
        r"\bword\b",
        r"^\u0041\x42$",
        "^$",
        "",
    ],
)
def test_what_is_made_matches(pattern: str) -> None:
    python = pattern.replace("(?<month", "(?P<month")
    for seed in range(50):
        assert re.search(python, matching(pattern, Dice(seed)))


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?=a)b",
        r"^\p{Emoji}+$",
        r"(?i)a",
        r"(?=a)(?<x>b)(?<x>c)",
        "[a",
        "(a",
        "a)",
        "*a",
        "[z-a]",
        "a{99999}",
        "(a{99}){199}",
        "a{3,1}",
        "\\",
        f"[^{'a-zA-Z0-9 _.,-'}]",
    ],
)
def test_what_is_not_covered_is_said(pattern: str) -> None:
    with pytest.raises(Unsupported):
        matching(pattern, Dice(0))


def test_classes_of_unicode_are_known_by_name() -> None:
    for seed in range(20):
        assert is_found(r"^\p{Lu}\p{Ll}+\P{N}$", matching(r"^\p{Lu}\p{Ll}+\P{N}$", Dice(seed)))


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("^[a-z]+$", 12, None),
        (r"^\d+$", 12, 12),
        (r"^[\w.-]+$", 50, 50),
        ("^(a|bcd){2,}x?$", 9, 30),
        (r"^[a-z]+(-[a-z]+)*$", 20, 24),
        (r"^\w*$", 0, 1),
        ("^(short|a much longer one)$", 9, 20),
        ("^.*$", 300, 300),
    ],
)
def test_a_length_is_kept_where_the_pattern_allows_it(pattern: str, least: int, most: int | None) -> None:
    for seed in range(30):
        text = matching(pattern, Dice(seed), least=least, most=most)
        assert is_found(pattern, text)
        assert least <= len(text) <= (most or 500)


def test_repetitions_differ() -> None:
    texts = {matching(r"[a-z]{8}", Dice(seed)) for seed in range(5)}
    assert len(texts) == 5
    assert any(len(set(text)) > 2 for text in texts)
