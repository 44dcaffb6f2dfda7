"""Token counts as the API bills them, offline."""

from llmkit.tokens.calibration import Calibration
from llmkit.tokens.counts import TokenCount
from llmkit.tokens.fitting import Fitted, fit_messages, trim_text
from llmkit.tokens.inputs import count_inputs
from llmkit.tokens.messages import count_tokens
from llmkit.tokens.responses_api import count_response_tokens
from llmkit.tokens.text import count_text, encoding_for

__all__ = [
    "Calibration",
    "Fitted",
    "TokenCount",
    "count_inputs",
    "count_response_tokens",
    "count_text",
    "count_tokens",
    "encoding_for",
    "fit_messages",
    "trim_text",
]
