"""One alternative of a chat completion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the alternatives: what is said or called, why it ends, and what it costs in tokens.

    `legacy` is a call as the older `functions` have it. `tokens` are those of what is said, called and spoken, `audio`
    tokens among them; beside them stand `reasoning`, thought before, and the tokens of a prediction, `accepted` (among
    those said) and `rejected`.
    """

    text: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    legacy: bool = False
    voice: Mapping[str, Any] | None = None
    annotations: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "stop"
    tokens: int = 0
    audio: int = 0
    reasoning: int = 0
    accepted: int = 0
    rejected: int = 0

    @property
    def billed(self) -> int:
        """All that it costs."""
        return self.tokens + self.reasoning + self.rejected
