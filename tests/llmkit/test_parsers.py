"""Parsers of text, code, lists, numbers, choices and paths: what they take, and where they say that something is wrong.

Rows 5.I1, 5.I3, 5.T1 and 5.T4.
"""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigError, ParseFailed, parsers
from llmkit.parsers import Boolean, Choice, Code, CodeBlocks, Items, Json, KeyPath, Number, Text
from llmkit.parsers.code import blocks


def refusal(parse: Callable[[str], Any], text: str) -> ParseFailed:
    with pytest.raises(ParseFailed) as caught:
        parse(text)
    assert caught.value.text == text
    return caught.value


def test_a_text_comes_without_the_blanks_around_it() -> None:
    assert Text()("\n Hi \nthere ") == "Hi \nthere"
    assert Text(longest=2, one_line=True)(" Hi\n") == "Hi"


@pytest.mark.parametrize(
    ("parse", "text", "position", "shown"),
    [
        (Text(), " \n", 0, "line 1, column 1: the reply is empty"),
        (Text(one_line=True), "\na\nb", 2, "line 2, column 2: the reply has a second line"),
        (Text(longest=2), " abc", 3, "line 1, column 4: the reply has 3 characters, 2 are allowed"),
    ],
)
def test_a_text_out_of_bounds_is_refused_with_its_place(parse: Text, text: str, position: int, shown: str) -> None:
    error = refusal(parse, text)
    assert (error.position, str(error)[: len(shown)]) == (position, shown)


REPLY = """\
Here you go:

```python
print("```")
```

~~~sh title="run"
ls
~~~

  ````markdown
  ```
  inner
  ```
  ````
```
plain
```
"""


def test_code_blocks_come_with_language_line_and_code() -> None:
    found = CodeBlocks()(REPLY)
    assert [(block.language, block.line, block.code) for block in found] == [
        ("python", 3, 'print("```")\n'),
        ("sh", 7, "ls\n"),
        ("markdown", 11, "```\ninner\n```\n"),
        ("", 16, "plain\n"),
    ]
    assert [REPLY[block.position :].startswith(block.code) for block in found] == [True, True, False, True]


@pytest.mark.parametrize(
    ("language", "code"), [("python", 'print("```")\n'), ("bash", "ls\n"), ("Py", 'print("```")\n')]
)
def test_code_is_that_of_the_one_block_in_its_language(language: str, code: str) -> None:
    assert Code(language)(REPLY) == code


@pytest.mark.parametrize(
    ("parse", "text", "position", "shown"),
    [
        (Code(), "no code", 0, "there is no code block in the reply: the reply begins 'no code'"),
        (Code(), "", 0, "the reply is empty"),
        (Code(), REPLY, 42, "one code block is wanted, 4 are there: python in line 3; sh in line 7"),
        (
            Code("rust"),
            "```\na\n```",
            0,
            "one rust block is wanted, 0 are there: no language in line 1; with unlabelled",
        ),
        (Code("python"), "```py\na\n```\n```python3\nb\n```", 12, "2 are there: py in line 1; python3 in line 4"),
        (
            Code(),
            "Hi\n```python\nprint(",
            19,
            "the code block that begins in line 2 is never closed: the reply was cut",
        ),
        (Code(), "```python\na\n``", 14, "never closed"),
        (Code(), "```", 3, "never closed"),
    ],
)
def test_code_that_is_missing_double_or_cut_off_is_refused(parse: Code, text: str, position: int, shown: str) -> None:
    error = refusal(parse, text)
    assert shown in str(error)
    assert error.position == position


def test_a_block_without_a_language_counts_where_that_is_asked_for() -> None:
    assert Code("rust", unlabelled=True)("```\na\n```") == "a\n"


@pytest.mark.parametrize("text", ["a ``` b", "    ```\nindented\n    ```", "``` a ` b\nx", "``\na\n``", "~~\n"])
def test_what_is_no_fence_is_text(text: str) -> None:
    assert blocks(text) == ()


@given(st.text().filter(lambda code: "```" not in code), st.sampled_from(["", "python", "c++"]), st.text("ab \n"))
def test_code_comes_out_of_its_fences_as_it_went_in(code: str, language: str, around: str) -> None:
    [block] = CodeBlocks()(f"{around}\n```{language}\n{code}\n```\n{around}")
    assert (block.language, block.code) == (language, f"{code}\n")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("- a\n- b c", ["a", "b c"]),
        ("* a\n\n* b", ["a", "b"]),
        ("• a\n• b", ["a", "b"]),
        ("1. a\n2. b", ["a", "b"]),
        ("1) a\n2) b", ["a", "b"]),
        ("(3) a\n(4) b", ["a", "b"]),
        ("1. a\n1. b\n1. c", ["a", "b", "c"]),
        ("- a\n  goes on\n- b", ["a\ngoes on", "b"]),
        ("  - a\n  - b", ["a", "b"]),
        ("a, b,c", ["a", "b", "c"]),
        ('"a, b", c', ["a, b", "c"]),
        ("a", ["a"]),
        ("a\nb", ["a", "b"]),
        ("- 1. a\n- 2. b", ["1. a", "2. b"]),
        ("- a, b\n- c", ["a, b", "c"]),
    ],
)
def test_the_items_of_a_list_come_in_order(text: str, items: list[str]) -> None:
    assert Items()(text) == items


