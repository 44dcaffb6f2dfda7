"""JSON out of replies: strict, repaired on request, checked against schemas and models, and where it is wrong.

Rows 5.I1, 5.I2, 5.I3, 5.T1 and 5.T4.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from llmkit import ConfigError, ParseFailed
from llmkit.parsers import Json, Model, Schema
from llmkit.parsers.places import line_and_column, positions

keys = st.text(max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | keys
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
containers = st.lists(values, max_size=4) | st.dictionaries(keys, values, max_size=4)


def refusal(parse: Any, text: str) -> ParseFailed:
    with pytest.raises(ParseFailed) as caught:
        parse(text)
    return caught.value


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_as_it_was_written(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert Json()(f" {text}\n") == value
    assert Json().read(text).repairs == ()
    assert Json(lenient=True).read(text).repairs == ()
    assert Json()(f"```json\n{text}\n```\n") == value


@given(containers, st.data())
def test_json_that_was_cut_off_is_never_read_and_fails_at_its_end(value: Any, data: Any) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    for parse in (Json(), Json(lenient=True)):
        assert refusal(parse, cut).position == len(cut)
    assert refusal(Json(), f"```json\n{cut}").position == len(cut) + 8


@given(values, st.text(min_size=1).filter(lambda text: bool(text.strip(" \t\r\n"))))
def test_text_after_the_json_is_an_error(value: Any, after: str) -> None:
    text = f"[{json.dumps(value)}]"
    assert refusal(Json(), f"{text} {after}").position in range(len(text), len(text) + len(after) + 2)


@given(values)
def test_every_value_has_its_position(value: Any) -> None:
    text = json.dumps({"a": [0, value], "b\n": {"": value}}, indent=1)
    for steps in (("a", 1), ("b\n", "")):
        assert json.JSONDecoder().raw_decode(text, positions(text)[steps])[0] == value
    assert set(positions(text)) >= {(), ("a",), ("a", 0), ("a", 1), ("b\n",), ("b\n", "")}


@pytest.mark.parametrize(
    ("text", "position", "path", "shown"),
    [
        (
            '{"a": 1,\n "a": 2}',
            10,
            "$.a",
            "line 2, column 2: the key 'a' stands here for the second time, after line 1,",
        ),
        ('{"a": [{}, {"b": 1, "\\u0062": 2}]}', 20, "$.a[1].b", "the key 'b' stands here for the second time"),
        ("[1, NaN]", 4, "$[1]", "line 1, column 5: NaN is no JSON"),
        ('{"a": -Infinity}', 6, "$.a", "-Infinity is no JSON"),
        ('{"a": 1e999}', 6, "$.a", "'1e999' is too large for a number"),
        ('["\\ud800"]', 1, "$[0]", "has half a character"),
        ('{"\\udc00": 1}', 1, "$['\\udc00']", "has half a character"),
        ("[" + "9" * 5000 + "]", 1, None, "a number has more than 4300 digits"),
        ("[" * 100_000, 0, None, "the JSON is nested too deeply"),
        ("", 0, None, "there is no JSON: the reply is empty"),
        ("Sure!", 0, None, "this is no JSON (expecting value): 'Sure!'"),
        ("[1,]", 3, None, "this is no JSON"),
        ("{'a': 1}", 1, None, "double quotes"),
        ('["a\nb"]', 3, None, "invalid control character"),
        ("[1] [2]", 4, None, "the JSON has ended, and text follows: '[2]'"),
        ("[1, 2", 5, None, "the JSON ends before it is complete: the reply was cut off"),
        ('{"a": "b', 8, None, "cut off"),
        ("```python\n[1]\n```", 0, None, "the code block is 'python': one of json is wanted"),
        ("```json\n[1,]\n```", 11, None, "line 2, column 4: this is no JSON"),
        ("```\n[1]\n```\nDone.", 0, None, "one code block with JSON is wanted, and nothing around it"),
        ("```\n[1]\n```\n```\n[2]\n```", 0, None, "one code block with JSON is wanted"),
        ("```json\n[1]\n", 12, None, "never closed: the reply was cut off"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, position: int, path: str | None, shown: str) -> None:
    error = refusal(Json(), text)
    assert shown in str(error)
    assert (error.position, error.path) == (position, path)
    assert "line {}, column {}".format(*line_and_column(text, position)) in str(error)


def test_a_block_is_opened_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    text = "\n```JSON\n[1]\n```\n"
    [repair] = Json().read(text).repairs
    assert (repair.shown(text), repair.position) == ("line 2, column 1: took the JSON out of its code block", 1)
    with caplog.at_level(logging.INFO, logger="llmkit.parsers"):
        Json()(text)
    assert caplog.messages == ["Reply repaired: line 2, column 1: took the JSON out of its code block"]


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ("Sure! [1] Bye", [1], ["line 1, column 7: took the JSON out of the text around it"]),
        ("[1, 2,]", [1, 2], ["line 1, column 6: left out the comma before a closing bracket"]),
        ('{"a": 1,}', {"a": 1}, ["line 1, column 8: left out the comma before a closing bracket"]),
        ("['it\\'s']", ["it's"], ["line 1, column 2: took other quotes for those of JSON"]),
        ("['say \"x\"']", ['say "x"'], ["line 1, column 2: took other quotes for those of JSON"]),
        ("[“a”]", ["a"], ["line 1, column 2: took other quotes for those of JSON"]),
        ("{a: 1}", {"a": 1}, ["line 1, column 2: put a key into quotes"]),
        ("[True]", [True], ["line 1, column 2: wrote True as JSON has it"]),
        ("[None]", [None], ["line 1, column 2: wrote None as JSON has it"]),
        ('["a\nb"]', ["a\nb"], ["line 1, column 4: wrote a line break or tab in a string as JSON has it"]),
        ("[1, // one\n 2]", [1, 2], ["line 1, column 5: left out a comment"]),
        ("[1, /* one */ 2]", [1, 2], ["line 1, column 5: left out a comment"]),
        ("[1,\u00a02]", [1, 2], ["line 1, column 4: took another blank for a space"]),
        ("So [note]: [1]", [1], ["line 1, column 12: took the JSON out of the text around it"]),
        ("x\n```json\n[1]\n```\ny [2]", [1], ["line 3, column 1: took the JSON out of the text around it"]),
        ("42", 42, []),
    ],
)  # fmt: skip
def test_json_is_repaired_on_request_and_every_repair_is_told(text: str, value: object, repairs: list[str]) -> None:
    reading = Json(lenient=True).read(text)
    assert (reading.value, [repair.shown(text) for repair in reading.repairs]) == (value, repairs)
    if repairs:
        refusal(Json(), text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[1] or [2]", "there are 2 JSON values in the reply: line 1, column 1, line 1, column 8"),
        ("{a: 1, a: 2}", "the key 'a' stands here for the second time"),
        ("[NaN]", "NaN is no JSON"),
        ("{a: 1", "cut off"),
        ("Sure: {'a': 'b", "cut off"),
        ("```json\n[1]", "never closed"),
        ("nothing", "this is no JSON"),
        ("[1 2]", "line 1, column 4: this is no JSON, even with repairs (no comma)"),
        ("[[1], x]", "no JSON, even with repairs (no value)"),
        ('{"a": [1], b c}', "no JSON, even with repairs (no colon)"),
        ("[[1], n", "cut off"),
        ("{a 1}", "this is no JSON"),
        ("{1: 2}", "this is no JSON"),
        ("[1e999,]", "too large for a number"),
        ("[" * 200 + "]" * 200 + "x", "JSON"),
        ("", "the reply is empty"),
    ],
)
def test_what_is_missing_or_double_is_never_repaired(text: str, shown: str) -> None:
    assert shown in str(refusal(Json(lenient=True), text))


@given(containers.filter(bool), st.text("abc .,!\n"), st.text("abc .,!\n"))
def test_json_comes_out_of_any_prose(value: Any, before: str, after: str) -> None:
    reading = Json(lenient=True).read(f"{before}{json.dumps(value)}{after}")
    assert reading.value == value
    assert bool(reading.repairs) is bool(before.strip() or after.strip())


@given(
    st.lists(
        st.sampled_from(['"', "'", "{", "}", "[", "]", ":", ",", "a", "1", "\\", "\n", "//", "True", " ", "```"])
    ).map("".join)
)
def test_no_text_makes_the_repair_fail_otherwise_than_with_a_place(text: str) -> None:
    try:
        Json(lenient=True)(text)
    except ParseFailed as error:
        place = error.position
    else:
        place = 0
    assert place is not None
    assert 0 <= place <= len(text)


def test_of_thousands_of_repairs_the_first_are_told_and_all_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """The place of each is counted from the beginning of the text, which for all would take its square."""
    text = '["' + "\n" * 5000 + '"]'
    with caplog.at_level("INFO", logger="llmkit.parsers"):
        assert Json(lenient=True)(text) == ["\n" * 5000]
    assert len(caplog.records) == 21
    assert "line 1, column 3" in caplog.messages[0]
    assert caplog.messages[-1] == "Reply repaired in 4,980 more places"
    assert len(Json(lenient=True).read(text).repairs) == 5000


def test_hostile_brackets_are_given_up_on_soon() -> None:
    for text in ("[" * 50_000, "{'a':" * 20_000, '["' * 20_000, "[a " * 50_000, "//[" * 50_000):
        refusal(Json(lenient=True), text)


SCHEMA = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "due": {"type": "string", "format": "date"},
        "id": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["items", "due"],
    "additionalProperties": False,
    "$defs": {
        "item": {"type": "object", "properties": {"price": {"type": "number", "minimum": 0}}, "required": ["price"]}
    },
}


def test_json_that_fits_its_schema_comes_through() -> None:
    value = {"items": [{"price": 1.5}], "due": "2026-11-20", "id": None}
    assert Schema(SCHEMA)(json.dumps(value)) == value
    assert Schema({})("5") == 5


def test_all_that_does_not_fit_is_told_with_path_place_and_value() -> None:
    text = '{"items": [{"price": -1},\n  {},\n  {"price": "a"}],\n "id": "x", "z": 1}'
    error = refusal(Schema(SCHEMA), text)
    alternatives = '"x" is not of type "integer"; or "x" is not of type "null"'
    assert str(error).splitlines() == [
        "6 things are wrong",
        "  $ (line 1, column 1): \"due\" is a required property; it has 'id', 'items', 'z'",
        "  $ (line 1, column 1): it has 'z', which the schema does not allow",
        "  $.items[0].price (line 1, column 22): -1 is less than the minimum of 0",
        '  $.items[1] (line 2, column 3): "price" is a required property; it has nothing',
        '  $.items[2].price (line 3, column 13): "a" is not of type "number"',
        "  $.id (line 4, column 8): 'x' fits none of 2 alternatives: " + alternatives,
    ]
    assert (error.path, error.position, error.text) == ("$", 0, text)


@pytest.mark.parametrize(("kind", "value"), [("date", "2026-13-01"), ("email", "a"), ("uri", "a b"), ("uuid", "1")])
def test_formats_are_checked(kind: str, value: str) -> None:
    assert f'is not a "{kind}"' in str(refusal(Schema({"format": kind}), json.dumps(value)))


def test_one_problem_is_told_in_one_line_and_many_are_counted() -> None:
    error = refusal(Schema({"type": "array", "items": {"type": "integer"}}), '[1, "a"]')
    assert (str(error), error.path) == ('$[1] (line 1, column 5): "a" is not of type "integer"', "$[1]")
    error = refusal(Schema({"items": {"type": "integer"}}), json.dumps(["a"] * 50))
    assert str(error).splitlines()[-1] == "  and 30 more"


def test_a_reply_with_thousands_of_problems_is_read_once_for_their_places() -> None:
    text = json.dumps([{"price": "x", "name": n} for n in range(5000)])
    error = refusal(Schema({"items": {"properties": {"price": {"type": "number"}}, "required": ["id"]}}), text)
    assert str(error).splitlines()[0] == "10000 things are wrong"
    assert len(error.message.splitlines()) == 22
    assert error.position == 1


def test_a_large_value_is_not_quoted_whole() -> None:
    error = refusal(Schema({"maxProperties": 1}), json.dumps({"a" * 5000: 1, "b": 2}))
    assert len(str(error)) < 600


def test_places_are_those_in_the_reply_when_it_is_a_block() -> None:
    error = refusal(Schema({"type": "array", "items": {"type": "integer"}}), '```json\n["a"]\n```')
    assert (error.position, str(error)) == (9, '$[0] (line 2, column 2): "a" is not of type "integer"')


def test_a_repaired_reply_is_checked_too() -> None:
    parse = Schema({"type": "array", "items": {"type": "integer"}}, lenient=True)
    assert parse("Here: [1,]") == [1]
    assert str(refusal(parse, "Here: ['a',]")) == '$[0]: "a" is not of type "integer"'


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "strin"}, "at $.type"),
        ({"$ref": "#/$defs/absent"}, "does not exist"),
        ({"$ref": "https://example.com/schema.json"}, "and nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "and nothing is fetched"),
        ({"pattern": "("}, "is not a"),
        ("x", "This is no JSON Schema"),
        ({"type": {1}}, "cannot be written as JSON"),
    ],
)
def test_what_is_no_schema_is_refused_when_the_parser_is_made(schema: Any, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Schema(schema)
    assert shown in str(caught.value)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(-5, 5) | st.text(max_size=2)))
def test_a_schema_finds_all_and_only_what_is_wrong(value: dict[str, Any]) -> None:
    parse = Schema({"properties": {"a": {"type": "integer"}, "b": {"minimum": 0}, "c": {"maxLength": 1}}})
    wrong = {
        key
        for key, each in value.items()
        if (key == "a" and not isinstance(each, int))
        or (key == "b" and isinstance(each, int) and each < 0)
        or (key == "c" and isinstance(each, str) and len(each) > 1)
    }
    if wrong:
        assert {key for key in "abcd" if f"$.{key} (" in str(refusal(parse, json.dumps(value)))} == wrong
    else:
        assert parse(json.dumps(value)) == value


class Item(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    price: Annotated[float, pydantic.Field(ge=0)]
    due: str = "now"


@dataclass
class Point:
    x: int
    y: int


class Row(TypedDict):
    name: str


def test_a_model_a_dataclass_a_typed_dict_and_a_list_come_out_as_such() -> None:
    assert Model(Item)('{"price": 1}') == Item(price=1)
    assert Model(Point)('{"x": 1, "y": 2}') == Point(1, 2)
    assert Model(Row)('{"name": "a"}') == {"name": "a"}
    assert Model(list[Item])('```json\n[{"price": 1}]\n```') == [Item(price=1)]
    assert Model(Item).schema["required"] == ["price"]


def test_what_does_not_fit_a_model_is_told_with_path_place_and_value() -> None:
    error = refusal(Model(list[Item]), '[{"price": -1, "z": 5},\n {}]')
    assert str(error).splitlines() == [
        "3 things are wrong",
        "  $[0].price (line 1, column 12): Input should be greater than or equal to 0, not -1",
        "  $[0].z (line 1, column 21): Extra inputs are not permitted, not 5",
        "  $[1].price (line 2, column 2): Field required",
    ]
    assert (error.position, error.path) == (11, "$[0].price")


def test_a_model_takes_no_json_that_is_none() -> None:
    assert "second time" in str(refusal(Model(Row), '{"name": "a", "name": "b"}'))
    assert "cut off" in str(refusal(Model(Row), '{"name": "a'))


def test_a_model_is_made_of_a_type() -> None:
    with pytest.raises(ConfigError, match="is no type that pydantic can read"):
        Model(object())("5")  # type: ignore[arg-type] # that is the test


def test_neither_pydantic_nor_a_validator_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, llmkit.parsers as p; p.Json()('[1]'); p.Model(int); "
        "print(sorted({'pydantic', 'jsonschema_rs', 'openai', 'jinja2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
