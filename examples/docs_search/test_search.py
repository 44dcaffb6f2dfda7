from __future__ import annotations

from pathlib import Path

import pytest

from examples.docs_search.search import Index

# decisions, once taken, stay as they are: the recordings of their texts stay valid
FOLDER = Path(__file__).parents[2] / "docs" / "decisions"


@pytest.fixture(scope="module")
def index() -> Index:
    return Index.of(FOLDER)


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("Why is a missing recording not an Exception that an SDK could retry?", "0001-a-miss-is-no-exception.md"),
        (
            "Which rank files of the tokenizer vocabulary are packed into the wheel?",
            "0002-the-vocabulary-is-in-the-wheel.md",
        ),
    ],
    ids=["misses", "vocabulary"],
)
def test_a_question_finds_the_decision_that_answers_it(index: Index, question: str, file: str) -> None:
    assert index.search(question)[0].file == file
