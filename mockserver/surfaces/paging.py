"""Lists in pages: how many, in which order, after which object; and the refusals of what is no such thing.

The envelope as recorded of /v1/files and /v1/batches by ruby-openai; `first_id` and `last_id` as in the API reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mockserver import problems
from mockserver.calls import Call
from mockserver.surfaces import Result, Setting

Order = Literal["asc", "desc"]
_ORDERS = ("asc", "desc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """What a list takes: at most `most` objects a page, `default` where the request names no limit."""

    default: int = 20
    most: int = 100
    order: Order = "desc"

    def check(self, call: Call) -> None:
        """Refuse a limit or an order that the list does not take; the texts follow those of body parameters."""
        limit = call.query.get("limit")
        if limit is not None:
            self._check_limit(limit)
        order = call.query.get("order")
        if order is not None and order not in _ORDERS:
            raise problems.invalid_value("order", order, _ORDERS)

    def _check_limit(self, limit: str) -> None:
        if not _is_number(limit):
            raise problems.invalid_type("limit", "an integer", limit)
        if not 1 <= int(limit) <= self.most:
            raise problems.out_of_range("limit", int(limit), least=1, most=self.most, kind="integer")

    def page(self, call: Call, setting: Setting, objects: Sequence[dict[str, Any]]) -> Result:
        """The page of `objects`, the oldest first, that the request asks for; Problem if `after` names none of them."""
        ordered = list(objects) if self._order(call) == "asc" else list(reversed(objects))
        rest = ordered[self._start(call, setting, ordered) :]
        data = rest[: self._limit(call)]
        return Result(
            body={
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": len(rest) > len(data),
            }
        )

    def _order(self, call: Call) -> str:
        order = call.query.get("order", self.order)
        return order if order in _ORDERS else self.order

    def _limit(self, call: Call) -> int:
        """How many objects a page holds; a lenient server takes any limit."""
        limit = call.query.get("limit", "")
        return min(max(int(limit), 0), self.most) if _is_number(limit) else self.default

    def _start(self, call: Call, setting: Setting, ordered: Sequence[dict[str, Any]]) -> int:
        after = call.query.get("after")
        if after is None:
            return 0
        ids = [each["id"] for each in ordered]
        if after in ids:
            return ids.index(after) + 1
        if setting.lenient:
            return 0
        # unverified: what the API says of a cursor that it does not know
        raise problems.error(400, f"Invalid value for 'after': no object with id '{after}' found.", param="after")


def _is_number(text: str) -> bool:
    """Whether this is a whole number that Python reads as one, of a length that it reads at once."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20
