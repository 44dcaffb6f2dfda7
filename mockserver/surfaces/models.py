"""Models, listed or one by name.

See https://platform.openai.com/docs/api-reference/models; Azure's own listing under `/openai/models` as in the examples
of Azure/azure-rest-api-specs, stable/2024-10-21, `get_models.json`.
"""

from typing import Any

from mockserver import catalogue, problems
from mockserver.calls import Call
from mockserver.surfaces import Operation, Place, Result, Setting

_CREATED = 1_715_367_049  # a time for all of them: the server plays names, not histories


def answer(call: Call, _setting: Setting) -> Result:
    """Every model, or the one that the path names."""
    describe = _on_azure if call.dialect == "azure" and not call.path.startswith("/openai/v1/") else _on_openai
    if call.model:
        return Result(body=describe(call.model))
    return Result(body={"object": "list", "data": [describe(name) for name in catalogue.names()]})


def _on_openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


def _on_azure(name: str) -> dict[str, Any]:
    model = catalogue.find(name)
    kind = model.kind if model else "chat"
    capabilities = {
        "fine_tune": False,
        "inference": True,
        "completion": kind == "completion",
        "chat_completion": kind in ("chat", "reasoning"),
        "embeddings": kind == "embeddings",
    }
    return {
        "status": "succeeded",
        "capabilities": capabilities,
        "lifecycle_status": "generally-available",
        "deprecation": {},
        "id": name,
        "created_at": _CREATED,
        "object": "model",
    }


def delete(call: Call, setting: Setting) -> Result:
    """Delete a fine-tuned model: none exists, so only a lenient server says that it did."""
    name = call.ids["model"]
    if setting.lenient:
        return Result(body={"id": name, "object": "model", "deleted": True})
    if name.startswith("ft:"):
        raise problems.error(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
    # unverified: no recording of somebody who tried
    raise problems.error(403, "You have insufficient permissions for this operation.")


_PLACES: tuple[Place, ...] = ("openai", "resource", "azure_v1")

OPERATIONS = (
    Operation(method="GET", path="/models", surface="models", name="list", answer=answer, places=_PLACES, model=None),
    Operation(
        method="GET",
        path="/models/{model:.+}",
        surface="models",
        name="retrieve",
        answer=answer,
        places=_PLACES,
        model="path",
    ),
    Operation(
        method="DELETE",
        path="/models/{model:.+}",
        surface="models",
        name="delete",
        answer=delete,
        places=("openai", "azure_v1"),
        model="path",
    ),
)
