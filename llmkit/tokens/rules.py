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
    `result` for a call of a tool, beside its name and arguments, and for its result, beside its name and content;
    `more_calls` for each further one at once. Or else several calls at once are read as one call of
    `multi_tool_use.parallel`, `together` beside their spelling.
    """

    alone: Added
    joined: Added | None = None
    hidden: int = 0
    format_with_tools: int
    call: int
    result: int
    more_calls: int = 0
    together: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one family of models is billed. `reply` is billed once; the others for each message and name.

    `assistant` is more for an assistant's message, `answered` for one in the shape of a schema. `reasons`: the model
    reads the format of https://github.com/openai/harmony.
    """

    reply: int = 3
    message: int = 3
    assistant: int = 0
    name: int = 0
    answered: int = 4
    reasons: bool = False
    chat: Surface = Surface(alone=Added(9, 8), joined=Added(5, 3), format_with_tools=1, call=7, result=6, together=20)
    responses: Surface = Surface(alone=Added(3, 1), format_with_tools=1, call=6, result=5)


_CHAT = Surface(alone=Added(11, 4), joined=Added(7, 0), format_with_tools=0, call=10, result=9, more_calls=8)
_RESPONSES = Surface(alone=Added(9, 0), format_with_tools=0, call=9, result=8, more_calls=10)

RULES: dict[Framing, Rules] = {
    "2023": Rules(message=4, name=-1),
    "chat": Rules(),
    "o": Rules(reply=2, reasons=True, chat=_CHAT, responses=_RESPONSES),
    "gpt-5": Rules(reply=2, assistant=2, reasons=True, chat=replace(_CHAT, hidden=80), responses=_RESPONSES),
}

# Tools that the API carries out itself: what their declaration and a usual call are billed, on models that don't reason
# and on those that do, and how far off that may be. What they fetch is billed too, and nobody knows it before.
HOSTED: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "web_search": ((294, 17_200), (8_300, 18_000)),
    "web_search_preview": ((294, 300), (8_300, 18_000)),
    "code_interpreter": ((180, 120), (1_330, 1_700)),
    "file_search": ((850, 500), (850, 800)),
    "image_generation": ((360, 200), (1_400, 1_700)),
    "mcp": ((900, 700), (900, 700)),
    "tool_search": ((300, 300), (300, 300)),
    "shell": ((800, 600), (1_000, 900)),
    "apply_patch": ((620, 300), (623, 300)),
}
UNKNOWN_TOOLS = 200  # tokens that a model outside the registry may add for tools, or a schema
REQUIRED = (0, 9)  # `tool_choice="required"` in a response: some were billed 8 or 9 tokens for it, most none
PRO = (1_517, 30)  # tokens of the instructions that `reasoning={"mode": "pro"}` adds, and how far off that may be
