"""Where the real API is, as `--upstream` names it."""

from urllib.parse import urlsplit


def origin_of(text: str) -> str:
    """The origin that `text` names, without a slash at its end; ValueError if it names none.

    Clients' paths are put behind it as they are, so it has no `/v1`; the path of a gateway may stand in it.
    """
    try:
        parts = urlsplit(text)
        is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{text!r} is no origin; write for example https://api.openai.com")
    path = parts.path.rstrip("/")
    if path.endswith(("/v1", "/openai")):
        shorter = f"{parts.scheme}://{parts.netloc}{path.removesuffix('/v1').removesuffix('/openai')}"
        raise ValueError(f"{text!r} has what clients' paths have themselves; write {shorter}")
    return f"{parts.scheme}://{parts.netloc}{path}"
