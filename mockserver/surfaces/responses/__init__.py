"""Responses, as in https://platform.openai.com/docs/api-reference/responses.

On Azure they are served under `/openai/v1/responses`, and under `/openai/responses` with an `api-version`.
Ids depend on the request: the same request to a server with the same seed makes the same response again, in the place
of the first.
"""

from mockserver.catalogue import Kind
from mockserver.surfaces import Operation, Place
from mockserver.surfaces.responses import operations, requests

_PLACES: tuple[Place, ...] = ("openai", "azure_v1", "resource")
_KINDS: tuple[Kind, ...] = ("chat", "reasoning")
_ONE = "/responses/{response_id}"
# who names no model is refused by the checks; a lenient server takes this one
_USUAL = "gpt-4o"

OPERATIONS = (
    Operation(
        method="POST",
        path="/responses",
        surface="responses",
        name="create",
        answer=operations.create,
        check=requests.check,
        estimate=operations.estimate,
        places=_PLACES,
        default_model=_USUAL,
        kinds=_KINDS,
    ),
    Operation(
        method="POST",
        path="/responses/input_tokens",
        surface="responses",
        name="input_tokens",
        answer=operations.count,
        check=requests.check_count,
        places=_PLACES,
        default_model=_USUAL,
        kinds=_KINDS,
    ),
    Operation(
        method="POST",
        path="/responses/compact",
        surface="responses",
        name="compact",
        answer=operations.compact,
        check=requests.check_compact,
        places=_PLACES,
        default_model=_USUAL,
        kinds=_KINDS,
    ),
    Operation(
        method="GET",
        path=_ONE,
        surface="responses",
        name="retrieve",
        answer=operations.retrieve,
        places=_PLACES,
        model=None,
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        surface="responses",
        name="delete",
        answer=operations.delete,
        places=_PLACES,
        model=None,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/cancel",
        surface="responses",
        name="cancel",
        answer=operations.cancel,
        places=_PLACES,
        model=None,
        takes="nothing",
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/input_items",
        surface="responses",
        name="input_items",
        answer=operations.input_items,
        places=_PLACES,
        model=None,
    ),
)
