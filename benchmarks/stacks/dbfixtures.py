"""pytest-postgresql and pytest-redis: a database and an empty Redis for each test are what they are for."""

from typing import Any

import pytest

pytest_plugins = ["pytest_postgresql.plugin", "pytest_redis.plugin"]


@pytest.fixture
def connection(postgresql: Any) -> Any:
    return postgresql


@pytest.fixture
def client(redisdb: Any) -> Any:
    return redisdb
