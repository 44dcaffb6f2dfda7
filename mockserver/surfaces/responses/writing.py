"""What a response says: reasoning, then words or calls of tools, cut where a limit demands.

What is said depends on the conversation, the tools and the format; how much of it fits, on `max_output_tokens`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from mockserver.calls import Call
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about, text_from_results, words_of
from mockserver.surfaces import Setting
from mockserver.surfaces import tools as toolbox
from mockserver.surfaces.logprobs import Logprobs
from mockserver.surfaces.responses import tokens
from mockserver.surfaces.responses.bodies import effort_of
from mockserver.surfaces.responses.conversation import (
    Item,
    is_users_turn_over,
    latest_results,
    new_id,
    said,
    said_by_user,
)

_STEP = 64  # reasoning was recorded to be billed in steps of this many tokens
# fewest and most steps: as recorded of gpt-5 and the o series, none and minimal billing nothing
_STEPS = {"low": (1, 2), "medium": (2, 8), "high": (18, 30), "xhigh": (30, 50), "max": (50, 80)}
_MOST_CALLS = 4
_PHASED = (5, 3)  # the generation from which on messages were recorded with a phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The items of a response, the tokens they cost, and whether a limit cut them."""

    output: tuple[Item, ...]
    tokens: int
    reasoning: int
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What there is to say before any limit: text, or calls of tools, or both."""

    text: str | None = None
    calls: tuple[Mapping[str, Any], ...] = ()


def write(call: Call, setting: Setting, conversation: Sequence[Item], *, names: Dice) -> Written:
    """The answer to a conversation; `names` makes the ids of its items, which no other response may share."""
    writer = _Writer(call, setting, names, _limit(call, setting))
    writer.think(said_by_user(conversation))
    content = _said(call, setting, conversation)
    if content.text is not None:
        writer.say(content.text, phase="commentary" if content.calls else "final_answer")
    for called in content.calls:
        writer.call_tool(called)
    return writer.written()


def _limit(call: Call, setting: Setting) -> int:
    limit = call.body.get("max_output_tokens")
    most = setting.model.output or 100_000
    return min(limit, most) if isinstance(limit, int) and limit > 0 else most


@dataclass(slots=True)
class _Writer:
    """Puts items together until the limit of tokens is reached."""

    call: Call
    setting: Setting
    names: Dice
    limit: int
    output: list[Item] = field(default_factory=list)
    spent: int = 0
    reasoning: int = 0
    cut: bool = False
    calls: int = 0

    def think(self, prompt: str) -> None:
        """Add the reasoning that the effort asks for."""
        dice = self.setting.dice(self.call, "reasoning")
        steps = _STEPS.get(effort_of(self.call.body.get("reasoning"), self.setting.model) or "")
        if steps is None:
            return
        wanted = _STEP * dice.randint(*steps)
        self.reasoning = self.spent = min(wanted, self.limit)
        self.cut = wanted >= self.limit
        summary = self._summary(prompt, dice)
        hidden = self._hidden(dice)
        self.output.append({"id": new_id("reasoning", self.names), "type": "reasoning", **hidden, "summary": summary})

    def say(self, text: str, *, phase: str) -> None:
        """Add a message, as much of it as fits."""
        if self.cut:
            return
        model = self.setting.model
        kept = self._fitting(text, tokens.message_frame(model))
        phased = {"phase": phase} if model.generation >= _PHASED else {}
        part = {"type": "output_text", "annotations": [], "logprobs": self._logprobs(kept), "text": kept}
        item = {
            "id": new_id("message", self.names),
            "type": "message",
            "status": self._status(),
            "content": [part],
            **phased,
        }
        self.output.append({**item, "role": "assistant"})

    def call_tool(self, called: Mapping[str, Any]) -> None:
        """Add a call, as much of it as fits."""
        if self.cut:
            return
        kind = str(called["type"])
        field_name = "input" if kind == "custom" else "arguments"
        frame = tokens.call_frame(self.setting.model, nth=self.calls)
        name = str(called[kind]["name"])
        frame += tokens.text_tokens(name, model=self.setting.model)
        kept = self._fitting(str(called[kind][field_name]), frame)
        self.calls += 1
        item_kind = "custom_tool_call" if kind == "custom" else "function_call"
        head = {"id": new_id(item_kind, self.names), "type": item_kind, "status": self._status()}
        self.output.append({**head, field_name: kept, "call_id": f"call_{self.names.token(24)}", "name": name})

    def written(self) -> Written:
        """What has come together."""
        return Written(output=tuple(self.output), tokens=self.spent, reasoning=self.reasoning, cut=self.cut)

    def _fitting(self, text: str, frame: int) -> str:
        """As much of the text as fits; notes what it costs, its frame included, and whether it was cut."""
        model = self.setting.model
        cost = frame + tokens.text_tokens(text, model=model)
        if self.spent + cost <= self.limit:
            self.spent += cost
            return text
        left = max(self.limit - self.spent - frame, 0)
        self.spent, self.cut = self.limit, True
        return usage.first_tokens(text, left, model=model.name)

    def _status(self) -> str:
        return "incomplete" if self.cut else "completed"

    def _logprobs(self, text: str) -> list[Any]:
        """Those of the text where they are included, else none at all."""
        wanted = self.call.body.get("top_logprobs")
        if "message.output_text.logprobs" not in _included(self.call):
            return []
        count = wanted if isinstance(wanted, int) else 0
        made = Logprobs(count, self.setting.dice(self.call, "logprobs"))
        entries: list[Any] = made.of(usage.tokens(text, model=self.setting.model.name))["content"]
        return entries

    def _summary(self, prompt: str, dice: Dice) -> list[Item]:
        asked = self.call.body.get("reasoning")
        wanted = asked.get("summary") or asked.get("generate_summary") if isinstance(asked, Mapping) else None
        if not wanted:
            return []
        topic = " ".join(words_of(prompt)[:4]) or "the request"
        return [{"type": "summary_text", "text": f"**Thinking about {topic}**\n\n{text_about(prompt, dice)}"}]

    def _hidden(self, dice: Dice) -> Item:
        if "reasoning.encrypted_content" not in _included(self.call):
            return {}
        return {"content": [], "encrypted_content": f"gAAAAAB{dice.token(313)}"}


def _included(call: Call) -> Sequence[Any]:
    include = call.body.get("include")
    return include if isinstance(include, list) else []


def _said(call: Call, setting: Setting, conversation: Sequence[Item]) -> Said:
    """Scripted, or else what the request asks for."""
    scripted, body, dice = setting.scripted, call.body, setting.dice(call, "response")
    if scripted.tool_calls:
        calls = tuple(toolbox.as_call(one["name"], one.get("arguments", {}), dice) for one in scripted.tool_calls)
        return Said(text=scripted.text, calls=calls)
    if scripted.text is not None:
        return Said(text=scripted.text)
    tools = _callable(body)
    if tools and _calls_for_a_tool(body, conversation):
        prompt = said_by_user(conversation)
        return Said(calls=tuple(_called(tool, prompt, dice) for tool in _chosen(tools, prompt, body)))
    return Said(text=_text(body, conversation, dice))


def _callable(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools that the client runs itself, spelt as in chat; hosted ones are accepted and never used."""
    tools = body.get("tools")
    given = [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []
    kinds = ("function", "custom")
    mine = [tool for tool in given if tool.get("type") in kinds and isinstance(tool.get("name"), str)]
    return [{"type": tool["type"], tool["type"]: dict(tool)} for tool in mine]


def _calls_for_a_tool(body: Mapping[str, Any], conversation: Sequence[Item]) -> bool:
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, Mapping) and choice.get("type") in ("function", "custom"):
        return True
    if isinstance(choice, Mapping):
        choice = choice.get("mode", "auto") if choice.get("type") == "allowed_tools" else "none"
    return choice == "required" or (choice == "auto" and is_users_turn_over(conversation))


