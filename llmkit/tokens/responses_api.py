"""The input of a response, counted as the API bills it.

Its shape: https://platform.openai.com/docs/api-reference/responses/create. `POST /v1/responses/input_tokens` is
OpenAI's own counter of the same, for those who can wait for it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from llmkit.errors import InvalidRequest, excerpt
from llmkit.messages import Dumpable
from llmkit.models import ModelSpec, spec_for
from llmkit.tokens.counts import Tally, TokenCount
from llmkit.tokens.history import Call, History, call_of
from llmkit.tokens.messages import add_parts, text_of, with_doubt
from llmkit.tokens.rules import PRO, REQUIRED, RULES, Rules
from llmkit.tokens.schemas import compact
from llmkit.tokens.text import encoding_name, length
from llmkit.tokens.tools import add_choice, add_instructions, add_others, functions_of, schema_of

_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")
# encrypted reasoning: letters of base64 that hold none, and letters for a token, as they were billed
_SEALED, _LETTERS = 900, 6.4
_UNSEEN = 400  # tokens that reasoning which the request only names may have
_COMPACTED = (255, 20)  # recorded: 235 to 273, whatever had been compacted
_PICTURE = 1_600  # tokens that a picture which is no part of a message may have
# sealed or pictures, whose letters are no text that anybody reads
_UNREAD = frozenset({"encrypted_content", "image_url", "result", "file_data"})
_REFERENCED = 3  # for a call that says under which id the API keeps it
_OLDER = re.compile(r"gpt-5(-mini|-nano|\.[123])?(-\d|$|-codex|-pro|-chat)")
_SINCE_5_4 = 3  # for each call, since gpt-5.4


def count_response_tokens(
    input: str | Iterable[Mapping[str, Any] | Dumpable],  # noqa: A002 - the API's word
    *,
    model: str,
    instructions: str | None = None,
    tools: Iterable[Mapping[str, Any]] | None = None,
    tool_choice: object = None,
    text: Mapping[str, Any] | None = None,
    reasoning: Mapping[str, Any] | None = None,
) -> TokenCount:
    """The `input_tokens` that the API bills for a response to `input`, a string or a list of items.

    The options are those of the request: `text` may hold a `format` with a schema, `reasoning` the mode "pro". What the
    API keeps itself (`previous_response_id`, `conversation`, `prompt`) is not in the request, and not in the count.
    Text and functions are exact but for a token or two; encrypted reasoning, hosted tools and their calls are estimates
    with a margin.
    Raises InvalidRequest for what is no item or tool.
    """
    encoding, spec = encoding_name(model), spec_for(model)
    rules = RULES[spec.framing]
    # gpt-4 alone is billed one token less than in chat
    tally = Tally(rules.reply - (spec.name == "gpt-4"))
    if (reasoning or {}).get("mode") == "pro" and "-pro" not in spec.name:
        tally.add(*PRO)
    if instructions:
        tally.add(rules.message + 1 + length(encoding, instructions))
    history = History(tally, encoding=encoding, surface=rules.responses)
    _Items(tally, history, encoding=encoding, rules=rules, spec=spec).add(_listed(input))
    functions, others = functions_of(tools)
    schema = schema_of((text or {}).get("format"))
    add_instructions(tally, functions, schema, system=None, encoding=encoding, rules=rules, surface=rules.responses)
    add_others(tally, others, encoding=encoding, rules=rules)
    if functions:
        add_choice(tally, tool_choice, encoding=encoding, rules=rules)
        if tool_choice == "required" and not rules.reasons:
            tally.add(*REQUIRED)
    history.close()
    return with_doubt(tally, spec)


class _Items:
    """Adds the items of an input."""

    def __init__(self, tally: Tally, history: History, *, encoding: str, rules: Rules, spec: ModelSpec) -> None:
        self._tally, self._history = tally, history
        self._encoding, self._rules, self._spec = encoding, rules, spec
        self._newer = rules.assistant > 0 and not _OLDER.match(spec.name)

    def add(self, items: list[Mapping[str, Any]]) -> None:
        """Add all; calls that follow each other were made at once."""
        asked = max((at for at, item in enumerate(items) if item.get("role") == "user"), default=-1)
        calls: list[Call] = []
        for at, item in enumerate(items):
            if item.get("type") in _CALLS:
                calls.append(self._call(item))
                continue
            self._history.add_calls(calls)
            calls = []
            self._add_item(item, f"input[{at}]", is_past=at < asked)
        self._history.add_calls(calls)

    def _add_item(self, item: Mapping[str, Any], place: str, *, is_past: bool) -> None:
        kind = item.get("type") or ("message" if "role" in item else None)
        if kind == "message":
            self._add_message(item, place)
        elif kind in _RESULTS:
            output = item.get("output")
            add_parts(self._tally, output if isinstance(output, list) else None, f"{place}.output", self._spec)
            said = text_of(output) if isinstance(output, list | str) else compact(output)
            self._history.add_result(item.get("call_id"), said)
        elif kind == "reasoning":
            if not is_past:  # the API forgets what was thought before the last question
                self._add_reasoning(item)
        elif kind == "compaction":
            self._tally.add(*_COMPACTED)
        else:
            spelt = compact(item)  # which refuses what goes round in circles
            read = compact(_readable(item))
            about = length(self._encoding, read)
            self._tally.add(about, about + 8 + (0 if read == spelt else _PICTURE))

    def _add_message(self, item: Mapping[str, Any], place: str) -> None:
        role, content = item.get("role"), item.get("content")
        if not isinstance(role, str):
            raise InvalidRequest(f"{place} has the role {role!r}, not one like 'user': it is {excerpt(item)}")
        add_parts(self._tally, content, f"{place}.content", self._spec)
        framed = self._rules.message + length(self._encoding, role) + length(self._encoding, text_of(content))
        self._tally.add(framed + (self._rules.assistant if role == "assistant" else 0))

    def _add_reasoning(self, item: Mapping[str, Any]) -> None:
        sealed = item.get("encrypted_content")
        if not isinstance(sealed, str) or not sealed:
            self._tally.add(0, _UNSEEN)
            return
        about = max(0, round((len(sealed) - _SEALED) / _LETTERS))
        self._tally.add(about, about // 6 + 24)

    def _call(self, item: Mapping[str, Any]) -> Call:
        referenced = _REFERENCED if item.get("id") else 0
        since = _SINCE_5_4 if self._newer else 0
        self._tally.add(max(referenced, since))
        return call_of(item, item.get("call_id"))


def _readable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _readable(part) for name, part in value.items() if name not in _UNREAD}
    return [_readable(part) for part in value] if isinstance(value, list) else value


def _listed(given: object) -> list[Mapping[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    expected = "a string, or a list of items like {'role': 'user', 'content': …}"
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise InvalidRequest(f"input is {excerpt(given)}: it has to be {expected}")
    items = [item.model_dump(mode="json", exclude_unset=True) if isinstance(item, Dumpable) else item for item in given]
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InvalidRequest(f"input[{index}] is {excerpt(item)}: input has to be {expected}")
    return items
