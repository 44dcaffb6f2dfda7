"""Cache files made to hang, to fill the memory or to break what reads them, and many writers of one file. Row T15."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from llmkit import tinytroupe
from llmkit.tinytroupe import OpenAIClient, cache_file, utils
from llmkit.tinytroupe.cache_file import CacheRefused
from mockserver import MockServer
from tests.llmkit.tinytroupe.conftest import MESSAGES, Configure

_KEY = b"X\x01\0\0\0k"
_OBJECT = b"copenai.types.x\ny\n)\x81"


def _doubled(times: int, *, first: bytes = b"]") -> bytes:
    """A list of two lists that are one and the same list of two, and so on: a few hundred bytes say 2 ** times."""
    levels = b"".join(b"]q%c(h%ch%ce" % (at + 1, at, at) for at in range(times))
    return b"\x80\x02" + first + b"q\0" + levels + b"q\xf0}" + _KEY + b"h\xf0s."


def _doubled_objects(times: int) -> bytes:
    """The same with the SDK's objects, which are taken apart."""
    fields = b"}(X\x08\0\0\0__dict__}X\x01\0\0\0a"
    said = b"sX\x15\0\0\0__pydantic_fields_set__}X\x01\0\0\0aK\x01su"
    levels = b"".join(
        _OBJECT + b"q%c" % (at + 1) + fields + b"](h%ch%ce" % (at, at) + said + b"b0" for at in range(times)
    )
    return b"\x80\x02]q\0" + b"0" + levels + b"}" + _KEY + b"h%cs." % times


HOSTILE = {
    "doubled": _doubled(60),
    "doubled objects": _doubled_objects(60),
    "within itself": b"\x80\x02}q\0" + _KEY + b"}q\1" + _KEY + b"h\1ss.",
    "the file within itself": b"\x80\x02}q\0" + _KEY + b"h\0s.",
    "nested": b"\x80\x02}" + _KEY + b"]" * 5000 + b"a" * 4999 + b"s.",
    "class": b"\x80\x02}" + _KEY + b"copenai.types.x\ny\ns.",
    "object in a list": b"\x80\x02}" + _KEY + b"]" + _OBJECT + b"as.",
    "object without state": b"\x80\x02}" + _KEY + _OBJECT + b"s.",
    "set": pickle.dumps({"k": {1, 2}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_a_reply_is_refused_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cache.pickle"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(CacheRefused, match=r"cache\.pickle' is not read: "):
        cache_file.read(path)
    with pytest.raises(CacheRefused):
        cache_file.write(path, {})
    assert path.read_bytes() == HOSTILE[name]


def test_a_text_that_stands_in_every_reply_may_be_shared() -> None:
    shared = ["assistant"] * 50
    cache = {str(number): {"role": shared[0], "content": "x", "lists": [shared, shared]} for number in range(100)}
    assert cache_file.loads(pickle.dumps(cache)) == cache


@pytest.mark.parametrize(
    "size", [b"\x96\xff\xff\xff\x7f\0\0\0\0", b"\x8e\xff\xff\xff\x7f\0\0\0\0", b"B\xff\xff\xff\x7f"]
)
def test_a_size_that_a_file_claims_is_not_reserved(size: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a broken pickle raises
        cache_file.loads(b"\x80\x05" + size + b"}.")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = Path(kind) if kind.startswith("/") else tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(CacheRefused, match="no regular file"):
        cache_file.read(path)
    with pytest.raises(CacheRefused, match="no regular file"):
        cache_file.write(path, {})


def test_threads_that_share_a_client_lose_no_reply(configured: object, server: MockServer, tmp_path: Path) -> None:
    client = OpenAIClient()
    ready = threading.Barrier(4)

    def ask(number: int) -> None:
        ready.wait()
        for turn in range(5):
            client._keep(f"{number} {turn}", {"content": "x"})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.api_cache) == len(cache_file.read("test_cache.pickle")) == 20
    assert [path.name for path in tmp_path.iterdir() if "pickle" in path.name] == ["test_cache.pickle"]


_PROGRAM = """
    import sys
    from llmkit.tinytroupe import OpenAIClient
    client = OpenAIClient(cache_api_calls=True, cache_file_name="shared.pickle")
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(25):
        client._keep(f"{sys.argv[1]} {turn}", {"content": "x" * 1000})
"""


def test_processes_that_share_a_file_lose_no_reply(configured: object, tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_PROGRAM), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for name in "ab"
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
        assert process.returncode == 0
    assert len(cache_file.read(tmp_path / "shared.pickle")) == 50


def test_a_configuration_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text("[OpenAI]\nMODEL=gpt-4o\n", encoding="utf-8-sig")
    assert utils.read_config_file(use_cache=False)["OpenAI"]["MODEL"] == "gpt-4o"


@pytest.mark.parametrize(
    "text", ["[OpenAI]\nMODEL\n", "MODEL=x\n", "[OpenAI]\nMODEL=a\nMODEL=b\n", "[OpenAI]\nMODEL=50%\n", "\x00"]
)
def test_a_broken_configuration_is_told_by_its_name_and_not_by_its_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text(text.replace("MODEL", "SECRET_abc123" if "%" not in text else "MODEL"))
    with pytest.raises(ValueError, match=r"config\.ini") as caught:
        tinytroupe.settings.defaults(utils.read_config_file(use_cache=False))
    assert "abc123" not in str(caught.value)


def test_a_configuration_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_bytes("[OpenAI]\nMODEL=gpt-4o\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"config\.ini.*UTF-8"):
        utils.read_config_file(use_cache=False)


def test_a_reply_that_is_nested_without_end_is_given_up_on(configure: Configure, server: MockServer) -> None:
    """What an API says may be hostile too; the cache must not keep it."""
    configure(MAX_ATTEMPTS="1")

    class Deep(OpenAIClient):
        def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
            return json.loads('{"a":' * 400 + "1" + "}" * 400)

        def _raw_model_response_extractor(self, response: Any) -> Any:
            return response

    client = Deep()
    client.send_message(MESSAGES)
    client.send_message([*MESSAGES, *MESSAGES])
    assert not Path("test_cache.pickle").exists() or cache_file.read("test_cache.pickle") is not None
