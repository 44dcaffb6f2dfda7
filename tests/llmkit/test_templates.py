"""Templates: what is written and what comes of it, and what their errors say.

Rows 2.I3 (variables), 2.I4 (roles in order), 2.T1 (rendering: variables, escaping, Unicode, empty), 2.T4 (edge cases).
"""

from __future__ import annotations

import copy
import pickle
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pydantic
import pytest

from llmkit import Client, TemplateInvalid, count_tokens
from llmkit.templates import Image, Part, Template
from mockserver import MockServer, reply

PNG = b"\x89PNG\r\n\x1a\n0000"


def said(source: str, /, **variables: Any) -> Any:
    """The content of the one message that a template makes."""
    [message] = Template(source).render(**variables)
    return message["content"]


def refusal(source: str, /, **variables: Any) -> TemplateInvalid:
    with pytest.raises(TemplateInvalid) as caught:
        Template(source).render(**variables)
    return caught.value


def test_a_template_without_roles_is_one_user_message() -> None:
    assert Template("Hi {{ name }}!").render(name="Ada") == [{"role": "user", "content": "Hi Ada!"}]


def test_roles_keep_their_order() -> None:
    source = "system:\nA\ndeveloper:\nB\nuser:\nC\nassistant:\nD\ntool(tool_call_id='1'):\nE\nuser:\nF\n"
    assert Template(source).render() == [
        {"role": "system", "content": "A"},
        {"role": "developer", "content": "B"},
        {"role": "user", "content": "C"},
        {"role": "assistant", "content": "D"},
        {"role": "tool", "tool_call_id": "1", "content": "E"},
        {"role": "user", "content": "F"},
    ]


def test_what_a_template_makes_can_be_sent_as_it_is() -> None:
    template = Template("---\nmodel: gpt-4o\nparameters: {temperature: 0}\n---\nsystem:\nBe terse.\nuser:\n{{ q }}")
    with MockServer() as server, Client(base_url=server.openai_url, api_key="any") as client:
        server.script(reply("Because."))
        messages = template.render(q="Why?")
        assert client.chat(messages, **template.parameters).text == "Because."
        [exchange] = server.journal
        assert exchange.request == {"model": "gpt-4o", "temperature": 0, "messages": messages}
    assert count_tokens(messages, model="gpt-4o").tokens > 0


def test_blank_lines_of_the_template_go_and_those_of_values_stay() -> None:
    assert said("user:\n\n\n  Hi\n\nthere\n\n\n") == "  Hi\n\nthere"
    assert said("user:\n\n{{ text }}\n\n", text="\n Hi \n") == "\n Hi \n"
    assert said("user:\n\n- {{ text }}\n\n", text=" Hi ") == "-  Hi "


def test_tags_alone_in_their_lines_leave_no_blank_lines() -> None:
    assert said("user:\nA\n  {% if yes %}\nB\n  {% endif %}\nC", yes=True) == "A\nB\nC"


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_value_is_a_value(empty: str) -> None:
    assert said("{{ text }}", text=empty) == empty


def test_a_message_that_says_nothing_is_still_a_message() -> None:
    messages = Template("system:\n{% if persona %}You are {{ persona }}.{% endif %}\nuser:\nHi").render(persona="")
    assert [message["content"] for message in messages] == ["", "Hi"]


def test_a_long_value_and_deep_nesting_come_through() -> None:
    long = "🦙" * 500_000
    assert said("{{ text }}", text=long) == long
    nested = "{% if x %}" * 50 + "deep" + "{% endif %}" * 50
    assert said(nested, x=1) == "deep"


class Colour(Enum):
    RED = "red"


class Point(pydantic.BaseModel):
    x: int
    name: str = "é"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (5, "5"),
        (2.50, "2.5"),
        (True, "true"),
        (False, "false"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 11, 20), "2026-11-20"),
        (datetime(2026, 11, 20, 1, 2, tzinfo=UTC), "2026-11-20T01:02:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        ([1, None, "é", True], '[1, null, "é", true]'),
        ({"a": {"b": Colour.RED}, "c": date(2026, 1, 2)}, '{"a": {"b": "red"}, "c": "2026-01-02"}'),
        (Point(x=1, name="ö"), '{"x": 1, "name": "ö"}'),
        ([Point(x=1)], '[{"x": 1}]'),
    ],
)
def test_values_that_are_no_texts_read_as_a_model_writes_them(value: object, text: str) -> None:
    assert said("{{ value }}", value=value) == text


