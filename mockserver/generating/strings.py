"""Strings that a JSON Schema asks for: of a length, a pattern, a format, or several of these at once.

Formats as in https://json-schema.org/understanding-json-schema/reference/type#format.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from mockserver.generating.dice import Dice
from mockserver.generating.patterns import Unsupported, matching

_KEYWORDS = ("minLength", "maxLength", "pattern", "format")
_LONG = 80  # letters that nobody asked for more than
_MOST = 10_000
_ATTEMPTS = 20

_EXAMPLES = {
    "date-time": "2025-06-01T12:00:00Z",
    "date": "2025-06-01",
    "time": "12:00:00Z",
    "duration": "P1DT2H",
    "email": "ada.lovelace@example.com",
    "idn-email": "ada.lovelace@example.com",
    "hostname": "www.example.com",
    "idn-hostname": "www.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "iri": "https://example.com/",
    "iri-reference": "/example",
    "uri-template": "https://example.com/{id}",
    "json-pointer": "/example",
    "relative-json-pointer": "0/example",
    "regex": "^a+$",
}
_DATE = r"20[0-4]\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z"
_HOST = r"[a-z]{1,60}(\.[a-z]{1,60}){0,3}"
_EMAIL = rf"[a-z]{{1,60}}@{_HOST}\.com"
_URI = r"https://example\.com/[a-z0-9]*"
# how else they may be spelt: where an example is too long, too short, or there already
_SPELLINGS = {
    "date-time": f"{_DATE}T{_TIME}",
    "date": _DATE,
    "time": _TIME,
    "duration": r"P([1-9]\d?D)?T([1-9]\d*)H",
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOST,
    "idn-hostname": _HOST,
    "ipv4": r"(192\.0\.2|[1-9]\.[1-9]\.[1-9])\.[1-9]\d?",
    "ipv6": r"(2001:db8)?::[1-9a-f][0-9a-f]{0,3}",
    "uri": _URI,
    "uri-reference": r"/[a-z0-9]*",
    "iri": _URI,
    "iri-reference": r"/[a-z0-9]*",
    "uri-template": rf"{_URI}\{{id\}}",
    "json-pointer": r"(/[a-z0-9]+)*",
    "relative-json-pointer": r"[0-9](/[a-z0-9]+)*",
    "regex": "[a-z]*",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
}


class Unmade(Exception):
    """No such string was found."""


def fitting(schema: Mapping[str, Any], *, words: Sequence[str], name: str, dice: Dice) -> str:
    """A string that a schema of strings takes: words, where it leaves that open. Unmade if none was found."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if least > _MOST:
        raise Unmade(f"at least {least} of something")
    if "pattern" not in schema and schema.get("format") not in _SPELLINGS:
        return _worded(words, name, int(least), most, dice)
    if schema.get("format") == "uuid" and "pattern" not in schema:
        return dice.uuid()
    check = jsonschema_rs.validator_for({key: schema[key] for key in _KEYWORDS if key in schema}, validate_formats=True)
    try:
        found = next((text for text in _candidates(schema, dice) if check.is_valid(text)), None)
    except Unsupported as exc:
        raise Unmade(f"a pattern that is not covered: {exc}") from exc
    if found is None:
        raise Unmade(f"no text of {', '.join(f'{key} {schema[key]}' for key in _KEYWORDS if key in schema)}")
    return found


def others(schema: Mapping[str, Any], dice: Dice, *, count: int) -> Iterator[str]:
    """Strings that all differ: for lists that take none twice."""
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", _LONG))
    if schema.get("format") in _SPELLINGS or "pattern" in schema:
        pattern = schema.get("pattern") or _SPELLINGS[schema["format"]]
        yield from (_spelt(pattern, schema, dice) for _ in range(10 * count))
        return
    yield from (_digits(number, least)[:most] for number in range(count + 36))


def _digits(number: int, least: int) -> str:
    """A number in letters and digits, the shortest first."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    text = letters[number % 36]
    while number >= 36:
        number = number // 36 - 1
        text = letters[number % 36] + text
    return text.rjust(least, "a")


def _worded(words: Sequence[str], name: str, least: int, most: int | None, dice: Dice) -> str:
    start = dice.randrange(len(words))
    text = " ".join([*words[start:], *words[:start]][: dice.randint(1, 4)])
    if name and len(text) < least:
        text = f"{name} {text}"
    while len(text) < least:
        text += f" {dice.choice(words)}"
    return text[: max(_LONG, least + 20) if most is None else int(most)]


def _candidates(schema: Mapping[str, Any], dice: Dice) -> Iterator[str]:
    """Texts that may do, the plainest first; whether they do, is to be seen."""
    kind, pattern = schema.get("format"), schema.get("pattern")
    spelling = _SPELLINGS.get(kind) if isinstance(kind, str) else None
    if kind in _EXAMPLES:
        yield _EXAMPLES[str(kind)]
    for _ in range(_ATTEMPTS):
        if pattern is not None:
            text = _spelt(pattern, schema, dice)
            yield from (text, *_filled_up(text, schema, dice))
            if spelling is not None:
                yield from _joined(text, matching(spelling, dice))
        if spelling is not None:
            yield _spelt(spelling, schema, dice)


def _spelt(pattern: str, schema: Mapping[str, Any], dice: Dice) -> str:
    return matching(pattern, dice, least=int(schema.get("minLength", 0)), most=schema.get("maxLength"))


def _filled_up(text: str, schema: Mapping[str, Any], dice: Dice) -> tuple[str, ...]:
    """With letters before or after, for patterns that do not say how texts begin or end."""
    filler = "".join(dice.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(schema.get("minLength", 0) - len(text)))
    return (text + filler, filler + text) if filler else ()


def _joined(text: str, example: str) -> Iterator[str]:
    """Text and example in one, the one's letters instead of or beside the other's."""
    for cut in range(len(example) + 1):
        yield text + example[cut:]
        yield example[:cut] + text
