"""One request as the server understands it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request whose surface, dialect and model are known.

    `body` is the parsed JSON of a POST and an empty dict otherwise. `headers` have lower-case names and no credential;
    they stay out of the repr all the same.
    """

    number: int
    method: str
    path: str
    surface: str
    dialect: str
    request_id: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: dict[str, Any] = field(default_factory=dict)
    deployment: str | None = None
    model: str = ""

    @property
    def stream(self) -> bool:
        """Whether the reply is to come as events."""
        return self.body.get("stream") is True

    @property
    def api_version(self) -> str | None:
        """Azure's `api-version`, where the request names one."""
        return self.query.get("api-version")
