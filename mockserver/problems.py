"""What the API refuses, in the words of the API.

Texts, types, params and codes follow replies recorded from api.openai.com and Azure; where a case was never recorded, a
comment says where its wording comes from.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class Problem(Exception):
    """A refusal: `status`, the `error` object of the body, and `headers` beyond the usual ones.

    `body` is the whole body where the gateway or proxy in front of the API answers by itself.
    """

    def __init__(
        self,
        status: int,
        error: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = dict(error)
        self.headers = dict(headers or {})
        self.body = body


def error(
    status: int,
    message: str,
    *,
    kind: str | None = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Problem:
    """A refusal with the four fields that OpenAI's `Error` schema requires."""
    return Problem(status, {"message": message, "type": kind, "param": param, "code": code}, headers=headers)


def unparsable_body() -> Problem:
    """Refuse a body that is no JSON object."""
    # worded as quoted in openai/openai-python#257 and ChatGPTNextWeb/NextChat#4064
    return error(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library"
        " correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble"
        " figuring out how to fix this, please contact us through our help center at help.openai.com.)",
    )


def body_too_large(limit: int, size: int) -> Problem:
    """Refuse a body of more bytes than the limit."""
    # no recording of OpenAI's 413 is known; worded after its limit for audio files
    return error(413, f"Maximum content size limit ({limit}) exceeded ({size} bytes read)", kind="server_error")


def own_failure(exc: Exception) -> Problem:
    """Say that the mock server itself failed: no answer of the API, and nothing that a client should get used to."""
    message = f"the mock server itself failed ({type(exc).__name__}); this is a bug in it, and no answer of the API."
    return error(500, message, kind="mockserver_failure", code="mockserver_failure")


def missing_model() -> Problem:
    """Refuse a request that names no model."""
    return error(400, "you must provide a model parameter")


def invalid_model_id() -> Problem:
    """Refuse a model name with blanks in it."""
    return error(400, "invalid model ID")


def missing(param: str) -> Problem:
    """Refuse an object that lacks something required."""
    return error(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unknown_arguments(names: Iterable[str]) -> Problem:
    """Refuse top-level arguments that a surface does not know."""
    listed = list(names)
    noun = "argument" if len(listed) == 1 else "arguments"
    return error(400, f"Unrecognized request {noun} supplied: {', '.join(listed)}")


def unsupported_parameter(param: str, *, instead: str | None = None) -> Problem:
    """Refuse a parameter that the model does not take."""
    advice = f" Use '{instead}' instead." if instead else ""
    message = f"Unsupported parameter: '{param}' is not supported with this model.{advice}"
    return error(400, message, param=param, code="unsupported_parameter")


def unsupported_value(param: str, value: object, *, reason: str = "") -> Problem:
    """Refuse a value that the model does not take."""
    message = f"Unsupported value: '{param}' does not support {value} with this model.{reason}"
    return error(400, message, param=param, code="unsupported_value")


def invalid_type(param: str, expected: str, value: object) -> Problem:
    """Refuse a value of another JSON type; `expected` comes with its article."""
    message = f"Invalid type for '{param}': expected {expected}, but got {json_kind(value)} instead."
    return error(400, message, param=param, code="invalid_type")


def invalid_value(param: str, value: object, supported: Iterable[str]) -> Problem:
    """Refuse a word that is none of a few."""
    message = f"Invalid value: '{value}'. Supported values are: {listing(supported)}."
    return error(400, message, param=param, code="invalid_value")


def empty_array(param: str) -> Problem:
    """Refuse an empty list."""
    # worded as quoted in CopilotKit/CopilotKit#529
    message = (
        f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    )
    return error(400, message, param=param, code="empty_array")


def array_too_long(param: str, *, limit: int, length: int) -> Problem:
    """Refuse a list of more than `limit` items."""
    # worded as quoted in coder/coder's documentation of its MCP tools
    message = (
        f"Invalid '{param}': array too long. Expected an array with maximum length {limit},"
        f" but got an array with length {length} instead."
    )
    return error(400, message, param=param, code="array_above_max_length")


def out_of_range(param: str, value: float, *, least: float, most: float, kind: str) -> Problem:
    """`kind` is "decimal" or "integer"."""
    below = value < least
    where, bound, sign = ("below minimum", least, ">=") if below else ("above maximum", most, "<=")
    message = f"Invalid '{param}': {kind} {where} value. Expected a value {sign} {bound}, but got {value} instead."
    return error(400, message, param=param, code=f"{kind}_{'below_min' if below else 'above_max'}_value")


def context_length_exceeded(limit: int, tokens: int) -> Problem:
    """Refuse a conversation that does not fit the model."""
    message = (
        f"This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens."
        " Please reduce the length of the messages."
    )
    return error(400, message, param="messages", code="context_length_exceeded")


def context_overflow(limit: int, *, prompt: int, completion: int) -> Problem:
    """Refuse a conversation that fits the model only without the reply that it asks for."""
    # as quoted in mckaywrigley/chatbot-ui#102
    message = (
        f"This model's maximum context length is {limit} tokens. However, you requested {prompt + completion} tokens"
        f" ({prompt} in the messages, {completion} in the completion). Please reduce the length of the messages or"
        " completion."
    )
    return error(400, message, param="messages", code="context_length_exceeded")


def prompt_too_long(limit: int, *, prompt: int, completion: int = 0) -> Problem:
    """Refuse an input, or a prompt with its completion, that does not fit the model."""
    message = (
        f"This model's maximum context length is {limit} tokens, however you requested {prompt + completion} tokens"
        f" ({prompt} in your prompt; {completion} for the completion). Please reduce your prompt; or completion length."
    )
    return error(400, message)


def json_kind(value: object) -> str:
    """What the API calls the type of a JSON value."""
    if isinstance(value, float) and not value.is_integer():
        return "a decimal number"
    kinds: dict[type, str] = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return kinds[type(value)]


def listing(names: Iterable[str]) -> str:
    """'a', 'b', and 'c'."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