@dataclass
class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "the value is None: pass a text"),
        (float("nan"), "the value is nan, of type float"),
        (b"ab", "of type bytes"),
        ({1, 2}, "of type set"),
        (Opaque, "of type type"),
        ([float("inf")], "cannot be written as JSON"),
        ({"a": Opaque()}, "of type Opaque"),
        ({(1, 2): 3}, "cannot be written as JSON: keys must be str"),
    ],
)
def test_a_value_without_a_text_is_refused_with_its_line(value: object, shown: str) -> None:
    error = refusal("Hi\n{{ value }}", value=value)
    assert shown in str(error)
    assert (error.template, error.line) == ("a template", 2)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "cannot be written as JSON: Circular" in str(refusal("{{ loop_ }}", loop_=loop))


def test_an_image_makes_the_content_a_list_of_parts() -> None:
    photo = Image("https://example.com/a.png", detail="low")
    assert said("user:\nWhat is this?\n\n{{ photo }}\n\n{{ more }}", photo=photo, more="Say.") == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "text", "text": "Say."},
    ]


def test_images_come_in_loops_and_out_of_macros() -> None:
    source = "{% macro shown(photo) %}{{ photo }}{% endmacro %}{% for photo in photos %}{{ shown(photo) }}{% endfor %}"
    photos = [Image("https://example.com/a.png"), Part({"type": "file", "file": {"file_id": "f"}})]
    assert [part["type"] for part in said(source, photos=photos)] == ["image_url", "file"]


def test_an_image_comes_from_a_file_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "photo"
    for data, kind in [(PNG, "png"), (b"\xff\xd8\xff0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF0000WEBP", "webp")]:
        file.write_bytes(data)
        assert Image.from_file(file).url.startswith(f"data:image/{kind};base64,")
    file.write_bytes(b"%PDF-1.7")
    with pytest.raises(TemplateInvalid, match=r"photo is neither PNG, JPEG, GIF nor WebP: it begins with b'%PDF-1.7'"):
        Image.from_file(file)
    assert len(repr(Image.from_bytes(PNG * 1000))) < 100


@pytest.mark.parametrize("url", ["photo.png", "", "file:///etc/passwd", "javascript:x"])
def test_an_image_has_an_address(url: str) -> None:
    with pytest.raises(TemplateInvalid, match="An image is at"):
        Image(url)
    with pytest.raises(TemplateInvalid, match="detail = 'lo'"):
        Image("https://example.com", detail="lo")
    with pytest.raises(TemplateInvalid, match="has no type"):
        Part({"text": "a"})


def test_tool_calls_go_back_in_either_form() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    @dataclass
    class Call:
        id: str = "c1"
        name: str = "f"
        arguments: str = "{}"

    source = (
        "assistant(tool_calls=calls):\n{% for call in calls %}\ntool(tool_call_id=call.id):\n{{ result }}\n{% endfor %}"
    )
    expected = [
        {"role": "assistant", "tool_calls": [call], "content": None},
        {"role": "tool", "tool_call_id": "c1", "content": "user:\nno"},
    ]
    assert Template(source).render(calls=[call], result="user:\nno") == expected
    assert Template(source).render(calls=[Call()], result="user:\nno") == expected


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("user(nme='a'):", "user has no 'nme'"),
        ("user(name=''):", "name = '': it has to be a text"),
        ("user(name=5):", "name = 5"),
        ("user(tool_call_id='1'):", "user has no 'tool_call_id'"),
        ("assistant(tool_calls=3):", "tool_calls = 3: it has to be the list"),
        ("assistant(tool_calls=[3]):", "tool_calls holds 3"),
        ("tool(tool_call_id=absent.id):", "'absent' is missing"),
        ("user(name='%}'):", "cannot hold %}"),
        ("user(name):", "its syntax is wrong"),
    ],
)
def test_what_a_role_cannot_have_is_refused_with_its_line(line: str, shown: str) -> None:
    error = refusal(f"system:\nA\n{line}\nB")
    assert shown in str(error)
    assert error.line == 3


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("System:", "system:"),
        ("USER:", "user:"),
        (" user:", "user:"),
        ("# user:", "user:"),
        ("assitant:", "assistant:"),
    ],
)
def test_what_is_nearly_a_role_is_refused_and_told_how_to_write_either(line: str, meant: str) -> None:
    error = refusal(f"system:\nA\n{line}\nB")
    assert f"write {meant!r}" in str(error)
    assert error.line == 3
    assert said(f"user:\nA\n\\{line.strip()}\nB") == f"A\n{line.strip()}\nB"


