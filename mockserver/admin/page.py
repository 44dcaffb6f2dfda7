"""The page at `/__admin/ui`: files that ask for nothing but `/__admin`."""

from functools import cache
from pathlib import Path

from aiohttp import web

from mockserver.admin.guard import PREFIX

_FOLDER = Path(__file__).parents[1] / "ui"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
_FILES = {each.name: each for each in sorted(_FOLDER.iterdir()) if each.suffix in _TYPES}
PATHS = frozenset({f"{PREFIX}/ui", *(f"{PREFIX}/ui/{name}" for name in _FILES if name != "index.html")})


def routes() -> list[web.RouteDef]:
    """The page, and what it is made of; with a slash at its end its address is another, and leads to the first."""
    parts = [web.get(path, _serve) for path in sorted(PATHS)]
    return [*parts, web.get(f"{PREFIX}/ui/", _redirect)]


async def _serve(request: web.Request) -> web.Response:
    name = request.path.removeprefix(f"{PREFIX}/ui").lstrip("/") or "index.html"
    return web.Response(
        body=_content(name), content_type=_TYPES[_FILES[name].suffix], charset="utf-8", headers=_HEADERS
    )


async def _redirect(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"location": f"{PREFIX}/ui"})


@cache
def _content(name: str) -> bytes:
    return _FILES[name].read_bytes()