@pytest.mark.parametrize(
    ("parse", "text", "position", "shown"),
    [
        (Items(), "Here:\n- a", 0, "'Here:' is no item of the list; Items(prose=True) passes over"),
        (Items(), "- a\nBye", 4, "'Bye' is no item of the list"),
        (Items(), "- a\n  - b", 4, "an item within an item"),
        (Items(), "- a\n  1. b", 4, "is no item"),
        (Items(), "1. a\n3. b", 5, "the item is numbered 3, not 2"),
        (Items(), "2. a\n1. b", 5, "the item is numbered 1, not 3"),
        (Items(), "- a\n-", 4, "an item of the list is empty"),
        (Items(), "a,,b", 2, "an item of the list is empty"),
        (Items(), "a, b,", 5, "an item of the list is empty"),
        (Items(), '"a" b, c', 0, "text follows the closing quote"),
        (Items(), "a, b, and c", 5, "the last item begins like the end of a sentence: 'and c'"),
        (Items(), "", None, "the list has 0 items, 1 or more are wanted"),
        (Items(count=2), "- a", None, "the list has 1 items, 2 are wanted: ['a']"),
        (Items(most=1), "- a\n- b", None, "the list has 2 items, 1 are wanted"),
        (Items(least=2, most=3), "- a", None, "2 to 3 are wanted"),
        (Items(prose=True), "- a\n\nAnd:\n\n- b", 11, "'- b' is a second list"),
        (Items(style="numbered"), "- a", 0, "is no item"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(parse: Items, text: str, position: int | None, shown: str) -> None:
    error = refusal(parse, text)
    assert shown in str(error)
    assert error.position == position


def test_text_around_a_list_is_passed_over_on_request_and_an_empty_list_taken() -> None:
    assert Items(prose=True)("Sure!\n\n1. a\n2. b\n\nAnything else?") == ["a", "b"]
    assert Items(least=0)("") == []
    assert Items(style="lines")("- a\n* b") == ["- a", "* b"]
    with pytest.raises(ConfigError, match="style = 'bullets' of a list: it has to be one of bulleted"):
        Items(style="bullets")


words = st.text(st.characters(categories=["L", "N"], include_characters=" -.!?"), min_size=1).map(str.strip)
words = words.filter(lambda word: bool(word) and word == " ".join(word.split()) and word[-1] != "-")


@given(st.lists(words, min_size=1), st.sampled_from(["-", "*", "+", "•", "."]))
def test_a_list_comes_out_as_it_went_in(items: list[str], mark: str) -> None:
    lines = [f"{f'{number}.' if mark == '.' else mark} {item}" for number, item in enumerate(items, 1)]
    assert Items()("\n".join(lines)) == items


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5), (" -5\n", -5), ("\u22125", -5), ("- 5", -5), ("+5", 5), ("5.", 5), ("007", 7), ("1.5", 1.5),
        ("1,5", 1.5),
        ("0.123", 0.123), ("0,123", 0.123), ("1234.567", 1234.567), ("1,234.56", 1234.56), ("1.234,56", 1234.56),
        ("1,234,567", 1234567), ("1.234.567", 1234567), ("1 234,5", 1234.5), ("1\u00a0234", 1234), ("1\u202f234", 1234),
        ("1'234'567.8", 1234567.8), ("12,34,567", 1234567), ("1_000", 1000), ("1e5", 1e5), ("1.5E-3", 0.0015),
        ("123456789012345678901234567890", 123456789012345678901234567890), ("2.0", 2),
    ],
)  # fmt: skip
def test_a_number_is_read_however_it_is_written(text: str, number: float) -> None:
    found = Number()(text)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("parse", "text", "position", "shown"),
    [
        (Number(), "1,234", 0, "'1,234' has two readings: say Number(decimal='.') or Number(decimal=',')"),
        (Number(), "1.234", 0, "has two readings"),
        (Number(), "-12.345", 0, "has two readings"),
        (Number(), "1.2.3", 0, "is no number with separators"),
        (Number(), "1,23,4", 0, "is no number with separators"),
        (Number(), "1234,567,8", 0, "is no number with separators"),
        (Number(), "1,234 567", 0, "is no number with separators"),
        (Number(decimal="."), "1,5", 0, "is no number with separators"),
        (Number(), "", 0, "there is no number: the reply is empty"),
        (Number(), " five", 1, "there is no number: the reply begins 'five'"),
        (Number(), "٣", 0, "there is no number"),
        (Number(), "about 5", 0, "beside the number stands 'about': nothing may"),
        (Number(), "5 apples", 1, "beside the number stands 'apples': nothing may"),
        (Number(), "--5", 0, "beside the number stands '-': nothing may"),
        (Number(), "5-6", 1, "beside the number stands '-6'"),
        (Number(), "5%", 1, "beside the number stands '%': nothing may"),
        (Number(unit="%"), "5", 0, "beside the number stands '': '%' may"),
        (Number(unit="kg"), "5 g", 1, "beside the number stands 'g': 'kg' may"),
        (Number(unit="$"), "$5 $", 2, "beside the number stands"),
        (Number(), "1e999", 0, "the number is too large"),
        (Number(), "Infinity", 0, "there is no number"),
        (Number(whole=True), "1.5", 0, "1.5 is no whole number"),
        (Number(least=1, most=5), "6", 0, "6 is out of range: it has to be at least 1 and at most 5"),
        (Number(least=1), "0", 0, "it has to be at least 1"),
        (Number(prose=True), "5 of 6", 5, "one number is wanted, 2 are there: 5, 6"),
        (Number(prose=True), "none", 0, "one number is wanted, 0 are there: the reply begins 'none'"),
    ],
)
def test_what_is_no_number_or_may_be_two_is_refused(parse: Number, text: str, position: int, shown: str) -> None:
    error = refusal(parse, text)
    assert shown in str(error)
    assert error.position == position


