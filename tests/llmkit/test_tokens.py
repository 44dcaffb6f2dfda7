"""Token counts: offline, exact for text, honest about the rest. Rows 2.T2 and 2.T5."""

from __future__ import annotations

import base64
import copy
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import time
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

import llmkit
from llmkit import ConfigError, InvalidRequest, TokenCount, count_text, count_tokens, vocabulary
from llmkit.tokens import encoding_for

PUBLIC = Path(str(find_spec("tiktoken_ext.openai_public").origin))  # type: ignore[union-attr]
ENCODINGS = ["cl100k_base", "gpt2", "o200k_base", "o200k_harmony", "p50k_base", "p50k_edit", "r50k_base"]


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("model", "messages", "billed"),
    [  # as billed in recorded traffic
        ("gpt-3.5-turbo-0125", user("Hello!"), 9),
        ("gpt-3.5-turbo-0301", user("Hello!"), 10),
        ("gpt-4o-2024-08-06", user("Hello!"), 9),
        ("gpt-5-mini-2025-08-07", user("Hello!"), 8),
        ("o3-mini-2025-01-31", user("Hello!"), 8),
    ],
)
def test_messages_are_framed_as_the_model_frames_them(model: str, messages: Any, billed: int) -> None:
    assert count_tokens(messages, model=model) == billed


def test_a_string_counts_as_one_user_message() -> None:
    assert count_tokens("Hello!", model="gpt-4o") == count_tokens(user("Hello!"), model="gpt-4o")


def test_developer_counts_like_system() -> None:
    roles = [{"role": role, "content": "Be brief."} for role in ("developer", "system")]
    assert count_tokens(roles[:1], model="gpt-5") == count_tokens(roles[1:], model="gpt-5")


def test_text_parts_are_joined_before_they_are_counted() -> None:
    parts = [{"type": "text", "text": text} for text in ("token", "iz", "ation")]
    count = count_tokens(user(parts), model="gpt-4o")
    assert count == count_tokens(user("tokenization"), model="gpt-4o")
    assert count.margin == 0


def test_a_name_costs_its_text_and_a_colon() -> None:
    named = [{"role": "user", "name": "ada", "content": "Hi"}]
    assert count_tokens(named, model="gpt-4o") - count_tokens("Hi", model="gpt-4o") == count_text(
        ":ada", model="gpt-4o"
    )


def test_an_assistants_message_costs_two_more_on_gpt_5() -> None:
    said = [{"role": "assistant", "content": "Hi"}]
    assert count_tokens(said, model="gpt-5") - count_tokens(user("Hi"), model="gpt-5") == 2
    assert count_tokens(said, model="gpt-4o") == count_tokens(user("Hi"), model="gpt-4o")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "tool", "tool_call_id": "c", "content": "21 degrees"},
    ],
)
def test_what_is_estimated_has_a_margin(message: dict[str, Any]) -> None:
    count = count_tokens([message], model="gpt-4o")
    assert count > 0
    assert count.margin > 0


def test_a_refusal_costs_its_text() -> None:
    refused = [{"role": "assistant", "content": None, "refusal": "I can't help with that."}]
    said = [{"role": "assistant", "content": "I can't help with that."}]
    assert count_tokens(refused, model="gpt-4o") == count_tokens(said, model="gpt-4o")


def test_a_message_of_the_sdk_counts_like_its_fields() -> None:
    message = ChatCompletionMessage(role="assistant", content="Hi")
    said = [{"role": "assistant", "content": "Hi"}]
    assert count_tokens([message], model="gpt-4o") == count_tokens(said, model="gpt-4o")


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "user", "content": 5}, r"messages\[0\]\.content is 5"),
        ({"role": "user", "content": ["a", "b"]}, r"messages\[0\]\.content\[0\] is 'a'"),
        ({"role": "assistant", "tool_calls": [None]}, r"messages\[0\]\.tool_calls\[0\] is None"),
        ({"role": "assistant", "tool_calls": [{"function": 5}]}, r"tool_calls\[…\]\.function\[0\] is 5"),
        ({"role": "assistant", "tool_calls": 5}, r"messages\[0\]\.tool_calls is 5"),
    ],
)
def test_what_cannot_be_counted_is_told_with_its_place(message: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        count_tokens([message], model="gpt-4o")


@pytest.mark.parametrize("model", [None, 5])
def test_a_model_that_is_no_name_is_refused(model: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"model = {model}"):
        count_tokens("Hi", model=model)


def test_an_image_lies_within_the_models_bounds() -> None:
    """85 is the price of "detail": "low", 1105 of 1024 x 1024 pixels in full detail."""
    image = user([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}])
    count = count_tokens(image, model="gpt-4o")
    framing = count_tokens("", model="gpt-4o")
    assert count - count.margin - framing <= 85
    assert count + count.margin - framing >= 1105


