"""api.openai.com: bearer tokens, four-field errors, rate limits in Go durations.

Shapes and headers as in replies recorded from api.openai.com by openllmetry, opentelemetry-python-contrib, dd-trace-py
and pydantic-ai; error texts that were only quoted in an issue name it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from mockserver import catalogue, problems
from mockserver.calls import Call
from mockserver.dialects import Dialect, Payload, bearer
from mockserver.dialects.screening import filter_of, screened, screened_stream
from mockserver.generating.dice import Dice
from mockserver.problems import Problem
from mockserver.quotas import Charge, go_duration
from mockserver.wire import frames_of, named_events, pretty

_KEYS_PAGE = "https://platform.openai.com/account/api-keys"
_LIMITS_PAGE = "https://platform.openai.com/account/rate-limits"
# the names in recorded refusals of models that paint nothing
_PAINTERS = ("gpt-image-1", "gpt-image-0721-mini-alpha", "dall-e-2", "dall-e-3")
_MOST_PADDING = 16
_ORGANIZATION = "org-mockserver"


class OpenAI(Dialect):
    """The dialect of api.openai.com."""

    name = "openai"

    @override
    def credential(self, headers: Mapping[str, str]) -> str:
        return bearer(headers)

    @override
    def unauthorised(self, credential: str) -> Problem:
        if not credential:
            return problems.error(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using"
                " Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if"
                " you're accessing the API from your browser and are prompted for a username and password. You can"
                f" obtain an API key from {_KEYS_PAGE}.",
            )
        message = f"Incorrect API key provided: {masked(credential)}. You can find your API key at {_KEYS_PAGE}."
        return problems.error(401, message, code="invalid_api_key")

    @override
    def unknown_path(self, method: str, path: str) -> Problem:
        return problems.error(404, f"Invalid URL ({method} {path})")

    @override
    def wrong_method(self, method: str, path: str) -> Problem:
        # never recorded, but quoted in public bug reports
        message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
        return problems.error(405, message)

    @override
    def unknown_model(self, call: Call, name: str) -> Problem:
        if call.surface == "models":
            return problems.error(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
        if call.surface == "responses":
            message = f"The requested model '{name}' does not exist."
            return problems.error(400, message, param="model", code="model_not_found")
        if call.surface == "images":
            # as recorded of `bad model`, with a blank in it
            message = f"The model '{name}' does not exist."
            kind = "image_generation_user_error"
            return problems.error(400, message, kind=kind, param="model", code="invalid_value")
        if not name.strip() or any(letter.isspace() for letter in name):
            return problems.invalid_model_id()
        message = f"The model `{name}` does not exist or you do not have access to it."
        if catalogue.is_retired(name):
            deprecations = "https://platform.openai.com/docs/deprecations"
            message = f"The model `{name}` has been deprecated, learn more here: {deprecations}"
        return problems.error(404, message, code="model_not_found")

    @override
    def unsuitable_model(self, call: Call, name: str) -> Problem:
        if call.surface == "responses":
            message = f"The requested model '{name}' is not supported with the Responses API."
            return problems.error(400, message, param="model", code="model_not_found")
        if call.surface == "images":
            return problems.invalid_value("model", name, _PAINTERS)
        if call.surface == "embeddings":
            return problems.error(403, "You are not allowed to generate embeddings from this model")
        if name.startswith("text-embedding-"):
            return problems.error(403, "You are not allowed to sample from this model")
        if call.surface == "completions":
            message = (
                "This is a chat model and not supported in the v1/completions endpoint."
                " Did you mean to use v1/chat/completions?"
            )
            return problems.error(404, message, param="model")
        if call.surface != "chat":
            # unverified: what surfaces other than these three say
            return problems.error(404, f"The model `{name}` is not supported by this endpoint.", param="model")
        message = (
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint."
            " Did you mean to use v1/completions?"
        )
        return problems.error(404, message, param="model")

    @override
    def rate_limited(self, call: Call, *, retry_after_s: float, limit: str) -> Problem:
        unit = "requests per min (RPM): Limit 3, Used 3, Requested 1"
        if limit == "tokens":
            unit = "tokens per min (TPM): Limit 30000, Used 29500, Requested 1000"
        message = (
            f"Rate limit reached for {call.model} in organization {_ORGANIZATION} on {unit}."
            f" Please try again in {go_duration(round(retry_after_s, 3))}. Visit {_LIMITS_PAGE} to learn more."
        )
        headers = {
            "retry-after": str(max(round(retry_after_s), 1) if retry_after_s else 0),
            "retry-after-ms": str(round(retry_after_s * 1000)),
            "x-ratelimit-limit-requests": "3",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-requests": "3" if limit == "tokens" else "0",
            "x-ratelimit-remaining-tokens": "500" if limit == "tokens" else "30000",
            "x-ratelimit-reset-requests": "0s" if limit == "tokens" else go_duration(round(retry_after_s, 3)),
            "x-ratelimit-reset-tokens": go_duration(round(retry_after_s, 3)) if limit == "tokens" else "0s",
        }
        return problems.error(429, message, kind=limit, code="rate_limit_exceeded", headers=headers)

    @override
    def over_quota(self, call: Call, charge: Charge) -> Problem:
        gauge = charge.tokens if charge.limit == "tokens" else charge.requests
        noun = "tokens per min (TPM)" if charge.limit == "tokens" else "requests per min (RPM)"
        requested = charge.requested if charge.limit == "tokens" else 1
        whose = f"for {call.model} in organization {_ORGANIZATION} on {noun}: Limit {gauge.limit}"
        if charge.is_too_large:
            message = (
                f"Request too large {whose}, Requested {requested}. The input or output tokens must be reduced in order"
                f" to run successfully. Visit {_LIMITS_PAGE} to learn more."
            )
            return problems.error(429, message, kind="tokens", code="rate_limit_exceeded", headers=_limits(charge))
        wait_s = charge.retry_after_s or 0.0
        message = (
            f"Rate limit reached {whose}, Used {gauge.limit - gauge.remaining}, Requested {requested}."
            f" Please try again in {go_duration(wait_s)}. Visit {_LIMITS_PAGE} to learn more."
        )
        headers = {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(round(wait_s * 1000))}
        return problems.error(
            429, message, kind=charge.limit, code="rate_limit_exceeded", headers={**headers, **_limits(charge)}
        )

    @override
    def insufficient_quota(self, call: Call) -> Problem:
        message = (
            "You exceeded your current quota, please check your plan and billing details. For more information on this"
            " error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        )
        return problems.error(429, message, kind="insufficient_quota", code="insufficient_quota")

    @override
    def content_filtered(
        self, *, category: str = "violence", severity: str = "medium", surface: str = "chat"
    ) -> Problem | None:
        return None

    @override
    def server_error(self, call: Call, status: int) -> Problem:
        if status < 500:
            return self._refused(call, status)
        if status == 503:
            # recorded as a 429 of May 2023; that 503 says the same is unverified
            message = (
                "That model is currently overloaded with other requests. You can retry your request, or contact us"
                " through our help center at help.openai.com if the error persists. (Please include the request ID"
                f" {call.request_id} in your message.)"
            )
            return problems.error(503, message, kind="server_error")
        if status in (502, 504):
            return Problem(status, {}, body=_CLOUDFLARE.format(status=status), headers={"content-type": "text/html"})
        message = (
            "The server had an error processing your request. Sorry about that! You can retry your request, or contact"
            " us through our help center at help.openai.com if you keep seeing this error. (Please include the request"
            f" ID {call.request_id} in your email.)"
        )
        return problems.error(status, message, kind="server_error")

    def _refused(self, call: Call, status: int) -> Problem:
        """What each status is known for; of those without a recording or a public report, the words are unverified."""
        match status:
            case 401:
                return self.unauthorised("sk-expired-0000000000000000")
            case 403:
                # quoted in home-assistant/core#120072
                code, message = "unsupported_country_region_territory", "Country, region, or territory not supported"
                return problems.error(403, message, kind="request_forbidden", code=code)
            case 404:
                return self.unknown_path(call.method, call.path)
            case 405:
                return self.wrong_method(call.method, call.path)
            case 413:
                return Problem(413, {}, body=_CLOUDFLARE.format(status=status), headers={"content-type": "text/html"})
            case 429:
                return self.rate_limited(call, retry_after_s=1.0, limit="requests")
        return problems.error(status, _UNVERIFIED.get(status, "Invalid request."))

    @override
    def headers(self, call: Call, dice: Dice, *, streamed: bool, charge: Charge) -> dict[str, str]:
        return {
            "content-type": "text/event-stream; charset=utf-8" if streamed else "application/json",
            "access-control-expose-headers": "X-Request-ID",
            "openai-organization": _ORGANIZATION,
            "openai-processing-ms": str(dice.randint(80, 900)),
            "openai-project": "proj_mockserver",
            "openai-version": "2020-10-01",
            **_limits(charge),
            "x-request-id": call.request_id,
            **self.edge_headers(dice),
        }

    @override
    def limits(self, charge: Charge) -> dict[str, str]:
        return _limits(charge)

    @override
    def problem_headers(self, request_id: str, status: int, dice: Dice) -> dict[str, str]:
        return {
            "content-type": "application/json; charset=utf-8",
            "x-request-id": request_id,
            **self.edge_headers(dice),
        }

    @override
    def edge_headers(self, dice: Dice) -> dict[str, str]:
        """What Cloudflare adds; without `alt-svc`, which would send clients looking for HTTP/3."""
        return {
            "server": "cloudflare",
            "cf-cache-status": "DYNAMIC",
            "cf-ray": f"{dice.hexadecimal(16)}-EWR",
            "set-cookie": f"__cf_bm={dice.token(43)}; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
            "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
            "x-content-type-options": "nosniff",
        }

    @override
    def encode(self, payload: Any) -> bytes:
        return pretty(payload)

    @override
    def frames(self, chunks: Sequence[Payload]) -> tuple[bytes, ...]:
        return frames_of(chunks)

    @override
    def event_frames(self, call: Call, events: Sequence[tuple[str, Payload]]) -> tuple[bytes, ...]:
        return named_events(events)

    @override
    def request_id(self, dice: Dice) -> str:
        return f"req_{dice.hexadecimal(32)}"

    @override
    def annotate(self, call: Call, payload: Any) -> Any:
        """Nothing but where the filter ends a choice."""
        if not filter_of(call).words or not isinstance(payload, dict) or "choices" not in payload:
            return payload
        return {**payload, "choices": [choice for choice, _ in screened(call, payload["choices"])]}

    @override
    def annotate_stream(self, call: Call, chunks: Sequence[Payload], pads: Sequence[str]) -> list[Payload]:
        shown = [chunk for chunk, _ in screened_stream(call, chunks)]
        if not pads:
            return shown
        return [{**chunk, "obfuscation": pad} for chunk, pad in zip(shown, pads, strict=False)]

    @override
    def pads(self, call: Call, count: int, dice: Dice) -> Sequence[str]:
        """Of a chat, unless the request declines them."""
        options = call.body.get("stream_options")  # whatever a lenient server lets them be
        declined = isinstance(options, Mapping) and options.get("include_obfuscation") is False
        if call.surface != "chat" or declined:
            return ()
        lengths, letters = dice.bytes(count), dice.token(count + _MOST_PADDING)  # one draw for all of them
        return [letters[at : at + 1 + length % _MOST_PADDING] for at, length in enumerate(lengths)]


def masked(key: str) -> str:
    """A key as a 401 quotes it: whole up to 12 letters, else the first 8 and last 4 around stars."""
    printable = "".join(letter for letter in key if letter.isprintable())
    return printable if len(printable) <= 12 else f"{printable[:8]}{'*' * (len(printable) - 12)}{printable[-4:]}"


def _limits(charge: Charge) -> dict[str, str]:
    """How the quotas stand; resets are durations as Go prints them."""
    return {
        "x-ratelimit-limit-requests": str(charge.requests.limit),
        "x-ratelimit-limit-tokens": str(charge.tokens.limit),
        "x-ratelimit-remaining-requests": str(charge.requests.remaining),
        "x-ratelimit-remaining-tokens": str(charge.tokens.remaining),
        "x-ratelimit-reset-requests": go_duration(charge.requests.reset_s),
        "x-ratelimit-reset-tokens": go_duration(charge.tokens.reset_s),
    }


# never recorded, and quoted nowhere that we know of
_UNVERIFIED = {
    400: "Invalid request. Please check the API reference: https://platform.openai.com/docs/api-reference.",
    408: "Request timed out.",
    409: "The resource was changed by another request. Please try again.",
    415: "Unsupported media type. Please send the body as 'application/json'.",
    422: "The request was well-formed but could not be processed.",
}

# unverified in wording: what is known of 502 and 504 is that the edge answers them in HTML
_CLOUDFLARE = """<html>
<head><title>{status}</title></head>
<body>
<center><h1>{status}</h1></center>
<hr><center>cloudflare</center>
</body>
</html>
"""
