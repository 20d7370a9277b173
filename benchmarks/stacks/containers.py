"""testcontainers: containers for the session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.redis import RedisContainer

pytest_plugins = ["by_hand"]


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    with PostgresContainer(
        os.environ["BENCHMARK_POSTGRES_IMAGE"], username="postgres", dbname="postgres", driver=None
    ) as server:
        yield server.get_connection_url()


@pytest.fixture(scope="session")
def store() -> Iterator[Any]:
    with RedisContainer(os.environ["BENCHMARK_REDIS_IMAGE"]) as server:
        yield server.get_client()
