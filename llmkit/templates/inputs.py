"""The variables that a template declares: types, defaults, samples, and what is wrong with a value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.messages import Dumpable
from llmkit.templates.content import Image, Part
from llmkit.templates.front_matter import Head


class _Unset:
    """No default; None is one."""

    def __repr__(self) -> str:
        return "no default"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET = _Unset()

TYPES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "any": ("anything", lambda _: True),
    "string": ("a text", lambda value: isinstance(value, str)),
    "integer": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "boolean": ("True or False", lambda value: isinstance(value, bool)),
    "list": ("a list", lambda value: isinstance(value, list | tuple)),
    "object": ("a mapping", lambda value: isinstance(value, Mapping | Dumpable)),
    "image": ("an Image, or the address of one", lambda value: isinstance(value, Image | Part | str)),
    "messages": ("a list of messages", lambda value: isinstance(value, list | tuple)),
}
_ALIASES = {"array": "list", "str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean"}
_ALIASES |= {"dict": "object", "mapping": "object", "thread": "messages"}
KEYS = ("type", "default", "required", "description", "sample", "enum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A variable of a template; `default` is UNSET where it has none, and `line` where it is declared or first read.

    `declared` is False for a variable of a template that declares none: then anything is taken for it.
    """

    name: str
    type: str = "any"
    required: bool = True
    default: Any = UNSET
    sample: Any = UNSET
    description: str = ""
    choices: tuple[Any, ...] = ()
    line: int | None = None
    declared: bool = False

    def problem(self, value: object) -> str | None:
        """What is wrong with a value for this variable, None if nothing is."""
        said, fits = TYPES[self.type]
        if not fits(value):
            return f"{self.name} = {excerpt(value)}: it has to be {said}"
        if self.choices and value not in self.choices:
            return f"{self.name} = {excerpt(value)}: it has to be one of {', '.join(map(repr, self.choices))}"
        return None

    def taken(self, value: object) -> object:
        """The value as the template gets it: the address of an image as an Image."""
        return Image(value) if self.type == "image" and isinstance(value, str) else value


def declared(head: Head) -> dict[str, Input] | None:
    """The inputs of a template's head, None where it declares none; raises TemplateInvalid for what is no input."""
    said = head.values.get("inputs")
    if said is None:
        return None
    if isinstance(said, list):
        found = [_of_list(head, index, each) for index, each in enumerate(said)]
    else:
        found = [_input(head, name, value, ("inputs", name)) for name, value in head.mapping("inputs").items()]
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise head.error(f"inputs has {name!r} twice", "inputs")
    return {each.name: each for each in found}


def _of_list(head: Head, index: int, said: object) -> Input:
    """An input of a list: its name alone, or a mapping that has its name."""
    path = ("inputs", str(index))
    if isinstance(said, str):
        return _input(head, said, {}, path)
    if isinstance(said, dict) and isinstance(said.get("name"), str):
        facts = {("type" if key == "kind" else key): value for key, value in said.items() if key != "name"}
        return _input(head, said["name"], facts, path)
    raise head.error(f"an input is {excerpt(said)}: it has to be a name, or a mapping with `name`", *path)


def _input(head: Head, name: str, said: object, path: tuple[str, ...]) -> Input:
    facts = {} if said is None else {"type": said} if isinstance(said, str) else said
    if not name.isidentifier():
        raise head.error(f"an input is called {name!r}: a variable's name has letters, digits and _", *path)
    if not isinstance(facts, dict) or not set(facts) <= set(KEYS):
        raise head.error(f"input {name} is {excerpt(said)}: it takes {', '.join(KEYS)}, or a type alone", *path)
    kind, choices, required = facts.get("type", "any"), facts.get("enum", []), facts.get("required")
    kind = _ALIASES.get(kind, kind) if isinstance(kind, str) else kind
    if not isinstance(kind, str) or kind not in TYPES:
        raise head.error(f"input {name} has the type {kind!r}: the types are {', '.join(TYPES)}", *path)
    if not isinstance(choices, list) or not isinstance(required, bool | None):
        raise head.error(f"input {name}: enum has to be a list, required true or false", *path)
    default = facts.get("default", UNSET)
    made = Input(
        name=name,
        type=str(kind),
        required=default is UNSET and required is not False,
        default=default,
        sample=facts.get("sample", UNSET),
        description=str(facts.get("description", "")),
        choices=tuple(choices),
        line=head.line(*path),
        declared=True,
    )
    _check(head, made, path)
    return made


def _check(head: Head, made: Input, path: tuple[str, ...]) -> None:
    """Raises TemplateInvalid for a default or sample that the input itself would not take."""
    for word, value in (("default", made.default), ("sample", made.sample)):
        if value is not UNSET and not (value is None and word == "default") and (problem := made.problem(value)):
            raise head.error(f"the {word} of an input does not fit: {problem}", *path, word)


def sample_of(head: Head, inputs: Mapping[str, Input]) -> dict[str, Any]:
    """A value for each input that has a sample or default; raises TemplateInvalid for samples of unknown inputs."""
    found = {
        name: each.default if each.sample is UNSET else each.sample
        for name, each in inputs.items()
        if not (each.sample is UNSET and each.default is UNSET)
    }
    for name, value in head.mapping("sample").items():
        if name not in inputs:
            raise head.error(f"sample has {name!r}, which is no input: they are {', '.join(inputs)}", "sample", name)
        if problem := inputs[name].problem(value):
            raise head.error(f"a sample does not fit: {problem}", "sample", name)
        found[name] = value
    return found


def refuse(problems: list[str], template: str, line: int | None) -> TemplateInvalid:
    """One error of all that is wrong with what a template was given."""
    [first, *more] = problems
    message = (
        f"{template}: {first}"
        if not more
        else f"{template}: {len(problems)} things are wrong\n  " + "\n  ".join(problems)
    )
    return TemplateInvalid(message, template=template, line=line)
