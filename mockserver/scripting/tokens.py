"""Tokens: a script with its seed in one word, to be printed by a run and replayed by another."""

import base64
import binascii
import json
import zlib
from typing import Any

from mockserver.scripting.options import shown
from mockserver.scripting.reading import ScriptError, Written, from_data
from mockserver.scripting.script import Script

_PREFIX = "s1-"

# what scripts are made of, so that short ones need few letters; to change it is to need another prefix
_WORDS = (
    b'"fault":"","reply":"","times":"forever","probability":0."match":{"path":"","model":"","deployment":"","header":'
    b'{"key":"","body":{"surface":"chat","nth":,"after_s":,"before_s":,"state":"then":"faults":[{"retry_after_s":1,'
    b'"status":50"at":{"frame":,"byte":"how":"rst"fin"eof"finish"usage"done"utf8"tool_argument"delay_s":0.'
    b'insufficient_quota"content_filtered"malformed_json"truncated_body"keepalives_only"error_event"rate_limited"'
    b'server_error","latency"stall"drip"cut"hang"reset"{"steps":[{"fault":"}],"seed":'
)


def token_of(script: Script) -> str:
    """The token of a script, as it was given."""
    data = {"steps": [step.spec() for step in script.steps()], "seed": script.seed}
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_WORDS)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    packed = packer.compress(text) + packer.flush()
    check = zlib.crc32(packed).to_bytes(4, "big")[:2]
    return _PREFIX + base64.urlsafe_b64encode(check + packed).decode().rstrip("=")


def script_of(token: Any) -> Written:
    """The script that a token was printed for; ScriptError for what is no token, or only a part of one."""
    if not isinstance(token, str) or not token.startswith(_PREFIX):
        raise ScriptError(f"token is {shown(token)}; it takes the text that /__admin/script printed, {_PREFIX}…")
    return from_data(_unpacked(token), source="token")


def _unpacked(token: str) -> Any:
    try:
        letters = token.removeprefix(_PREFIX)
        raw = base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True)
        packed = _checked(raw[2:], raw[:2])
        return json.loads(zlib.decompressobj(-15, zdict=_WORDS).decompress(packed, _MOST_BYTES))
    except (binascii.Error, zlib.error, ValueError, RecursionError) as exc:
        raise ScriptError(f"token {shown(token)} cannot be read: {exc}; copy all of it") from exc


def _checked(packed: bytes, check: bytes) -> bytes:
    if zlib.crc32(packed).to_bytes(4, "big")[:2] != check:
        raise ValueError("its checksum differs")
    return packed


_MOST_BYTES = 16 * 1024 * 1024  # what a token may unpack to
