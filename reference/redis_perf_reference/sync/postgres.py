# Generated from ../asyncio/postgres.py by tools/sync_twins.py: change that file, then run the tool.
"""Postgres: one statement, one round trip, from the first call to the last.

Autocommit, because a driver's default transaction adds BEGIN and COMMIT to each statement. Never prepared, because
psycopg would spend an extra round trip on the sixth execution (and a pooler in front may not know the name).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from psycopg import Connection, Cursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from redis_perf_reference.outcomes import NotAutocommit
from redis_perf_reference.resources import sql


class Postgres(Protocol):
    """Lends a connection in autocommit mode: psycopg_pool's ConnectionPool does, with
    `kwargs={"autocommit": True}`; `OneConnection` makes one of a single connection."""

    def connection(self) -> AbstractContextManager[Connection[Any]]: ...


class OneConnection:
    """Lends the same connection to everyone; psycopg lets one statement through at a time."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        yield self._connection


def ask(postgres: Postgres, statement: bytes, **parameters: object) -> list[tuple[Any, ...]]:
    """Runs one statement and returns its rows. Raises NotAutocommit before sending if a transaction would hold it."""
    with postgres.connection() as connection:
        if not connection.autocommit:
            raise NotAutocommit("this connection is not in autocommit mode")
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            raise NotAutocommit("a transaction is open on this connection")
        cursor = Cursor(connection, row_factory=tuple_row)
        cursor.execute(statement, parameters, prepare=False)
        return cursor.fetchall()


def create_schema(postgres: Postgres) -> None:
    """Creates the tables of `sql/schema.sql` where they are missing. For real use, copy it into your migrations."""
    with postgres.connection() as connection:
        connection.execute(sql("schema"))
