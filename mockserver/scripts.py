"""Scripts: ordered steps, written in Python, YAML or JSON, taken one a request."""

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from mockserver import faults
from mockserver.calls import Call
from mockserver.matching import Condition
from mockserver.options import BadOption, shown, suggestion
from mockserver.replies import reply
from mockserver.steps import Step

LineOf = Callable[[tuple[str | int, ...]], int | None]

_CONDITIONS = tuple(field.name for field in fields(Condition))


class ScriptError(ValueError):
    """A script that cannot be used; the message says where, what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request got from the script: a step or nothing, and why earlier steps left it alone."""

    step: Step | None
    misses: tuple[str, ...] = ()


class Script:
    """Steps still to be taken; safe to use from any thread."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, Step]] = []
        self._added = 0
        self.extend(steps)

    def extend(self, steps: Iterable[Step]) -> None:
        """Append steps."""
        with self._lock:
            for step in steps:
                if not isinstance(step, Step):
                    raise TypeError(f"{step!r} is no step; make steps with reply(…) and fault.…(…)")
                self._added += 1
                self._waiting.append((self._added, step))

    def clear(self) -> None:
        """Forget every step."""
        with self._lock:
            self._waiting.clear()
            self._added = 0

    def take(self, call: Call) -> Taken:
        """The first step that matches `call`, used up by one."""
        misses: list[str] = []
        with self._lock:
            for index, (number, step) in enumerate(self._waiting):
                mismatch = step.mismatch(call)
                if not mismatch:
                    self._use(index, number, step)
                    return Taken(step, tuple(misses))
                misses.append(f"step {number} ({step.action.label}): {mismatch}")
        return Taken(None, tuple(misses))

    def _use(self, index: int, number: int, step: Step) -> None:
        if step.repeats == 1:
            del self._waiting[index]
        elif step.repeats is not None:
            self._waiting[index] = (number, replace(step, repeats=step.repeats - 1))

    def left(self) -> list[Step]:
        """The steps still to be taken."""
        with self._lock:
            return [step for _, step in self._waiting]

    def spec(self) -> list[dict[str, Any]]:
        """What is still to be taken, as scripts write it."""
        return [step.spec() for step in self.left()]


def script(path: str | Path) -> tuple[Step, ...]:
    """The steps of a YAML file; ScriptError with file and line if there is something wrong with it."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ScriptError(f"cannot read the script {str(path)!r}: {exc}") from exc
    return from_yaml(text, source=str(path))


def from_yaml(text: str, *, source: str) -> tuple[Step, ...]:
    """The steps of a YAML text; `source` is what errors call it."""
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


def from_data(data: Any, *, source: str, line_of: LineOf = lambda _path: None) -> tuple[Step, ...]:
    """The steps of `{"steps": […]}`, or of the list alone, parsed from YAML or JSON."""
    reader = _Reader(source, line_of)
    if isinstance(data, list):
        return tuple(reader.step(item, (index,)) for index, item in enumerate(data))
    if not isinstance(data, dict):
        raise reader.error((), f"a script is a mapping with `steps:`, not {shown(data)}")
    reader.check_keys(data, ("steps",), ())
    steps = data.get("steps")
    if not isinstance(steps, list):
        raise reader.error(("steps",), f"steps is {shown(steps)}; it takes a list")
    return tuple(reader.step(item, ("steps", index)) for index, item in enumerate(steps))


_OF_EVERY_STEP = ("times", "when")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads steps from parsed data, and says where something is wrong."""

    source: str
    line_of: LineOf

    def error(self, path: tuple[str | int, ...], message: str) -> ScriptError:
        line = self.line_of(path)
        where = f"{self.source}:{line}" if line else f"{self.source}, {_spelt(path)}" if path else self.source
        return ScriptError(f"{where}: {message}")

    def check_keys(self, data: Mapping[Any, Any], known: Sequence[str], path: tuple[str | int, ...]) -> None:
        for key in data:
            if key not in known:
                raise self.error((*path, key), f"unknown key {key!r}; {suggestion(key, known)}")

    def step(self, data: Any, path: tuple[str | int, ...]) -> Step:
        if not isinstance(data, dict) or ("fault" in data) == ("reply" in data):
            raise self.error(path, f"a step is a mapping with either `fault:` or `reply:`, not {shown(data)}")
        options = {key: value for key, value in data.items() if key not in ("fault", "reply", *_OF_EVERY_STEP)}
        make = self.fault if "fault" in data else self.reply
        step = make(data.get("fault", data.get("reply")), options, path)
        return self.conditioned(step, data, path)

    def fault(self, name: Any, options: dict[str, Any], path: tuple[str | int, ...]) -> Step:
        if name not in faults.names():
            raise self.error((*path, "fault"), f"unknown fault {name!r}; {suggestion(name, faults.names())}")
        self.check_keys(options, [*_option_names(getattr(faults, name)), *_OF_EVERY_STEP], path)
        missing = [name for name in _option_names(getattr(faults, name), required=True) if name not in options]
        if missing:
            raise self.error((*path, "fault"), f"{name} needs {' and '.join(f'`{each}:`' for each in missing)}")
        try:
            return faults.make(name, **options)
        except BadOption as exc:
            raise self.error((*path, exc.option), str(exc)) from exc

    def reply(self, content: Any, options: dict[str, Any], path: tuple[str | int, ...]) -> Step:
        given = content if isinstance(content, dict) else {} if content is None else {"text": content}
        if isinstance(content, dict):
            self.check_keys(content, _option_names(reply), (*path, "reply"))
        self.check_keys(options, [*_option_names(reply), *_OF_EVERY_STEP], path)
        twice = given.keys() & options.keys()
        if twice:
            raise self.error(path, f"{min(twice)} is given twice; leave one of them out")
        try:
            return reply(**given, **options)
        except BadOption as exc:
            where = (exc.option,) if exc.option in options else ("reply", exc.option)
            raise self.error((*path, *where), str(exc)) from exc

    def conditioned(self, step: Step, data: Mapping[str, Any], path: tuple[str | int, ...]) -> Step:
        when = data.get("when", {})
        if not isinstance(when, dict):
            raise self.error((*path, "when"), f"when is {shown(when)}; it takes a mapping of {', '.join(_CONDITIONS)}")
        self.check_keys(when, _CONDITIONS, (*path, "when"))
        try:
            step = step.when(**when)
        except BadOption as exc:
            raise self.error((*path, "when", exc.option), str(exc)) from exc
        try:
            return step.times(data.get("times", 1))
        except BadOption as exc:
            raise self.error((*path, exc.option), str(exc)) from exc


def _option_names(make: Callable[..., Step], *, required: bool = False) -> list[str]:
    parameters = inspect.signature(make).parameters.values()
    return [each.name for each in parameters if not required or each.default is each.empty]


def _spelt(path: tuple[str | int, ...]) -> str:
    """`steps[0].fault`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
