"""What a single call may set for itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from llmkit.errors import ConfigError
from llmkit.policies.fallback import fallback_of
from llmkit.policies.retry import Limits

MOST_REASKS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How a call is made; what is None is as the client has it.

    `deadline_s` bounds the call with all its requests and the pauses between them, `max_attempts` its requests to one
    model, `first_token_s` and `idle_s` the silence of a stream (`llmkit.policies.retry.Limits`). `cache` False neither
    looks nor keeps, True keeps sampled answers too. `fallback` is what answers where the call fails: a model, several
    in order, or an `llmkit.policies.fallback.Fallback`. `parse` makes `reply.parsed` of a reply
    (`llmkit.parsers`); what it refuses is asked for again, at most `reasks` times.
    """

    deadline_s: float | None = None
    first_token_s: float | None = None
    idle_s: float | None = None
    max_attempts: int | None = None
    cache: bool | None = None
    fallback: Any = None
    parse: Callable[..., Any] | None = None
    reasks: int | None = None
    limits: Limits = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.parse is not None and not callable(self.parse):
            raise ConfigError(f"parse = {self.parse!r}: it has to be a parser, such as llmkit.parsers.Json()")
        if not isinstance(self.cache, bool | None):
            raise ConfigError(
                f"cache = {self.cache!r} is not valid for a call: it has to be True, which keeps sampled answers too, "
                "or False. Where answers are kept, the client says: Client(cache=…)"
            )
        if self.fallback is not None:
            fallback_of(self.fallback)  # which refuses what is none before the call needs it
        if self.reasks is not None and (type(self.reasks) is not int or not 0 <= self.reasks <= MOST_REASKS):
            raise ConfigError(f"reasks = {self.reasks!r} is not valid: it has to be a number from 0 to {MOST_REASKS}")
        given = {name: getattr(self, name) for name in _LIMITS}
        limits = Limits(**{name: value for name, value in given.items() if value is not None})
        object.__setattr__(self, "limits", limits)

    def over(self, base: Self) -> Self:
        """These, and those of `base` where these are None."""
        return replace(base, **{name: value for name in _NAMES if (value := getattr(self, name)) is not None})


_NAMES = frozenset(one.name for one in fields(CallOptions) if one.init)
_LIMITS = ("deadline_s", "first_token_s", "idle_s", "max_attempts")


def split(keywords: Mapping[str, Any]) -> tuple[CallOptions | None, dict[str, Any]]:
    """The options among the keywords of a call, None if there are none; and the others, which are the API's."""
    if _NAMES.isdisjoint(keywords):
        return None, dict(keywords)
    ours = {name: value for name, value in keywords.items() if name in _NAMES}
    return CallOptions(**ours), {name: value for name, value in keywords.items() if name not in _NAMES}
