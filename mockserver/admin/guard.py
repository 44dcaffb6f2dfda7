"""Who may ask: programs, and the server's own page, but no page of another site that a browser happens to show.

A page of another origin can send a browser's requests here. It is told by `Sec-Fetch-Site` and `Origin`
(https://www.w3.org/TR/fetch-metadata/), which programs don't send. One whose name has been made to point at this
machine (DNS rebinding) looks like our own to the browser; it is told by its `Host`: names that nobody can own in public
are let in, and addresses, which no DNS answers for. Who binds the server to a public address means to be asked by any
name, and what comes in over such an address is not asked for its Host.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from mockserver.wire import compact

PREFIX = "/__admin"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}
_SAFE = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")
# RFC 6761, RFC 6762 (also what clusters use), and what ICANN has reserved for private use
_PRIVATE = (".localhost", ".test", ".local", ".internal")


def guarded(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """The same routes, closed to pages of other sites."""
    return [web.RouteDef(each.method, each.path, _guarded(each.handler), each.kwargs) for each in routes]


def _guarded(handler: Any) -> Any:
    @wraps(handler)
    async def guarding(request: web.Request) -> web.StreamResponse:
        reason = _strange_host(request) or _strange_page(request)
        try:
            if reason:
                raise refuse(403, reason)
            answer: web.StreamResponse = await handler(request)
        except Refusal as exc:
            answer = exc.answer
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    return guarding


def _strange_host(request: web.Request) -> str:
    """Why the name that the server was asked by is not let in; empty if it is."""
    host = request.headers.get("host", "")
    if not host or _is_private(host) or _came_over_public_address(request):
        return ""
    return f"the host {host!r} is not known here; ask /__admin by 127.0.0.1, localhost or another private name"


def _is_private(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return ("." not in name and ":" not in name) or name.endswith(_PRIVATE) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _came_over_public_address(request: web.Request) -> bool:
    own = request.transport.get_extra_info("sockname") if request.transport else None
    if not isinstance(own, tuple):  # a worker hands on what it was asked
        return False
    try:
        return not ipaddress.ip_address(own[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def _strange_page(request: web.Request) -> str:
    """Why a request that changes something comes from a page that may not send it; empty if it does not."""
    if request.method in _SAFE:
        return ""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site not in _OWN_SITES:
        return f"a page of another site ({origin or site}) may not change anything here"
    if origin is not None and _netloc(origin) != request.headers.get("host", "").lower():
        return f"a page of {origin!r} may not change anything here"
    return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower() or "no origin"
    except ValueError:
        return "no origin"


class Refusal(Exception):
    """An answer that says what is wrong with the request."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refuse(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Refusal:
    """What to raise for a request that cannot be answered."""
    return Refusal(json_answer({"error": {"message": message}}, status=status, headers=headers))


def json_answer(payload: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON; letters that UTF-8 cannot carry go as they are escaped in JSON."""
    return web.Response(status=status, body=_spelt(payload), content_type="application/json", headers=headers)


def _spelt(payload: Any) -> bytes:
    try:
        return compact(payload)
    except UnicodeEncodeError:
        return json.dumps(payload).encode()
