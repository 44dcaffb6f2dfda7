"""Template files: heads, declared inputs, includes, `.prompty`, and reading again what has changed.

Rows 2.I3, 2.T1 and 2.T4.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmkit import TemplateInvalid
from llmkit.templates import UNSET, Image, Template

HEAD = """\
---
name: support
description: Answers customers.
version: 2
model: gpt-4o
parameters: {temperature: 0, stop: ["\\n\\n"]}
inputs:
  question: {type: string, description: what they ask, sample: "Why?"}
  tone: {type: string, default: friendly, enum: [friendly, formal]}
  photo: {type: image, required: false}
sample: {tone: formal}
examples:
  - {user: Hi, assistant: Hello}
metadata: {owner: ops, since: 2026-11-20, country: no}
---
system:
Be {{ tone }}.
{% messages examples %}
user:
{{ question }}{{ photo if photo is defined else "" }}
"""


def refusal(source: str) -> TemplateInvalid:
    with pytest.raises(TemplateInvalid) as caught:
        Template(source)
    return caught.value


def test_a_head_says_what_a_template_is_and_takes() -> None:
    template = Template(HEAD)
    assert (template.name, template.description, template.model) == ("support", "Answers customers.", "gpt-4o")
    assert template.parameters == {"model": "gpt-4o", "temperature": 0, "stop": ["\n\n"]}
    assert template.metadata == {"owner": "ops", "since": "2026-11-20", "country": "no"}
    assert template.sample == {
        "question": "Why?",
        "tone": "formal",
        "examples": [{"user": "Hi", "assistant": "Hello"}],
    }
    question = template.inputs["question"]
    assert (question.type, question.required, question.default, question.line) == ("string", True, UNSET, 8)
    assert question.description == "what they ask"
    assert repr(UNSET) == "no default"


def test_a_template_is_tried_out_with_its_sample() -> None:
    template = Template(HEAD)
    assert [message["content"] for message in template.render(**template.sample)] == [
        "Be formal.",
        "Hi",
        "Hello",
        "Why?",
    ]


def test_the_address_of_an_image_becomes_one() -> None:
    [*_, message] = Template(HEAD).render(question="This?", photo="https://example.com/a.png")
    assert message["content"][1] == Image("https://example.com/a.png").part()
    with pytest.raises(TemplateInvalid, match=r"An image is at 'a\.png'"):
        Template(HEAD).render(question="This?", photo="a.png")


@pytest.mark.parametrize(
    ("head", "line", "shown"),
    [
        ("nme: x", 2, "'nme' is no key of a template's head; did you mean 'name'?"),
        ("name: x\nzzz: 1", 3, "the keys are name, description"),
        ("name: x\nname: y", 3, "'name' stands twice"),
        ("parameters:\n  a: 1\n  a: 2", 4, "'a' stands twice"),
        ("name: [", 2, "no YAML"),
        ("name: 5", 2, "name = 5: it has to be a text"),
        ("model: {a: 1}", 2, "model = {'a': 1}: it has to be a text"),
        ("parameters: 5", 2, "parameters = 5: it has to be a mapping"),
        ("parameters: {messages: []}", 2, "'messages' is no parameter here"),
        ("parameters:\n  model: x", 3, "'model' is no parameter here"),
        ("metadata: 3", 2, "metadata = 3: it has to be a mapping"),
        ("- a", 2, "its head is ['a']"),
        ("5: a", 2, "a key of its head is no text"),
        ("a: &x 1\nb: *x", 3, "aliases are not read here"),
        ("name: !!python/object/apply:os.system [ls]", 2, "no YAML"),
        ("inputs: 3", 2, "inputs = 3: it has to be a mapping"),
        ("inputs:\n  x: strng", 3, "input x has the type 'strng': the types are any, string"),
        ("inputs:\n  x: {typ: string}", 3, "it takes type, default"),
        ("inputs:\n  x: {enum: 3}", 3, "enum has to be a list"),
        ("inputs:\n  x: {type: integer, default: a}", 3, "the default of an input does not fit: x = 'a'"),
        ("inputs:\n  x:\n    type: integer\n    sample: a", 5, "the sample of an input does not fit"),
        ("inputs: [x, x]", 2, "inputs has 'x' twice"),
        ("inputs: [3]", 2, "an input is 3"),
        ("inputs: {a b: string}", 2, "an input is called 'a b'"),
        ("inputs: {x: any, y: any}", 2, "it declares 'y', but reads no such variable"),
        ("inputs: {z: any}", 5, "it reads 'x', which its inputs do not declare"),
        ("sample: {y: 1}", 2, "sample has 'y', which is no input"),
        ("inputs: {x: string}\nsample: {x: 1}", 3, "a sample does not fit: x = 1"),
        ("examples: 3", 2, "examples has to be a list"),
        ("examples: [{user: a}]", 2, "it declares 'examples', but reads no such variable"),
    ],
)
def test_what_is_wrong_with_a_head_is_told_with_its_line(head: str, line: int, shown: str) -> None:
    filler = "\n" if head == "inputs: {z: any}" else ""
    error = refusal(f"---\n{head}\n---\n{filler}{{{{ x }}}}")
    assert shown in str(error)
    assert error.line == line


def test_a_head_that_never_ends_is_refused() -> None:
    assert "its head begins with --- and never ends" in str(refusal("---\nname: x\nHi"))


def test_lines_in_the_body_are_those_of_the_file() -> None:
    with pytest.raises(TemplateInvalid) as caught:
        Template("---\nname: x\n---\n\nuser:\n{{ x.y }}").render(x=1)
    assert caught.value.line == 6
    assert "    6 | {{ x.y }}" in str(caught.value)


@pytest.mark.parametrize("text", ["A ---\n---\nB", "--\nA", "----\nA", "\n---\nA\n---"])
def test_dashes_elsewhere_are_text(text: str) -> None:
    assert Template(text).render()[0]["content"] == text.strip("\n")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "a", 1),
        ("integer", 1, True),
        ("number", 1.5, "1"),
        ("boolean", True, 1),
        ("list", [1], "a"),
        ("array", (1,), {}),
        ("object", {"a": 1}, []),
        ("image", Image("https://example.com"), 5),
    ],
)
def test_a_type_takes_what_it_says(kind: str, good: object, bad: object) -> None:
    template = Template(f"---\ninputs: {{x: {kind}}}\n---\nuser:\n{{{{ x }}}}")
    assert template.render(x=good)
    with pytest.raises(TemplateInvalid, match=r"x = .*: it has to be"):
        template.render(x=bad)


def test_inputs_can_be_a_list_of_names() -> None:
    assert list(Template("---\ninputs: [a, b]\n---\n{{ a }}{{ b }}").inputs) == ["a", "b"]


def test_a_file_is_read_with_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/rules.md").write_text("Rule: {{ rule }}\n{% include 'parts/more.md' %}\n")
    (tmp_path / "parts/more.md").write_text("user:\nAsked: {{ q }}")
    (tmp_path / "main.md").write_bytes("\ufeffsystem:\r\n{% include 'parts/rules.md' %}\r\n".encode())
    template = Template.load(tmp_path / "main.md")
    assert template.render(rule="A", q="B") == [
        {"role": "system", "content": "Rule: A"},
        {"role": "user", "content": "Asked: B"},
    ]
    with pytest.raises(TemplateInvalid) as caught:
        template.render(rule="A")
    assert f"'q' is missing (line 2 of {tmp_path}/parts/more.md: Asked: {{{{ q }}}})" in str(caught.value)


def test_an_error_within_an_include_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "part.md").write_text("A\n{{ x.y }}")
    (tmp_path / "main.md").write_text("user:\n{% include 'part.md' %}")
    with pytest.raises(TemplateInvalid) as caught:
        Template.load(tmp_path / "main.md").render(x={})
    assert (caught.value.template, caught.value.line) == (f"{tmp_path}/part.md", 2)
    (tmp_path / "part.md").write_text("A\n\n{{ x ")
    with pytest.raises(TemplateInvalid) as caught:
        Template.load(tmp_path / "main.md")
    assert (caught.value.template, caught.value.line) == (f"{tmp_path}/part.md", 3)


def test_templates_extend_and_import_one_another(tmp_path: Path) -> None:
    (tmp_path / "base.md").write_text("system:\n{% block rules %}None.{% endblock %}\nuser:\n{{ q }}")
    (tmp_path / "macros.md").write_text("{% macro ask(q) %}<{{ q }}>{% endmacro %}")
    (tmp_path / "main.md").write_text(
        "{% extends 'base.md' %}{% from 'macros.md' import ask %}"
        "{% block rules %}{{ ask(rule) }}{{ super() }}{% endblock %}"
    )
    assert Template.load(tmp_path / "main.md").render(rule="A", q="B")[0]["content"] == "<A>None."


def test_an_included_file_has_the_variables_of_the_loop_around_it(tmp_path: Path) -> None:
    (tmp_path / "row.md").write_text("{{ row }}{{ mark }}")
    source = "{% for row in rows %}{% include 'row.md' %}{% endfor %}"
    template = Template(source, directory=tmp_path)
    assert template.render(rows=["a", "b"], mark=".")[0]["content"] == "a.b."
    assert {name for name, each in template.inputs.items() if each.required} == {"rows", "mark"}
    with pytest.raises(TemplateInvalid, match="'mark' is missing"):
        template.render(rows=[])
    declared = f"---\ninputs: {{rows: list, mark: string}}\n---\n{source}"
    assert Template(declared, directory=tmp_path).render(rows=["a"], mark="!")[0]["content"] == "a!"


def test_an_import_that_needs_variables_says_so(tmp_path: Path) -> None:
    (tmp_path / "macros.md").write_text("{% macro ask() %}{{ q }}{% endmacro %}")
    (tmp_path / "main.md").write_text("{% from 'macros.md' import ask %}{{ ask() }}")
    with pytest.raises(TemplateInvalid, match="it reads 'q', but is imported without the variables"):
        Template.load(tmp_path / "main.md")
    (tmp_path / "main.md").write_text("{% from 'macros.md' import ask with context %}{{ ask() }}")
    assert Template.load(tmp_path / "main.md").render(q="A")[0]["content"] == "A"


@pytest.mark.parametrize(
    "name",
    ["../secret.md", "a/../../secret.md", "/etc/passwd", "..", "link.md", "linked/secret.md", "C:x", "a\\\\b", ""],
)
def test_nothing_outside_of_the_directory_is_included(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    inside = tmp_path / "prompts"
    inside.mkdir()
    (inside / "link.md").symlink_to(tmp_path / "secret.md")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "main.md").write_text(f"{{% include '{name}' %}}")
    with pytest.raises(TemplateInvalid, match="which is not below") as caught:
        Template.load(inside / "main.md")
    assert caught.value.line == 1


def test_a_wider_directory_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "shared.md").write_text("S")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/main.md").write_text("{% include 'shared.md' %}")
    assert Template.load(tmp_path / "a/main.md", directory=tmp_path).render()[0]["content"] == "S"
    assert Template("{% include 'shared.md' %}", directory=tmp_path).render()[0]["content"] == "S"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{% include 'absent.md' %}", "it includes 'absent.md', which is not there"),
        ("{% include x %}", "what it includes is not written out"),
        ("{% include ['a', x] %}", "what it includes is not written out"),
        ("{% import x as y %}{{ y }}", "what it imports is not written out"),
        ("{% include 'head.md' %}", "an included template has no head of its own"),
        ("{% include 'folder' %}", "it cannot be read"),
        ("{% include 'main.md' %}", "includes or calls itself without end"),
    ],
)
def test_an_include_that_cannot_be_is_refused(source: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "head.md").write_text("---\nname: x\n---\nHi")
    (tmp_path / "folder").mkdir()
    (tmp_path / "main.md").write_text(source)
    with pytest.raises(TemplateInvalid) as caught:
        Template.load(tmp_path / "main.md").render()
    assert shown in str(caught.value)
    assert caught.value.line == 1


def test_an_include_may_be_missing_where_the_template_says_so(tmp_path: Path) -> None:
    template = Template(
        "A{% include 'absent.md' ignore missing %}{% include ['b.md', 'c.md'] ignore missing %}", directory=tmp_path
    )
    assert template.render()[0]["content"] == "A"
    (tmp_path / "c.md").write_text("C")
    template = Template("A{% include ['b.md', 'c.md'] ignore missing %}", directory=tmp_path)
    assert template.render()[0]["content"] == "AC"


def test_a_string_includes_nothing() -> None:
    assert "belongs to no directory: pass directory" in str(refusal("{% include 'a.md' %}"))


def test_a_file_is_compiled_once_and_again_when_it_or_an_include_changes(tmp_path: Path) -> None:
    main, part = tmp_path / "main.md", tmp_path / "part.md"
    main.write_text("A{% include 'part.md' %}")
    part.write_text("1")
    first = Template.load(main)
    assert Template.load(main) is first
    for file, text, said in [(part, "22", "A22"), (main, "BB{% include 'part.md' %}", "BB22")]:
        file.write_text(text)
        assert Template.load(main).render()[0]["content"] == said
    assert first.render()[0]["content"] == "A1"
    part.unlink()
    with pytest.raises(TemplateInvalid, match="which is not there"):
        Template.load(main)


def test_a_rendering_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "part.md").write_text("1")
    template = Template("{% include 'part.md' %}", directory=tmp_path)
    (tmp_path / "part.md").unlink()
    assert template.render()[0]["content"] == "1"


def test_a_file_that_is_not_there_or_no_text_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.md"):
        Template.load(tmp_path / "absent.md")
    (tmp_path / "latin.md").write_bytes("A\nä".encode("latin-1"))
    with pytest.raises(TemplateInvalid, match=r"latin.md, line 2: it is not UTF-8 text"):
        Template.load(tmp_path / "latin.md")


def test_many_files_can_be_loaded(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.md").write_text(str(number))
    loaded = [Template.load(tmp_path / f"{number}.md") for number in range(300)]
    assert [template.render()[0]["content"] for template in loaded] == [str(number) for number in range(300)]


PROMPTY_1 = """\
---
name: Basic Prompt
description: A basic prompt
authors: [ada]
model:
  api: chat
  configuration:
    type: azure_openai
    azure_deployment: gpt-4o
    azure_endpoint: ${env:AZURE_OPENAI_ENDPOINT}
    api_version: 2024-07-01-preview
  parameters:
    max_tokens: 128
