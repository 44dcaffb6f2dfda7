"""Token counts as the API bills them, offline.

The framing of chat messages is not documented. The rules here began with the OpenAI cookbook's
`How_to_count_tokens_with_tiktoken` and were corrected against the `usage` that OpenAI and Azure billed in recorded
traffic; `tests/contract/test_billed_tokens.py` holds them to it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmkit import vocabulary
from llmkit.errors import InvalidRequest, excerpt
from llmkit.messages import Message, conversation
from llmkit.models import Framing, spec_for

if TYPE_CHECKING:
    import tiktoken


@dataclass(frozen=True, slots=True)
class _Frame:
    """Tokens billed beside the text: once for the reply, then for each message, assistant's message and name."""

    reply: int = 3
    message: int = 3
    assistant: int = 0
    name: int = 0


_FRAMES: dict[Framing, _Frame] = {
    "2023": _Frame(message=4, name=-1),
    "chat": _Frame(),
    "o": _Frame(reply=2),
    "gpt-5": _Frame(reply=2, assistant=2),
}

# tiktoken raises ValueError where a run of a million blanks overflows its regex stack; such text is counted in slices
_SLICE = 500_000
_SHORT, _MEDIUM = 80, 8_000  # letters of texts whose lengths are remembered: many of the short, some of the others
_ANSWERS = ("tool", "function")  # roles of what calls are answered with
_PLAIN = frozenset({"role", "content"})
# fewest and most tokens of one image on any model but gpt-4o-mini
_ANY_IMAGE = (2, 3780)


class TokenCount(int):
    """A number of tokens, and how far from it the bill may lie: `margin` is 0 where the count is exact."""

    margin: int

    def __new__(cls, tokens: int, margin: int = 0) -> "TokenCount":
        """A count with its margin, both in tokens."""
        count = super().__new__(cls, tokens)
        object.__setattr__(count, "margin", margin)
        return count

    @property
    def tokens(self) -> int:
        """The number itself, as a plain int."""
        return int(self)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A TokenCount cannot be changed: {name} = {value!r}")

    def __reduce__(self) -> tuple[type["TokenCount"], tuple[int, int]]:
        return TokenCount, (self.tokens, self.margin)

    def __repr__(self) -> str:
        return f"TokenCount({self.tokens}, margin={self.margin})" if self.margin else f"TokenCount({self.tokens})"

    __str__ = int.__repr__


