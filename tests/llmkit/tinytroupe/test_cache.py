"""The cache file: what TinyTroupe wrote, and nothing that anybody else put there. Rows T9, T15 and T22."""

from __future__ import annotations

import copyreg
import os
import pickle
import resource
import stat
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from llmkit import tinytroupe
from llmkit.tinytroupe import NonTerminalError, OpenAIClient, cache_file
from llmkit.tinytroupe.cache_file import CacheRefused, Watched
from mockserver import MockServer, fault, reply
from tests.llmkit.tinytroupe.conftest import MESSAGES, Configure, asked

KEY = (
    "('gpt-4', {'messages': [{'role': 'user', 'content': 'test message'}], 'temperature': 0.3, 'max_tokens': 1024, "
    "'top_p': 0, 'frequency_penalty': 0.0, 'presence_penalty': 0.0, 'stop': [], "
    "'timeout': 30.0, 'stream': False, 'n': 1})"
)


class Command:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def _by_reduce(mark: Path) -> bytes:
    return pickle.dumps({"reply": Command(mark)})


def _in_a_key(mark: Path) -> bytes:
    return pickle.dumps({("a", Command(mark)): "reply"}, protocol=2)


def _in_text(mark: Path) -> bytes:
    return pickle.dumps({"reply": Command(mark)}, protocol=0)


def _by_instance(mark: Path) -> bytes:
    return b"(S" + repr(str(mark)).encode() + b"\nios\nmkdir\n."


def _by_object(mark: Path) -> bytes:
    return b"(cos\nmkdir\nS" + repr(str(mark)).encode() + b"\no."


def _by_a_name_of_the_sdk(mark: Path) -> bytes:
    """The module of the SDK that the reader understands imports os itself."""
    return b"copenai.types.chat.os\nmkdir\n(S" + repr(str(mark)).encode() + b"\ntR."


def _after_the_reply(mark: Path) -> bytes:
    return pickle.dumps({"reply": "Hello"})[:-1] + b"0" + _by_reduce(mark)[2:]


def _by_extension(mark: Path) -> bytes:
    return b"\x80\x02\x82\xf0(S" + repr(str(mark)).encode() + b"\ntR."


HOSTILE = [
    _by_reduce,
    _in_a_key,
    _in_text,
    _by_instance,
    _by_object,
    _by_a_name_of_the_sdk,
    _after_the_reply,
    _by_extension,
]


@pytest.fixture
def extension() -> Any:
    copyreg.add_extension("os", "mkdir", 0xF0)
    yield
    copyreg.remove_extension("os", "mkdir", 0xF0)


@pytest.mark.parametrize("attack", HOSTILE)
def test_nothing_in_a_cache_file_is_run(attack: Any, tmp_path: Path, extension: None) -> None:
    (tmp_path / "cache.pickle").write_bytes(attack(tmp_path / "mark"))
    with pytest.raises(CacheRefused):
        cache_file.read(tmp_path / "cache.pickle")
    assert not (tmp_path / "mark").exists()


def test_the_attacks_are_real(tmp_path: Path, extension: None) -> None:
    """What is refused above does run where pickle itself reads it."""
    for number, attack in enumerate([each for each in HOSTILE if each is not _by_a_name_of_the_sdk]):
        pickle.loads(attack(tmp_path / str(number)))
        assert (tmp_path / str(number)).exists(), attack


def test_a_small_file_takes_little_memory() -> None:
    """This one names the place 16 million of the table of objects, which pickle in C then makes."""
    tracemalloc.start()
    assert cache_file.loads(b"\x80\x02}r\xff\xff\xff\x00.") == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "content",
    [b"", b"not a pickle", pickle.dumps(["a list"]), pickle.dumps({"a": 1})[:-3], pickle.dumps({"a": OrderedDict()})],
)
def test_a_file_that_is_no_cache_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cache.pickle"
    path.write_bytes(content)
    with pytest.raises(CacheRefused, match=r"cache\.pickle' is not read: .*CACHE_FILE_NAME in config\.ini$"):
        cache_file.read(path)
    with pytest.raises(CacheRefused):
        cache_file.write(path, {"a": "b"})
    assert path.read_bytes() == content


def test_a_pickle_of_something_else_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "cache.pickle").write_bytes(pickle.dumps(["a list"]))
    with pytest.raises(CacheRefused, match="it holds a list, not a dict of replies"):
        cache_file.read(tmp_path / "cache.pickle")


