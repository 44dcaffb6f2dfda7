"""Learning from bills what token counts are off by."""

import threading
from typing import Any

from llmkit._flow import Event
from llmkit.errors import LLMError
from llmkit.telemetry.prices import Settings
from llmkit.tokens import Calibration, count_tokens

_AT_ONCE, _LATER = 8, 16  # bills of a model from which each is learnt; after those, each 16th, for counting takes time
_LONGEST = 200_000  # bytes of a request that is counted


class Learner:
    """Learns from the bills of chats; an observer. `calibration` is what it knows, by the names that were asked."""

    kinds = frozenset({"billed"})

    def __init__(self, settings: Settings) -> None:
        self.calibration = Calibration()
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Takes a bill."""
        request: Any = event.call.request
        if request is None or request.surface != "chat" or len(request.content) > _LONGEST:
            return
        usage = event.detail.usage  # type: ignore[attr-defined] # the detail of "billed" is a reply
        model = event.call.model
        if usage is None or not self._is_due(model):
            return
        body = request.body
        extras = {name: body.get(name) for name in ("tools", "tool_choice", "response_format")}
        try:
            count = count_tokens(body["messages"], model=self._settings.spec(model).name, **extras)
        except LLMError:
            return  # it has parts that the counter does not know
        with self._lock:
            self.calibration = self.calibration.learn(count, billed=usage.prompt_tokens, model=model)

    def _is_due(self, model: str) -> bool:
        with self._lock:
            seen = self._seen[model] = self._seen.get(model, 0) + 1
        return seen <= _AT_ONCE or seen % _LATER == 0
