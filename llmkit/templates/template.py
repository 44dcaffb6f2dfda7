"""A prompt as a template: made once, from a file or a string, then rendered into messages."""

import copy
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

from jinja2.exceptions import UndefinedError

from llmkit.errors import TemplateInvalid
from llmkit.templates import prompty as dialect
from llmkit.templates.assembly import Assembly
from llmkit.templates.compiling import MAIN, Compiled, compiled, gathered
from llmkit.templates.engine import place_in, running, standing_at
from llmkit.templates.front_matter import KEYS, Head, check_keys, split
from llmkit.templates.inputs import UNSET, Input, declared, refuse, sample_of
from llmkit.templates.sources import Directory, Source, plain, read_text, stamps


class Template:
    r"""A prompt with variables, made of a string, or of a file by `Template.load(path)`.

        template = Template("system:\nYou are terse.\nuser:\n{{ question }}")
        client.chat(template.render(question="Why?"), **template.parameters)

    Without a line that holds a role, all of it is one user message. Everything that can be known without values is
    checked at once: syntax, includes, and that the variables declared are those that are read. Raises TemplateInvalid,
    whose message has the template, the line, and how it reads.

    `name` is what messages call it, `directory` where it may include from, `prompty` whether it is written as a
    `.prompty` file. Templates never change, and one serves any number of threads.
    """

    __slots__ = ("_body", "_compiled", "_directory", "_head", "_inputs", "_members", "_prompty", "_source")

    def __init__(
        self,
        source: str,
        *,
        name: str = "a template",
        directory: str | PathLike[str] | None = None,
        prompty: bool = False,
    ) -> None:
        self._source = Source(name, plain(source))
        self._directory = None if directory is None else Path(directory)
        self._prompty = prompty
        self._head, self._body = _halves(self._source, as_prompty=prompty)
        self._members = gathered(self._body, Directory(self._directory), as_prompty=prompty)
        self._compiled = compiled(self._members)
        self._inputs = _inputs(self._head, self._compiled)
        _check_parameters(self._head)
        sample_of(self._head, self._inputs)

    @classmethod
    def load(cls, path: str | PathLike[str], *, directory: str | PathLike[str] | None = None) -> "Template":
        """The template in a file, UTF-8; a name that ends in `.prompty` says that it is written so.

        It may include files below `directory`, which is the file's own unless another is named. A file is read again
        when it, or one that it includes, has changed. Raises OSError, and TemplateInvalid.
        """
        file = Path(path)
        if "\0" in str(file):
            raise TemplateInvalid(f"{str(file)!r} is no path of a file")
        return _load(file, file.parent if directory is None else Path(directory))

    @property
    def name(self) -> str:
        """The name from the head of the template, or what messages call it."""
        return self._head.text("name") or self._source.name

    @property
    def description(self) -> str:
        """What the template is for, as its head says; "" where it doesn't."""
        return self._head.text("description") or ""

    @property
    def model(self) -> str | None:
        """The model or deployment that it asks for, None if it doesn't."""
        return self._head.text("model")

    @property
    def parameters(self) -> dict[str, Any]:
        """What goes to `client.chat` beside the messages: the parameters of the head, with `model` if it names one."""
        model = {} if self.model is None else {"model": self.model}
        return model | copy.deepcopy(self._head.mapping("parameters"))

    @property
    def metadata(self) -> dict[str, Any]:
        """What its head says that is no matter of ours: `metadata`; of a `.prompty` file its authors, tags, outputs."""
        return copy.deepcopy(self._head.mapping("metadata"))

    @property
    def inputs(self) -> dict[str, Input]:
        """The variables, by name: those that it declares, or else those that it reads."""
        return dict(self._inputs)

    @property
    def sample(self) -> dict[str, Any]:
        """Values to try it with: `template.render(**template.sample)`; inputs without sample or default are absent."""
        return copy.deepcopy(sample_of(self._head, self._inputs))

    @property
    def source(self) -> str:
        """The template as it was written."""
        return self._source.text

    def render(self, /, **variables: object) -> list[dict[str, Any]]:
        """The messages, ready for `client.chat(messages, **template.parameters)`.

        What a value holds stays in the message where the template put it. Raises TemplateInvalid that names every
        variable that is missing, unused, or of the wrong type.
        """
        values = self._bound(variables)
        assembly = Assembly(self._default_role())
        with running() as run:
            pieces = self._compiled.environment.pieces(MAIN, values)
            failure: Exception | None = None
            try:
                for piece in pieces:
                    assembly.add(piece)
                messages = assembly.end()
            except Exception as error:  # noqa: BLE001 - what a template does can fail in any way; it is raised below
                failure = error
            problems = [self._at(template, line, f"{what}") for template, line, what in run.missing]
            if failure is not None:
                place = place_in(failure.__traceback__)
                problems.append(self._at(*(place if place[1] else standing_at(pieces)), _reason(failure)))
        if problems:
            raise _combined(problems) from failure
        if not messages:
            raise TemplateInvalid(f"{self._source.name}: it makes no messages", template=self._source.name)
        return messages

    def _bound(self, variables: Mapping[str, object]) -> dict[str, object]:
        """A value for every variable; raises TemplateInvalid where one is missing, unused or wrong."""
        problems = [each.problem(variables[name]) for name, each in self._inputs.items() if name in variables]
        found = [problem for problem in problems if problem]
        missing = [each for name, each in self._inputs.items() if each.required and name not in variables]
        found += [f"{each.name!r} is missing{self._where(each)}" for each in missing]
        found += [self._unused(name, variables) for name in variables if name not in self._inputs]
        if found:
            uses_of = (self._compiled.first_use(each.name) for each in missing)
            line = next((use.line for use in uses_of if use), None)
            raise refuse(found, self._source.name, line)
        defaults = {name: each.default for name, each in self._inputs.items() if each.default is not UNSET}
        return {name: self._inputs[name].taken(value) for name, value in (defaults | dict(variables)).items()}

    def _where(self, each: Input) -> str:
        use = self._compiled.first_use(each.name)
        if use is None:
            return ""
        elsewhere = "" if use.source.name == self._source.name else f" of {use.source.name}"
        return f" (line {use.line}{elsewhere}: {self._original(use.source).line(use.line)})"

    def _unused(self, name: str, variables: Mapping[str, object]) -> str:
        free = [each for each in self._inputs if each not in variables]
        near = get_close_matches(name, free, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(self._inputs) or 'no variables'}"
        return f"{name!r} is unused: nothing in the template reads it; {hint}"

    def _default_role(self) -> str | None:
        """Whose message text is that follows no role, None where roles are written."""
        if self._prompty:
            return "system"
        return None if self._compiled.has_roles else "user"

    def _original(self, source: Source) -> Source:
        return self._source if source.name == self._source.name else source

    def _at(self, template: str | None, line: int | None, what: str) -> TemplateInvalid:
        source = self._original(self._compiled.sources.get(template or MAIN, self._source))
        return source.error(what, line=line)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._source.text, self._source.name, self._directory, self._prompty)

    def __repr__(self) -> str:
        inputs = (name if each.default is UNSET else f"{name}={each.default!r}" for name, each in self._inputs.items())
        return f"Template({self._source.name!r}: {', '.join(inputs) or 'no variables'})"