def test_a_client_goes_on_without_a_hostile_file_and_leaves_it_alone(
    configured: object, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A reply that was paid for is not lost."""
    path, hostile = tmp_path / "test_cache.pickle", _by_reduce(tmp_path / "mark")
    path.write_bytes(hostile)
    server.script(reply("Hello"))
    answer = OpenAIClient().send_message(MESSAGES)
    assert answer is not None
    assert answer["content"] == "Hello"
    assert len(server.journal) == 1
    assert path.read_bytes() == hostile
    assert not (tmp_path / "mark").exists()
    assert "it asks for posix.mkdir, and a cache has only plain data" in caplog.text
    assert "The cache was not saved to 'test_cache.pickle'" in caplog.text


def test_what_is_asked_twice_is_paid_once(configured: object, server: MockServer, tmp_path: Path) -> None:
    server.script(reply("Hello"))
    first = OpenAIClient().send_message(MESSAGES)
    second = OpenAIClient().send_message(MESSAGES)
    assert first == second
    assert len(server.journal) == 1


def test_the_file_is_one_dict_with_the_keys_of_tinytroupe(
    configured: object, server: MockServer, tmp_path: Path
) -> None:
    server.script(reply("Hello"))
    answer = OpenAIClient().send_message(MESSAGES)
    assert pickle.loads((tmp_path / "test_cache.pickle").read_bytes()) == {KEY: answer}


def test_a_reply_that_a_retry_brought_is_found_again(configured: object, server: MockServer, tmp_path: Path) -> None:
    """In TinyTroupe the key of a retry also has the model in it, and is never asked for again."""
    server.script(fault.rate_limited(), reply("Hello"))
    OpenAIClient().send_message(MESSAGES)
    assert list(OpenAIClient().api_cache) == [KEY]


def test_a_client_of_ones_own_may_change_its_parameters(configured: object, waits: list[float]) -> None:
    """Nor does the next attempt see what the one before made of them."""
    seen: list[list[str]] = []

    class Changing(OpenAIClient):
        def _setup_from_config(self) -> None:
            """There is nothing to set up."""

        def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
            seen.append(list(chat_api_params))
            chat_api_params["model"] = model
            chat_api_params["stop"].append("END")
            if len(seen) == 1:
                raise NonTerminalError("not yet")
            return {"content": "Hello"}

        def _raw_model_response_extractor(self, response: Any) -> Any:
            return response

    client = Changing()
    assert client.send_message(MESSAGES) == {"content": "Hello"}
    assert list(client.api_cache) == [KEY]
    assert seen[0] == seen[1]


def test_the_defaults_of_the_packaged_configuration_make_the_same_key(configure: Configure) -> None:
    """Numbers keep their types, which the key spells: 0.3, 4000, 0, 60.0."""
    tinytroupe.utils.read_config_file(use_cache=False)
    values = [tinytroupe.default_value(name) for name in ("temperature", "max_tokens", "top_p", "timeout")]
    assert repr(values) == "[0.3, 4000, 0, 60.0]"


def test_a_cache_that_tinytroupe_wrote_is_read(configured: object, server: MockServer, tmp_path: Path) -> None:
    """It pickles the objects of the SDK; their classes are not even imported."""
    completion = ChatCompletion.model_validate(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4-0613",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "refusal": None,
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                        "reasoning_content": "hm",
                    },
                }
            ],
        }
    )
    completion._request_id = "req_1"
    path = tmp_path / "test_cache.pickle"
    path.write_bytes(pickle.dumps({KEY: completion}))
    assert OpenAIClient().send_message(MESSAGES) == completion.choices[0].message.to_dict()
    assert asked(server) == []
    path.write_bytes(path.read_bytes().replace(b"openai.types.chat.", b"openai.types.gone."))
    assert OpenAIClient().send_message(MESSAGES) == completion.choices[0].message.to_dict()


def test_a_cache_that_cannot_be_written_leaves_the_file_whole(
    configured: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """TinyTroupe opens the file first, and leaves it empty."""
    path = tmp_path / "test_cache.pickle"
    path.write_bytes(pickle.dumps({"a": "b"}))
    client = OpenAIClient()
    unwritable: Any
    for unwritable in (print, OrderedDict()):
        client.api_cache["c"] = unwritable
        client._save_cache()
        assert pickle.loads(path.read_bytes()) == {"a": "b"}
        assert [each.name for each in tmp_path.glob(".*.pickle*")] == []
    assert "The cache was not saved to 'test_cache.pickle'" in caplog.text


def test_a_disk_that_is_full_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "cache.pickle"
    cache_file.write(path, {"a": "b"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            cache_file.write(path, {"a": "b" * 100_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cache_file.read(path) == {"a": "b"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_takes_no_file_costs_no_reply(configured: object, server: MockServer) -> None:
    client = OpenAIClient(cache_file_name="gone/cache.pickle")
    assert client.send_message(MESSAGES) is not None
    assert client.send_message(MESSAGES) is not None
    assert len(server.journal) == 1


def test_the_file_takes_its_place_in_one_step(tmp_path: Path) -> None:
    """Whoever has it open goes on reading what was there."""
    path = tmp_path / "cache.pickle"
    cache_file.write(path, {"a": "b"})
    with path.open("rb") as old:
        cache_file.write(path, {"c": "d"})
        assert pickle.load(old) == {"a": "b"}
    assert cache_file.read(path) == {"c": "d"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_its_permissions_and_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.pickle", tmp_path / "link.pickle"
    cache_file.write(real, {})
    real.chmod(0o640)
    link.symlink_to(real)
    cache_file.write(link, {"a": "b"})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert cache_file.read(real) == {"a": "b"}


def test_what_another_process_has_cached_meanwhile_stays(configured: object, server: MockServer) -> None:
    """TinyTroupe writes its own view over it."""
    one, other = OpenAIClient(), OpenAIClient()
    one.send_message(MESSAGES, temperature=0.1)
    other.send_message(MESSAGES, temperature=0.2)
    assert len(OpenAIClient().api_cache) == 2
    assert other.send_message(MESSAGES, temperature=0.1) is not None
    assert len(server.journal) == 2


def test_what_tinytroupe_itself_writes_meanwhile_stays(configured: object, server: MockServer, tmp_path: Path) -> None:
    """It writes in place, into the very file that was read before."""
    client, path = OpenAIClient(), tmp_path / "test_cache.pickle"
    client.send_message(MESSAGES)
    with path.open("r+b") as file:
        file.write(pickle.dumps({"theirs": {"content": "x" * 500}}))
        file.truncate()
    client.send_message(MESSAGES, temperature=0.1)
    assert len(cache_file.read(path)) == 3
    assert "theirs" in client.api_cache


def test_a_hostile_file_that_comes_later_is_not_overwritten(
    configured: object, server: MockServer, tmp_path: Path
) -> None:
    client, path = OpenAIClient(), tmp_path / "test_cache.pickle"
    client.send_message(MESSAGES)
    hostile = _by_reduce(tmp_path / "mark")
    path.write_bytes(hostile)
    assert client.send_message(MESSAGES, temperature=0.1) is not None
    assert path.read_bytes() == hostile
    path.unlink()
    client.send_message(MESSAGES, temperature=0.2)
    assert len(cache_file.read(path)) == 3


def test_a_file_is_read_again_only_when_it_has_been_written(tmp_path: Path) -> None:
    """So a reply costs no reading of the tens of megabytes that a long simulation's file has."""
    path = tmp_path / "cache.pickle"
    watched = Watched(path)
    watched.write({"a": "b"})
    written = path.stat()
    path.write_bytes(pickle.dumps({"a": "c"}))
    assert path.stat().st_size == written.st_size
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert watched.read() == {"a": "b"}
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns + 1))
    assert watched.read() == {"a": "c"}
    path.unlink()
    assert watched.read() == {}


