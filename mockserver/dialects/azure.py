"""Azure OpenAI: api keys, string error codes, content filters on everything, keys in alphabetical order.

Shapes and headers as in replies recorded from *.openai.azure.com by openllmetry, dd-trace-py and mirascope; what was
only quoted in an issue names it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from mockserver import problems
from mockserver.calls import Call
from mockserver.content_filter import Verdict
from mockserver.dialects import Dialect, Payload, bearer
from mockserver.dialects.screening import filter_of, screened, screened_stream
from mockserver.generating.dice import Dice
from mockserver.problems import Problem
from mockserver.quotas import UNLIMITED, Charge
from mockserver.wire import compact, frames_of, named_events

_REGION = "East US 2"
_OPERATIONS = {
    "chat": ("ChatCompletions_Create", "chatCompletion", "Creates a completion for the chat message"),
    "completions": ("Completions_Create", "completion", "Creates a completion for the provided prompt"),
    "embeddings": ("Embeddings_Create", "embeddings", "Get a vector representation of a given input"),
}
_QUOTA = "https://aka.ms/oai/quotaincrease"
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_SCREENED = ("chat", "completions")


class Azure(Dialect):
    """The dialect of *.openai.azure.com, with deployments in the path or under `/openai/v1`."""

    name = "azure"

    @override
    def credential(self, headers: Mapping[str, str]) -> str:
        return headers.get("api-key", "").strip() or bearer(headers)

    @override
    def unauthorised(self, credential: str) -> Problem:
        if _JWT.fullmatch(credential):
            # a token of Entra ID, as quoted in openai/openai-python#1105 and others
            message = (
                "Unauthorized. Access token is missing, invalid, audience is incorrect"
                " (https://cognitiveservices.azure.com), or have expired."
            )
            body = compact({"statusCode": 401, "message": message}).decode()
            return Problem(401, {}, body=body, headers={"content-type": "application/json"})
        return _gateway(
            401,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for"
            " an active subscription and use a correct regional API endpoint for your resource.",
        )

    @override
    def unknown_path(self, method: str, path: str) -> Problem:
        # byte for byte as quoted in openai/openai-python#362, the blank included
        body = '{"error":{"code":"404","message": "Resource not found"}}'
        return Problem(404, {}, body=body, headers={"content-type": "application/json"})

    @override
    def wrong_method(self, method: str, path: str) -> Problem:
        return self.unknown_path(method, path)  # unverified: the gateway routes by method and path together

    @override
    def unknown_model(self, call: Call, name: str) -> Problem:
        if call.path.startswith("/openai/v1/"):
            message = f"Unknown model: {name}"
            return Problem(400, {"code": "unknown_model", "message": message, "details": message})
        message = (
            "The API deployment for this resource does not exist. If you created the deployment within the last 5"
            " minutes, please wait a moment and try again."
        )
        return Problem(404, {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": message})

    @override
    def unsuitable_model(self, call: Call, name: str) -> Problem:
        # worded as quoted in microsoft/graphrag#1557 and run-llama/llama_index#6436
        message = (
            f"The {_operation(call)[1]} operation does not work with the specified model, {name}. Please"
            " choose different model and try again. You can learn more about which models can be used with each"
            " operation here: https://go.microsoft.com/fwlink/?linkid=2197993."
        )
        return _gateway(400, "OperationNotSupported", message)

    @override
    def rate_limited(self, call: Call, *, retry_after_s: float, limit: str) -> Problem:
        limit_of = UNLIMITED["azure"][limit == "tokens"]
        return self._over_limit(call, limit, retry_after_s, {f"x-ratelimit-limit-{limit}": str(limit_of)})

    @override
    def over_quota(self, call: Call, charge: Charge) -> Problem:
        return self._over_limit(call, charge.limit or "requests", charge.retry_after_s or 0.0, _limits(charge))

    def _over_limit(self, call: Call, limit: str, retry_after_s: float, limits: Mapping[str, str]) -> Problem:
        wait_s = math.ceil(retry_after_s)
        code, message = _over_limit_text(call, limit, wait_s)
        headers = {
            "retry-after": str(wait_s),
            "retry-after-ms": str(round(retry_after_s * 1000)),
            **limits,
            f"x-ratelimit-reset-{limit}": str(wait_s),
            f"x-ratelimit-remaining-{limit}": "0",
            "x-ms-client-request-id": "Not-Set",
            "x-ms-deployment-name": call.deployment or call.model,
        }
        if limit == "tokens" and (call.api_version or "").startswith("2023-12"):
            # the head dumped in openai/openai-python#937, of December 2023: another spelling, and no Retry-After
            headers = {"x-rate-limit-reset-tokens": str(wait_s), "policy-id": "DeploymentRatelimit-Token"}
        return _gateway(429, code, message, headers=headers)

    @override
    def insufficient_quota(self, call: Call) -> Problem:
        # Azure knows no balance; a day to wait is what it was seen to ask for in public bug reports
        return self.rate_limited(call, retry_after_s=86_400, limit="tokens")

    @override
    def content_filtered(
        self, *, category: str = "violence", severity: str = "medium", surface: str = "chat"
    ) -> Problem | None:
        message = (
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please"
            " modify your prompt and retry. To learn more about our content filtering policies please read our"
            " documentation: https://go.microsoft.com/fwlink/?linkid=2198766"
        )
        if surface == "responses":
            # recorded with another apostrophe, and without a word about why
            message = message.replace("'", "\u2019")
            return problems.error(400, message, param="prompt", code="content_filter")
        verdict = Verdict({category: severity}, refused=True).on_prompt()
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": verdict}
        error = {"message": message, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
        return Problem(400, {**error, "innererror": inner})

    @override
    def server_error(self, call: Call, status: int) -> Problem:
        if status < 500:
            return self._refused(call, status)
        if status in (502, 503, 504):
            # quoted in Azure-Samples/chat-copilot#123 of a 500; that these say the same of themselves is unverified
            reason = {502: "Bad gateway", 503: "Service unavailable", 504: "Gateway timeout"}[status]
            body = compact({"statusCode": status, "message": reason, "activityId": call.request_id}).decode()
            return Problem(status, {}, body=body, headers={"content-type": "application/json"})
        # quoted in Azure-Samples/azure-search-openai-demo#1390; what other 5xx say is unverified
        message = (
            "The server had an error processing your request. Sorry about that! You can retry your request, or contact"
            " us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if you keep"
            f" seeing this error. (Please include the request ID {call.request_id} in your email.)"
        )
        return problems.error(status, message, kind="server_error")

    def _refused(self, call: Call, status: int) -> Problem:
        """What each status is known for; of those that are not named here, the words are unverified."""
        match status:
            case 401:
                return self.unauthorised("")
            case 403:
                # byte for byte as quoted in Azure-Samples/azure-sql-db-chatbot#3, its blank and its head included
                body = '{"error":{"code":"403","message": "Access denied due to Virtual Network/Firewall rules."}}'
                headers = {"content-type": "application/json", "policy-id": "ThrowExceptionDueToTrafficDenied"}
                return Problem(403, {}, body=body, headers=headers)
            case 404 | 405:
                return self.unknown_path(call.method, call.path)
            case 408:
                # quoted in langgenius/dify-official-plugins#2199: of models that reason for long
                return _gateway(408, "Timeout", "The operation was timeout.")
            case 413:
                # recorded by crmne/ruby_llm, of a model that Azure serves by machine learning endpoints
                body = "Failed to buffer the request body: length limit exceeded\n"
                return Problem(413, {}, body=body, headers={"content-type": "text/plain; charset=utf-8"})
            case 429:
                return self.rate_limited(call, retry_after_s=1.0, limit="requests")
        return _gateway(status, str(status), "The request is refused.")

    @override
    def headers(self, call: Call, dice: Dice, *, streamed: bool, charge: Charge) -> dict[str, str]:
        return {
            "content-type": "text/event-stream; charset=utf-8" if streamed else "application/json",
            "apim-request-id": dice.uuid(),
            "azureml-model-session": "d20260330170902-0e618f323d34",
            "skip-error-remapping": "true",
            "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
            "x-content-type-options": "nosniff",
            **({"x-accel-buffering": "no", "x-ms-rai-invoked": "true"} if call.surface != "embeddings" else {}),
            "x-ms-deployment-name": call.deployment or call.model,
            "x-ms-is-spilled-over": "false",
            "x-ms-region": _REGION,
            "x-ratelimit-abusepenalty-active": "False",
            **_limits(charge),
            "x-request-id": call.request_id,
        }

    @override
    def limits(self, charge: Charge) -> dict[str, str]:
        return _limits(charge)

    @override
    def problem_headers(self, request_id: str, status: int, dice: Dice) -> dict[str, str]:
        gateway = {"content-type": "application/json", **self.edge_headers(dice)}
        return gateway if status == 401 else {**gateway, "x-ms-region": _REGION, "x-request-id": request_id}

    @override
    def edge_headers(self, dice: Dice) -> dict[str, str]:
        return {"apim-request-id": dice.uuid()}

    @override
    def encode(self, payload: Any) -> bytes:
        return compact(payload)

    @override
    def frames(self, chunks: Sequence[Payload]) -> tuple[bytes, ...]:
        return frames_of(chunks, sort_keys=True)

    @override
    def event_frames(self, call: Call, events: Sequence[tuple[str, Payload]]) -> tuple[bytes, ...]:
        """A body of a response within an event is annotated like a plain one."""
        return named_events(
            (name, {**payload, "response": _judged(call, payload["response"])} if "response" in payload else payload)
            for name, payload in events
        )

    @override
    def request_id(self, dice: Dice) -> str:
        return dice.uuid()

    @override
    def annotate(self, call: Call, payload: Any) -> Any:
        """A filter verdict for the prompt and for each choice, or one for each side of a response; no service tier."""
        if call.surface == "responses" and isinstance(payload, dict) and payload.get("object") == "response":
            return _judged(call, payload)
        if call.surface not in _SCREENED or not isinstance(payload, dict) or "choices" not in payload:
            return payload
        choices = [
            {**choice, "content_filter_results": verdict.on_completion()}
            for choice, verdict in screened(call, payload["choices"])
        ]
        annotated = {**payload, "choices": choices, "prompt_filter_results": _on_prompt(call)}
        annotated.pop("service_tier", None)
        return dict(_sorted(annotated))

    @override
    def annotate_stream(self, call: Call, chunks: Sequence[Payload], pads: Sequence[str]) -> list[Payload]:
        """The prompt's verdict comes first, in a chunk without choices; then one for each chunk that has content."""
        first = {
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": _on_prompt(call),
        }
        return [first, *(_filtered(chunk, verdict) for chunk, verdict in screened_stream(call, chunks))]

    @override
    def pads(self, call: Call, count: int, dice: Dice) -> Sequence[str]:
        return ()


