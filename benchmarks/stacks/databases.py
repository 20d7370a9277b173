"""pytest-databases: containers for the session."""

from __future__ import annotations

from typing import Any

import pytest
import redis

pytest_plugins = [
    "by_hand",
    "pytest_databases._service",
    "pytest_databases.docker.postgres",
    "pytest_databases.docker.redis",
]


@pytest.fixture(scope="session")
def dsn(postgres_service: Any) -> str:
    service = postgres_service
    return f"postgresql://{service.user}:{service.password}@{service.host}:{service.port}/postgres"


@pytest.fixture(scope="session")
def store(redis_service: Any) -> Any:
    return redis.Redis(redis_service.host, redis_service.port)
