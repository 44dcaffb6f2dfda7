"""When files go away by themselves: `expires_after`, as the file, upload and batch endpoints take it.

See https://platform.openai.com/docs/api-reference/files/create: counted from `created_at`, an hour to 30 days.
"""

from typing import Any

from mockserver import problems
from mockserver.parameters import obj, require

LEAST_S = 3_600
MOST_S = 2_592_000


def check_expiry(param: str, value: Any) -> None:
    """Refuse what is no `{"anchor": "created_at", "seconds": …}`; a form has its number as text. Texts unverified."""
    obj(param, value)
    require(value, ["anchor", "seconds"], within=param)
    if value["anchor"] != "created_at":
        raise problems.invalid_value(f"{param}.anchor", value["anchor"], ["created_at"])
    seconds = _seconds(value)
    if seconds is None:
        raise problems.invalid_type(f"{param}.seconds", "an integer", value["seconds"])
    if not LEAST_S <= seconds <= MOST_S:
        raise problems.out_of_range(f"{param}.seconds", seconds, least=LEAST_S, most=MOST_S, kind="integer")


def lifetime_s(value: Any) -> int | None:
    """The seconds that an `expires_after` gives an object, None where it gives none."""
    return _seconds(value) if isinstance(value, dict) else None


def _seconds(value: dict[str, Any]) -> int | None:
    seconds = value.get("seconds")
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) < 20:
        return int(seconds)
    return seconds if type(seconds) is int else None
