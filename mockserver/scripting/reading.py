"""How scripts are written: the same keys in YAML, in JSON and in Python, read with errors that name the line."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mockserver import faults
from mockserver.scripting.matching import CONDITIONS
from mockserver.scripting.options import BadOption, shown, suggestion
from mockserver.scripting.replies import reply
from mockserver.scripting.steps import OF_EVERY_STEP, Step

LineOf = Callable[[tuple[str | int, ...]], int | None]
Path_ = tuple[str | int, ...]


class ScriptError(ValueError):
    """A script that cannot be used; the message says where, what is wrong and what would be right."""


class Written(NamedTuple):
    """A script as somebody wrote it: its steps, and the seed of what is drawn (None: the server's)."""

    steps: tuple[Step, ...]
    seed: int | None = None


def script(path: str | Path) -> Written:
    """The script in a YAML file; ScriptError with file and line if there is something wrong with it."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ScriptError(f"cannot read the script {str(path)!r}: {exc}") from exc
    return from_yaml(text, source=str(path))


def from_yaml(text: str, *, source: str) -> Written:
    """The script in a YAML text; `source` is what errors call it."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise ScriptError(f"{source}: this is not YAML: {exc}") from exc
    twice = _repeated_key(root)
    if twice is not None:
        line = twice.start_mark.line + 1
        raise ScriptError(f"{source}:{line}: the key {twice.value!r} is there twice; leave one of them out")
    return from_data(data, source=source, line_of=_lines_of(root))


def _repeated_key(root: Any) -> Any:
    """The first key that its mapping has already, None if there is none: YAML would take the last in silence."""
    waiting, known = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in known:  # an alias
            continue
        known.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for index, (key, _) in enumerate(node.value):
                if (key.tag, key.value) in keys[:index] and key.value != "<<":
                    return key
            waiting += [value for _, value in reversed(node.value)]
    return None


def _lines_of(root: Any) -> LineOf:
    def line_of(path: tuple[str | int, ...]) -> int | None:
        node, line = root, root.start_mark.line + 1 if root is not None else None
        for part in path:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = node.value[part]
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == part]
                if not found:
                    return line
                line, node = found[0][0].start_mark.line + 1, found[0][1]
        return line

    return line_of


def from_data(data: Any, *, source: str, line_of: LineOf = lambda _path: None) -> Written:
    """The script in `{"steps": […], "seed": 7}`, or in the list of steps alone, parsed from YAML or JSON."""
    reader = _Reader(source, line_of)
    if isinstance(data, list):
        return Written(tuple(reader.step(item, (index,)) for index, item in enumerate(data)))
    if not isinstance(data, dict):
        raise reader.error((), f"a script is a mapping with `steps:`, not {shown(data)}")
    reader.check_keys(data, ("steps", "seed"), ())
    steps, seed = data.get("steps"), data.get("seed")
    if not isinstance(steps, list):
        raise reader.error(("steps",), f"steps is {shown(steps)}; it takes a list")
    if seed is not None and type(seed) is not int:
        raise reader.error(("seed",), f"seed is {shown(seed)}; it takes a whole number")
    return Written(tuple(reader.step(item, ("steps", index)) for index, item in enumerate(steps)), seed)