def test_a_cache_that_is_switched_on_again_is_read_from_the_file(configured: object, server: MockServer) -> None:
    """What an application did to the replies in the memory is gone then."""
    client = OpenAIClient()
    server.script(reply("Hello"))
    client.send_message(MESSAGES)
    client.api_cache[KEY]["content"] = "changed"
    client.set_api_cache(True, "test_cache.pickle")
    assert client.api_cache[KEY]["content"] == "Hello"


def test_an_answer_in_the_cache_is_out_of_the_callers_reach(configured: object, server: MockServer) -> None:
    client = OpenAIClient()
    server.script(reply("Hello"))
    for _ in range(3):
        answer = client.send_message(MESSAGES)
        assert answer is not None
        assert answer["content"] == "Hello"
        answer["content"] = "changed"


def test_with_the_cache_off_no_file_is_written(configure: Configure, server: MockServer, tmp_path: Path) -> None:
    configure(CACHE_API_CALLS="False")
    client = OpenAIClient()
    client.send_message(MESSAGES)
    client.send_message(MESSAGES)
    assert len(server.journal) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["config.ini"]


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(cache=st.dictionaries(st.text(), _PLAIN, max_size=4), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_whatever_json_can_say_comes_back(cache: dict[str, Any], protocol: int) -> None:
    assert cache_file.loads(pickle.dumps(cache, protocol=protocol)) == cache


@given(noise=st.binary(max_size=60))
def test_noise_is_refused_or_plain(noise: bytes) -> None:
    try:
        found = cache_file.loads(noise)
    except Exception:
        return
    assert isinstance(found, dict)
