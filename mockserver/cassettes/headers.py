"""Which headers belong to one connection, and which go from end to end.

https://www.rfc-editor.org/rfc/rfc9110#name-connection
"""

from collections.abc import Iterable, Iterator

_OF_ONE_HOP = frozenset(
    {
        "connection",
        "content-length",  # whoever sends the body says how long it is
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def end_to_end(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Those of `headers` that are for whoever is at the other end, in their order."""
    pairs = list(headers)
    named = ",".join(value for name, value in pairs if name.lower() == "connection")
    of_this_hop = _OF_ONE_HOP | {name.strip().lower() for name in named.split(",")}
    return ((name, value) for name, value in pairs if name.lower() not in of_this_hop)
