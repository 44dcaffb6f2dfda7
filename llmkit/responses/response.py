"""A reply of the Responses API; its shape is https://platform.openai.com/docs/api-reference/responses/object."""

from collections.abc import Iterator, Mapping
from typing import Any, Unpack

from llmkit.errors import MalformedResponse, ServerError, excerpt
from llmkit.responses.completion import Completion, ToolCall
from llmkit.responses.origin import Origin
from llmkit.responses.reading import expect, list_of, text_or_none
from llmkit.responses.usage import usage

_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
_WHOLE = ("completed", None)  # None is that of gateways which leave it out
_CALLS = ("function_call", "custom_tool_call")


def response(payload: Mapping[str, Any], **origin: Unpack[Origin]) -> Completion:
    """The answer in a response's JSON; its finish reason is in chat's words.

    Raises MalformedResponse where it holds none, and the error that a failed response tells.
    """
    status = text_or_none(payload.get("status"), "status")
    if status == "failed":
        raise ServerError("The API failed to make this response, and does not say why")
    items = [expect(item, dict, "output[…]") for item in list_of(payload.get("output"), "output")]
    if status in _WHOLE and all(item.get("type") == "reasoning" for item in items):
        raise MalformedResponse(f"The answer has no output beside reasoning: it is {excerpt(dict(payload))}")
    calls = tuple(_call(item) for item in items if item.get("type") in _CALLS)
    return Completion(
        text="".join(_said(items, "output_text", "text")),
        finish_reason=finish_reason(payload, calls=bool(calls)),
        model=text_or_none(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        tool_calls=calls,
        refusal="".join(_said(items, "refusal", "refusal")) or None,
        payload=payload,
        **origin,
    )


def finish_reason(payload: Mapping[str, Any], *, calls: bool) -> str | None:
    """Why the reply ended, in the words of chat; None while it has not."""
    status = payload.get("status")
    if status == "incomplete":
        details = payload.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        return _CUT.get(str(reason), str(reason) if reason else "incomplete")
    if status in _WHOLE:
        return "tool_calls" if calls else "stop"
    return None


def _said(items: list[dict[str, Any]], kind: str, name: str) -> Iterator[str]:
    """The texts of that kind in all messages."""
    for item in items:
        for part in list_of(item.get("content"), "output[…].content") if item.get("type") == "message" else ():
            if expect(part, dict, "output[…].content[…]").get("type") == kind:
                yield text_or_none(part.get(name), f"output[…].content[…].{name}") or ""


def _call(item: Mapping[str, Any]) -> ToolCall:
    name = text_or_none(item.get("name"), "output[…].name")
    if not name:
        raise MalformedResponse("A tool call in the reply does not name its function")
    return ToolCall(
        id=text_or_none(item.get("call_id"), "output[…].call_id") or "",
        name=name,
        arguments=text_or_none(item.get("arguments", item.get("input")), "output[…].arguments") or "",
    )
