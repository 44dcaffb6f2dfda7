"""The response object, as recorded from api.openai.com in 2026."""

from collections.abc import Mapping, Sequence
from typing import Any

from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.surfaces import Setting, Spent

Body = dict[str, Any]

_EFFORTS: tuple[tuple[str, str], ...] = (
    # family, effort where the request names none: as recorded
    ("gpt-5.2-chat", "medium"),
    ("gpt-5.1", "none"),
    ("gpt-5.2", "none"),
    ("gpt-5.4", "none"),
)


def effort_of(reasoning: Any, model: Model) -> str | None:
    """How hard the model thinks; None for one that does not."""
    if model.kind != "reasoning":
        return None
    wanted = reasoning.get("effort") if isinstance(reasoning, Mapping) else None
    usual = next((effort for family, effort in _EFFORTS if model.family.startswith(family)), "medium")
    return wanted if isinstance(wanted, str) else model.effort if model.only else usual


def response(call: Call, setting: Setting, *, name: str) -> Body:
    """A response of which nothing is said yet: every parameter as it was given, or its default."""
    asked, model = call.body, setting.model
    conversation = asked.get("conversation")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id")
    return {
        "id": name,
        "object": "response",
        "created_at": setting.created,
        "status": "in_progress",
        "background": asked.get("background") is True,
        "completed_at": None,
        **({"conversation": {"id": conversation}} if isinstance(conversation, str) else {}),
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": _text(asked.get("instructions")),
        "max_output_tokens": _number(asked.get("max_output_tokens"), None),
        "max_tool_calls": _number(asked.get("max_tool_calls"), None),
        "model": model.snapshot,
        "moderation": None,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
        "presence_penalty": 0.0,
        "previous_response_id": _text(asked.get("previous_response_id")),
        "prompt_cache_key": _text(asked.get("prompt_cache_key")),
        "prompt_cache_retention": _word(asked.get("prompt_cache_retention"), ("in_memory", "24h"), "in_memory"),
        "reasoning": _reasoning(asked.get("reasoning"), model),
        "safety_identifier": _text(asked.get("safety_identifier")),
        "service_tier": "auto",
        "store": asked.get("store") is not False,
        "temperature": _number(asked.get("temperature"), 1.0),
        "text": _text_options(asked.get("text")),
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": tools_of(asked.get("tools")),
        "top_logprobs": _number(asked.get("top_logprobs"), 0),
        "top_p": _number(asked.get("top_p"), 0.98 if _is_late(model) else 1.0),
        "truncation": _word(asked.get("truncation"), ("auto", "disabled"), "disabled"),
        "usage": None,
        "user": _text(asked.get("user")),
        "metadata": asked["metadata"] if isinstance(asked.get("metadata"), dict) else {},
    }


def finished(body: Body, *, output: Sequence[Body], spent: Spent, cut: bool, at: int) -> Body:
    """The body once all is said, at `at` in Unix seconds; `cut` where a limit ended it."""
    done = {
        **body,
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else at,  # unverified: no recording of an incomplete response has this key
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": list(output),
        "service_tier": "default",
        "usage": usage(spent),
    }
    return {key: done[key] for key in body}


def billed(body: Body) -> Body:
    """A finished body as a plain reply has it: it says who pays, which streams do not."""
    if body["usage"] is None:
        return body
    payer = {"billing": {"payer": "developer"}}
    return {**{key: body[key] for key in _until(body, "completed_at")}, **payer, **body}


def started(body: Body, status: str = "in_progress") -> Body:
    """The finished body as it was before anything was said."""
    blank: Body = {
        "completed_at": None,
        "incomplete_details": None,
        "output": [],
        "service_tier": "auto",
        "usage": None,
    }
    return {**body, **blank, "status": status}


def cancelled(body: Body) -> Body:
    """A background response that was stopped in time."""
    return started(body, "cancelled")


def usage(spent: Spent) -> Body:
    """The bill; that writes to the cache are told apart is recorded from July 2026 on."""
    return {
        "input_tokens": spent.prompt,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": spent.cached},
        "output_tokens": spent.completion,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning},
        "total_tokens": spent.total,
    }


def tools_of(tools: Any) -> list[Body]:
    """The tools as they are given back: functions with the defaults filled in."""
    given = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [_function(tool) if tool.get("type") == "function" else tool for tool in given]


def _function(tool: Body) -> Body:
    return {"type": "function", "description": None, "name": "", "parameters": None, "strict": True, **tool}


def _until(body: Body, key: str) -> list[str]:
    names = list(body)
    return names[: names.index(key)]


def _is_late(model: Model) -> bool:
    """Whether the model is one of those whose `top_p` was recorded as 0.98."""
    return model.generation >= (5, 1) and model.family != "gpt-5.1"


def _reasoning(reasoning: Any, model: Model) -> Body:
    asked = reasoning if isinstance(reasoning, Mapping) else {}
    return {"effort": effort_of(reasoning, model), "summary": asked.get("summary") or asked.get("generate_summary")}


def _text_options(text: Any) -> Body:
    asked = text if isinstance(text, Mapping) else {}
    wanted = asked.get("format")
    output = dict(wanted) if isinstance(wanted, Mapping) else {"type": "text"}
    if output.get("type") == "json_schema":
        output = {"type": "json_schema", "description": None, "strict": False, **output}
    return {"format": output, "verbosity": asked.get("verbosity") or "medium"}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _word(value: Any, known: Sequence[str], default: str) -> str:
    return value if value in known else default


def _number(value: Any, default: float | None) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default
