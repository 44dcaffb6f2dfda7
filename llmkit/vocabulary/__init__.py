"""The vocabulary of OpenAI's tokenizers, packed into the wheel so that counting needs no network.

tiktoken ships no vocabulary: it downloads one at first use, without a timeout (its issues #232, #287 and #369).
Each `<encoding>.ranks.zlib` here holds the same tokens in rank order, compressed: four bytes of their number, one byte
of length for each, then all their bytes. `scripts/pack_vocabulary.py` rebuilds the files and proves that they
reconstruct the originals byte for byte.
"""

import functools
import hashlib
import importlib.util
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigError

if TYPE_CHECKING:
    import tiktoken

# SHA-256 of the packed tokens before compression
PACKED = {
    "cl100k_base": "9ef8402c916638b4e5896df1b798958e6377ae5ee9ecce199388d117f2a44973",
    "o200k_base": "2f451f31d7403017d0b0dc6319ded23a09f33f573b1635c001fc6b91a1c21302",
    "r50k_base": "5dbf3d25bd2eef42ca60c98aed764b7b5e0b08818d74fb1f5eae5c8c1d552169",
}
# SHA-256 of the original .tiktoken files, as tiktoken demands it of its downloads
ORIGINALS = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "p50k_base": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
    "r50k_base": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
}
# p50k_base is r50k_base and these runs of 2 to 25 spaces; id 50256 is the end of text
P50K_EXTRA = {b" " * length: 50255 + length for length in range(2, 26)}

_lock = threading.Lock()


def encoding(name: str) -> "tiktoken.Encoding":
    """The encoding called `name`, e.g. `"o200k_base"`; built once, in 0.1 to 0.3 s, by the thread that asks first.

    Raises ConfigError for an unknown name, and for packed files that are damaged or older than the installed tiktoken.
    """
    with _lock:
        return _build(name)


def ranks(name: str) -> dict[bytes, int]:
    """The merge ranks of one of `ORIGINALS`, in order, read from the wheel and checked against their SHA-256."""
    if name == "p50k_base":
        return ranks("r50k_base") | P50K_EXTRA
    compressed = (resources.files(__name__) / f"{name}.ranks.zlib").read_bytes()
    try:
        packed = zlib.decompress(compressed)
    except zlib.error:
        packed = b""
    if hashlib.sha256(packed).hexdigest() != PACKED[name]:
        raise ConfigError(f"The packed vocabulary {name!r} is damaged. {_reinstall('llmkit')}")
    return {token: rank for rank, token in enumerate(unpack(packed))}


def pack(tokens: Sequence[bytes]) -> bytes:
    """Tokens in rank order, each of 1 to 255 bytes, as one block: number, lengths, bytes."""
    return len(tokens).to_bytes(4) + bytes(map(len, tokens)) + b"".join(tokens)


def unpack(packed: bytes) -> Iterator[bytes]:
    """The tokens of a block made by `pack`."""
    position = 4 + int.from_bytes(packed[:4])
    for length in packed[4:position]:
        yield packed[position : position + length]
        position += length


@functools.cache
def _build(name: str) -> "tiktoken.Encoding":
    import tiktoken

    constructors: dict[str, Callable[[], dict[str, Any]]] = _constructors().ENCODING_CONSTRUCTORS
    if name not in constructors:
        raise ConfigError(f"There is no encoding {name!r}. The encodings are: {', '.join(sorted(constructors))}")
    return tiktoken.Encoding(**constructors[name]())


@functools.cache
def _constructors() -> ModuleType:
    """Tiktoken's own encoding constructors in a private copy, which read our ranks where tiktoken would download.

    The split patterns and special tokens thereby always are those of the installed tiktoken.
    """
    spec = importlib.util.find_spec("tiktoken_ext.openai_public")
    if spec is None or spec.loader is None:
        raise ConfigError(f"tiktoken is installed without its tiktoken_ext package. {_reinstall('tiktoken')}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(load_tiktoken_bpe=_load, data_gym_to_mergeable_bpe_ranks=_load_gpt2)
    return module


def _load(url: str, expected_hash: str) -> dict[bytes, int]:
    name = url.rpartition("/")[2].removesuffix(".tiktoken")
    if ORIGINALS.get(name) != expected_hash:
        raise ConfigError(
            f"The installed tiktoken wants the vocabulary {name!r} with SHA-256 {expected_hash}, which llmkit does not "
            "carry. Upgrade llmkit, or install the tiktoken that it was made for: pip install 'tiktoken<0.15'"
        )
    return ranks(name)


def _load_gpt2(**_urls_and_hashes: str) -> dict[bytes, int]:
    """GPT-2's published files differ in form but hold the same merges, with the same ids, as r50k_base."""
    return ranks("r50k_base")


def _reinstall(package: str) -> str:
    return f"Reinstall it: pip install --force-reinstall {package}"
