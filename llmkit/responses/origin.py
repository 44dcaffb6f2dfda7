"""Where a reply comes from, which its JSON does not say."""

from typing import TypedDict

from llmkit.errors import Attempt


class Origin(TypedDict, total=False):
    """The fields of a reply that whoever reads it may know already."""

    request_id: str | None
    attempts: tuple[Attempt, ...]
    cached: bool