_loaded: dict[tuple[Path, Path], tuple[object, Template]] = {}
_MOST_LOADED = 256


def _load(file: Path, directory: Path) -> Template:
    """The template in a file, from the files or from last time if none of them has changed."""
    before = _loaded.get((file, directory))
    if before is not None and before[0] == stamps(_files(file, before[1])):
        return before[1]
    text = read_text(file)
    template = Template(text, name=str(file), directory=directory, prompty=file.suffix == ".prompty")
    if len(_loaded) >= _MOST_LOADED:
        _loaded.clear()
    _loaded[file, directory] = stamps(_files(file, template)), template
    return template


def _files(file: Path, template: Template) -> Iterator[Path]:
    yield file
    for member in template._members:  # noqa: SLF001 - of this module
        if member.file is not None:
            yield member.file


def _again(source: str, name: str, directory: Path | None, prompty: bool) -> Template:  # noqa: FBT001 - of a pickle
    return Template(source, name=name, directory=directory, prompty=prompty)


def _halves(source: Source, *, as_prompty: bool) -> tuple[Head, Source]:
    """The head, as one of ours, and the body."""
    head, body = split(source)
    if not body.text.strip():
        raise source.error("there is no prompt in it")
    if as_prompty:
        dialect.check_body(body)
        return dialect.translated(head), body
    check_keys(head, KEYS)
    return head, body


def _inputs(head: Head, template: Compiled) -> dict[str, Input]:
    """The inputs that the head declares, or those that the template reads; raises TemplateInvalid where both differ."""
    read = template.names
    found = declared(head)
    if found is None:
        found = {
            name: Input(name=name, required=name not in template.may_lack | template.perhaps, line=use.line)
            for name, use in read.items()
        }
    if "examples" in head.values:
        found["examples"] = _examples(head)
    strangers = [name for name in read if name not in found and name not in template.perhaps]
    idle = [name for name in found if name not in read]
    if strangers:
        use = read[strangers[0]]
        names = ", ".join(map(repr, strangers))
        raise use.source.error(
            f"it reads {names}, which its inputs do not declare: they are {', '.join(found)}", line=use.line
        )
    if idle:
        path = ("examples",) if idle == ["examples"] else ("inputs", idle[0])
        raise head.error(f"it declares {', '.join(map(repr, idle))}, but reads no such variable", *path)
    return found


def _examples(head: Head) -> Input:
    examples = head.values["examples"]
    if not isinstance(examples, list) or not examples:
        raise head.error("examples has to be a list of {user: …, assistant: …}", "examples")
    return Input(
        name="examples", type="messages", required=False, default=examples, line=head.line("examples"), declared=True
    )


def _check_parameters(head: Head) -> None:
    """Raises TemplateInvalid for parameters that are no parameters, before anything is rendered."""
    for key in ("name", "description", "model", "version"):
        head.text(key)
    head.mapping("metadata")
    for name in head.mapping("parameters"):
        if name in ("messages", "model", "stream"):
            raise head.error(f"{name!r} is no parameter here: `model` stands beside them", "parameters", name)


def _reason(failure: Exception) -> str:
    """What went wrong while a template was rendered."""
    if isinstance(failure, TemplateInvalid):
        return failure.message
    if isinstance(failure, RecursionError):
        return "it includes or calls itself without end"
    if isinstance(failure, UndefinedError):
        return str(failure.message)
    return f"{type(failure).__name__}: {failure}"


def _combined(problems: list[TemplateInvalid]) -> TemplateInvalid:
    [first, *more] = problems
    if not more:
        return first
    message = "\n".join([f"{len(problems)} things are wrong", *(each.message for each in problems)])
    return TemplateInvalid(message, template=first.template, line=first.line)