@pytest.mark.parametrize(
    ("parse", "text", "number"),
    [
        (Number(decimal="."), "1,234", 1234),
        (Number(decimal=","), "1,234", 1.234),
        (Number(unit="%"), "45 %", 45),
        (Number(unit="$"), "$1,234.50", 1234.5),
        (Number(unit="$"), "-$5", -5),
        (Number(unit={"%": 0.01}), "45%", 0.45),
        (Number(unit={"kg": 1, "g": 0.001}), "500 g", 0.5),
        (Number(unit={"kg": 1, "": 1}), "5", 5),
        (Number(unit={"k": 1000, "M": 1_000_000}), "1.5M", 1_500_000),
        (Number(prose=True), "The answer is -42.", -42),
        (Number(prose=True, unit="kg"), "It weighs 5 kg in all.", 5),
        (Number(prose=True, unit={"": 1, "$": 1}), "It costs $7!", 7),
        (Number(whole=True), "2.0", 2),
    ],
)
def test_locale_units_and_prose_are_said_when_the_parser_is_made(parse: Number, text: str, number: float) -> None:
    assert parse(text) == number


def test_a_decimal_mark_is_a_point_or_a_comma() -> None:
    with pytest.raises(ConfigError, match="decimal = ';'"):
        Number(decimal=";")


@given(st.integers(), st.sampled_from([",", ".", " ", "\u00a0", "'"]))
def test_a_whole_number_is_read_as_it_was_whatever_parts_its_thousands(value: int, mark: str) -> None:
    decimal = "." if mark != "." else ","
    assert Number(decimal=decimal)(f"{value:,}".replace(",", mark)) == value


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(".,"))
def test_a_number_is_read_as_python_wrote_it(value: float, mark: str) -> None:
    assert Number(decimal=mark)(repr(value).replace(".", mark)) == value


@given(st.from_regex(r"[0-9.,' ]{1,12}", fullmatch=True))
def test_without_a_locale_a_number_means_the_same_in_all_or_is_refused(text: str) -> None:
    readings = {reading for mark in ".," for reading in [_or_none(Number(decimal=mark), text)] if reading is not None}
    free = _or_none(Number(), text)
    assert ({free} if free is not None else set()) == (readings if len(readings) == 1 else set())