def step_from(data: dict[str, Any], *, source: str) -> Step:
    """The one step in `{"fault": …}`; ScriptError, which calls it `source`, if it is none."""
    return _Reader(source, lambda _path: None).step(data, ())


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads steps from parsed data, and says where something is wrong."""

    source: str
    line_of: LineOf

    def error(self, path: Path_, message: str) -> ScriptError:
        line = self.line_of(path)
        where = f"{self.source}:{line}" if line else f"{self.source}, {_spelt(path)}" if path else self.source
        return ScriptError(f"{where}: {message}")

    def check_keys(self, data: Mapping[Any, Any], known: Sequence[str], path: Path_) -> None:
        for key in data:
            if key not in known:
                raise self.error((*path, key), f"unknown key {key!r}; {suggestion(key, known)}")

    def step(self, data: Any, path: Path_) -> Step:
        if not isinstance(data, dict) or not {"fault", "faults", "reply"} & data.keys():
            raise self.error(path, f"a step is a mapping with `reply:` or `fault:` or both, not {shown(data)}")
        rest = {key: value for key, value in data.items() if key not in ("reply", "fault", "faults", *OF_EVERY_STEP)}
        step, rest = self.faults(data, rest, path)
        if "reply" in data:
            step = self.reply(data["reply"], rest, path, bent="fault" in data) & step
        elif rest:
            self.check_keys(rest, (), path)
        elif not step.faults:
            message = "the step does nothing: `faults` is empty, and there is no `reply:`; list a fault or leave it out"
            raise self.error((*path, "faults"), message)
        return self.given(step, data, path)

    def faults(self, data: dict[str, Any], rest: dict[str, Any], path: Path_) -> tuple[Step, dict[str, Any]]:
        """The faults of a step as a step, and the options that are left for its reply."""
        step = Step()
        if "fault" in data:
            name = self.name(data["fault"], (*path, "fault"))
            mine = rest if "reply" not in data else {key: rest[key] for key in _options(name) if key in rest}
            step &= self.fault(name, mine, path)
            rest = {key: value for key, value in rest.items() if key not in mine}
        listed = data.get("faults", [])
        if not isinstance(listed, list):
            raise self.error((*path, "faults"), f"faults is {shown(listed)}; it takes a list")
        for index, each in enumerate(listed):
            here = (*path, "faults", index)
            if not isinstance(each, dict) or "fault" not in each:
                raise self.error(here, f"an entry of `faults` is a mapping with `fault:`, not {shown(each)}")
            options = {key: value for key, value in each.items() if key != "fault"}
            step &= self.fault(self.name(each["fault"], (*here, "fault")), options, here)
        return step, rest

    def name(self, name: Any, path: Path_) -> str:
        if not isinstance(name, str) or name not in faults.names():
            raise self.error(path, f"unknown fault {name!r}; {suggestion(name, faults.names())}")
        return name

    def fault(self, name: str, options: dict[str, Any], path: Path_) -> Step:
        self.check_keys(options, [*_options(name), *OF_EVERY_STEP], path)
        missing = [each for each in _options(name, required=True) if each not in options]
        if missing:
            raise self.error((*path, "fault"), f"{name} needs {' and '.join(f'`{each}:`' for each in missing)}")
        try:
            return faults.make(name, **options)
        except BadOption as exc:
            raise self.error((*path, exc.option), str(exc)) from exc

    def reply(self, content: Any, options: dict[str, Any], path: Path_, *, bent: bool) -> Step:
        given = content if isinstance(content, dict) else {} if content is None else {"text": content}
        if isinstance(content, dict):
            self.check_keys(content, _REPLY, (*path, "reply"))
        of_fault = ["a parameter of its fault"] if bent else []
        self.check_keys(options, [*_REPLY, *of_fault, *OF_EVERY_STEP], path)
        twice = given.keys() & options.keys()
        if twice:
            raise self.error(path, f"{min(twice)} is given twice; leave one of them out")
        try:
            return reply(**given, **options)
        except BadOption as exc:
            where = (exc.option,) if exc.option in options else ("reply", exc.option)
            raise self.error((*path, *where), str(exc)) from exc

    def given(self, step: Step, data: Mapping[str, Any], path: Path_) -> Step:
        """The step with the keys that every step may have."""
        match = data.get("match", {})
        if not isinstance(match, dict):
            raise self.error(
                (*path, "match"), f"match is {shown(match)}; it takes a mapping of {', '.join(CONDITIONS)}"
            )
        try:
            step = step.given(match=match)
        except BadOption as exc:
            raise self.error((*path, "match", exc.option), str(exc)) from exc
        try:
            return step.given(**{key: data[key] for key in ("times", "probability", "then") if key in data})
        except BadOption as exc:
            raise self.error((*path, exc.option), str(exc)) from exc


def _options(name: str, *, required: bool = False) -> list[str]:
    """The parameters of a fault."""
    parameters = inspect.signature(faults.maker(name)).parameters.values()
    return [each.name for each in parameters if not required or each.default is each.empty]


_REPLY = tuple(
    name
    for name, each in inspect.signature(reply).parameters.items()
    if each.kind is not each.VAR_KEYWORD and name not in ("fault", *OF_EVERY_STEP)
)


def _spelt(path: Path_) -> str:
    """`steps[0].fault`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
