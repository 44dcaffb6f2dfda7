"""What can go wrong with a call, as one tree.

    LLMError
    ├── ConfigError              a setting is missing or wrong; no request was made
    ├── InvalidRequest           400, 413, 422: the API refuses this request, and will again
    │   ├── ContextOverflow      more tokens than the model's context window
    │   └── ContentFiltered      a content policy refused the prompt
    ├── AuthenticationFailed     401
    ├── PermissionDenied         403
    ├── NotFound                 404
    │   ├── ModelNotFound        no such model (also 400 on some routes)
    │   └── DeploymentNotFound   no such Azure deployment
    ├── RateLimited              429: slower, please
    ├── QuotaExceeded            429 for want of credit; waiting does not help
    ├── ServerError              5xx, 408, 409
    │   └── Overloaded           503, or a server that says so
    ├── ConnectionFailed         no answer, or half of one
    ├── TimedOut                 one of the call's clocks ran out
    │   ├── DeadlineExceeded     the whole call took too long
    │   ├── FirstTokenTimeout    the stream did not begin to say anything
    │   └── IdleTimeout          the stream stopped saying anything
    ├── CircuitOpen              the deployment has failed too often; nothing was sent
    ├── MalformedResponse        an answer came, and is none
    ├── StreamTruncated          the stream ended before its finish reason
    ├── ParseFailed              the answer is not what its parser takes
    ├── BulkFailed               of many calls at once some failed
    └── TemplateInvalid          a template, or what it was given, is wrong; no request was made

Every error pickles and copies. None refers to a request, a response or an SDK exception, since those hold the API key.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP request of a call, and how it ended; `error` names the error class, None after a success.

    `model` is the model or deployment that was asked, `wait_s` the pause before this request, `sent_s` the moment at
    which it left, counted from the beginning of the call, and `duration_s` the time from there to its end.
    """

    model: str = ""
    status_code: int | None = None
    error: str | None = None
    code: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    wait_s: float = 0.0
    sent_s: float = 0.0
    duration_s: float = 0.0


class LLMError(Exception):
    """The base of every error that llmkit raises.

    `code`, `type` and `param` are the API's own words, None where it sent none; `attempts` has one entry for each HTTP
    request made; `retry_after_s` and `should_retry` are what the server asked for; `partial` is the text that had
    arrived, "" unless it was a stream.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's word
        param: str | None = None,
        request_id: str | None = None,
        attempts: tuple[Attempt, ...] = (),
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
        partial: str = "",
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.attempts = attempts
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        self.partial = partial

    @property
    def message(self) -> str:
        """What happened, without the facts that `str()` adds."""
        return str(self.args[0])

    def __str__(self) -> str:
        facts = ", ".join(self._facts())
        return f"{self.message} ({facts})" if facts else self.message

    def _facts(self) -> list[str]:
        named = {"status": self.status_code, "code": self.code, "param": self.param, "request": self.request_id}
        facts = [f"{name} {value!r}" for name, value in named.items() if value is not None]
        return facts + ([f"{len(self.attempts)} attempts"] if len(self.attempts) > 1 else [])


class ConfigError(LLMError):
    """A setting is missing or wrong; the message names it, where it came from and what to do."""


class InvalidRequest(LLMError):
    """The API refuses this request as it is; `param` often names the culprit."""


class ContextOverflow(InvalidRequest):
    """The request and the room asked for its answer exceed the model's context window."""