def _or_none(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ParseFailed:
        return None


class Colour(Enum):
    RED = "red"
    BLUE = "b"


@pytest.mark.parametrize("text", ["red", "Red.", " RED\n", '"red"', "'red.'", "`red`", "**Red**", "“red”."])
def test_a_choice_is_found_whatever_it_wears(text: str) -> None:
    assert Choice("red", "blue")(text) == "red"
    assert Choice(Colour)(text) is Colour.RED


def test_a_member_of_an_enum_is_found_by_value_and_name() -> None:
    assert Choice(Colour)("b") is Colour.BLUE
    assert Choice(Colour)("Blue") is Colour.BLUE


@pytest.mark.parametrize("text", ["green", "", "red or blue", "redblue", "not red", "\"red'", "red!", "r e d"])
def test_what_is_no_choice_is_refused_with_those_that_are(text: str) -> None:
    assert "it has to be one of 'red', 'blue'" in str(refusal(Choice("red", "blue"), text))


@pytest.mark.parametrize("choices", [(), ("a", "A"), ("a.",), (" a",), (5,), ("",), ("'a'",)])
def test_choices_that_cannot_be_told_apart_are_refused(choices: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match="choice"):
        Choice(*choices)


def test_yes_and_no_become_true_and_false() -> None:
    assert [Boolean()(text) for text in ("Yes.", "true", "NO", "False")] == [True, True, False, False]
    assert [Boolean(yes=["ja"], no=["nein"])(text) for text in ("Ja", "nein.")] == [True, False]
    assert "it has to be one of 'yes', 'true', 'no', 'false'" in str(refusal(Boolean(), "perhaps"))


DATA = '{"items": [{"name": "a", "b c": [1, 2]}], "": 3}'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("items[0].name", "a"),
        ("$.items[-1]['b c'][1]", 2),
        ('["items"][0]["name"]', "a"),
        ("$['']", 3),
        ("items", [{"name": "a", "b c": [1, 2]}]),
        ("$", {"items": [{"name": "a", "b c": [1, 2]}], "": 3}),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: object) -> None:
    assert KeyPath(path)(DATA) == value


@pytest.mark.parametrize(
    ("path", "at", "shown"),
    [
        ("itms", "$.itms", "$ has no 'itms'; it has 'items', ''"),
        ("items[1].name", "$.items[1]", "$.items has 1 items, none of them is number 1"),
        ("items.name", "$.items.name", "$.items is [{'name': 'a', 'b c': [1, 2]}], not an object that has 'name'"),
        ("items[0].name[0]", "$.items[0].name[0]", "$.items[0].name is 'a', not a list that has 0"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path: str, at: str, shown: str) -> None:
    error = refusal(KeyPath(path), DATA)
    assert (error.path, str(error)) == (at, shown)


def test_a_path_takes_what_another_parser_reads() -> None:
    assert KeyPath("a", of=Json(lenient=True))("{a: 1}") == 1


@pytest.mark.parametrize("path", ["a[", "a[x]", "a..b", "a['b]"])
def test_what_is_no_path_is_refused_when_the_parser_is_made(path: str) -> None:
    with pytest.raises(ConfigError, match="is no path"):
        KeyPath(path)


@pytest.mark.parametrize(
    "parse",
    [
        Text(),
        Code("py"),
        CodeBlocks(),
        Items(count=1),
        Number(unit="%"),
        Choice("a", "b"),
        Boolean(),
        KeyPath("a"),
        Json(),
    ],
)
def test_parsers_pickle_copy_and_show_what_they_take(parse: Any) -> None:
    for again in (pickle.loads(pickle.dumps(parse)), copy.deepcopy(parse)):
        assert repr(again) == repr(parse)
    assert repr(parse).startswith(type(parse).__name__)


def test_a_failure_pickles_with_its_place() -> None:
    error = pickle.loads(pickle.dumps(refusal(Json(), "[1, 2")))
    assert (error.text, error.position, error.path) == ("[1, 2", 5, None)


@given(
    st.text()
    | st.lists(st.sampled_from(["- ", "1. ", "```", "\n", ",", '"', "a", "5", "%", "{", "[", "  "])).map("".join)
)
def test_no_text_makes_a_parser_fail_otherwise_than_with_a_place_in_it(text: str) -> None:
    for name in ("Text", "Code", "CodeBlocks", "Items", "Json", "Number", "Boolean"):
        try:
            getattr(parsers, name)()(text)
        except ParseFailed as error:
            place = error.position
        else:
            place = None
        assert place is None or 0 <= place <= len(text)


def test_all_parsers_are_offered_and_nothing_else() -> None:
    assert dir(parsers) == sorted(parsers.__all__)
    assert all(getattr(parsers, name) for name in parsers.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'JSON'"):
        _ = parsers.JSON


def cpu_s(parse: Any, text: str) -> float:
    """The least of three: the processor's time alone, since others use it too."""
    times = []
    for _ in range(3):
        began = time.process_time()
        parse(text)
        times.append(time.process_time() - began)
    return min(times)


def test_an_item_of_many_lines_is_read_in_linear_time() -> None:
    short, long = ("- x\n" + f"  {'y' * 50}\n" * lines for lines in (2_000, 64_000))
    assert cpu_s(Items(), long) < 100 * cpu_s(Items(), short)
