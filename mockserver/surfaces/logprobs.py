r"""Log probabilities of the tokens of a chat completion, invented but lawful.

Shapes as recorded from api.openai.com by maruel/genai (`GenSync-TopLogprobs.yaml`, `GenStream-TopLogprobs.yaml`) and
posit-dev/chatlas (`test_openai_logprobs.yaml`). That a token which is no text by itself is spelt `\xf0\x9f` is seen in
the OpenAI cookbook's notebook on log probabilities.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver.generating.dice import Dice

# what else might have been said: enough for twenty alternatives
_USUAL = [
    word.encode()
    for word in re.findall(
        r" \w+", " the a and to of in is that it for with as on this be at by or an from are was not"
    )
]


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Makes the log probabilities of one choice, with the `count` most likely tokens at each place (0 to 20)."""

    count: int
    dice: Dice

    def of(self, tokens: Iterable[bytes]) -> dict[str, Any]:
        """The `logprobs` of a choice, or of a chunk, that says these tokens."""
        return {"content": [self._entry(token) for token in tokens], "refusal": None}

    def _entry(self, token: bytes) -> dict[str, Any]:
        """The token said is always the likeliest one."""
        others = [each for each in self.dice.sample(_USUAL, k=len(_USUAL)) if each != token]
        odds = self._odds()
        ranked = [_spelt(each, logprob) for each, logprob in zip([token, *others], odds, strict=False)]
        return {**ranked[0], "top_logprobs": ranked[: self.count]}

    def _odds(self) -> Sequence[float]:
        """Log probabilities from the likeliest on, together less than certain; asking for more changes none."""
        probability = 1 - 0.7 * max(self.dice.random(), 0.001) ** 3
        share = self.dice.uniform(0.4, 0.8)
        rest, odds = 1 - probability, [math.log(probability)]
        while len(odds) < max(self.count, 1):
            probability = min(probability, rest * share)
            rest -= probability
            odds.append(math.log(probability))
        return odds


def _spelt(token: bytes, logprob: float) -> dict[str, Any]:
    try:
        text = token.decode()
    except UnicodeDecodeError:
        text = "".join(f"\\x{byte:02x}" for byte in token)
    return {"token": text, "logprob": logprob, "bytes": list(token)}
