"""OpenAI and Azure: two ways to spell the same API."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mockserver.answers import Answer, framed
from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.problems import Problem
from mockserver.quotas import Charge

Payload = dict[str, Any]


class Dialect(ABC):
    """What differs between the two: credentials, errors, headers, annotations and the spelling of JSON."""

    name: ClassVar[str]

    @abstractmethod
    def credential(self, headers: Mapping[str, str]) -> str:
        """The key that a request presents, empty if none; `headers` have lower-case names."""

    @abstractmethod
    def unauthorised(self, credential: str) -> Problem:
        """The refusal of a missing or wrong key."""

    @abstractmethod
    def unknown_path(self, method: str, path: str) -> Problem:
        """The refusal of a path that no surface serves."""

    @abstractmethod
    def wrong_method(self, method: str, path: str) -> Problem:
        """The refusal of a method that the path does not take."""

    @abstractmethod
    def unknown_model(self, call: Call, name: str) -> Problem:
        """The refusal of a model or deployment that does not exist."""

    @abstractmethod
    def unsuitable_model(self, call: Call, name: str) -> Problem:
        """The refusal of a model that does not serve this surface."""

    @abstractmethod
    def rate_limited(self, call: Call, *, retry_after_s: float, limit: str) -> Problem:
        """The 429 of a spent quota; `limit` is "requests" or "tokens"."""

    @abstractmethod
    def over_quota(self, call: Call, charge: Charge) -> Problem:
        """The 429 of a quota that the server counts, with exact numbers."""

    @abstractmethod
    def insufficient_quota(self, call: Call) -> Problem:
        """The 429 of a quota that no waiting for a minute restores."""

    @abstractmethod
    def content_filtered(
        self, *, category: str = "violence", severity: str = "medium", surface: str = "chat"
    ) -> Problem | None:
        """The refusal of a prompt by the content filter; None where the filter does not refuse.

        `category` is one of `content_filter.CATEGORIES`, `severity` of `content_filter.SEVERITIES`; categories that are
        detected or not, such as jailbreak, have no severity.
        """

    @abstractmethod
    def server_error(self, call: Call, status: int) -> Problem:
        """The failure with this status, from 400 on: of the service from 500 on, below as a request is refused."""

    @abstractmethod
    def headers(self, call: Call, dice: Dice, *, streamed: bool, charge: Charge) -> dict[str, str]:
        """The headers of a success; `charge` is how the quotas stand after it."""

    @abstractmethod
    def limits(self, charge: Charge) -> dict[str, str]:
        """Those of the headers that say how the quotas stand."""

    @abstractmethod
    def problem_headers(self, request_id: str, status: int, dice: Dice) -> dict[str, str]:
        """The headers of a refusal."""

    @abstractmethod
    def edge_headers(self, dice: Dice) -> dict[str, str]:
        """The headers of what stands in front of the API, when it answers by itself."""

    @abstractmethod
    def encode(self, payload: Any) -> bytes:
        """A body as this API spells JSON."""

    @abstractmethod
    def frames(self, chunks: Sequence[Payload]) -> tuple[bytes, ...]:
        """A chat stream as this API spells it, `[DONE]` included."""

    @abstractmethod
    def event_frames(self, call: Call, events: Sequence[tuple[str, Payload]]) -> tuple[bytes, ...]:
        """A stream whose events have names, as this API spells it."""

    @abstractmethod
    def request_id(self, dice: Dice) -> str:
        """A request id."""

    @abstractmethod
    def annotate(self, call: Call, payload: Any) -> Any:
        """A body with what this API adds to those of its surface."""

    @abstractmethod
    def annotate_stream(self, call: Call, chunks: Sequence[Payload], pads: Sequence[str]) -> list[Payload]:
        """The chunks of a chat stream with what this API adds, the `pads` of each among it."""

    @abstractmethod
    def pads(self, call: Call, count: int, dice: Dice) -> Sequence[str]:
        """Random letters for each of `count` chunks, where this API hides by them how long each token is."""

    def refuse(self, problem: Problem, *, request_id: str, dice: Dice) -> Answer:
        """A refusal as an answer."""
        if problem.body is not None:
            headers, body = self.edge_headers(dice), problem.body.encode()
        else:
            headers = self.problem_headers(request_id, problem.status, dice)
            body = self.encode({"error": problem.error})
        return Answer(status=problem.status, headers={**headers, **problem.headers}, frames=framed([body]))


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an `Authorization: Bearer` header, empty if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
