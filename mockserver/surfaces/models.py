"""Models, listed or one by name.

See https://platform.openai.com/docs/api-reference/models; Azure's own listing under `/openai/models` as in the examples
of Azure/azure-rest-api-specs, stable/2024-10-21, `get_models.json`.
"""

from typing import Any

from typing_extensions import override

from mockserver import catalogue
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.surfaces import Result, Setting, Surface

_CREATED = 1_715_367_049  # a time for all of them: the server plays names, not histories


class Models(Surface):
    """The models surface."""

    name = "models"

    @override
    def check(self, call: Call, model: Model) -> None:
        """Nothing in such a request can be wrong but the name."""

    @override
    def result(self, call: Call, setting: Setting) -> Result:
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
