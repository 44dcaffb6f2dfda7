"""The vectors in a reply; the shapes are those of https://platform.openai.com/docs/api-reference/embeddings."""

import array
import base64
import binascii
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from llmkit.errors import Attempt, MalformedResponse, excerpt
from llmkit.responses.origin import Origin
from llmkit.responses.reading import expect, list_of, text_or_none
from llmkit.responses.usage import Usage, usage

if TYPE_CHECKING:
    from llmkit.policies.fallback import Degraded


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One vector for each text, in the order of the texts."""

    vectors: tuple[list[float], ...]
    model: str
    usage: Usage | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    cached: bool = False
    not_cached: str | None = None
    degraded: "Degraded | None" = None
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


def embedding(payload: Mapping[str, Any], *, texts: int, **origin: Unpack[Origin]) -> Embedding:
    """The vectors in an embeddings reply, one for each text and all of one length; raises MalformedResponse.

    Too many or too few will not be asked for again: the request was understood otherwise, and would be billed again.
    """
    rows = _in_order([expect(row, dict, "data[…]") for row in list_of(payload.get("data"), "data")], texts=texts)
    vectors = tuple(_vector(row.get("embedding")) for row in rows)
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1:
        raise MalformedResponse(f"The vectors of the answer have different lengths: {lengths}")
    return Embedding(
        vectors=vectors,
        model=text_or_none(payload.get("model"), "model") or "",
        usage=usage(payload.get("usage")),
        payload=payload,
        **origin,
    )


def _in_order(rows: list[dict[str, Any]], *, texts: int) -> list[dict[str, Any]]:
    """The rows by their index; as they come where none has one."""
    if len(rows) != texts:
        raise MalformedResponse(f"The answer has {len(rows)} vectors for {texts} texts", should_retry=False)
    told = [row["index"] for row in rows if row.get("index") is not None]
    if not told:
        return rows
    if sorted(expect(index, int, "data[…].index") for index in told) != list(range(texts)):
        raise MalformedResponse(f"The vectors of the answer are numbered {excerpt(told)}, not 0 to {texts - 1}")
    return sorted(rows, key=lambda row: int(row["index"]))


def _vector(value: object) -> list[float]:
    vector = _base64_vector(value) if isinstance(value, str) else _numbers(value)
    if not vector or not all(map(math.isfinite, vector)):
        raise MalformedResponse(f"data[…].embedding is no vector of numbers: {excerpt(value)}")
    return vector


def _numbers(value: object) -> list[float]:
    numbers = expect(value, list, "data[…].embedding")
    if not all(type(number) in (int, float) for number in numbers):
        raise MalformedResponse(f"data[…].embedding holds something that is no number: {excerpt(value)}")
    try:
        return [float(number) for number in numbers]
    except OverflowError:
        raise MalformedResponse("data[…].embedding holds a number that is too large for a float") from None


def _base64_vector(text: str) -> list[float]:
    """Little-endian 32-bit floats, as `encoding_format: base64` sends them."""
    floats = array.array("f")
    try:
        floats.frombytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise MalformedResponse(f"data[…].embedding is no base64 of 32-bit floats: {excerpt(text)}") from None
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
