"""Embeddings of more texts than one request takes: cut into batches by tokens, joined in order."""

from collections.abc import Iterator, Sequence

from llmkit.errors import ContextOverflow, InvalidRequest, excerpt
from llmkit.models import ModelSpec
from llmkit.responses import Embedding, Usage
from llmkit.tokens import count_inputs

# of one request: https://platform.openai.com/docs/api-reference/embeddings/create
MOST_TEXTS, MOST_TOKENS = 2_048, 300_000


def distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Each text once, and for every text its place among those: the same text is paid once."""
    places: dict[str, int] = {}
    order = [places.setdefault(text, len(places)) for text in texts]
    return list(places), order


def batches(texts: Sequence[str], *, spec: ModelSpec, most_tokens: int = MOST_TOKENS) -> Iterator[list[str]]:
    """The texts in their order, as many at a time as one request takes.

    Raises InvalidRequest for what is no text, and ContextOverflow for one that is longer than the model reads.
    """
    batch: list[str] = []
    room = most_tokens
    for index, text in enumerate(texts):
        tokens = _length(text, index, spec)
        if batch and (tokens > room or len(batch) == MOST_TEXTS):
            yield batch
            batch, room = [], most_tokens
        batch.append(text)
        room -= tokens
    if batch:
        yield batch


def _length(text: object, index: int, spec: ModelSpec) -> int:
    if not isinstance(text, str) or not text:
        raise InvalidRequest(f"texts[{index}] is {excerpt(text)}: it has to be a text with a letter at least")
    count = count_inputs(text, model=spec.name)
    window = spec.context_window
    if window is not None and count.tokens - count.margin > window:
        raise ContextOverflow(
            f"texts[{index}] has {count.tokens:,} tokens, and {spec.name} reads {window:,}: cut it into parts "
            "(llmkit.trim_text cuts one to a length)"
        )
    return count.tokens


def joined(parts: Sequence[Embedding], order: Sequence[int]) -> Embedding:
    """One embedding of all; `order` gives for each text the place of its vector."""
    vectors = [vector for part in parts for vector in part.vectors]
    bills = [part.usage for part in parts]
    return Embedding(
        vectors=tuple(vectors[place] for place in order),
        model=parts[0].model,
        usage=_sum([bill for bill in bills if bill is not None]) if None not in bills else None,
        attempts=tuple(attempt for part in parts for attempt in part.attempts),
        cached=all(part.cached for part in parts),
    )


def _sum(bills: Sequence[Usage]) -> Usage:
    return Usage(
        prompt_tokens=sum(bill.prompt_tokens for bill in bills), total_tokens=sum(bill.total_tokens for bill in bills)
    )
