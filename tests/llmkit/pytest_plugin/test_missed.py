"""What a run shows of its misses is what each asked, why it was missed and what differs first; equal ones are one."""

from __future__ import annotations

from pathlib import Path

from llmkit._pytest.missed import Missed, shown
from llmkit.recording.interaction import Request
from llmkit.recording.matching.miss import Miss

CHAT = "https://api.openai.com/v1/chat/completions"


def request(content: str) -> Request:
    body = f'{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "{content}"}}]}}'
    return Request(method="POST", uri=CHAT, body=body.encode())


def missed(asked: str, *recorded: str, elsewhere: tuple[str, ...] = (), test: str = "test_it.py::test_one") -> Missed:
    miss = Miss(
        asked=request(asked),
        path=Path("cassettes/none.yaml"),
        recorded=[request(one) for one in recorded],
        played=[False] * len(recorded),
        elsewhere=elsewhere,
        remedy="pytest --record test_it.py::test_one",
    )
    return Missed.parse(test, miss.explain())


def test_a_miss_is_shown_by_what_it_asked_its_reason_and_the_first_difference() -> None:
    assert list(shown([missed("new", "old")])) == [
        "test_it.py::test_one",
        "  model 'gpt-4o', 1 message, the last: 'new'",
        "  the prompt changed",
        '  messages[0].content: recorded "old", asked "new"',
        "next: record what is missing: pytest --record",
    ]


def test_a_miss_without_a_cassette_says_so_and_where_else_it_is_recorded() -> None:
    assert missed("new").reason == "there is no cassettes/none.yaml"
    assert missed("new").cassette == "cassettes/none.yaml"
    assert missed("new", elsewhere=("cassettes/a.yaml", "cassettes/b.yaml")).elsewhere == [
        "cassettes/a.yaml",
        "cassettes/b.yaml",
    ]
    assert missed("new", "old").cassette == ""


def test_equal_misses_are_shown_once_with_their_number() -> None:
    lines = list(shown([missed("new", "old", test=f"test_{n}") for n in range(5)]))
    assert lines.count("  4 more like it") == 1
    assert [line for line in lines if line.startswith("test_")] == ["test_0"]


def test_of_many_misses_the_first_are_shown_and_the_others_counted() -> None:
    lines = list(shown([missed(f"new {n}") for n in range(23)]))
    assert lines[-2:] == ["… and 3 more", "next: record what is missing: pytest --record"]


def test_a_message_of_another_form_is_shown_by_its_first_line() -> None:
    lines = list(Missed.parse("test_one", "the recording ends here\nand more").lines(0))
    assert lines == ["test_one", "  the recording ends here"]