def test_an_unknown_model_is_counted_with_a_margin() -> None:
    count = count_tokens("Hello!", model="gpt-99-turbo")
    assert abs(count - count_tokens("Hello!", model="gpt-4o")) <= count.margin


def test_models_of_before_2023_keep_their_tokenizers() -> None:
    names = {model: encoding_for(model).name for model in ("text-davinci-003", "ada", "gpt2", "davinci-002")}
    assert names == {"text-davinci-003": "p50k_base", "ada": "r50k_base", "gpt2": "gpt2", "davinci-002": "cl100k_base"}


@pytest.mark.parametrize(
    "text", ["<|endoftext|>", "<|im_start|>system<|im_sep|>", "<|fim_prefix|> and <|endofprompt|>"]
)
def test_the_text_of_a_special_token_is_plain_text(text: str) -> None:
    assert count_text(text, model="gpt-4o") > 1
    assert count_tokens(text, model="gpt-4") > 5


@pytest.mark.parametrize("blank", [" ", "\t", "\u3000"])
def test_a_million_blanks_do_not_overflow_the_tokenizer(blank: str) -> None:
    assert 0 < count_text(blank * 1_100_000, model="gpt-4o") < 1_100_000


@pytest.mark.parametrize("letter", ["a", "^", "\n", "1"])
def test_counting_is_linear_in_text_that_is_hard_to_tokenize(letter: str) -> None:
    """Row 2.T5: old tokenizers took 100 times as long for ten times the text, and minutes for a megabyte."""

    def taken(letters: int) -> float:
        start = time.process_time()
        count_text(letter * letters, model="gpt-4o")
        return time.process_time() - start

    taken(10)
    assert taken(1_000_000) < 40 * max(min(taken(100_000 + extra) for extra in range(3)), 0.005)


def test_half_a_surrogate_pair_is_counted() -> None:
    assert count_tokens("\ud83d", model="gpt-4o") > 0


def test_a_count_is_an_int_that_travels_with_its_margin() -> None:
    count = TokenCount(120, margin=8)
    for arrived in (pickle.loads(pickle.dumps(count)), copy.deepcopy(count)):
        assert (arrived, arrived.tokens, arrived.margin) == (120, 120, 8)
    assert type(count.tokens) is int
    assert (repr(count), str(count), f"{count:>5}", count + 1) == ("TokenCount(120, margin=8)", "120", "  120", 121)
    assert repr(TokenCount(3)) == "TokenCount(3)"
    with pytest.raises(AttributeError, match="cannot be changed"):
        count.margin = 0


@pytest.mark.parametrize("name", ENCODINGS)
@given(text=st.text())
@settings(max_examples=30, deadline=None)  # the first example loads the vocabulary
def test_encoding_loses_nothing(name: str, text: str) -> None:
    encoding = vocabulary.encoding(name)
    assert encoding.decode(encoding.encode_ordinary(text)) == text


@given(st.text(), st.text())
@settings(deadline=None)
def test_counts_add_up_within_the_merge_at_the_seam(left: str, right: str) -> None:
    """Joining two texts changes the tokens around the seam only."""
    joined = count_text(left + right, model="gpt-4o")
    apart = count_text(left, model="gpt-4o") + count_text(right, model="gpt-4o")
    assert joined <= apart + 3
    assert joined <= len((left + right).encode())