sample:
  question: Who?
inputs:
  question:
    type: string
  firstName: Ada
---
# System:
You help {{ firstName }}.

User[name="ada"]:
{{ question }}
"""
PROMPTY_2 = """\
---
name: greeting
model:
  id: gpt-4o-mini
  provider: openai
  connection: {kind: key, apiKey: "${env:OPENAI_API_KEY}"}
  options: {temperature: 0.5, maxOutputTokens: 9}
inputs:
  - name: name
    kind: string
    default: World
template:
  format: {kind: jinja2}
  parser: {kind: prompty}
---
Greet {{ name }}.
"""


def test_a_prompty_file_of_version_1_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.prompty").write_text(PROMPTY_1)
    template = Template.load(tmp_path / "a.prompty")
    assert (template.name, template.parameters) == ("Basic Prompt", {"model": "gpt-4o", "max_tokens": 128})
    assert template.metadata == {"authors": ["ada"]}
    assert template.render(**template.sample) == [
        {"role": "system", "content": "You help Ada."},
        {"role": "user", "name": "ada", "content": "Who?"},
    ]


def test_a_prompty_file_of_version_2_is_read_and_begins_with_the_system() -> None:
    template = Template(PROMPTY_2, prompty=True)
    assert template.parameters == {"model": "gpt-4o-mini", "temperature": 0.5, "max_completion_tokens": 9}
    assert template.render() == [{"role": "system", "content": "Greet World."}]


@pytest.mark.parametrize(
    ("source", "line", "shown"),
    [
        ("---\nmodel: {api: completion}\n---\nHi", 2, "its api is 'completion'"),
        ("---\ntemplate: mustache\n---\nHi", 2, "its engine is 'mustache'"),
        ("---\nbase: other.prompty\n---\nHi", 2, "'base' of Prompty is not understood here"),
        ("---\nmodl: x\n---\nHi", 2, "'modl' is no key"),
        ("Hi\n![thread]\n", 2, "{% messages thread %}"),
        ("Hi\n![photo]({{ url }})\n", 2, "{{ photo }}"),
        ("Hi\ntools:\n", 2, "'tools' is no role here"),
        ("Hi\nassitant:\n", 2, "nearly a role"),
    ],
)
def test_what_prompty_has_and_we_do_not_is_refused(source: str, line: int, shown: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        Template(source, prompty=True)
    assert shown in str(caught.value)
    assert caught.value.line == line


def test_a_deployment_that_the_environment_names_is_left_to_the_client() -> None:
    head = "---\nmodel:\n  configuration: {azure_deployment: '${env:DEPLOYMENT}'}\n---\nHi"
    assert Template(head, prompty=True).model is None


@pytest.mark.parametrize("name", ["main.md", "part.md"])
def test_a_file_with_the_same_size_and_time_but_another_inode_is_read_again(name: str, tmp_path: Path) -> None:
    (tmp_path / "main.md").write_text("A{% include 'part.md' %}")
    (tmp_path / "part.md").write_text("A")
    before = Template.load(tmp_path / "main.md")
    time = (tmp_path / name).stat().st_mtime_ns
    (tmp_path / "new").write_text((tmp_path / name).read_text().replace("A", "B"))
    (tmp_path / "new").replace(tmp_path / name)
    os.utime(tmp_path / name, ns=(time, time))
    assert Template.load(tmp_path / "main.md").render() != before.render()


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "main.md").write_text("x {% include 'loop.md' %}")
    with pytest.raises(TemplateInvalid, match=r"line 1: it includes 'loop\.md'"):
        Template.load(tmp_path / "main.md")


def test_a_pipe_is_no_template_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "main.md").write_text("x {% include 'pipe.md' %}")
    with pytest.raises(
        TemplateInvalid, match=r"line 1: it includes 'pipe.md', but it cannot be read: .*no regular file"
    ):
        Template.load(tmp_path / "main.md")
    with pytest.raises(OSError, match="no regular file"):
        Template.load(tmp_path / "pipe.md")


def test_a_path_that_cannot_be_is_refused() -> None:
    with pytest.raises(TemplateInvalid, match="no path of a file"):
        Template.load("a\0b")


def test_files_that_include_each_other_again_and_again_come_to_an_end(tmp_path: Path) -> None:
    """A billion inclusions of nothing take no memory, and would take a day."""
    for number in range(9):
        (tmp_path / f"{number}.md").write_text(f"{{% include '{number + 1}.md' %}}" * 10)
    (tmp_path / "9.md").write_text("{# nothing #}")
    template = Template.load(tmp_path / "0.md")
    with pytest.raises(TemplateInvalid, match="1,000,000 steps"):
        template.render()


@pytest.mark.parametrize("kind", ["[1]", "{a: 1}", "5", "true"])
def test_a_type_that_is_no_word_is_refused(kind: str) -> None:
    with pytest.raises(TemplateInvalid, match="line 2: input a has the type"):
        Template(f"---\ninputs: {{a: {{type: {kind}}}}}\n---\n{{{{ a }}}}")
