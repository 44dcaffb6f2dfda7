"""The dialect of `.prompty` files: https://prompty.ai, versions 1 and 2, as far as it says what a prompt is.

Taken: name, description, version, model with its parameters or options, inputs, sample, roles. How to connect
(endpoints, keys, `${env:…}`) is the client's matter, and left alone. What would change the prompt, and
is not understood, is an error.
"""

import re
from typing import Any

from llmkit.errors import excerpt
from llmkit.templates.front_matter import Head, check_keys
from llmkit.templates.sources import Source

_USED = ("name", "description", "version", "sample", "examples")
_KEPT = ("authors", "tags", "metadata", "outputs")
_KEYS = (*_USED, *_KEPT, "$schema", "displayName", "model", "inputs", "template", "tools", "kind", "base", "parameters")
_NOT_UNDERSTOOD = re.compile(
    r"^[ \t]*(?P<thread>!\[thread\].*)"
    r"|(?P<image>!\[[^\]\n]*\]\([^)\n]*\))"
    r"|^[ \t]*#?[ \t]*(?P<role>function|tools)[ \t]*:[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)


def translated(head: Head) -> Head:
    """The head of a `.prompty` file as one of our own; raises TemplateInvalid for another engine than jinja2."""
    check_keys(head, _KEYS)
    _check_engine(head)
    for key in ("base", "tools"):
        if head.values.get(key):
            raise head.error(f"{key!r} of Prompty is not understood here: pass tools to the call, include files", key)
    values: dict[str, Any] = {key: value for key, value in head.values.items() if key in _USED}
    values["inputs"] = _inputs(head)
    model, parameters = _model(head)
    values |= {"model": model, "parameters": parameters}
    values["metadata"] = {key: head.values[key] for key in _KEPT if key in head.values}
    return Head(values={key: value for key, value in values.items() if value}, lines=head.lines, source=head.source)


def check_body(body: Source) -> None:
    """Raises TemplateInvalid for what Prompty would turn into something, and we into text."""
    for found in _NOT_UNDERSTOOD.finditer(body.text):
        line = body.text.count("\n", 0, found.start()) + 1
        if found["thread"]:
            raise body.error("![thread] is written {% messages thread %} here", line=line)
        if found["image"]:
            raise body.error("an image is written {{ photo }} here, with an input `photo` of type image", line=line)
        raise body.error(
            f"{found['role']!r} is no role here: pass tools to the call, write tool: for results", line=line
        )


def _check_engine(head: Head) -> None:
    engine = head.values.get("template", "jinja2")
    if isinstance(engine, dict):
        engine = engine.get("format", engine.get("type", "jinja2"))
    if isinstance(engine, dict):
        engine = engine.get("kind", "jinja2")
    if engine != "jinja2":
        raise head.error(f"its engine is {excerpt(engine)}: only jinja2 templates are understood here", "template")


def _inputs(head: Head) -> Any:
    """The inputs; version 1 also has a bare sample value in place of a mapping."""
    said = head.values.get("inputs")
    if not isinstance(said, dict):
        return said
    return {name: value if isinstance(value, dict | None) else {"sample": value} for name, value in said.items()}


def _model(head: Head) -> tuple[str | None, dict[str, Any]]:
    """The model or deployment, and the parameters of a request."""
    if isinstance(head.values.get("model"), str):
        return head.values["model"], head.mapping("parameters")
    model = head.mapping("model")
    api = model.get("api", model.get("apiType", "chat"))
    if api != "chat":
        raise head.error(f"its api is {excerpt(api)}: only chat is understood here", "model", "api")
    named = head.mapping("model", "configuration")
    name = next((named[key] for key in ("azure_deployment", "model", "name") if key in named), model.get("id"))
    settings = {**head.mapping("model", "parameters"), **head.mapping("model", "options"), **head.mapping("parameters")}
    stated = isinstance(name, str) and not name.startswith(("${", "<"))
    return (name if stated else None), {_parameter(key): value for key, value in settings.items()}


def _parameter(name: str) -> str:
    """A parameter as the API spells it; version 2 has `maxOutputTokens` and the like."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return {"max_output_tokens": "max_completion_tokens", "stop_sequences": "stop"}.get(snake, snake)
