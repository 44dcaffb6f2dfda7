"""Chat messages, counted as the API bills them.

Their shapes: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from llmkit.errors import InvalidRequest, excerpt
from llmkit.messages import Message, conversation
from llmkit.models import ModelSpec
from llmkit.tokens.counts import Tally, TokenCount
from llmkit.tokens.history import Call, History, call_of
from llmkit.tokens.parts import count_part
from llmkit.tokens.rules import RULES, UNKNOWN_TOOLS, Rules
from llmkit.tokens.text import encoding_and_spec, length
from llmkit.tokens.tools import add_choice, add_instructions, add_others, functions_of, schema_of

_ANSWERS = ("tool", "function")  # roles of what calls are answered with
_SYSTEM = ("system", "developer")
_CALLS = "a list of calls like {'type': 'function', 'function': {'name': …, 'arguments': …}}"
_PARTS = "a string, or a list of parts like {'type': 'text', 'text': …}"


def count_tokens(
    messages: str | Iterable[Message],
    *,
    model: str,
    tools: Iterable[Mapping[str, Any]] | None = None,
    tool_choice: object = None,
    response_format: object = None,
) -> TokenCount:
    """The `prompt_tokens` that the API bills for these chat messages; a plain string is one user message.

    `tools` are as the API takes them (or bare functions, the legacy `functions`), and so are `tool_choice` and
    `response_format`. Exact for text on a model of the registry (margin 0); tools, schemas, images and files have a
    margin, and so has everything on an unknown model, which counts as a new one (o200k_base) with a quarter as margin:
    no name of a model makes this fail. Text that spells a special token, such as `<|endoftext|>`, counts as the plain
    text that it is.
    Raises InvalidRequest for what is no message or tool, and ConfigError where the installed vocabulary is damaged.
    """
    encoding, spec = encoding_and_spec(model)
    rules = RULES[spec.framing]
    has_options = tools is not None or tool_choice is not None or response_format is not None
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not has_options and _is_plain(messages):  # nearly always
        tokens = _plain_tokens(messages, encoding, rules)
        return TokenCount(tokens) if spec.known else with_doubt(Tally(tokens), spec)
    listed = conversation(messages)
    tally = Tally(rules.reply)
    history = History(tally, encoding=encoding, surface=rules.chat)
    for index, message in enumerate(listed):
        _add_message(tally, message, f"messages[{index}]", history, encoding=encoding, rules=rules, spec=spec)
    if has_options:
        _add_options(tally, listed, tools, tool_choice, response_format, encoding=encoding, rules=rules)
        if not spec.known and (tools or response_format):
            tally.add(0, UNKNOWN_TOOLS)
    history.close()
    return with_doubt(tally, spec)


def with_doubt(tally: Tally, spec: ModelSpec) -> TokenCount:
    """The count, with a wide margin for a model that nobody knows."""
    if not spec.known:
        tally.add(0, tally.tokens // 4 + 8)
    return tally.total()


def said(message: Mapping[str, Any]) -> object:
    """The content of a message; an assistant that refused has its refusal in its stead."""
    content, refusal = message.get("content"), message.get("refusal")
    return refusal if content is None and isinstance(refusal, str) else content


def text_of(content: object) -> str:
    """The text of a message's content: text parts are joined before they are tokenized."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in content if _is_text(part))
    return content if isinstance(content, str) else ""


def listed_mappings(values: object, place: str, expected: str) -> list[Mapping[str, Any]]:
    """The list of objects that has to be there; raises InvalidRequest that names what is not."""
    if not isinstance(values, list):
        raise InvalidRequest(f"{place} is {excerpt(values)}: it has to be {expected}")
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{place}[{index}] is {excerpt(value)}: it has to be {expected}")
    return values


def add_parts(tally: Tally, content: object, place: str, spec: ModelSpec) -> None:
    """Add the parts of a content that are no text; raises InvalidRequest for what is no part."""
    if content is None or isinstance(content, str):
        return
    for part in listed_mappings(content, place, _PARTS):
        if not _is_text(part):
            counted = count_part(part, spec)
            tally.add(counted, counted.margin)


def _is_plain(messages: object) -> TypeGuard[list[dict[str, str]]]:
    """Whether these are messages of nothing but a role and a text: they can be counted without detours."""
    if type(messages) is not list:
        return False
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return False
        role = message.get("role")
        if type(role) is not str or not role or role in _ANSWERS or type(message.get("content")) is not str:
            return False
    return True


def _plain_tokens(messages: list[dict[str, str]], encoding: str, rules: Rules) -> int:
    tokens = rules.reply + rules.message * len(messages)
    for message in messages:
        role = message["role"]
        tokens += length(encoding, role) + length(encoding, message["content"])
        if role == "assistant":
            tokens += rules.assistant
    return tokens


def _add_message(
    tally: Tally,
    message: dict[str, Any],
    place: str,
    history: History,
    *,
    encoding: str,
    rules: Rules,
    spec: ModelSpec,
) -> None:
    content = said(message)
    add_parts(tally, content, f"{place}.content", spec)
    role, text = message["role"], text_of(content)
    if role in _ANSWERS:
        history.add_result(message.get("tool_call_id"), text, name=_name(message))
        return
    if calls := _calls(message, place):
        history.add_calls(calls)
        if text:
            tally.add(4 + length(encoding, text))
        return
    tally.add(rules.message + length(encoding, role) + length(encoding, text))
    if role == "assistant":
        tally.add(rules.assistant)
    if name := _name(message):
        tally.add(rules.name + length(encoding, f":{name}"))


def _calls(message: Mapping[str, Any], place: str) -> list[Call]:
    made = listed_mappings(message.get("tool_calls") or [], f"{place}.tool_calls", _CALLS)
    called = [(call.get("function") or call.get("custom") or {}, call.get("id")) for call in made]
    if message.get("function_call"):
        called.append((message["function_call"], None))
    place = f"{place}.tool_calls[…].function"
    listed_mappings([function for function, _ in called], place, "{'name': …, 'arguments': …}")
    return [call_of(function, call_id) for function, call_id in called]


def _add_options(
    tally: Tally,
    messages: list[dict[str, Any]],
    offered: object,
    choice: object,
    response_format: object,
    *,
    encoding: str,
    rules: Rules,
) -> None:
    functions, others = functions_of(offered)
    schema = schema_of(response_format)
    first = messages[0] if messages and messages[0]["role"] in _SYSTEM else None
    system = text_of(said(first)) if first else None
    add_instructions(tally, functions, schema, system=system, encoding=encoding, rules=rules, surface=rules.chat)
    add_others(tally, others, encoding=encoding, rules=rules)
    if functions:
        add_choice(tally, choice, encoding=encoding, rules=rules)
    if schema:
        answers = sum(message["role"] == "assistant" and not message.get("tool_calls") for message in messages)
        tally.add(rules.answered * answers, rules.answered * answers)


def _name(message: Mapping[str, Any]) -> str | None:
    name = message.get("name")
    return name if isinstance(name, str) and name else None


def _is_text(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") in ("text", "refusal", "input_text", "output_text")
