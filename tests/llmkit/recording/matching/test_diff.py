from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from llmkit.recording.interaction import Request
from llmkit.recording.matching.diff import Difference, differences, nearest

URI = "https://api.openai.com/v1/chat/completions"


def chat(content: str, *, uri: str = URI, **more: Any) -> Request:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}
    return Request(method="POST", uri=uri, body=json.dumps(body).encode())


def test_differences_are_named_by_their_json_path() -> None:
    found = differences(chat("one", temperature=1), chat("two", n=2))
    assert found == [
        Difference(where="messages[0].content", recorded='"one"', asked='"two"'),
        Difference(where="temperature", recorded="1", asked="(nothing)"),
        Difference(where="n", recorded="(nothing)", asked="2"),
    ]


def test_equal_numbers_are_no_difference() -> None:
    assert differences(chat("x", top_p=1), chat("x", top_p=1.0)) == []


def test_the_query_is_compared() -> None:
    [found] = differences(chat("x", uri=f"{URI}?api-version=1"), chat("x", uri=f"{URI}?api-version=2"))
    assert (found.where, found.recorded, found.asked) == ("?api-version", "1", "2")


@pytest.mark.parametrize("position", [0, 7, 29])
def test_the_nearest_is_the_one_that_differs_least_wherever_it_stands(position: int) -> None:
    recorded = [chat(f"an entirely different question, number {number * 7919}") for number in range(30)]
    recorded[position] = chat("What is the capital of Francf?")
    assert nearest(chat("What is the capital of France?"), recorded) == position


def test_a_request_to_another_path_is_never_the_nearest() -> None:
    assert nearest(chat("x"), [chat("x", uri="https://api.openai.com/v1/embeddings")]) is None


def test_one_character_makes_a_nearer_recording_than_the_same_letters_in_another_order() -> None:
    recorded = [chat("listen to the tale"), chat("silent to the tole"), chat("listen to the tole")]
    assert nearest(chat("silent to the tale"), recorded) == 1


ENGLISH = ["the", "answer", "of", "a", "question", "that", "model", "is", "given", "and", "city", "in", "to", "not"]


def prose(seed: int, words: int) -> str:
    chosen = random.Random(seed)
    return " ".join(chosen.choice(ENGLISH) for _ in range(words))


@pytest.mark.parametrize("edit", [0, 0.5, 1])
def test_of_many_long_prompts_the_nearest_is_found_in_little_time(edit: float) -> None:
    recorded = [chat(prose(seed, 800)) for seed in range(300)]
    text = prose(217, 800)
    place = round(edit * len(text))
    started = time.process_time()
    found = nearest(chat(f"{text[:place]} quite another {text[place + 9 :]}"), recorded)
    assert found == 217
    assert time.process_time() - started < 6  # a hundredth of it each; with every letter compared, minutes


def test_of_prompts_that_differ_in_their_last_words_the_nearest_is_found() -> None:
    system = prose(0, 4000)
    recorded = [chat(f"{system} {prose(seed, 20)}") for seed in range(1, 100)]
    assert nearest(chat(f"{system} {prose(50, 20)[:-3]}"), recorded) == 49


def test_a_message_put_in_between_is_one_difference() -> None:
    def turns(*texts: str) -> Request:
        body = {"messages": [{"role": "user", "content": text} for text in texts]}
        return Request(method="POST", uri=URI, body=json.dumps(body).encode())

    [found] = differences(turns("one", "two", "three"), turns("one", "new", "two", "three"))
    assert (found.where, found.is_added) == ("messages[1]", True)


def test_bodies_that_are_no_json_differ_as_a_whole() -> None:
    one, other = (Request(method="PUT", uri=URI, body=body) for body in (b"a", b""))
    assert differences(one, other) == [Difference(where="body", recorded="a", asked="(nothing)")]