@given(st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.text()}), max_size=5))
@settings(deadline=None)
def test_messages_add_up(messages: list[dict[str, Any]]) -> None:
    primer = count_tokens([], model="gpt-4o")
    alone = [count_tokens([message], model="gpt-4o") - primer for message in messages]
    assert count_tokens(messages, model="gpt-4o") == primer + sum(alone)


@pytest.mark.parametrize("name", ENCODINGS)
def test_split_patterns_and_special_tokens_are_tiktokens_own(name: str) -> None:
    assert vocabulary.encoding(name).name == name
    assert vocabulary.encoding(name) is vocabulary.encoding(name)


@pytest.mark.parametrize("name", sorted(vocabulary.ORIGINALS))
def test_packed_ranks_are_those_that_tiktoken_would_download(name: str) -> None:
    """The original file, put together again, has the SHA-256 that tiktoken demands."""
    ranks = vocabulary.ranks(name)
    original = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())
    assert hashlib.sha256(original).hexdigest() == vocabulary.ORIGINALS[name]
    assert vocabulary.ORIGINALS[name] in PUBLIC.read_text()


@given(st.lists(st.binary(min_size=1, max_size=255)))
def test_packing_is_undone_by_unpacking(tokens: list[bytes]) -> None:
    assert list(vocabulary.unpack(vocabulary.pack(tokens))) == tokens


def test_an_unknown_encoding_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no encoding 'o300k'.*cl100k_base, gpt2, o200k_base"):
        vocabulary.encoding("o300k")


OFFLINE = """
import sys
def forbid(event, args):
    if event.startswith("socket."):
        raise RuntimeError(f"network: {event}")
sys.addaudithook(forbid)
import llmkit
print(*[llmkit.count_tokens("Hello!", model=m) for m in ("gpt-4o", "gpt-4", "text-davinci-003", "gpt2", "ada")])
"""


def test_counting_needs_no_network(tmp_path: Path) -> None:
    result = run(OFFLINE, tmp_path, HOME=str(tmp_path), TIKTOKEN_CACHE_DIR="")
    assert result.stderr == ""
    assert result.stdout.split() == ["9", "9", "9", "9", "9"]


def test_threads_share_one_encoding(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from llmkit import vocabulary\n"
        "barrier = threading.Barrier(8)\n"
        "def load(_):\n"
        "    barrier.wait()\n"
        "    return id(vocabulary.encoding('cl100k_base'))\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    print(len(set(pool.map(load, range(8)))))\n"
    )
    result = run(code, tmp_path)
    assert (result.stdout.strip(), result.stderr) == ("1", "")


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter says to `code`, with the modules in `folder` before all others."""
    variables = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=variables, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("damage", [b"", b"not zlib", zlib.compress(b"\0\0\0\0")])
def test_a_damaged_vocabulary_is_named(damage: bytes, tmp_path: Path) -> None:
    installed = tmp_path / "llmkit"
    shutil.copytree(Path(llmkit.__file__).parent, installed, ignore=shutil.ignore_patterns("__pycache__"))
    (installed / "vocabulary" / "cl100k_base.ranks.zlib").write_bytes(damage)
    result = run("import llmkit; llmkit.count_tokens('Hi', model='gpt-4')", tmp_path)
    assert "ConfigError: The packed vocabulary 'cl100k_base' is damaged. Reinstall it: pip install" in result.stderr


def test_a_tiktoken_with_another_vocabulary_is_named(tmp_path: Path) -> None:
    """A new tiktoken that wants other ranks must not be given the old ones."""
    (tmp_path / "tiktoken_ext").mkdir()
    changed = PUBLIC.read_text().replace(vocabulary.ORIGINALS["cl100k_base"], "0" * 64)
    (tmp_path / "tiktoken_ext" / "openai_public.py").write_text(changed)
    result = run("import llmkit; llmkit.count_tokens('Hi', model='gpt-4')", tmp_path)
    assert "ConfigError: The installed tiktoken wants the vocabulary 'cl100k_base' with SHA-256 000" in result.stderr


def test_the_packing_script_confirms_the_packed_files() -> None:
    script = Path(__file__).parents[2] / "scripts" / "pack_vocabulary.py"
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.count("identical to the original"), result.stderr) == (0, 4, "")
