"""Clean states for tools that leave them to their users: CREATE and DROP DATABASE, FLUSHALL before each test.

They need two fixtures of the session: `dsn` of a superuser, and `store`, a client.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

numbers = itertools.count()


@pytest.fixture
def connection(dsn: str) -> Iterator[Any]:
    name = f"test_{next(numbers)}"
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name}")
    connection = psycopg.connect(dsn, dbname=name)
    yield connection
    connection.close()
    with psycopg.connect(dsn, autocommit=True) as administrator:
        administrator.execute(f"DROP DATABASE {name}")


@pytest.fixture
def client(store: Any) -> Any:
    store.flushall()
    return store