def _chosen(tools: Sequence[dict[str, Any]], prompt: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools to call: the one demanded, or all that the prompt names, or the one that fits it best."""
    eligible = _eligible(tools, body.get("tool_choice")) or list(tools)
    named = [tool for tool in eligible if _is_named(tool, eligible, prompt)][:_MOST_CALLS]
    if len(named) > 1 and body.get("parallel_tool_calls") is not False:
        return named
    return [named[0] if named else max(eligible, key=lambda tool: _fit(tool, prompt))]


def _eligible(tools: Sequence[dict[str, Any]], choice: Any) -> list[dict[str, Any]]:
    if not isinstance(choice, Mapping):
        return list(tools)
    allowed = choice.get("tools") if choice.get("type") == "allowed_tools" else [choice]
    names = [one.get("name") for one in allowed if isinstance(one, Mapping)] if isinstance(allowed, list) else []
    return [tool for tool in tools if toolbox.name_of(tool) in names]


def _is_named(tool: dict[str, Any], tools: Sequence[dict[str, Any]], prompt: str) -> bool:
    """Whether the prompt has a word of the tool's name that no other tool's name has."""
    others = {stem for other in tools if other is not tool for stem in _stems(_spoken(other))}
    return bool((_stems(_spoken(tool)) - others) & _stems(prompt))


def _spoken(tool: dict[str, Any]) -> str:
    return re.sub(r"([a-z])([A-Z])", r"\1 \2", toolbox.name_of(tool)).replace("_", " ").replace("-", " ")


def _stems(text: str) -> set[str]:
    return {word.lower()[:5] for word in words_of(text)}


def _fit(tool: dict[str, Any], prompt: str) -> int:
    description = tool[tool["type"]].get("description")
    return len(_stems(f"{_spoken(tool)} {description or ''}") & _stems(prompt))


def _called(tool: dict[str, Any], prompt: str, dice: Dice) -> Mapping[str, Any]:
    """A call of the tool with arguments that its schema allows."""
    name = toolbox.name_of(tool)
    if tool["type"] == "custom":
        return {
            "id": f"call_{dice.token(24)}",
            "type": "custom",
            "custom": {"name": name, "input": text_about(prompt, dice)},
        }
    parameters = tool["function"].get("parameters")
    schema = parameters if isinstance(parameters, dict) and parameters else {"type": "object", "properties": {}}
    arguments = _conforming(schema, prompt, dice, "tools")
    return toolbox.as_call(name, arguments, dice)


def _text(body: Mapping[str, Any], conversation: Sequence[Item], dice: Dice) -> str:
    options = body.get("text")
    wanted = options.get("format") if isinstance(options, Mapping) else None
    output: Mapping[str, Any] = wanted if isinstance(wanted, Mapping) else {}
    everything, prompt = said(conversation), said_by_user(conversation)
    if output.get("type") == "json_schema":
        schema = output.get("schema") if isinstance(output.get("schema"), dict) else {"type": "object"}
        value = _conforming(schema, everything, dice, "text.format.schema")
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if output.get("type") == "json_object":
        names = re.findall(r"[\"'`](\w{1,40})[\"'`]", everything)[:8] or ["answer"]
        return json.dumps({name: text_about(prompt, dice) for name in names}, ensure_ascii=False, indent=2)
    results = latest_results(conversation)
    return text_from_results(results, dice) if results else text_about(prompt, dice)


def _conforming(schema: Any, prompt: str, dice: Dice, param: str) -> Any:
    """A value that the schema allows; of a schema that is none, which only a lenient server lets pass, an empty one."""
    try:
        return toolbox.structured(schema, prompt=prompt, dice=dice, param=param)
    except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError, ValueError):
        return {}
