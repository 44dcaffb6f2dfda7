"""The models that are known: those of `models.toml`, and those that the application adds or corrects."""

import difflib
import re
import threading
import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from llmkit.errors import ConfigError
from llmkit.models.facts import ABOUT, check, check_limits, spec_of
from llmkit.models.spec import ModelSpec, Source

# -2024-08-06, -0613, -preview, -latest, -2025-03-11-preview, and the -v2 of old embedding deployments
_VERSION = re.compile(r"(-(\d{4}-\d{2}-\d{2}|\d{4}|preview|latest|v\d))+")
# what a new name tells: reasoning models came with o1, and every flagship since gpt-5 is one
_O_SERIES = re.compile(r"o\d+\b")
_SINCE_GPT_5 = re.compile(r"gpt-([5-9]|\d\d)\b")
_REMEMBERED = 4096  # names whose spec is kept; a server sees as many as its clients make up
_LONGEST = 200  # letters of a name that is kept
_TUNED = "ft:"


class _Registry:
    """Models by name, longest name first, and what was looked up in them.

    What was looked up is kept here, and not beside, so that an answer about models of yesterday cannot outlive them.
    """

    __slots__ = ("found", "longest", "rows", "specs")

    def __init__(self, rows: dict[str, dict[str, Any]], specs: dict[str, ModelSpec]) -> None:
        self.rows = rows
        self.specs = {name: specs[name] for name in sorted(specs, key=len, reverse=True)}
        self.longest = max(map(len, specs), default=0)
        self.found: dict[str, ModelSpec] = {}

    def find(self, model: str) -> ModelSpec:
        spec = self._search(model)
        if len(self.found) < _REMEMBERED and len(model) <= _LONGEST:
            self.found[model] = spec
        return spec

    def dated(self, name: str) -> str | None:
        """The known model of which `name` is a version, None if there is none."""
        relative = self._relative(name)
        return relative if relative is not None and _VERSION.fullmatch(name, len(relative)) else None

    def _search(self, model: str) -> ModelSpec:
        if not model.startswith(_TUNED):
            return self._named(model)
        own = self.specs.get(model.lower())
        base = self._named(model)
        return own or replace(base, price=None, sources=replace(base.sources, price=None))

    def _named(self, model: str) -> ModelSpec:
        name = base_name(model)
        relative = self._relative(name)
        if relative is None:
            return _guess(model)
        spec = self.specs[relative]
        if _VERSION.fullmatch(name, len(relative)) or name == relative:
            return spec
        return ModelSpec(name=model, family=spec.family, framing=spec.framing, encoding=spec.encoding, known=False)

    def _relative(self, name: str) -> str | None:
        """The longest known name that is this one, or its beginning before a hyphen."""
        if name in self.specs:
            return name
        end = name.rfind("-", 0, self.longest + 1)
        while end > 0:
            if name[:end] in self.specs:
                return name[:end]
            end = name.rfind("-", 0, end)
        return None


_registry: _Registry | None = None
_lock = threading.Lock()


def spec_for(model: str) -> ModelSpec:
    """What is known of `model`, by its name, a dated version of it, or the base of an `ft:` model; never fails.

    A fine-tuned model costs more than its base: its price is not known, unless `register` was told.
    A variant of a known model (`gpt-4o-realtime`) takes its encoding and family, but none of its limits; any other
    name is taken for a new model: o200k_base, and reasoning where it looks like one. Both have `known=False`.
    """
    registry = _registry or _loaded()
    return registry.found.get(model) or registry.find(model)


def registry() -> dict[str, ModelSpec]:
    """Every known model, longest name first, so that the first prefix that fits is the most specific."""
    return dict((_registry or _loaded()).specs)


def base_name(model: str) -> str:
    """The registry's spelling of a model name, without `ft:` and a fine-tuned model's owner, or Azure's `gpt-35-`."""
    return model.removeprefix(_TUNED).partition(":")[0].lower().replace("gpt-35-", "gpt-3.5-", 1)


def register(
    name: str, *, like: str | None = None, replace: bool = False, origin: str = "the application", **facts: Any
) -> ModelSpec:
    """Adds a model, or with `replace` corrects one; `facts` are keys of `models.toml`, for example context_window.

    What is not given is taken from the model or family `like`, without one from the model itself, or from what its name
    looks like. Raises ConfigError for a name that is known already, for unknown facts, and for values that can't be.
    """
    key = _key(name, origin)
    with _lock:
        current = _registry or _read()
        if key in current.specs and not replace:
            raise ConfigError(
                f"{name!r} is registered already, by {_owner(current.specs[key])}: pass replace=True to correct it"
            )
        _publish(current, {key: facts | ({"like": like} if like else {})}, origin=origin)
        return (_registry or current).specs[key]


def register_all(table: object, *, origin: str) -> None:
    """Adds the models of a table of a file, each a table of facts; those that are known already are corrected.

    `origin` is how messages and `sources` name the file. Registering the same again changes nothing.
    """
    if not isinstance(table, dict) or not all(isinstance(facts, dict) for facts in table.values()):
        raise ConfigError(f"{origin} sets models = {table!r}: it has to be a table of tables, such as [models.mine]")
    if not table:
        return
    with _lock:
        _publish(_registry or _read(), _keyed(table, origin), origin=origin)


def load(path: str | Path) -> None:
    """Adds the models of a TOML file with a table `[models]`, in the form of `models.toml`."""
    file = Path(path)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file.absolute()} cannot be read as a file of models: {error}") from None
    register_all(data.get("models", {}), origin=str(file.resolve()))