@pytest.mark.parametrize(
    "text", ["users:", "user: Hi", "The user:", "user", "Question:", "\\other:", "tools:", "user::"]
)
def test_what_is_no_role_is_text(text: str) -> None:
    assert said(f"A\n{text}\nB") == f"A\n{text}\nB"


def test_a_role_within_a_comment_a_raw_block_or_a_string_is_none() -> None:
    assert said("{#\nuser:\n#}A{% raw %}\nuser:\n{% endraw %}B{{ '\nuser:\n' }}{{ \"}}\nuser:\n\" }}") == (
        "A\nuser:\nB\nuser:\n}}\nuser:\n"
    )


def test_a_backslash_before_a_role_goes_one_at_a_time() -> None:
    assert said("\\user:\n\\\\user:") == "user:\n\\user:"


def test_text_before_the_first_role_is_refused() -> None:
    error = refusal("Hi\nuser:\nthere")
    assert "'Hi' belongs to no message" in str(error)
    assert error.line == 1


def test_a_value_before_the_first_role_is_refused_even_if_it_is_blank() -> None:
    assert "'' belongs to no message" in str(refusal("{{ x }}\nuser:\nHi", x=" "))


def test_text_after_an_inserted_conversation_is_refused() -> None:
    assert "'Hi' belongs to no message" in str(refusal("{% messages [] %}\nHi"))


def test_a_conversation_is_inserted_where_the_template_says_so() -> None:
    history = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]
    template = Template("system:\nS\n{% messages history %}\nuser:\n{{ q }}")
    assert template.render(history=history, q="C")[1:] == [*history, {"role": "user", "content": "C"}]
    assert template.render(history=[{"user": "A", "assistant": "B"}], q="C")[1:3] == history
    assert Template("{% messages history %}").render(history=history) == history


@pytest.mark.parametrize(
    ("history", "shown"),
    [
        ("user: Hi", "takes a list of messages, not 'user: Hi'"),
        ([{"role": "system", "content": "x"}], "not of 'system'"),
        ([{"role": "developer", "content": "x"}], "not of 'developer'"),
        ([{"content": "x"}], "has the role None"),
        (["x"], "not a message like"),
        (None, "not None"),
    ],
)
def test_what_is_inserted_are_messages_that_do_not_instruct(history: object, shown: str) -> None:
    assert shown in str(refusal("user:\n{% messages history %}", history=history))


def test_a_template_that_makes_no_messages_is_refused() -> None:
    assert "it makes no messages" in str(refusal("{% messages history %}", history=[]))


def test_examples_in_a_loop_begin_messages() -> None:
    source = "{% for q, a in shots %}\nuser:\n{{ q }}\nassistant:\n{{ a }}\n{% endfor %}\nuser:\nLast"
    messages = Template(source).render(shots=[("a", "b"), ("c", "d")])
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [message["content"] for message in messages] == ["a", "b", "c", "d", "Last"]


def test_a_macro_can_make_messages_but_they_are_no_text() -> None:
    macro = "{% macro ask(q) %}\nuser:\n{{ q }}\n{% endmacro %}\n"
    assert Template(macro + "{{ ask('a') }}{{ ask('b') }}").render() == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    assert "can't be used as text" in str(refusal(macro + "user:\n{{ ask('a') | upper }}"))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    source = "---\ninputs: {name: string, tone: {enum: [dry, warm]}, n: integer}\n---\n{{ name }} {{ tone }}\n{{ n }}"
    error = refusal(source, nmae="Ada", tone="wet")
    assert str(error) == (
        "a template: 4 things are wrong\n"
        "  tone = 'wet': it has to be one of 'dry', 'warm'\n"
        "  'name' is missing (line 4: {{ name }} {{ tone }})\n"
        "  'n' is missing (line 5: {{ n }})\n"
        "  'nmae' is unused: nothing in the template reads it; did you mean 'name'?"
    )
    assert (error.template, error.line) == ("a template", 4)


def test_what_is_missing_within_values_is_told_at_once_with_lines() -> None:
    error = refusal("{{ user.name }}\n{{ user.age }}\n{{ items[3] }}", user={"age": 5, "nam": 1}, items=[])
    assert str(error) == (
        "2 things are wrong\n"
        "a template, line 1: 'name' is not in the value, which has 'age', 'nam'\n"
        "    1 | {{ user.name }}\n"
        "a template, line 3: list object has no element 3\n"
        "    3 | {{ items[3] }}"
    )


