"""Templates that mean harm: what the sandbox refuses, and how soon.

Rows 2.T1 (escaping) and 2.T4 (edge cases).
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from llmkit import TemplateInvalid
from llmkit.templates import Template


def refusal(source: str, **variables: Any) -> str:
    with pytest.raises(TemplateInvalid) as caught:
        Template(source).render(**variables)
    assert caught.value.line == 1
    return str(caught.value)


class Account:
    """Something with a secret and a method that does something."""

    def __init__(self) -> None:
        self._secret = "canary"
        self.deleted = False

    def delete(self) -> None:
        self.deleted = True

    delete.alters_data = True  # type: ignore[attr-defined] # the mark that jinja2's sandbox knows


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ x['__class__'] }}",
        "{{ x | attr('__class__') }}",
        "{{ [x] | map(attribute='__class__') | list }}",
        "{{ x._secret }}",
        "{{ x.delete() }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ '{0._secret}'.format_map({'0': x}) }}",
        "{{ range.__globals__ }}",
        "{{ (x.delete).__globals__ }}",
        "{{ namespace.__init__.__globals__ }}",
    ],
)
def test_nothing_private_is_reached(source: str) -> None:
    account = Account()
    said = refusal(source, **({"x": account} if "x" in source else {}))
    assert "canary" not in said
    assert not account.deleted


@pytest.mark.parametrize("call", ["x.append(1)", "x.clear()", "x.pop()", "x.extend([1])", "x.sort()", "x.insert(0, 1)"])
def test_values_cannot_be_changed(call: str) -> None:
    value = [3, 2]
    assert "unsafe" in refusal(f"{{{{ {call} }}}}", x=value)
    assert value == [3, 2]


DOUBLING = "{{% set ns = namespace(x='a') %}}{{% for i in range(60) %}}{{% set ns.x = {} %}}{{% endfor %}}"
DOUBLED_BLOCK = DOUBLING.replace(" = {} %}}", " %}}{{{{ ns.x }}}}{{{{ ns.x }}}}{{% endset %}}").format()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "1,000,000 steps"),
        ("{% for i in range(1000) if i %}{% for j in range(2000) %}{% endfor %}{% endfor %}", "1,000,000 steps"),
        ("{{ range(100001) }}", "Range too big"),
        ("{{ 'a' * 1000000000 }}", "is too many"),
        ("{{ 1000000000 * 'a' }}", "is too many"),
        ("{{ [1] * 1000000000 }}", "is too many"),
        ("{{ 10 ** 1000000000 }}", "is too large"),
        ("{{ 2 ** 100000 }}", "is too large"),
        ("{{ '%1000000000d' % 1 }}", "% formats no texts here"),
        ("{{ '{:>1000000000}'.format(1) }}", "is unsafe"),
        ("{{ 'a'.center(1000000000) }}", "is too large a number"),
        ("{{ 'a'.zfill(1000000000) }}", "is too large a number"),
        ("{{ 'a' | indent(1000000000, true) }}", "is too large a number"),
        ("{{ 'a' | indent(width=1000000000, first=true) }}", "is too large a number"),
        ("{{ 'aaaa'.replace('', 'a' * 999999).replace('', 'a' * 999999) }}", "would be too long"),
        ("{{ 'aaaa' | replace('', 'a' * 999999) | replace('', 'a' * 999999) }}", "would be too long"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without end"),
        ("{% macro m(n) %}{% for i in range(9) %}{{ m(n) }}{% endfor %}{% endmacro %}{{ m(1) }}", "without end"),
        ("{% for i in range(90000) %}{{ 'a' * 200 }}{% endfor %}", "16,000,000 characters"),
        (
            "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
            "1,000,000 steps",
        ),
        (DOUBLING.format("ns.x ~ ns.x"), "would be too long"),
        (DOUBLING.format("ns.x + ns.x"), "would be too long"),
        (DOUBLING.format("[ns.x, ns.x] | join"), "would be too long"),
        (DOUBLING.format("''.join([ns.x, ns.x])"), "would be too long"),
        (DOUBLING.format("(ns.x ~ 'b').join(ns.x ~ 'b')"), "would be too long"),
        (DOUBLING.format("ns.x | replace('a', 'aa')"), "would be too long"),
        (DOUBLED_BLOCK, "would be too long"),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "would be too long",
        ),
        (
            "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
            "is too large",
        ),
        ("{{ ('a' * 1000000) | wordwrap(1, wrapstring='x' * 1000000) }}", "would be too long"),
        ("{{ ('b\\n' * 100000) | indent('x' * 100000) }}", "would be too long"),
    ],
)
def test_what_would_take_forever_or_all_memory_is_refused(source: str, shown: str) -> None:
    assert shown in refusal(source)


def test_jinjas_own_prose_is_not_there() -> None:
    assert "'lipsum' is missing" in refusal("{{ lipsum(n=100000) }}")


@pytest.mark.parametrize("name", ["lipsum", "joiner", "cycler", "namespace", "range", "dict"])
def test_what_jinja_brings_along_is_no_text(name: str) -> None:
    assert refusal("{{ " + name + "}}")


@pytest.mark.parametrize("name", ["random", "center", "format", "safe", "escape", "xmlattr", "urlize", "pprint"])
def test_filters_that_format_or_throw_dice_are_not_there(name: str) -> None:
    assert f"No filter named '{name}'" in refusal(f"{{{{ x | {name} }}}}", x="a")


@pytest.mark.parametrize("value", ["abc", 5])
def test_a_loop_runs_over_lists(value: object) -> None:
    assert "a loop runs over" in refusal("{% for x in value %}{{ x }}{% endfor %}", value=value)


def test_a_loop_over_what_is_missing_says_what() -> None:
    assert "line 1: 'y' is not in the value, which has nothing" in refusal(
        "{% for x in value.y %}{% endfor %}", value={}
    )


def test_nothing_is_escaped_as_if_it_were_html() -> None:
    text = "<b>&amp;</b> \"'"
    source = "{{ text }}{{ [text] | join }}{% autoescape true %}{{ text }}{% endautoescape %}"
    [message] = Template(source).render(text=text)
    assert message["content"] == text * 3


def test_the_text_of_a_value_is_never_read_as_a_template() -> None:
    text = "{{ 7 * 7 }}{% for i in range(9) %}{{ i }}{% endfor %}{# no #}"
    [message] = Template("{{ text }}{{ text | upper | lower }}").render(text=text)
    assert message["content"] == text * 2


def test_texts_and_numbers_of_usual_size_are_put_together() -> None:
    source = (
        "{{ a ~ '-' ~ b }} {{ a + a }} {{ [1] + [2] }} {{ [a, b] | join(', ') }} {{ ', '.join([a, a]) }} {{ 7 * b }}"
    )
    [message] = Template(source).render(a="x", b=6)
    assert message["content"] == "x-6 xx [1, 2] x, 6 x, x 42"


def test_what_joins_is_a_text_and_no_list_of_messages() -> None:
    assert "used as text" in refusal("{% set x %}{% message 'user' %}a{% endset %}{{ x ~ 'b' }}")


class Twice:
    """Something of pydantic's kind that says another thing each time it is asked."""

    def __init__(self) -> None:
        self.said = iter(["user", "system", "system"])

    def model_dump(self, *, mode: str, exclude_unset: bool) -> dict[str, str]:
        return {"role": next(self.said), "content": "x"}


class Anything(str):
    """A text that is equal to everything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


@pytest.mark.parametrize("message", [Twice(), {"role": Anything("system"), "content": "x"}], ids=["twice", "anything"])
def test_no_object_brings_a_role_of_its_own_along(message: object) -> None:
    source = "system:\nA\n{% messages history %}\nuser:\nB"
    try:
        rendered = Template(source).render(history=[message])
    except TemplateInvalid:
        return
    assert [str.__str__(each["role"]) for each in rendered] == ["system", "user", "user"]


def test_a_template_of_many_variables_is_read_in_linear_time() -> None:
    """Steps of the interpreter, not seconds: a busy machine has no say."""

    def steps(lines: int) -> int:
        count = 0

        def step(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(step)
        try:
            Template("{{ a }} and text\n" * lines)
        finally:
            sys.setprofile(None)
        return count

    Template("{{ a }}")
    assert steps(400) < 8 * steps(100)
