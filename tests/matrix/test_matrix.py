"""The matrix must not call an outcome good that isn't, nor write half a page."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.matrix import page
from tests.matrix.clients import asking
from tests.matrix.clients.openai_sdk import joined
from tests.matrix.faults import CONTROL, FAULTS, TEXT, Fault
from tests.matrix.judging import Cell, judged
from tests.matrix.layers import LAYERS
from tests.matrix.running import Column

BROKEN = FAULTS[0]
WHOLE = {"how": "returned", "text": TEXT, "finish": "stop"}
RAISED = {"how": "raised", "error": "openai.APIError", "typed": True, "ours": False}


class Scripted:
    """A client whose call ends as a test wants it to."""

    def __init__(self, end: Any) -> None:
        self._end = end

    def plain(self) -> Any:
        return self._end(), lambda reply: (reply["text"], reply["finish"])

    def streamed(self) -> asking.Said:
        said: asking.Said = self._end()
        return said


def asked(end: Any, *, stream: bool = False) -> dict[str, Any]:
    adapter = asking.Adapter(make=Scripted, distribution="none", is_own=asking.defined_in("openai"))
    return asking.outcome(adapter, Scripted(end), stream=stream)


def cell(outcome: dict[str, Any], fault: Fault = BROKEN) -> Cell:
    return judged({"seconds": 0.1, **outcome}, fault, requests=1)


@pytest.mark.parametrize(
    ("outcome", "fault", "kind", "says"),
    [
        (WHOLE, CONTROL, "right", ""),
        (WHOLE, BROKEN, "silent", "all of the text, finish 'stop'"),
        (WHOLE | {"text": TEXT[:9]}, CONTROL, "silent", f"9 of {len(TEXT)} letters, finish 'stop'"),
        (WHOLE | {"text": TEXT[:9] + '"}'}, CONTROL, "silent", f"9 of {len(TEXT)} letters, finish 'stop'"),
        (WHOLE | {"text": "<html>"}, CONTROL, "silent", "another text of 6 letters, finish 'stop'"),
        (WHOLE | {"text": None, "finish": None}, CONTROL, "silent", "text None, finish None"),
        (WHOLE | {"text": TEXT[:9], "finish": "length"}, CONTROL, "told", f"9 of {len(TEXT)} letters, finish 'length'"),
        ({"how": "unreadable", "type": "str"}, BROKEN, "silent", "a `str` without a reply in it"),
        (RAISED, BROKEN, "typed", "`APIError`"),
        (RAISED | {"error": "builtins.TypeError", "typed": False}, BROKEN, "untyped", "`TypeError`"),
        (
            RAISED | {"error": "json.decoder.JSONDecodeError", "typed": False, "ours": True},
            BROKEN,
            "untyped",
            "`json.decoder.JSONDecodeError` in the caller's code",
        ),
    ],
)
def test_an_outcome_is_judged_by_what_the_server_gave(
    outcome: dict[str, Any], fault: Fault, kind: str, says: str
) -> None:
    found = cell(outcome, fault)
    assert (found.kind, found.says) == (kind, says)


def test_who_returns_late_breaks_the_law_though_the_reply_be_right() -> None:
    assert not cell(WHOLE | {"seconds": 1.9}, CONTROL).breaks_the_law(1.0)
    assert cell(WHOLE | {"seconds": 2.1}, CONTROL).breaks_the_law(1.0)
    assert Cell(kind="waiting", requests=1, seconds=12.0).breaks_the_law(1.0)


def test_a_reply_that_is_none_is_unreadable_and_not_raised() -> None:
    assert asked(lambda: "<html>")["how"] == "unreadable"


def test_an_exception_of_the_reading_is_told_from_one_of_the_client() -> None:
    class Chunk:
        choices = None

    found = asked(lambda: joined([Chunk()]), stream=True)
    assert (found["error"], found["typed"], found["ours"]) == ("builtins.TypeError", False, True)
    found = asked(lambda: int("x"), stream=True)
    assert (found["error"], found["typed"], found["ours"]) == ("builtins.ValueError", False, False)


def columns(cell: Cell) -> list[Column]:
    return [Column(layer=layer, versions={layer.name: "1"}, cells=[cell] * len(FAULTS)) for layer in LAYERS]


def test_the_page_shows_in_bold_what_breaks_the_law() -> None:
    generated = page.generated(columns(cell(WHOLE | {"seconds": 3.0})), today=date(2026, 11, 20))
    assert generated.startswith("Measured on 2026-11-20: llmkit 1, ")
    assert "| openai | 25 | 0 | 25 | 25 | 75 |" in generated
    assert "| reset | **silent:** all of the text, finish 'stop', 1 x, **3.0 s** |" in generated


def test_only_what_is_between_the_marks_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"Before\n{page.BEGIN}\nold\n{page.END}\nAfter\n")
    page.write(path, "new")
    assert path.read_text() == f"Before\n{page.BEGIN}\n\nnew\n\n{page.END}\nAfter\n"


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"{page.BEGIN} and no end")
    with pytest.raises(ValueError, match=r"page\.md has no '<!-- begin"):
        page.write(path, "new")
    assert path.read_text() == f"{page.BEGIN} and no end"


def test_every_client_has_its_module() -> None:
    for layer in LAYERS:
        assert Path(asking.__file__).with_name(f"{layer.module}.py").is_file(), layer