def test_what_stops_a_rendering_is_told_with_what_was_missing_before() -> None:
    error = refusal("{{ a.b }}\n{{ 1 // n }}", a={}, n=0)
    assert "line 1: 'b' is not in the value, which has nothing" in str(error)
    assert "line 2: ZeroDivisionError" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_variable_that_the_template_tests_may_be_left_out() -> None:
    template = Template("{% if name is defined %}Hi {{ name }}{% else %}Hi{% endif %}{{ mark | default('!') }}")
    assert [template.render()[0]["content"], template.render(name="A", mark="?")[0]["content"]] == ["Hi!", "Hi A?"]
    assert not any(each.required for each in template.inputs.values())


def test_a_variable_may_have_the_name_of_something_of_jinja() -> None:
    assert (
        said("{{ namespace }}{{ dict }}{% for i in range(2) %}{{ i }}{% endfor %}", namespace="a", dict="b") == "ab01"
    )
    assert said("{{ this }}{{ variables }}", this=1, variables=2) == "12"
    assert "'self' is unused" in str(refusal("{{ self.x() }}", self=1))


def test_loop_variables_and_those_that_are_set_are_none_to_pass() -> None:
    template = Template(
        "{% set a = 1 %}{% for b in items %}{{ loop.index }}/{{ loop.length }}{{ b }}{% endfor %}{{ a }}"
    )
    assert list(template.inputs) == ["items"]
    assert template.render(items=["x"])[0]["content"] == "1/1x1"


@pytest.mark.parametrize(
    ("source", "line", "shown"),
    [
        ("", None, "there is no prompt in it"),
        ("A\n{{ x", 2, "its syntax is wrong: unexpected end of template"),
        ("A\n\n{% if %}", 3, "Expected an expression"),
        ("{{ x | nope }}", 1, "No filter named 'nope'"),
        ("{{ x is nope }}", 1, "No test named 'nope'"),
        ("{% for i in x recursive %}{% endfor %}", 1, "recursive loops"),
        ("{% block a %}{% endblock %}{% block a %}{% endblock %}", 1, "block 'a' defined twice"),
    ],
)
def test_a_template_that_is_none_is_refused_when_it_is_made(source: str, line: int | None, shown: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        Template(source)
    assert shown in str(caught.value)
    assert caught.value.line == line


def test_a_template_is_made_of_text() -> None:
    with pytest.raises(TemplateInvalid, match=r"not of .*Template.load\(path\) reads a file"):
        Template(Path("a.md"))  # type: ignore[arg-type] # that is the test


def test_it_shows_what_it_takes() -> None:
    template = Template("---\nname: hello\ninputs: {a: string, b: {default: 1}}\n---\n{{ a }}{{ b }}", name="x.md")
    assert repr(template) == "Template('x.md': a, b=1)"
    assert repr(Template("Hi")) == "Template('a template': no variables)"
    assert (template.name, Template("Hi").name, template.source[:3]) == ("hello", "a template", "---")


def test_it_survives_pickling_and_copying() -> None:
    template = Template("---\ninputs: {a: {default: 1}}\n---\n{{ a }}")
    for again in (pickle.loads(pickle.dumps(template)), copy.deepcopy(template)):
        assert again.render() == template.render()
        assert again.inputs == template.inputs


def test_changing_what_it_gave_away_does_not_change_it() -> None:
    template = Template("---\nparameters: {stop: [a]}\ninputs: {x: {default: [1]}}\n---\n{{ x }}")
    template.parameters["stop"].append("b")
    template.inputs.clear()
    template.sample["x"].append(2)
    assert template.parameters == {"stop": ["a"]}
    assert template.render()[0]["content"] == "[1]"


def test_a_template_that_is_rendered_within_another_keeps_its_errors_to_itself() -> None:
    class Lazy:
        @property
        def text(self) -> str:
            return str(said("{{ x }}", x="inner"))

    assert said("{{ lazy.text }}!", lazy=Lazy()) == "inner!"
    assert "line 2: 'b' is not in the value" in str(refusal("{{ lazy.text }}\n{{ a.b }}", lazy=Lazy(), a={}))


def test_threads_share_a_template() -> None:
    template = Template("{% for i in range(50) %}{{ text }}{% endfor %}")
    wrong: list[str] = []

    def work(text: str) -> None:
        for _ in range(20):
            if template.render(text=text)[0]["content"] != text * 50:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
