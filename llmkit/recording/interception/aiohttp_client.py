"""aiohttp: vcrpy's stub, after a body has been brought to the bytes that are sent."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from llmkit.recording.deck import Deck


def patches(deck: Deck, module: Any, vcr_cassette: object) -> Iterator[tuple[object, str, object]]:
    """Yield the patch of the session, at the place where vcrpy patches it too."""
    session = module.ClientSession
    yield session, "_request", _request(deck, vcr_cassette, session._request)  # noqa: SLF001 - there is no public seam


def _request(deck: Deck, vcr_cassette: object, real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    from vcr.stubs import aiohttp_stubs  # imports aiohttp

    recorded_request = aiohttp_stubs.vcr_request(vcr_cassette, real)

    @functools.wraps(real)
    async def request(session: Any, method: str, url: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        absolute = str(session._build_url(url))  # noqa: SLF001 - knows the session's base_url
        if deck.tape_for(absolute) is None:
            return await real(session, method, url, **options)
        return await recorded_request(session, method, absolute, **await _with_bytes(session, options))

    return request


async def _with_bytes(session: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Bring ``json`` and form ``data`` to the bytes and headers that aiohttp would send."""
    from aiohttp import FormData, JsonPayload

    data, json = options.get("data"), options.get("json")
    if json is not None and data is None:
        payload: Any = JsonPayload(json, dumps=session.json_serialize)
    elif isinstance(data, FormData):
        payload = data()
    elif isinstance(data, (dict, list, tuple)):
        payload = FormData(data)()
    else:
        return options
    headers = session._prepare_headers(options.get("headers"))  # noqa: SLF001 - knows the session's headers
    headers.setdefault("Content-Type", payload.headers["Content-Type"])
    rest = {name: value for name, value in options.items() if name != "json"}
    return {**rest, "data": await payload.as_bytes(), "headers": headers}
