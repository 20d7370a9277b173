"""Real servers for the oracle tests: one of each per run, clean state per test.

Without one a test is skipped and says why; with REDISPERF_REQUIRE_SERVERS=1 that is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from redis_perf import ServerUnavailable, servers

Server = TypeVar("Server", servers.RedisServer, servers.PostgresServer)


def started(start: Callable[[str], Server], choice: str) -> Server:
    try:
        return start(choice)
    except ServerUnavailable as unavailable:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(unavailable))


@pytest.fixture(autouse=True)
def alone(nobody_else_listens: None) -> None:
    """These tests put taps in place themselves."""


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[servers.RedisServer]:
    """A real Valkey of our own. It keeps what tests leave in it: see `redis_url`."""
    server = started(servers.redis, "embedded")
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey_server: servers.RedisServer) -> str:
    """The URL of a real Valkey, emptied before this test."""
    valkey_server.reset()
    return valkey_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    """A real PostgreSQL of our own."""
    server = started(servers.postgres, "embedded")
    yield server
    server.stop()


@pytest.fixture
def postgres_dsn(postgres_server: servers.PostgresServer) -> Iterator[str]:
    """The DSN of a fresh, empty database of this test."""
    with postgres_server.database() as dsn:
        yield dsn
