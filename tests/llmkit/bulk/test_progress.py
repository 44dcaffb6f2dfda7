"""How far many calls have come, as somebody sees it."""

import io

import pytest

from llmkit import Client
from llmkit.bulk.progress import Bar, shown


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_function_is_told_of_each_step(client: Client) -> None:
    told: list[tuple[int, int]] = []
    client.map(["a", "b", "c"], concurrency=1, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_the_bar_says_how_much_is_done_and_how_long_it_will_take() -> None:
    out, now = io.StringIO(), [100.0]
    bar = Bar(out, clock=lambda: now[0])
    bar.show(10, 100)
    now[0] += 60
    bar.show(40, 100)
    last = out.getvalue().split("\r")[-1]
    assert " 40/100  2:00 left" in last
    assert last.count("━") == 12


def test_the_bar_is_not_drawn_for_every_step() -> None:
    out = io.StringIO()
    bar = Bar(out, clock=lambda: 1.0)
    for done in range(1_001):
        bar.show(done, 1_000)
    bar.end()
    assert out.getvalue().count("\r") == 3
    assert out.getvalue().endswith("1,000/1,000\x1b[K\n")


@pytest.mark.parametrize(
    ("progress", "out", "draws"),
    [(None, _Terminal(), True), (None, io.StringIO(), False), (True, io.StringIO(), True), (False, _Terminal(), False)],
)
def test_it_is_drawn_where_it_is_wanted(*, progress: bool | None, out: io.StringIO, draws: bool) -> None:
    with shown(progress, stream=out) as show:
        show(1, 2)
    assert bool(out.getvalue()) is draws


def test_hours_are_told_as_hours() -> None:
    out, now = io.StringIO(), [0.0]
    bar = Bar(out, clock=lambda: now[0])
    bar.show(0, 100)
    now[0] = 60.0
    bar.show(1, 100)
    assert "1:39:00 left" in out.getvalue()