class ContentFiltered(InvalidRequest):
    """A content policy refused the prompt.

    `filters` maps each category that refused it to its severity, such as `{"violence": "high"}`, or to "detected" for
    a category that has none; it is empty where the API did not tell.
    """

    def __init__(self, message: str, *, filters: Mapping[str, str] | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.filters = dict(filters or {})


class AuthenticationFailed(LLMError):
    """The key or token is missing, wrong or expired."""


class PermissionDenied(LLMError):
    """The key is valid, but not for this: project, region, network or model."""


class NotFound(LLMError):
    """The API has no such route or object."""


class ModelNotFound(NotFound):
    """The model does not exist or this key may not use it."""


class DeploymentNotFound(NotFound):
    """The Azure resource has no deployment of this name."""


class RateLimited(LLMError):
    """Too many requests or tokens a minute; `retry_after_s` is how long the server asks to wait."""


class QuotaExceeded(LLMError):
    """The account has no credit or quota left; never retried, for waiting does not help."""


class ServerError(LLMError):
    """The server failed; the same request may well succeed later."""


class Overloaded(ServerError):
    """The server has more work than it can do."""


class ConnectionFailed(LLMError):
    """The server could not be reached, or the connection broke."""


class TimedOut(LLMError):
    """A clock of the call ran out: `clock` says which, `limit_s` what it was set to."""

    clock: ClassVar[str] = "any"

    def __init__(self, message: str, *, limit_s: float | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.limit_s = limit_s


class DeadlineExceeded(TimedOut):
    """The call's deadline passed; the message says what it was waiting for."""

    clock = "deadline"


class FirstTokenTimeout(TimedOut):
    """The stream brought no content within `first_token_s` of its request."""

    clock = "first token"


class IdleTimeout(TimedOut):
    """The stream brought no content for `idle_s`, though its connection may well be alive."""

    clock = "idle"


class CircuitOpen(LLMError):
    """The breaker of this deployment is open, so nothing was sent; `retry_after_s` is when it lets a call try."""


class MalformedResponse(LLMError):
    """The server answered with success, but not with an answer: HTML, no choices, broken JSON or text."""


class StreamTruncated(LLMError):
    """The stream ended before its finish reason; `partial` holds the text so far."""


class ParseFailed(LLMError):
    """The answer is not what its parser takes.

    `text` is what was parsed. `position` is where in it the trouble begins, counted in characters from 0, and `path`
    names the value in it, such as `$.items[2].price`; each is None where it does not apply.
    """

    def __init__(
        self, message: str, *, text: str = "", position: int | None = None, path: str | None = None, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.text = text
        self.position = position
        self.path = path


class BulkFailed(LLMError):
    """Of many calls at once some failed: `failures` has their errors by the calls' numbers, from 0.

    `results` has the replies in their places, None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        failures: Mapping[int, LLMError] | None = None,
        results: Iterable[Any] = (),
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.failures = dict(failures or {})
        self.results = list(results)


class TemplateInvalid(LLMError):
    """A template, or what it was given, is wrong; `template` is its name, `line` the line of it, counted from 1."""

    def __init__(self, message: str, *, template: str | None = None, line: int | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.template = template
        self.line = line


_BY_WORD: dict[str, type[LLMError]] = {
    "insufficient_quota": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "billing_not_active": QuotaExceeded,
    "credit_balance_exhausted": QuotaExceeded,
    "context_length_exceeded": ContextOverflow,
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
    "ResponsibleAIPolicyViolation": ContentFiltered,
    "model_not_found": ModelNotFound,
    "unknown_model": ModelNotFound,
    "DeploymentNotFound": DeploymentNotFound,
    "rate_limit_exceeded": RateLimited,
    "server_is_overloaded": Overloaded,
}
_BY_STATUS: dict[int, type[LLMError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    408: ServerError,
    409: ServerError,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}


_STATUS = re.compile("[1-5][0-9][0-9]")


def classify(*, status_code: int | None, code: str | None, type: str | None) -> type[LLMError]:  # noqa: A002
    """The class of an API error; its `code` and `type` tell more than the status, which is None inside a stream.

    The words are those of recorded replies of OpenAI and Azure; Azure also sends a status as `code`.
    """
    for word in (code, type):
        if word in _BY_WORD:
            return _BY_WORD[word]
    status = status_code or (int(code) if code and _STATUS.fullmatch(code) else 500)
    return _BY_STATUS.get(status) or (ServerError if status >= 500 else InvalidRequest)


def from_api(error: object, *, status_code: int | None = None, **facts: Any) -> LLMError:
    """The typed error for the `error` object of an API reply or stream frame, whatever shape a gateway gave it."""
    fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    inner = fields.get("innererror")
    code, kind, param = (_word(fields.get(name)) for name in ("code", "type", "param"))
    if code is None and isinstance(inner, Mapping) and inner.get("code"):
        code = _word(inner["code"])
    message = fields.get("message")
    text = message if isinstance(message, str) and message else f"The API answered {excerpt(error)}"
    found = classify(status_code=status_code, code=code, type=kind)
    if found is ContentFiltered:
        facts["filters"] = _filters(inner if isinstance(inner, Mapping) else fields)
    return found(text, status_code=status_code, code=code, type=kind, param=param, **facts)


def _filters(told: Mapping[str, Any]) -> dict[str, str]:
    """The categories that refused, with their severities, as Azure tells them."""
    results = told.get("content_filter_result") or told.get("content_filter_results")
    found: dict[str, str] = {}
    for category, result in results.items() if isinstance(results, Mapping) else ():
        if isinstance(result, Mapping) and result.get("filtered"):
            found[str(category)] = str(result.get("severity") or "detected")
    return found


def excerpt(value: object, *, limit: int = 200) -> str:
    """The beginning of something unexpected, for a message; a text in quotation marks."""
    text = " ".join(_shown(value).split())
    text = text if len(text) <= limit else text[:limit] + "…"
    return repr(text) if isinstance(value, str) else text


def _word(value: object) -> str | None:
    """A word of the API's, whatever type a gateway gave it."""
    return value if value is None or isinstance(value, str) else excerpt(value)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of too many digits
        return f"a {type(value).__name__} that cannot be shown ({error})"