def reset() -> None:
    """Forgets what was registered."""
    global _registry
    with _lock:
        _registry = None


def _loaded() -> _Registry:
    global _registry
    with _lock:
        _registry = _registry or _read()
        return _registry


def _publish(current: _Registry, table: dict[str, dict[str, Any]], *, origin: str) -> None:
    """Puts a registry with the models of `table` in the place of `current`; the lock is held."""
    global _registry
    rows = dict(current.rows)
    for name, facts in table.items():
        check(facts, f"{origin}: the model {name!r}")
    for name in _in_order(table, origin):
        rows[name] = _written(name, table[name], current, rows, origin)
    changed = {name: spec_of(name, rows[name]) for name in table}
    for name, spec in changed.items():
        check_limits(spec, f"{origin}: the model {name!r}")
    if any(current.specs.get(name) != spec for name, spec in changed.items()):
        _registry = _Registry(rows, current.specs | changed)
    else:
        _registry = current


def _written(
    name: str, facts: dict[str, Any], current: _Registry, rows: dict[str, dict[str, Any]], origin: str
) -> dict[str, Any]:
    """The row of a model that the application adds or corrects."""
    like = facts.get("like") or (name if name in rows or _tuned_of(name, current) else None)
    relative = like if like is None or like in rows else base_name(like)
    if relative is not None and relative not in rows:
        relative = current.dated(relative)
        if relative is None:
            near = difflib.get_close_matches(str(like), rows, n=1)
            raise ConfigError(f"{origin}: the model {name!r} is like {like!r}, which is not known{_question(near)}")
    base = rows[relative] if relative is not None else _row(_guess(name))
    if relative not in (None, name):
        left = ABOUT["retires"] if "like" in facts else ABOUT["retires"] | ABOUT["price"]
        base = {key: value for key, value in base.items() if key not in left}
    own = {key: value for key, value in facts.items() if key != "like"}
    said = {about: Source(url=origin) for about, keys in ABOUT.items() if keys & own.keys()}
    return base | own | {"sources": base.get("sources", {}) | said}


def _tuned_of(name: str, current: _Registry) -> bool:
    """Whether it is a fine-tuned model of one that is known."""
    base = base_name(name)
    return name.startswith(_TUNED) and (base in current.specs or current.dated(base) is not None)


def _in_order(table: dict[str, dict[str, Any]], origin: str) -> list[str]:
    """The names, each after the one that it is like; raises ConfigError for a circle."""
    ordered: dict[str, None] = {}
    for first in table:
        chain: dict[str, None] = {}
        name = first
        while name in table and name not in ordered and name not in chain:
            chain[name] = None
            name = base_name(table[name].get("like") or name)
        last = next(reversed(chain), name)
        if name in chain and name != last:
            raise ConfigError(f"{origin}: the model {last!r} is like {name!r}, which is like it")
        ordered |= dict.fromkeys(reversed(chain))
    return list(ordered)


def _keyed(table: dict[Any, dict[str, Any]], origin: str) -> dict[str, dict[str, Any]]:
    keyed: dict[str, dict[str, Any]] = {}
    for name, facts in table.items():
        key = _key(name, origin)
        if key in keyed:
            raise ConfigError(f"{origin}: the model {key!r} stands there twice, in two spellings")
        keyed[key] = facts
    return keyed


def _key(name: object, origin: str) -> str:
    """The registry's spelling of a name; raises ConfigError for what is none."""
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise ConfigError(f"{origin}: {name!r} is no name of a model: give a text without blanks around it")
    return name.lower() if name.startswith(_TUNED) else base_name(name)


def _read() -> _Registry:
    data = tomllib.loads((resources.files("llmkit") / "models.toml").read_text(encoding="utf-8"))
    known = {name: _source(facts) for name, facts in data["sources"].items()}
    rows: dict[str, dict[str, Any]] = {}
    for table in (data["families"], data["models"]):
        for name in table:
            _resolve(name, table, rows, known)
    specs = {name: spec_of(name, rows[name]) for name in data["models"]}
    return _Registry(rows, specs)


def _resolve(
    name: str, table: dict[str, Any], rows: dict[str, dict[str, Any]], known: dict[str, Source]
) -> dict[str, Any]:
    """The row of `name`, with all that it takes over."""
    if name in rows:
        return rows[name]
    row = table[name]
    like = row.pop("like", None)
    base = _resolve(like, table, rows, known) if like else {}
    sources = {about: known[source] for about, source in row.get("sources", {}).items()}
    rows[name] = base | row | {"sources": base.get("sources", {}) | sources}
    return rows[name]


def _source(facts: dict[str, Any]) -> Source:
    return Source(url=facts["url"], read_on=facts["date"], verified=facts["verified"])


def _guess(model: str) -> ModelSpec:
    name = base_name(model)
    if _SINCE_GPT_5.match(name):
        return ModelSpec(name=model, family="reasoning", framing="gpt-5", known=False)
    if _O_SERIES.match(name):
        return ModelSpec(name=model, family="reasoning", framing="o", known=False)
    return ModelSpec(name=model, known=False)


def _row(spec: ModelSpec) -> dict[str, Any]:
    return {"family": spec.family, "framing": spec.framing, "encoding": spec.encoding}


def _owner(spec: ModelSpec) -> str:
    urls = {source.url for source in (spec.sources.limits, spec.sources.price, spec.sources.parameters) if source}
    return ", ".join(sorted(urls)) or "the application"


def _question(near: list[str]) -> str:
    return f"; did you mean {near[0]!r}?" if near else ""
