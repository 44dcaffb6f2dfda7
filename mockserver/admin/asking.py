"""What a request to `/__admin` says: its body and its query, refused with the reason where they are none."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from mockserver.admin.guard import refuse
from mockserver.scripting.options import shown, suggestion
from mockserver.transmission import BodyTooLarge, read_body
from mockserver.wire import parse_json

# bodies of other types are no JSON; `curl -d` says x-www-form-urlencoded, whatever it sends
_TYPES = (
    "",
    "application/json",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
)


async def body_of(request: web.Request, *, limit: int) -> Any:
    """The JSON in the body."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in _TYPES and not content_type.endswith("+json"):
        raise refuse(415, f"the request body is {content_type!r:.100}; it takes application/json")
    try:
        return parse_json(await read_body(request, limit=limit))
    except BodyTooLarge as exc:
        raise refuse(413, f"the request body has {exc.args[0]} bytes; at most {limit} are read") from exc
    except ValueError as exc:
        raise refuse(400, f"the request body is not JSON: {exc}") from exc


async def object_of(request: web.Request, known: Sequence[str], *, limit: int) -> dict[str, Any]:
    """The JSON object in the body, which has no other keys than those known."""
    query_of(request)
    data = await body_of(request, limit=limit)
    if not isinstance(data, dict):
        raise refuse(400, f"the request body is {shown(data)}; it takes an object with {', '.join(known)}")
    for key in data:
        if key not in known:
            raise refuse(400, f"unknown key {key!r}; {suggestion(key, known)}")
    return data


def query_of(request: web.Request) -> Mapping[str, str]:
    """The query of a request that takes none: a parameter would be left out in silence."""
    for name in request.query:
        raise refuse(400, f"there is no parameter {name!r:.100} of {request.path}; it takes none")
    return request.query