def _limits(charge: Charge) -> dict[str, str]:
    """How the quotas stand; resets are bare integers, of milliseconds as recorded: 500 after 1 request of 120."""
    return {
        "x-ratelimit-limit-requests": str(charge.requests.limit),
        "x-ratelimit-limit-tokens": str(charge.tokens.limit),
        "x-ratelimit-remaining-requests": str(charge.requests.remaining),
        "x-ratelimit-remaining-tokens": str(charge.tokens.remaining),
        "x-ratelimit-renewalperiod-requests": "60",
        "x-ratelimit-renewalperiod-tokens": "60",
        "x-ratelimit-reset-requests": str(round(charge.requests.reset_s * 1000)),
        "x-ratelimit-reset-tokens": str(round(charge.tokens.reset_s * 1000)),
    }


def _judged(call: Call, body: Payload) -> Payload:
    """A response with the verdicts on what came in and on what was said, null as long as nothing is.

    Shape, names and place as in replies of *.openai.azure.com quoted in public bug reports of February and April 2026;
    the offsets of a prompt, which count a hidden prefix, are unverified.
    """
    said = "".join(part.get("text", "") for item in body["output"] for part in item.get("content", ()))
    verdicts = [
        _side("prompt", filter_of(call).of_prompt(call.body).on_prompt(), 0),
        _side("completion", filter_of(call).of(said).on_completion(), len(said)),
    ]
    judged: Payload = {}
    for name, value in body.items():
        judged[name] = value
        if name == "completed_at":
            judged["content_filters"] = verdicts if body["usage"] else None
    return judged


