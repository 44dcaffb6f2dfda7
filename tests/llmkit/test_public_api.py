"""The package's face: what it offers, and that merely importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import llmkit

QUIET = """
import sys
events = []
def watch(event, args):
    if event in ("open", "socket.__new__", "subprocess.Popen") and not str(args[0]).endswith((".py", ".pyc")):
        events.append((event, str(args[0])))
sys.addaudithook(watch)
import llmkit
heavy = {"openai", "aiohttp", "vcr", "pydantic", "pydantic_settings", "tiktoken", "httpx", "httpx2", "asyncio"}
print(sorted(heavy & set(sys.modules)), events)
"""


def test_importing_llmkit_imports_nothing_heavy_and_reads_nothing() -> None:
    result = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, timeout=60)
    assert (result.stdout.strip(), result.stderr) == ("[] []", "")


def test_all_names_are_sorted_and_there() -> None:
    assert llmkit.__all__ == sorted(llmkit.__all__)
    assert dir(llmkit) == llmkit.__all__
    for name in llmkit.__all__:
        assert getattr(llmkit, name) is not None


def test_every_error_is_offered() -> None:
    tree = {
        name for name, value in vars(llmkit.errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert tree <= set(llmkit.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'llmkit' has no attribute 'Clinet'"):
        _ = llmkit.Clinet
