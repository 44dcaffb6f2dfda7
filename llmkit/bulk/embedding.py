"""Embeddings of more texts than one request takes: cut into batches by tokens, joined in order."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from llmkit.bulk.resuming import ResumeFile
from llmkit.errors import ContextOverflow, InvalidRequest, LLMError, excerpt
from llmkit.models import ModelSpec
from llmkit.responses import Embedding, Usage, embedding
from llmkit.tokens import count_inputs

# of one request: https://platform.openai.com/docs/api-reference/embeddings/create
MOST_TEXTS, MOST_TOKENS = 2_048, 300_000


def distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Each text once, and for every text its place among those: the same text is paid once."""
    places: dict[str, int] = {}
    order = [places.setdefault(text, len(places)) for text in texts]
    return list(places), order


def lengths(texts: Sequence[str], *, spec: ModelSpec) -> list[int]:
    """The tokens of each text.

    Raises InvalidRequest for what is no text, and ContextOverflow for one that is longer than the model reads.
    """
    return [_length(text, index, spec) for index, text in enumerate(texts)]


def batches(texts: Mapping[str, int], *, most_tokens: int = MOST_TOKENS) -> Iterator[list[str]]:
    """The texts in their order, as many at a time as one request takes; of each, its tokens are told."""
    batch: list[str] = []
    room = most_tokens
    for text, tokens in texts.items():
        if batch and (tokens > room or len(batch) == MOST_TEXTS):
            yield batch
            batch, room = [], most_tokens
        batch.append(text)
        room -= tokens
    if batch:
        yield batch


def keys(texts: Iterable[str], *, asked: str) -> dict[str, str]:
    """A key for each text in the file that bulk calls resume from; `asked` tells the rest of the request."""
    return {text: hashlib.sha256(f"{asked}\n{text}".encode()).hexdigest()[:32] for text in texts}


def recalled(answers: ResumeFile | None, texts: Mapping[str, str]) -> tuple[list[Embedding], dict[str, int]]:
    """The answers in the file that have some of the texts, and where in all of them the vector of each text is.

    What was asked for in other batches is found too: a text that is new moves all that follow it.
    """
    found: list[Embedding] = []
    begins: dict[str, int | None] = {}
    places: dict[str, int] = {}
    for text, key in texts.items():
        holder = None if answers is None else answers.holder(key)
        if answers is None or holder is None:
            continue
        if holder[0] not in begins:
            part = _read(answers, holder[0])
            begins[holder[0]] = None if part is None else sum(len(each.vectors) for each in found)
            found += [] if part is None else [part]
        begin = begins[holder[0]]
        if begin is not None:
            places[text] = begin + holder[1]
    return found, places


def _read(answers: ResumeFile, key: str) -> Embedding | None:
    payload = answers.get(key)
    try:
        return None if payload is None else embedding(payload, texts=answers.texts_of(key))
    except LLMError:
        return None  # a file that was edited: it is asked for again


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