def _side(source: str, results: Payload, length: int) -> Payload:
    return {
        "blocked": False,
        "source_type": source,
        "content_filter_raw": [],
        "content_filter_results": results,
        "content_filter_offsets": {"start_offset": 0, "end_offset": length, "check_offset": 0},
    }


def _on_prompt(call: Call) -> list[Payload]:
    verdict = filter_of(call).of_prompt(call.body).on_prompt()
    prompts = call.body.get("prompt")
    count = len(prompts) if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int) else 1
    return [{"prompt_index": index, "content_filter_results": verdict} for index in range(count)]


def _filtered(chunk: Payload, verdict: Verdict) -> Payload:
    """A chunk with the verdict on what it says; without one where it says nothing, unless the filter ends it."""
    choices = []
    for choice in chunk["choices"]:
        part = choice.get("delta", choice)
        told = part.get("content") or part.get("text") or choice["finish_reason"] == "content_filter"
        choices.append({**choice, "content_filter_results": verdict.on_completion() if told else {}})
    return {**{name: value for name, value in chunk.items() if name != "service_tier"}, "choices": choices}


def _operation(call: Call) -> tuple[str, str, str]:
    """What Azure calls an operation: in its specification, in refusals of a model, and in 2023."""
    usual = f"{call.surface.capitalize()}_{call.operation.capitalize()}"
    return _OPERATIONS.get(call.surface, (usual, call.surface, usual))


