"""Attributes are replaced for a while, in modules that are there and in those that come; nothing is imported for it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmkit.recording.patches import Patches, Replacement

NAME = "module_that_arrives"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / f"{NAME}.py").write_text("def value(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(NAME, None)


def doubled(module: Any) -> Iterator[Replacement]:
    yield module, "value", lambda real: lambda: real() * 2


@pytest.fixture
def patches() -> Iterator[Patches]:
    patches = Patches({NAME: doubled, "module_that_is_nowhere": doubled})
    patches.put_in()
    yield patches
    patches.take_out()


def test_a_module_is_patched_when_it_is_imported_and_restored(patches: Patches) -> None:
    found = importlib.import_module(NAME)
    assert found.value() == 2
    patches.take_out()
    assert found.value() == 1
    assert inspect.getsource(found) == "def value(): return 1\n"


def test_a_module_that_is_there_is_patched_at_once() -> None:
    found = importlib.import_module(NAME)
    patches = Patches({NAME: doubled})
    patches.put_in()
    assert found.value() == 2
    patches.take_out()
    assert found.value() == 1


def test_a_module_that_is_imported_anew_is_patched_again(patches: Patches) -> None:
    first = importlib.import_module(NAME)
    del sys.modules[NAME]
    second = importlib.import_module(NAME)
    assert (first is second, first.value(), second.value()) == (False, 2, 2)


def test_what_someone_else_has_replaced_since_stays(patches: Patches) -> None:
    found = importlib.import_module(NAME)
    vars(found)["value"] = lambda: 3
    patches.take_out()
    assert found.value() == 3


def test_looking_for_a_module_imports_nothing(patches: Patches) -> None:
    assert importlib.util.find_spec(NAME) is not None
    assert importlib.util.find_spec("module_that_is_nowhere") is None
    assert NAME not in sys.modules


def test_a_cassette_imports_no_client_that_the_application_does_not() -> None:
    code = (
        "import sys\nfrom llmkit.recording import use_cassette\n"
        "with use_cassette('none.yaml', record='new_episodes'):\n"
        "    print([name for name in ('aiohttp', 'httpx', 'httpx2', 'urllib3', 'vcr') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("client", ["httpx", "httpx2", "requests", "urllib3", "aiohttp"])
def test_a_client_that_is_imported_inside_of_a_cassette_is_recorded(client: str) -> None:
    asks = {
        "urllib3": "urllib3.request('GET', 'https://api.example.com/')",
        "aiohttp": "import asyncio\nasync def ask():\n    async with aiohttp.ClientSession() as session:\n"
        "        await session.get('https://api.example.com/')\nasyncio.run(ask())",
    }
    ask = asks.get(client, f"{client}.get('https://api.example.com/')")
    code = f"""
import textwrap
from llmkit.recording import CassetteMiss, use_cassette
with use_cassette('none.yaml'):
    try:
        exec({f"import {client}{chr(10)}{ask}"!r})
    except CassetteMiss:
        print('missed')
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("missed\n", 0), ran.stderr
