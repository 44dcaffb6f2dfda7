"""Batches: many requests in a file, answered by and by into another.

The object and its times as recorded of api.openai.com by ruby-openai (`batches_*.yml`), `model` and `usage` as quoted
in ProjectTech4DevAI/kaapi-backend#723; refusals as recorded by timescale/pgai (404) and as observed by llama-stack's
`test_batches_errors.py` (values, 409). Who runs a batch is `running`.
"""

from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating.dice import Dice
from mockserver.parameters import require, string
from mockserver.surfaces import Operation, Result, Setting, files, running
from mockserver.surfaces.expiry import check_expiry, lifetime_s
from mockserver.surfaces.metadata import check_metadata
from mockserver.surfaces.paging import Paging

_ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)
_PAGING = Paging()


def check_create(call: Call, _model: Model) -> None:
    """Refuse what the API refuses before it looks at the file."""
    body = call.body
    require(body, ["input_file_id", "endpoint", "completion_window"])
    string("input_file_id", body["input_file_id"])
    string("endpoint", body["endpoint"])
    # Azure's own examples leave out the /v1
    if body["endpoint"] not in _ENDPOINTS and not (call.dialect == "azure" and f"/v1{body['endpoint']}" in _ENDPOINTS):
        raise problems.invalid_value("endpoint", body["endpoint"], _ENDPOINTS)
    if body["completion_window"] != "24h":
        raise problems.invalid_value("completion_window", body["completion_window"], ["24h"])
    if body.get("metadata") is not None:
        check_metadata("metadata", body["metadata"])
    if body.get("output_expires_after") is not None:
        check_expiry("output_expires_after", body["output_expires_after"])


def create(call: Call, setting: Setting) -> Result:
    """A batch that is about to be validated."""
    body = call.body
    dice = Dice(setting.seed, running.KIND, setting.store.number(running.KIND), body)
    digits = dice.uuid() if call.dialect == "azure" else dice.hexadecimal(32)
    batch = _batch(setting, f"batch_{digits}", body)
    record = running.record_of(batch, setting, lifetime_s=lifetime_s(body.get("output_expires_after")))
    setting.store.put(running.KIND, batch["id"], record)
    return Result(body=batch)


def _batch(setting: Setting, name: str, body: dict[str, Any]) -> dict[str, Any]:
    times = ("finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    return {
        "id": name,
        "object": "batch",
        "endpoint": str(body.get("endpoint", "/v1/chat/completions")),
        "model": None,
        "errors": None,
        "input_file_id": str(body.get("input_file_id", "file-unknown")),
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": setting.created,
        "in_progress_at": None,
        "expires_at": setting.created + running.WINDOW_S,
        **{f"{name}_at": None for name in times},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": None,
        "metadata": body.get("metadata") if isinstance(body.get("metadata"), dict) else None,
    }


def retrieve(call: Call, setting: Setting) -> Result:
    """The batch as it stands by now."""
    name = call.ids["batch_id"]
    batch = running.advance(call, setting, name)
    return Result(body=_missing(setting, name) if batch is None else batch)


def cancel(call: Call, setting: Setting) -> Result:
    """The batch, which starts nothing more; one that is cancelled already is no problem."""
    name = call.ids["batch_id"]
    batch = running.cancel(call, setting, name)
    if batch is None:
        return Result(body=_missing(setting, name))
    if batch["status"] not in ("cancelling", "cancelled"):
        raise problems.error(409, f"Cannot cancel a batch with status '{batch['status']}'.")
    return Result(body=batch)


def _missing(setting: Setting, name: str) -> dict[str, Any]:
    """A batch that a lenient server makes up, else the recorded 404."""
    if not setting.lenient:
        raise problems.error(404, f"No batch found with id '{name}'.")
    return _batch(setting, name, {})


def check_list(call: Call, _model: Model) -> None:
    """Refuse a wrong limit."""
    _PAGING.check(call)


def list_all(call: Call, setting: Setting) -> Result:
    """A page of the batches, the newest first, each as it stands by now."""
    names = [record["batch"]["id"] for record in setting.store.all(running.KIND)]
    batches = [batch for name in names if (batch := running.advance(call, setting, name)) is not None]
    return _PAGING.page(call, setting, batches)


def _operation(method: str, path: str, name: str, **rest: Any) -> Operation:
    return Operation(method=method, path=path, surface="batches", name=name, places=files.PLACES, model=None, **rest)


OPERATIONS = (
    _operation("POST", "/batches", "create", answer=create, check=check_create),
    _operation("GET", "/batches", "list", answer=list_all, check=check_list),
    _operation("GET", "/batches/{batch_id}", "retrieve", answer=retrieve),
    _operation("POST", "/batches/{batch_id}/cancel", "cancel", answer=cancel),
)
