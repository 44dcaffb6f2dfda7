"""A module is noticed when it is imported, and not imported for that."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from llmkit.recording.interception.arrivals import noticed

NAME = "module_that_arrives"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / f"{NAME}.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(NAME, None)


def test_a_module_is_noticed_after_it_has_run() -> None:
    seen: list[int] = []
    with noticed([NAME], lambda module: seen.append(module.VALUE)):
        assert seen == []
        found = importlib.import_module(NAME)
    assert seen == [1]
    assert inspect.getsource(found) == "VALUE = 1\n"
    assert found.__spec__ is not None
    assert found.__loader__ is found.__spec__.loader
    assert type(found.__loader__).__module__.startswith("_frozen_importlib")


def test_a_module_that_is_there_is_noticed_at_once() -> None:
    found = importlib.import_module(NAME)
    seen: list[ModuleType] = []
    with noticed([NAME], seen.append):
        assert seen == [found]


def test_a_module_that_is_imported_anew_is_noticed_again() -> None:
    seen: list[ModuleType] = []
    with noticed([NAME], seen.append):
        importlib.import_module(NAME)
        del sys.modules[NAME]
        importlib.import_module(NAME)
    assert len(seen) == 2


def test_nothing_is_noticed_after_the_block_and_nothing_else_in_it() -> None:
    seen: list[ModuleType] = []
    with noticed(["module_that_never_arrives"], seen.append):
        importlib.import_module(NAME)
    with noticed([NAME], seen.append):
        seen.clear()
    sys.modules.pop(NAME)
    importlib.import_module(NAME)
    assert seen == []


def test_looking_for_a_module_neither_imports_nor_notices_it() -> None:
    seen: list[ModuleType] = []
    with noticed([NAME, "module_that_is_nowhere"], seen.append):
        assert importlib.util.find_spec(NAME) is not None
        assert importlib.util.find_spec("module_that_is_nowhere") is None
    assert (seen, NAME in sys.modules) == ([], False)


def test_a_block_imports_no_client_that_the_application_does_not() -> None:
    code = (
        "import sys\nfrom llmkit.recording import use_cassette\n"
        "with use_cassette('none.yaml', record='new_episodes'):\n"
        "    print([name for name in ('aiohttp', 'httpx', 'httpx2', 'urllib3', 'vcr') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_client_that_is_imported_in_a_block_is_recorded_and_let_go_after_it() -> None:
    code = (
        "from llmkit.recording import CassetteMiss, use_cassette\n"
        "with use_cassette('none.yaml'):\n"
        "    import httpx\n"
        "    patched = httpx.HTTPTransport.handle_request\n"
        "    try:\n"
        "        httpx.get('https://api.example.com/')\n"
        "    except CassetteMiss:\n"
        "        print('missed')\n"
        "print(httpx.HTTPTransport.handle_request is patched)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "missed\nFalse\n"
