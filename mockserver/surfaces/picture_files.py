"""Where the pictures of DALL·E can be fetched: at this server, without a key, as with the signed URLs of the real API.

The name of a file says all that it is drawn from, so that nothing is kept and every worker process draws the same.
"""

import re

from aiohttp import web

from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.generating.pictures import Size, media_type, picture, size_of

ROUTE = "/__files/{name}"

_NAME = re.compile(r"img-(\w{24})-(\d{1,4}x\d{1,4})\.png", re.ASCII)


def address_of(call: Call, token: str, size: Size) -> str:
    """The URL of one picture, at the host that the client has asked."""
    host = call.headers.get("host") or "localhost"
    return f"http://{host}/__files/img-{token}-{size.width}x{size.height}.png"


def picture_at(token: str, size: Size) -> bytes:
    """The picture of that name."""
    return picture(Dice(0, "file", token), size)


async def serve(request: web.Request) -> web.Response:
    """Send one picture; 404 for what is no name of one."""
    named = _NAME.fullmatch(request.match_info["name"])
    try:
        size = size_of(named[2]) if named else None
    except ValueError:
        size = None
    if named is None or size is None:
        return web.Response(status=404)
    return web.Response(body=picture_at(named[1], size), content_type=media_type("png"))
