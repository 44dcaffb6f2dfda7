"""Inputs without messages: those of embeddings, and the prompts of legacy completions."""

from collections.abc import Iterable

from llmkit.errors import InvalidRequest, excerpt
from llmkit.models import spec_for
from llmkit.tokens.counts import Tally, TokenCount
from llmkit.tokens.messages import with_doubt
from llmkit.tokens.text import encoding_name, length

Inputs = str | Iterable[str | int | Iterable[int]]


def count_inputs(inputs: Inputs, *, model: str) -> TokenCount:
    """The `prompt_tokens` that the API bills for the `input` of embeddings, or for the `prompt` of a completion.

    One text or several; tokens instead of a text count as what they are. Exact on a model of the registry.
    Raises InvalidRequest for what is neither.
    """
    encoding, spec = encoding_name(model), spec_for(model)
    if isinstance(inputs, str):
        return with_doubt(Tally(length(encoding, inputs)), spec)
    if isinstance(inputs, bytes) or not isinstance(inputs, Iterable):
        raise _refusal(inputs)
    return with_doubt(Tally(sum(_count(each, encoding) for each in inputs)), spec)


def _count(each: object, encoding: str) -> int:
    if isinstance(each, str):
        return length(encoding, each)
    if isinstance(each, int):
        return 1
    if isinstance(each, list | tuple) and all(isinstance(token, int) for token in each):
        return len(each)
    raise _refusal(each)


def _refusal(what: object) -> InvalidRequest:
    return InvalidRequest(f"{excerpt(what)} has no tokens: give a text, a list of texts, or lists of token numbers")
