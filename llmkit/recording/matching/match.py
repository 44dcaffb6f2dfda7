"""Is this the same request? One key a request; equal keys, same request.

Method, stable address, query (in any order), range and the meaning of the body: JSON compares without regard to the
order of keys, to escapes and to the spelling of numbers (1, 1.0 and 1e0 are one number); multipart bodies without
regard to their random boundary; the ids of tool calls by their order; any other body by its bytes. `Rules` say what
else doesn't matter.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from llmkit.recording.interaction import Request, header

_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_CONVERSATIONS = ("messages", "input", "tool_outputs")
_CALLS = ("tool_use", "function_call")
_ANY = "*"
_MOST_DIGITS = 400
_EXACT = "\udcffnumber:"  # no JSON text that came as UTF-8 can hold this

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What tells two requests not apart.

    ``ignore`` are JSON paths into the body (``user``, ``metadata.run_id``, ``messages[*].name``, ``**.cache_key``) and
    query keys (``?api-version``). ``aliases`` are pairs: a host, or a query key with its value, and what it stands for
    (``eu.example.com`` and ``api.openai.com``, ``?api-version=2024-06-01`` and ``?api-version=2024-10-21``).
    """

    ignore: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what can't be read."""
        for path in self.ignore:
            _steps(path)
        for one, other in self.aliases:
            if not one or not other or one.startswith("?") != other.startswith("?"):
                raise ValueError(f"an alias is two hosts, or two of the form ?key=value, not {one!r} and {other!r}")
        for one, _ in self.aliases:
            _stands_for(dict(map(_plain_pair, self.aliases)), _plain_host(one))

    def and_also(self, *, ignore: Iterable[str] = (), aliases: Mapping[str, str] | None = None) -> Rules:
        """Return rules that overlook more."""
        more = tuple((aliases or {}).items())
        return Rules(ignore=(*self.ignore, *ignore), aliases=(*self.aliases, *more)) if ignore or more else self


PLAIN = Rules()


def key(request: Request, rules: Rules = PLAIN) -> str:
    """Return the key of ``request``, which is scrubbed and under its stable address."""
    normal = normalised(request, rules)
    facts = (normal.method, normal.uri, header(normal.headers, "range"))
    digest = hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass"))
    digest.update(normal.body)
    return digest.hexdigest()


def normalised(request: Request, rules: Rules = PLAIN) -> Request:
    """Return ``request`` in the one spelling that all requests have that are the same as it."""
    return replace(
        request,
        method=request.method.upper(),
        uri=_normal_uri(request.uri, rules),
        body=_normal_body(request, rules),
    )


def canonical_json(body: bytes, rules: Rules = PLAIN) -> bytes | None:
    """Return one spelling for all spellings of the JSON value in ``body``, or None if it is no JSON."""
    try:
        value = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        value = _with_plain_ids(value)
        for path in rules.ignore:
            if not path.startswith("?"):
                _remove(value, _steps(path))
        return _ENCODER.encode(value).encode("ascii")
    except (ValueError, RecursionError, ArithmeticError):  # an exponent can be too large even for Decimal
        return None


def _normal_uri(uri: str, rules: Rules) -> str:
    parts = urlsplit(uri)
    aliases = dict(map(_plain_pair, rules.aliases))
    pairs = (_pair(aliases, name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True))
    query = urlencode(sorted(pair for pair in pairs if f"?{pair[0]}" not in rules.ignore))
    host = _stands_for(aliases, _plain_host(parts.netloc, parts.scheme)) if aliases else parts.netloc
    return urlunsplit((parts.scheme, host, parts.path or "/", query, ""))


def _pair(aliases: Mapping[str, str], name: str, value: str) -> tuple[str, str]:
    asked = f"?{name}={value}"
    stands_for = _stands_for(aliases, asked)
    if stands_for == asked:
        return name, value
    other_name, _, other_value = stands_for[1:].partition("=")
    return other_name, other_value


def _stands_for(aliases: Mapping[str, str], name: str) -> str:
    """Return what ``name`` stands for in the end; ValueError if that is itself."""
    seen = [name]
    while (after := aliases.get(seen[-1], seen[-1])) != seen[-1]:
        if after in seen:
            raise ValueError(f"aliases go round in a circle: {' → '.join([*seen, after])}. Leave one of them out")
        seen.append(after)
    return seen[-1]


