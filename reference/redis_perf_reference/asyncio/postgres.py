"""Postgres: one statement, one round trip, from the first call to the last.

Autocommit, because a driver's default transaction adds BEGIN and COMMIT to each statement. Never prepared, because
psycopg would spend an extra round trip on the sixth execution (and a pooler in front may not know the name).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from psycopg import AsyncConnection, AsyncCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from redis_perf_reference.outcomes import NotAutocommit
from redis_perf_reference.resources import sql


class Postgres(Protocol):
    """Lends a connection in autocommit mode: psycopg_pool's AsyncConnectionPool does, with
    `kwargs={"autocommit": True}`; `OneConnection` makes one of a single connection."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]: ...


class OneConnection:
    """Lends the same connection to everyone; psycopg lets one statement through at a time."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        yield self._connection


async def ask(postgres: Postgres, statement: bytes, **parameters: object) -> list[tuple[Any, ...]]:
    """Runs one statement and returns its rows. Raises NotAutocommit before sending if a transaction would hold it."""
    async with postgres.connection() as connection:
        if not connection.autocommit:
            raise NotAutocommit("this connection is not in autocommit mode")
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            raise NotAutocommit("a transaction is open on this connection")
        cursor = AsyncCursor(connection, row_factory=tuple_row)
        await cursor.execute(statement, parameters, prepare=False)
        return await cursor.fetchall()


async def create_schema(postgres: Postgres) -> None:
    """Creates the tables of `sql/schema.sql` where they are missing. For real use, copy it into your migrations."""
    async with postgres.connection() as connection:
        await connection.execute(sql("schema"))
