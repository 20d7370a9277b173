"""This project's fixtures."""

from typing import Any

import pytest


@pytest.fixture
def connection(redisperf_postgres: Any) -> Any:
    return redisperf_postgres


@pytest.fixture
def client(redisperf_redis: Any) -> Any:
    return redisperf_redis
