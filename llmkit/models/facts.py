"""What may be said of a model: the keys of `models.toml` with their checks, and a row of them as a spec."""

import difflib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, get_args

from llmkit.errors import ConfigError
from llmkit.models.spec import Capability, Family, Framing, ModelSpec, Price, Sources, Surface

ABOUT = {
    "limits": frozenset({"context_window", "max_input", "max_output", "dimensions"}),
    "price": frozenset({"price", "long_prompt", "long_price"}),
    "parameters": frozenset(
        {"surfaces", "capabilities", "efforts", "default_effort", "refused", "fixed", "chat_tools"}
    ),
    "retires": frozenset({"retires", "replacement"}),
}

Check = tuple[str, Callable[[Any], bool]]
"""What a value has to be, in words and as a test."""

_TOKENS: Check = ("a number of tokens above 0", lambda value: type(value) is int and value > 0)
_WORDS: Check = ("a list of words", lambda value: _is_list(value) and all(isinstance(word, str) for word in value))
_WORD: Check = ("a word", lambda value: isinstance(value, str) and bool(value.strip()))
_ORDERED: Check = (
    "a list of words, in their order",
    lambda value: _is_row(value) and all(isinstance(word, str) for word in value),
)
_DOLLARS: Check = (
    "a list of three prices in US dollars for a million tokens: input, cached input, output",
    lambda value: _is_row(value) and len(value) == 3 and all(_is_price(price) for price in value),
)


def _one_of(words: tuple[str, ...]) -> Check:
    return f"one of {', '.join(words)}", lambda value: value in words


def _some_of(words: tuple[str, ...]) -> Check:
    return (
        f"a list of these: {', '.join(words)}",
        lambda value: _is_list(value) and all(word in words for word in value),
    )


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset)


def _is_row(value: object) -> bool:
    return isinstance(value, list | tuple)


def _is_span(value: Any) -> bool:
    return _is_row(value) and len(value) == 2 and all(type(one) is int for one in value) and 0 <= value[0] <= value[1]


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1_000_000


FACTS: dict[str, Check] = {
    "like": _WORD,
    "family": _one_of(get_args(Family)),
    "framing": _one_of(get_args(Framing)),
    "encoding": _one_of(("o200k_base", "cl100k_base", "r50k_base")),
    "context_window": _TOKENS,
    "max_input": _TOKENS,
    "max_output": _TOKENS,
    "dimensions": _TOKENS,
    "surfaces": _some_of(get_args(Surface)),
    "capabilities": _some_of(get_args(Capability)),
    "efforts": _ORDERED,
    "default_effort": _WORD,
    "refused": _WORDS,
    "fixed": _WORDS,
    "chat_tools": _one_of(("none", "unreasoned")),
    "price": _DOLLARS,
    "long_prompt": _TOKENS,
    "long_price": _DOLLARS,
    "retires": ("a date, for example 2027-01-14", lambda value: type(value) is date),
    "replacement": _WORD,
    "image_tokens": (
        "a list of the fewest and the most tokens of an image",
        _is_span,
    ),
}
"""Every key, and what its value has to be."""


def spec_of(name: str, row: Mapping[str, Any]) -> ModelSpec:
    """The spec that a row of facts describes."""
    facts = {key: value for key, value in row.items() if key not in ("like", "long_prompt", "long_price")}
    for key in ("surfaces", "efforts", "image_tokens"):
        if facts.get(key) is not None:
            facts[key] = tuple(facts[key])
    for key in ("capabilities", "refused", "fixed"):
        facts[key] = frozenset(facts.get(key, ()))
    for key in ("max_input", "replacement"):
        facts[key] = facts.get(key) or None
    if facts.get("price") is not None:
        facts["price"] = _price(row)
    return ModelSpec(**facts | {"name": name, "sources": Sources(**row.get("sources", {}))})


def _price(row: Mapping[str, Any]) -> Price:
    long_prompt, long_price = row.get("long_prompt"), row.get("long_price")
    if not (long_prompt and long_price):
        return _plain_price(row["price"])
    plain = _plain_price(row["price"])
    return Price(
        input=plain.input,
        cached_input=plain.cached_input,
        output=plain.output,
        long_prompt=long_prompt,
        long=_plain_price(long_price),
    )


def _plain_price(dollars: list[float]) -> Price:
    return Price(input=dollars[0], cached_input=dollars[1], output=dollars[2])


def check(facts: Mapping[str, Any], where: str) -> None:
    """Raises ConfigError for a key that is none, or a value that can't be; `where` begins the message."""
    for name, value in facts.items():
        if name not in FACTS:
            near = difflib.get_close_matches(str(name), FACTS, n=1) or [", ".join(FACTS)]
            raise ConfigError(
                f"{where} has {name!r}, which is nothing that is said of a model; did you mean {near[0]}?"
            )
        wanted, is_right = FACTS[name]
        if not is_right(value):
            raise ConfigError(f"{where} has {name} = {value!r}: it has to be {wanted}")


def check_limits(spec: ModelSpec, where: str) -> None:
    """Raises ConfigError for limits that contradict each other, given ones or those taken over."""
    window = spec.context_window
    for name in ("max_input", "max_output"):
        most = getattr(spec, name)
        if window is not None and most is not None and most > window:
            raise ConfigError(f"{where} has {name} = {most}, which is more than its context_window = {window}")
    if spec.default_effort and spec.efforts and spec.default_effort not in spec.efforts:
        raise ConfigError(
            f"{where} has default_effort = {spec.default_effort!r}, which is none of its efforts: "
            f"{', '.join(spec.efforts)}"
        )