def count_tokens(messages: str | Iterable[Message], *, model: str) -> TokenCount:
    """The `prompt_tokens` that the API bills for these chat messages; a plain string is one user message.

    Exact for text on a model of the registry. Tool calls, images and other parts are estimates, with a margin; so is
    everything on an unknown model, which counts as a new one (o200k_base) with a quarter as margin: no name of a model
    makes this fail. Text that spells a special token, such as `<|endoftext|>`, counts as the plain text that it is.
    Raises InvalidRequest for what is no message, and ConfigError where the installed vocabulary is damaged.
    """
    counter = _Counter.of(model)
    sizes = [counter.message(message, f"messages[{index}]") for index, message in enumerate(conversation(messages))]
    tokens = counter.frame.reply + sum(sizes)
    margin = sum(size.margin for size in sizes)
    return TokenCount(tokens, margin if spec_for(model).known else margin + tokens // 4 + 8)


def count_text(text: str, *, model: str) -> int:
    """The tokens of `text` alone, as in an embedding input or a completion."""
    return _length(encoding_for(model), text)


def encoding_for(model: str) -> "tiktoken.Encoding":
    """The tokenizer of `model`, loaded from the wheel at first use; o200k_base for a model that nobody knows yet."""
    if not isinstance(model, str):
        raise InvalidRequest(f"model = {model!r}: it has to be a model's name, for example 'gpt-4o'")
    return vocabulary.encoding(_encoding_name(model))


def _encoding_name(model: str) -> str:
    spec = spec_for(model)
    if spec.known:
        return spec.encoding
    from tiktoken.model import encoding_name_for_model

    try:
        return encoding_name_for_model(model)  # it still knows the models of before 2023
    except KeyError:
        return spec.encoding


def _length(encoding: "tiktoken.Encoding", text: str) -> int:
    if len(text) <= _MEDIUM:
        return (_short_length if len(text) <= _SHORT else _medium_length)(encoding.name, text)
    try:
        return len(encoding.encode(text, disallowed_special=()))
    except ValueError:
        if len(text) <= _SLICE:
            raise
        return sum(_length(encoding, text[start : start + _SLICE]) for start in range(0, len(text), _SLICE))


@lru_cache(maxsize=4096)
def _short_length(encoding: str, text: str) -> int:
    """Roles, names and short instructions come again and again: to tokenize them takes longer than to remember."""
    return len(vocabulary.encoding(encoding).encode_ordinary(text))


@lru_cache(maxsize=512)
def _medium_length(encoding: str, text: str) -> int:
    """Instructions and the messages before come again with every request of a conversation."""
    return len(vocabulary.encoding(encoding).encode_ordinary(text))


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts messages for one model."""

    encoding: "tiktoken.Encoding"
    frame: _Frame
    image_tokens: tuple[int, int]

    @classmethod
    def of(cls, model: str) -> "_Counter":
        encoding, spec = encoding_for(model), spec_for(model)
        return cls(encoding, _FRAMES[spec.framing], spec.image_tokens or _ANY_IMAGE)

    def message(self, message: dict[str, Any], place: str) -> TokenCount:
        tokens = self.frame.message + self.text(message["role"])
        if message["role"] == "assistant":
            tokens += self.frame.assistant
        if message.keys() <= _PLAIN and isinstance(message.get("content"), str) and message["role"] not in _ANSWERS:
            return TokenCount(tokens + self.text(message["content"]))  # nearly always; all else is slower
        content, calls = self.content(_said(message), place), self.tool_calls(message, place)
        tokens += content + calls
        if message.get("name"):
            tokens += self.frame.name + self.text(f":{message['name']}")
        return TokenCount(tokens, content.margin + calls.margin)

    def content(self, content: object, place: str) -> TokenCount:
        """Text parts are joined before they are tokenized; every other part is an estimate."""
        if content is None or isinstance(content, str):
            return TokenCount(self.text(content or ""))
        parts = _mappings(content, f"{place}.content", "a string, or a list of parts like {'type': 'text', 'text': …}")
        text = "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
        others = [self.part(part) for part in parts if part.get("type") not in ("text", "refusal")]
        return TokenCount(self.text(text) + sum(others), sum(other.margin for other in others))

    def part(self, part: Mapping[str, Any]) -> TokenCount:
        """An image lies between the model's cheapest and dearest; of a file or sound nothing is known but its size."""
        if part.get("type") == "image_url":
            least, most = self.image_tokens
            return TokenCount((least + most) // 2, (most - least + 1) // 2)
        half = len(json.dumps(part, default=str)) // 4
        return TokenCount(half, half)

    def tool_calls(self, message: dict[str, Any], place: str) -> TokenCount:
        """Calls are billed as a name and compact arguments in a frame that differs by model and by number of calls."""
        expected = "a list of calls like {'type': 'function', 'function': {'name': …, 'arguments': …}}"
        made = _mappings(message.get("tool_calls") or [], f"{place}.tool_calls", expected)
        named = [call.get("function") or call.get("custom") or {} for call in made]
        named += [message["function_call"]] if message.get("function_call") else []
        calls = _mappings(named, f"{place}.tool_calls[…].function", "{'name': …, 'arguments': …}")
        texts = [f".{call.get('name', '')}{call.get('arguments') or call.get('input') or ''}" for call in calls]
        tokens = sum(4 + self.text(text) for text in texts)
        answers_a_call = message.get("role") in _ANSWERS
        return TokenCount(tokens, 12 * len(calls) + tokens // 8 + 12 * answers_a_call)

    def text(self, text: str) -> int:
        return _length(self.encoding, text)


def _said(message: dict[str, Any]) -> object:
    """The content of a message; an assistant that refused has its refusal in its stead."""
    content = message.get("content")
    refusal = message.get("refusal")
    return refusal if content is None and isinstance(refusal, str) else content


def _mappings(values: object, place: str, expected: str) -> list[Mapping[str, Any]]:
    """The list of objects that has to be there; raises InvalidRequest that names what is not."""
    if not isinstance(values, list):
        raise InvalidRequest(f"{place} is {excerpt(values)}: it has to be {expected}")
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{place}[{index}] is {excerpt(value)}: it has to be {expected}")
    return values
