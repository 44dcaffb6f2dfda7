"""What the API bills beside the text, by how a model frames its messages.

None of it is documented. The numbers began with the OpenAI cookbook's `How_to_count_tokens_with_tiktoken` and were
corrected against the `usage` of recorded traffic; `docs/tokens.md` says how well they fit, `scripts/score_tokens.py`
how that is measured.
"""

from dataclasses import dataclass, replace

from llmkit.models import Framing


@dataclass(frozen=True, slots=True)
class Added:
    """Tokens around the declarations of tools, and around a schema for the answer where there are no tools."""

    tools: int
    format: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Tokens that one endpoint bills for what is beside the messages.

    `alone` and `joined` are for tools and schemas in a message of their own, and for those that are written into the
    first system message (None: they never are); `hidden` for instructions on tools that nobody sees; `call` and
    `result` for a call of a tool, beside its name and arguments, and for its result, beside its name and content.
    """

    alone: Added
    joined: Added | None = None
    hidden: int = 0
    format_with_tools: int
    call: int
    result: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one family of models is billed. `reply` is billed once; the others for each message, name, group of calls.

    `assistant` is more for an assistant's message, `answered` for one in the shape of a schema. `reasons`: the model
    reads the format of https://github.com/openai/harmony, where calls stand alone; before, several calls at once are
    one call of `multi_tool_use.parallel`, `together` beside their spelling.
    """

    reply: int = 3
    message: int = 3
    assistant: int = 0
    name: int = 0
    answered: int = 4
    reasons: bool = False
    together: int = 20
    more_calls: int = 0
    chat: Surface = Surface(alone=Added(9, 8), joined=Added(5, 3), format_with_tools=1, call=7, result=6)
    responses: Surface = Surface(alone=Added(3, 1), format_with_tools=1, call=7, result=6)


_RESPONSES = Surface(alone=Added(9, 0), format_with_tools=0, call=10, result=9)
_CHAT = Surface(alone=Added(11, 4), joined=Added(7, 0), format_with_tools=0, call=10, result=9)

RULES: dict[Framing, Rules] = {
    "2023": Rules(message=4, name=-1),
    "chat": Rules(),
    "o": Rules(reply=2, reasons=True, chat=_CHAT, responses=_RESPONSES),
    "gpt-5": Rules(
        reply=2, assistant=2, reasons=True, more_calls=8, chat=replace(_CHAT, hidden=80), responses=_RESPONSES
    ),
}
