"""Which stores the settings of a client open."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmkit import stores
from llmkit.errors import ConfigError
from llmkit.policies import State
from llmkit.policies.cache import endpoint_identity
from llmkit.stores.memory import MemoryCache, MemoryStates
from llmkit.stores.redis import RedisCache, RedisStates
from llmkit.stores.sqlite import SQLiteCache
from tests.llmkit.stores.redis_process import RedisProcess


def begin(state: State, now: float) -> tuple[State, None]:
    return (1,), None


def test_without_settings_states_are_in_memory_and_nothing_is_cached() -> None:
    opened = stores.opened()
    assert isinstance(opened.states, MemoryStates)
    assert opened.cache is None
    assert stores.opened(cache=False).cache is None


async def test_a_path_is_a_file(tmp_path: Path) -> None:
    opened = stores.opened(cache=str(tmp_path / "answers.db"))
    assert isinstance(opened.cache, SQLiteCache)
    await opened.aclose()


async def test_a_server_takes_states_and_answers(redis: RedisProcess) -> None:
    opened = stores.opened(state_url=redis.url, cache=True)
    assert isinstance(opened.states, RedisStates)
    assert isinstance(opened.cache, RedisCache)
    await opened.states.update("k", begin, ttl_s=60)
    await opened.aclose()


def test_a_cache_without_path_or_server_is_in_memory() -> None:
    assert isinstance(stores.opened(cache=True).cache, MemoryCache)


def test_a_store_of_ones_own_is_taken_as_it_is() -> None:
    own = MemoryCache()
    assert stores.opened(cache=own).cache is own


@pytest.mark.parametrize("cache", [7, b"answers.db", object()])
def test_what_is_no_cache_is_refused_with_its_value(cache: Any) -> None:
    with pytest.raises(ConfigError, match="cache = "):
        stores.opened(cache=cache)


def test_a_directory_is_taken_for_cassettes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no cassettes"):
        stores.opened(cache=tmp_path, endpoint=endpoint_identity(address="https://api.openai.com/v1"))


def test_nothing_heavy_is_imported_before_it_is_wanted() -> None:
    heavy = {"redis", "sqlite3", "llmkit.recording", "openai"}
    program = f"""
import sys
there = set(sys.modules)  # coverage itself uses sqlite3
from llmkit import stores
stores.opened()
print({heavy!r} & (set(sys.modules) - there))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "set()\n"