def _plain_pair(alias: tuple[str, str]) -> tuple[str, str]:
    return _plain_host(alias[0]), _plain_host(alias[1])


def _plain_host(name: str, scheme: str = "") -> str:
    """Return a host in lower case and without the port that it has anyway; a query key as it is."""
    if name.startswith("?"):
        return name
    host, colon, port = name.lower().rpartition(":")
    is_default = port in _DEFAULT_PORTS.values() if not scheme else port == _DEFAULT_PORTS.get(scheme)
    return host if colon and is_default else name.lower()


def _normal_body(request: Request, rules: Rules) -> bytes:
    if not request.body:
        return b""
    content_type = header(request.headers, "content-type")
    if boundary := _BOUNDARY.search(content_type):
        return _with_plain_boundary(request.body, boundary[1].encode("utf-8"))
    return canonical_json(request.body, rules) or request.body


def _with_plain_boundary(body: bytes, boundary: bytes) -> bytes:
    """Name the length of each part instead of its boundary: so no text of a part can be taken for one."""
    first, *parts = re.split(rb"(?:\A|(?<=\n))--%s(?=(?:--)?[ \t]*(?:\r?\n|\Z))" % re.escape(boundary), body)
    return b"".join([first, *(b"--boundary of %d bytes%s" % (len(part), part) for part in parts)])


def _number(spelling: str) -> object:
    """Return a number that has one spelling in JSON, whichever of its spellings it came in."""
    number = Decimal(spelling)
    if number == number.to_integral_value() and number.adjusted() < _MOST_DIGITS:
        return int(number)
    nearest = float(spelling)
    if Decimal(repr(nearest)) == number:
        return nearest
    sign, digits, _ = number.as_tuple()
    text = "".join(map(str, digits)).strip("0")
    return f"{_EXACT}{'-' * sign}{text}e{number.adjusted()}" if text else 0


# made once: `json.loads` and `json.dumps` with options make one a call, which for a short body is a third of the time
_DECODER = json.JSONDecoder(parse_float=_number)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _with_plain_ids(body: object) -> object:
    """Number the ids of tool calls, which an application may make up anew in each run, by their first appearance."""
    found = [body.get(name) for name in _CONVERSATIONS] if isinstance(body, dict) else []
    conversation = [item for one in found if isinstance(one, list) for item in one]
    names: dict[str, str] = {}
    for holder, name in _places_of_ids(conversation):
        if isinstance(identity := holder[name], str):
            holder[name] = names.setdefault(identity, f"call-{len(names) + 1}")
    return body


def _places_of_ids(conversation: list[object]) -> Iterator[tuple[dict[str, object], str]]:
    for item in conversation:
        if not isinstance(item, dict):
            continue
        calls = item.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and "id" in call:
                yield call, "id"
        content = item.get("content")
        if isinstance(content, list):
            yield from _places_of_ids(content)
        if item.get("type") in _CALLS and "id" in item:
            yield item, "id"
        for name in ("tool_call_id", "call_id", "tool_use_id"):
            if name in item:
                yield item, name


def _steps(path: str) -> Path:
    """Read a path such as ``messages[*].content``; ValueError for what is none."""
    text = path.removeprefix("$").removeprefix(".")
    if path.startswith("?") and len(path) > 1:
        return ()
    found = list(_STEP.finditer(text))
    if not found or text.startswith("?") or "".join(one[0] for one in found) != text:
        examples = "'metadata.run_id', 'messages[*].name', '**.cache_key' or '?api-version'"
        raise ValueError(f"{path!r} is no path into a request: expected one like {examples}")
    return tuple(one[1] or (_ANY if one[2] == _ANY else int(one[2])) for one in found)


def _remove(value: object, steps: Path) -> None:
    step, rest = steps[0], steps[1:]
    if step == "**":
        _remove(value, rest)
        for child in _children(value):
            _remove(child, steps)
        return
    if rest:
        for child in _children(value) if step == _ANY else _child(value, step):
            _remove(child, rest)
    elif isinstance(value, dict):
        for name in list(value) if step == _ANY else [step]:
            value.pop(name, None)
    elif isinstance(value, list) and (step == _ANY or isinstance(step, int)):
        value[slice(None) if step == _ANY else slice(int(step), int(step) + 1)] = []


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _child(value: object, step: str | int) -> list[object]:
    if isinstance(value, dict):
        return [value[step]] if step in value else []
    if isinstance(value, list) and isinstance(step, int):
        return value[step : step + 1]
    return []