def _over_limit_text(call: Call, limit: str, wait_s: int) -> tuple[str, str]:
    """Code and message of a 429, which Azure has worded anew nearly every year; the API version tells when."""
    version, operation = call.api_version or "v1", _operation(call)
    noun = "token" if limit == "tokens" else "call"
    if version < "2023":
        # quoted in microsoft/copilot-camp#551 and Azure-Samples/graphrag-accelerator#129; its version is unverified
        return "429", f"Rate limit is exceeded. Try again in {wait_s} seconds."
    if version < "2024-10":
        # quoted with 2023-03-15-preview and 2024-08-01-preview, and recorded by crmne/ruby_llm
        named = operation[2] if version < "2024" else operation[0]
        return "429", (
            f"Requests to the {named} Operation under Azure OpenAI API version {version} have exceeded {noun} rate"
            f" limit of your current OpenAI S0 pricing tier. Please retry after {wait_s} seconds. Please"
            f" go here: {_QUOTA} if you would like to further increase the default rate limit."
        )
    return "RateLimitReached", (
        f"Your requests to {call.deployment or call.model} for {call.model} in {_REGION} have exceeded the {noun}"
        f" rate limit for your current OpenAI S0 pricing tier. This request was for {operation[0]} under Azure OpenAI"
        f" API version {version}. Please retry after {wait_s} seconds. To increase your default rate limit, visit:"
        f" {_QUOTA}."
    )


def _gateway(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> Problem:
    """A refusal by the gateway in front of the model: no type, no param, and a code that is a string."""
    return Problem(status, {"code": code, "message": message}, headers=headers)


def _sorted(payload: Any) -> Any:
    """Keys in alphabetical order, as recorded; but the prompt's verdict keeps its own order."""
    if isinstance(payload, dict):
        return {
            key: value if key == "prompt_filter_results" else _sorted(value) for key, value in sorted(payload.items())
        }
    return [_sorted(item) for item in payload] if isinstance(payload, list) else payload
