"""The input of a batch: its lines, and what is wrong with them before any of them is answered.

Codes and texts as observed of api.openai.com by llama-stack's `test_batches_errors.py`; of duplicates and several
models as Alibaba's Model Studio documents them for its copy of this API, and of too many lines by the code that Azure
documents (the text is unverified).
"""

import json
from typing import Any

from mockserver import catalogue

_MOST_LINES = 50_000
_REQUIRED = ("custom_id", "method", "url", "body")
# what each endpoint needs besides a model
_NEEDS = {"/chat/completions": "messages", "/embeddings": "input", "/completions": "prompt"}
_NAMES = {"/chat/completions": "Chat Completions", "/completions": "Completions", "/responses": "Responses"}

Error = dict[str, Any]


def lines_of(content: bytes) -> list[bytes]:
    """The lines that are not blank."""
    return [line for line in content.splitlines() if line.strip()]


def request_of(line: bytes) -> dict[str, Any]:
    """The request on a line; ValueError if it is no JSON object."""
    try:
        request = json.loads(line)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    if not isinstance(request, dict):
        raise ValueError("no object")  # noqa: TRY004 - text of the wrong kind is a wrong value
    return request


def error(code: str, message: str, *, param: str | None = None, line: int | None = None) -> Error:
    """One entry of a batch's `errors`."""
    return {"code": code, "message": message, "param": param, "line": line}


def errors_in(lines: list[bytes], *, endpoint: str, on_azure: bool, lenient: bool) -> list[Error]:
    """What is wrong, line by line; empty if the batch may run. A lenient server takes any model."""
    if not lines:
        return [error("empty_file", "The input file is empty.")]  # code as Azure documents it, text unverified
    if len(lines) > _MOST_LINES:
        return [error("too_many_tasks", f"The input file has more than {_MOST_LINES} requests.")]
    review = _Review(endpoint.removeprefix("/v1"), knows_models=not on_azure and not lenient)
    return [found for number, line in enumerate(lines, 1) for found in review.of(number, line)]


class _Review:
    """Looks at one line after the other, remembering what must not differ or come again."""

    def __init__(self, endpoint: str, *, knows_models: bool) -> None:
        self._endpoint, self._knows_models = endpoint, knows_models
        self._ids: set[str] = set()
        self._model: Any = None

    def of(self, number: int, line: bytes) -> list[Error]:
        try:
            request = request_of(line)
        except ValueError:
            return [error("invalid_json_line", "This line is not parseable as valid JSON.", line=number)]
        missing = [
            error("missing_required_parameter", f"Missing required parameter: '{name}'.", param=name, line=number)
            for name in _REQUIRED
            if name not in request
        ]
        found = missing or self._wrong(request)
        return [{**each, "line": number} for each in found]

    def _wrong(self, request: dict[str, Any]) -> list[Error]:
        """The first thing that is wrong with a request that has all its parts."""
        checks = (self._wrong_type, self._wrong_id, self._wrong_url, self._wrong_body, self._wrong_model)
        return next((found for check in checks if (found := check(request))), [])

    def _wrong_type(self, request: dict[str, Any]) -> list[Error]:
        for name in ("custom_id", "method", "url"):
            if not isinstance(request[name], str):
                message = f"Invalid type for '{name}': expected a string."  # unverified
                return [error("invalid_type", message, param=name)]
        if not isinstance(request["body"], dict):
            return [error("invalid_type", "Invalid type for 'body': expected an object.", param="body")]  # unverified
        if request["method"] != "POST":
            message = f"Invalid value: '{request['method']}'. Supported values are: 'POST'."  # unverified
            return [error("invalid_value", message, param="method")]
        return []

    def _wrong_id(self, request: dict[str, Any]) -> list[Error]:
        name = request["custom_id"]
        if name in self._ids:
            message = (
                f"The custom_id '{name}' for this request is a duplicate of another request. The custom_id parameter"
                " must be unique for each request in a batch."
            )
            return [error("duplicate_custom_id", message, param="custom_id")]
        self._ids.add(name)
        return []

    def _wrong_url(self, request: dict[str, Any]) -> list[Error]:
        if request["url"].removeprefix("/v1") == self._endpoint:
            return []
        message = "The URL provided for this request does not match the batch endpoint."
        return [error("invalid_url", message, param="url")]

    def _wrong_body(self, request: dict[str, Any]) -> list[Error]:
        body, needed = request["body"], _NEEDS.get(self._endpoint)
        if body.get("stream") is True:
            message = f"{_NAMES.get(self._endpoint, 'This endpoint')}: Streaming is not supported in the Batch API."
            return [error("streaming_unsupported", message, param="body.stream")]
        if not isinstance(body.get("model"), str) and self._endpoint != "/moderations":
            return [error("invalid_request", "Model parameter is required.", param="body.model")]
        if needed is not None and body.get(needed) is None:
            message = f"{needed.capitalize()} parameter is required."
            return [error("invalid_request", message, param=f"body.{needed}")]
        return []

    def _wrong_model(self, request: dict[str, Any]) -> list[Error]:
        model = request["body"].get("model")
        if not isinstance(model, str):
            return []
        self._model = self._model or model
        if self._knows_models and (catalogue.find(model) is None or catalogue.is_retired(model)):
            message = f"The provided model '{model}' is not supported by the Batch API."
            return [error("model_not_found", message, param="body.model")]
        if model != self._model:
            message = (
                f"The model '{model}' for this request does not match the rest of the batch. Each batch must contain"
                " requests for a single model."
            )
            return [error("mismatched_model", message, param="body.model")]
        return []
