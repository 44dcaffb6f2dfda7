"""A Redis server for each worker of the test run, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.llmkit.stores.redis_process import ABSENT, BINARY, RedisProcess


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    if BINARY is None:
        pytest.skip(ABSENT)
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def redis(redis_process: RedisProcess) -> RedisProcess:
    redis_process.command(b"FLUSHALL")
    return redis_process


@pytest.fixture
def mortal_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server of the test's own, that may be killed; it wants a password."""
    if BINARY is None:
        pytest.skip(ABSENT)
    process = RedisProcess(tmp_path_factory.mktemp("redis"), password="hunter2-p@ss")
    process.start()
    yield process
    process.stop()
