"""The 25 faults, as scripts of the mock server, and the text that it says in all of them.

The text is a JSON object, since one of the clients asks for nothing else.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from mockserver import fault, reply
from mockserver.scripting.steps import Step

ANSWER = "Paris, on the Seine, and it has been so for a thousand years."
TEXT = json.dumps({"answer": ANSWER})

RETRY_AFTER_S = 20.0  # beyond every deadline here, and within what the SDK waits for
_AMID = {"frame": 6}  # of this text on both dialects amid its words


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to misbehave.

    `stream` tells how it is asked for, and `dialect` by which provider's shapes. `waits` where only a clock of the
    client's ends it; `whole` where the server gives its reply whole all the same, so that it is right to return it.
    """

    name: str
    does: str
    step: Step
    stream: bool = False
    dialect: str = "openai"
    waits: bool = False
    whole: bool = False

    @property
    def path(self) -> str:
        """Below the server's origin, the base URL of OpenAI clients for this dialect."""
        return "/openai/v1" if self.dialect == "azure" else "/v1"


_NO_CHOICE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [],
    "usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9},
}
_OVERFLOW = fault.refused(
    status=400,
    message="This model's maximum context length is 128000 tokens. However, your messages resulted in 140012 tokens.",
    type="invalid_request_error",
    param="messages",
    code="context_length_exceeded",
)

FAULTS: tuple[Fault, ...] = (
    Fault(name="page of HTML", does="200 with a page of HTML", step=fault.html()),
    Fault(name="truncated JSON", does="half of the body, honestly announced", step=fault.truncated_body(how="eof")),
    Fault(name="empty body", does="200 without a byte of body", step=fault.empty_body()),
    Fault(name="no choices", does="a body without `choices`", step=fault.missing_field(field="choices")),
    Fault(name="choices = []", does="a body whose `choices` is empty", step=reply(json=_NO_CHOICE)),
    Fault(
        name="content = null",
        does="a message without text or tool call, `finish_reason` \"stop\"",
        step=fault.null_field(field="choices.0.message.content"),
    ),
    Fault(
        name="wrong content-length",
        does="a hundred bytes more promised than come",
        step=fault.wrong_content_length(delta=100),
    ),
    Fault(name="invalid UTF-8", does="the byte 0xFF in the middle of the body", step=fault.invalid_utf8()),
    Fault(name="corrupt gzip", does="`content-encoding: gzip`, and no gzip", step=fault.corrupt_gzip()),
    Fault(
        name="trickling body",
        does="the body in ten pieces, half a second apart",
        step=fault.trickle(pieces=10, interval_s=0.5),  # no pause as long as a second, the whole far longer
        waits=True,
        whole=True,
    ),
    Fault(name="hang", does="silence in place of an answer", step=fault.hang(), waits=True),
    Fault(name="reset", does="RST in place of an answer", step=fault.reset()),
    Fault(name="503 storm", does="503 to every request", step=fault.server_error(status=503)),
    Fault(
        name="429, long Retry-After",
        does=f"429 that asks for {RETRY_AFTER_S:g} s",
        step=fault.rate_limited(retry_after_s=RETRY_AFTER_S),
    ),
    Fault(name="insufficient_quota", does="429 for want of credit", step=fault.insufficient_quota()),
    Fault(name="context overflow", does="400 `context_length_exceeded`", step=_OVERFLOW),
    Fault(
        name="content filter",
        does="Azure's 400 `content_filter`",
        step=fault.content_filtered(category="violence", severity="high"),
        dialect="azure",
    ),
    Fault(
        name="stream: early end",
        does="ends cleanly amid the text, without finish reason and `[DONE]`",
        step=fault.cut(at=_AMID, how="eof"),
        stream=True,
    ),
    Fault(
        name="stream: cut",
        does="the connection is closed inside the chunked body",
        step=fault.cut(at=_AMID, how="fin"),
        stream=True,
    ),
    Fault(
        name="stream: error",
        does='an event `{"error": …}` amid the text',
        step=fault.error_event(at=_AMID),
        stream=True,
    ),
    Fault(
        name="stream: bare error",
        does="`event: error` amid the text, its data without the key `error`",
        step=fault.bare_error(at=_AMID),
        stream=True,
    ),
    Fault(
        name="stream: broken event",
        does="the JSON of one event breaks off",
        step=fault.bad_frame(at=_AMID),
        stream=True,
    ),
    Fault(
        name="stream: filter chunk",
        does="a choice without `delta`, as Azure's asynchronous filter sends it",
        step=fault.filter_chunk(at=_AMID),
        stream=True,
        dialect="azure",
        whole=True,
    ),
    Fault(
        name="stream: keep-alives",
        does="a comment each half second for five seconds, then silence",
        step=fault.keepalives_only(count=10, interval_s=0.5),
        stream=True,
        waits=True,
    ),
    Fault(name="stream: stall", does="silence amid the text", step=fault.stall(at=_AMID), stream=True, waits=True),
)  # fmt: skip

CONTROL = Fault(name="no fault", does="the reply, as it should be", step=Step(), whole=True)
STREAMED_CONTROL = replace(CONTROL, name="stream: no fault", stream=True)


def steps(fault: Fault, **match: Any) -> Step:
    """What a server is told: the text, bent by the fault, as often as it is asked for."""
    said = fault.step if fault.step.reply is not None else reply(TEXT) & fault.step
    return said.given(times="forever", match=match or None)
