"""Mustache as its specification has it, and as chevron, which TinyTroupe renders with, does it. Row T24."""

from __future__ import annotations

import importlib
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmkit.tinytroupe.mustache import MustacheError, render


@pytest.mark.parametrize(
    ("template", "data", "text"),
    [
        ("Hello, {{name}}!", {"name": "Ada"}, "Hello, Ada!"),
        ("Hello, {{ name }}!", {}, "Hello, !"),
        ("{{a}} {{b}} {{c}} {{d}}", {"a": 0, "b": False, "c": None, "d": ""}, "0 False  "),
        (
            "{{a}} {{{a}}} {{& a}}",
            {"a": "<b> & \"c\" 'd'"},
            "&lt;b&gt; &amp; &quot;c&quot; 'd' <b> & \"c\" 'd' <b> & \"c\" 'd'",
        ),
        ("{{a.b.c}}", {"a": {"b": {"c": 1}}}, "1"),
        ("{{a.0}}{{a.9}}", {"a": ["x"]}, "x"),
        ("{{a.b}}", {"a": SimpleNamespace(b="attribute")}, "attribute"),
        ("{{a.b}}", {"a": 5}, ""),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {"a": True}, "yes"),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {"a": []}, "no"),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {}, "no"),
        ("{{#a}}{{b}}{{c}}{{/a}}", {"a": {"b": 1}, "c": 2}, "12"),
        ("{{#a}}<{{.}}>{{/a}}", {"a": ["x", "", 0]}, "<x><><0>"),
        ("{{#a}}{{#a}}{{.}}{{/a}},{{/a}}", {"a": [{"a": [1, 2]}, {"a": [3]}]}, "12,3,"),
        ("{{#a}}x{{/a}}", {"a": iter([1, 2])}, "xx"),
        ("{{#a}}{{.}}{{/a}}", {"a": "text"}, "text"),
        ("a\n{{! a remark }}\nb", {}, "a\nb"),
        ("a\n  {{#x}}  \nb\n  {{/x}}\nc\n", {"x": True}, "a\nb\nc\n"),
        ("a {{#x}}b{{/x}} c\n", {"x": True}, "a b c\n"),
        ("a\r\n{{#x}}\r\nb\r\n{{/x}}\r\nc", {"x": True}, "a\r\nb\r\nc"),
        ("{{=<% %>=}}<% a %> {{a}}<%={{ }}=%> {{a}}", {"a": 1}, "1 {{a}} 1"),
        ("a\n  {{>part}}\nb", {"x": 1}, "a\n  one 1\n  two\nb"),
        ("[{{>gone}}]", {}, "[]"),
        ("{ {a} }", {"a": 1}, "{ {a} }"),
        ("", {}, ""),
    ],
)
def test_templates_render_as_the_specification_says(template: str, data: dict[str, Any], text: str) -> None:
    parts = {"part": "one {{x}}\ntwo\n"}
    assert render(template, data, partials=lambda name: parts.get(name, "")) == text


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("a\n{{#x}}\nb", "line 2: the section 'x' is never closed"),
        ("a\n{{/x}}", "line 2: 'x' is closed, and none is open"),
        ("{{#x}}\n\n{{/y}}", "line 3: 'y' is closed, and the open one is 'x'"),
        ("a\nb {{name", r"line 2: the tag '{{name' is not closed by '}}'"),
        ("{{{a}}", r"line 1: the tag '{{{a}}' is not closed by '}}}'"),
        ("{{=<%=}}", r"line 1: '<%' has to be two delimiters, as in {{=<% %>=}}"),
    ],
)
def test_a_broken_template_is_told_with_its_line(template: str, complaint: str) -> None:
    with pytest.raises(MustacheError) as raised:
        render(template, {"x": 1})
    assert str(raised.value) == complaint


def test_a_function_for_a_section_is_refused() -> None:
    with pytest.raises(TypeError, match="'a' is <function"):
        render("{{#a}}x{{/a}}", {"a": lambda text: text})


_NAMES = st.sampled_from(["a", "b", "a.b", "c", "."])
_TEXT = st.sampled_from(["", " ", "\n", "x", "x\n", "  \n", "\n  ", "<&>", "{ ", " }"])
_SCALARS = st.sampled_from([None, False, 0, 1, 2.5, "", "<q>", 'say "hi" & go'])
_TRUTHY = st.sampled_from([1, 2.5, "<q>", "text"])
_DATA = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        _SCALARS,
        lambda inner: (
            st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
            # chevron renders nothing at all for an item that is false
            | st.lists(_TRUTHY | st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=2), max_size=3)
        ),
        max_leaves=5,
    ),
)


def _sections(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    # chevron loses count of an inverted section inside a loop over the same name
    heads = st.sampled_from([("#", "a"), ("#", "b"), ("#", "a.b"), ("^", "c"), ("^", "b.a")])
    return st.builds(lambda head, body: f"{{{{{head[0]}{head[1]}}}}}{body}{{{{/{head[1]}}}}}", heads, inner)


_TEMPLATES = st.recursive(
    _TEXT
    | _NAMES.map("{{{{{}}}}}".format)
    | _NAMES.map("{{{{{{ {} }}}}}}".format)
    | _NAMES.map("{{{{&{}}}}}".format)
    | st.just("{{! remark }}"),
    lambda inner: _sections(inner) | st.lists(inner, max_size=4).map("".join),
    max_leaves=12,
)


@settings(max_examples=300)
@given(template=_TEMPLATES, data=_DATA)
def test_chevron_renders_the_same(template: str, data: dict[str, Any]) -> None:
    chevron = pytest.importorskip("chevron", reason="chevron is not installed")
    assume("^" not in template or not re.search(r"\{&? ?\. ?\}", template))  # in those, chevron's {{.}} is True
    importlib.import_module("chevron.renderer").g_token_cache.clear()
    assert render(template, data) == chevron.render(template, data)


@given(text=st.text(), around=st.text(alphabet=" \nx<&", max_size=4))
def test_any_text_goes_through_unchanged(text: str, around: str) -> None:
    assert render(around + "{{{text}}}" + around, {"text": text or "-"}) == around + (text or "-") + around
