"""What comes back, checked: an object of this package is an answer, never a page of HTML or a body without choices."""

from llmkit.responses.completion import COMPLETE, Completion, ToolCall, completion, text_completion
from llmkit.responses.embedding import Embedding, embedding
from llmkit.responses.reading import cleared, error_object, expect, list_of, loads, parse_json, scrubbed, text_or_none
from llmkit.responses.response import finish_reason, response
from llmkit.responses.usage import Usage, usage

__all__ = [
    "COMPLETE",
    "Completion",
    "Embedding",
    "ToolCall",
    "Usage",
    "cleared",
    "completion",
    "embedding",
    "error_object",
    "expect",
    "finish_reason",
    "list_of",
    "loads",
    "parse_json",
    "response",
    "scrubbed",
    "text_completion",
    "text_or_none",
    "usage",
]
