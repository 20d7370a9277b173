"""Async clients for tests, whichever plugin runs the loop: pytest-asyncio, anyio or a plain `asyncio.run`.

A fixture that is no coroutine has no loop of its own to close a client in. But every runner asks its loop to finish
its asynchronous generators before closing it, so one such generator, begun in the loop that connects, is where the
client gets closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    import redis.asyncio


@contextmanager
def closed_with_its_loop(client: redis.asyncio.Redis) -> Iterator[None]:
    """Closes the client in each loop that it connected in: when that loop ends or, if that outlives it, at the end."""
    pool: Any = client.connection_pool
    make_connection = pool.make_connection
    closers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}

    async def closer() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await client.aclose()
            pool.reset()  # a connection used in another loop must be made anew

    def making_connection() -> object:
        loop = asyncio.get_running_loop()
        if loop not in closers:
            closers[loop] = closer()
            _begin(closers[loop])
        return make_connection()

    pool.make_connection = making_connection
    yield
    for loop, begun in closers.items():
        if not loop.is_closed():
            loop.run_until_complete(begun.aclose())


def _begin(generator: AsyncGenerator[None]) -> None:
    """Run it to its `yield`, which waits for nothing, so that the running loop knows of it."""
    try:
        generator.asend(None).send(None)
    except StopIteration:
        return


class AsyncPostgres:
    """Opens connections to one test's database. The `redisperf_async_postgres` fixture."""

    def __init__(self, client: ModuleType, dsn: str) -> None:
        self.dsn = dsn
        self._client: Any = client
        self._opened: list[psycopg.AsyncConnection[Any]] = []

    def __call__(self, **options: Any) -> Opening:
        """A connection once awaited or entered; options as for `psycopg.AsyncConnection.connect`."""
        return Opening(self, options)

    async def connect(self, **options: Any) -> psycopg.AsyncConnection[Any]:
        connection: psycopg.AsyncConnection[Any] = await self._client.AsyncConnection.connect(self.dsn, **options)
        self._opened.append(connection)
        return connection

    def close(self) -> None:
        """Close what is still open. This needs no loop."""
        for connection in self._opened:
            connection.pgconn.finish()
        self._opened.clear()


class Opening:
    """`await` it or enter it with `async with`, which commits, or rolls back, and closes as psycopg's own does."""

    def __init__(self, postgres: AsyncPostgres, options: dict[str, Any]) -> None:
        self._postgres = postgres
        self._options = options
        self._entered: psycopg.AsyncConnection[Any] | None = None

    def __await__(self) -> Generator[Any, Any, psycopg.AsyncConnection[Any]]:
        return self._postgres.connect(**self._options).__await__()

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        self._entered = await self
        return await self._entered.__aenter__()

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Awaitable[None]:
        assert self._entered is not None
        return self._entered.__aexit__(kind, error, traceback)  # no frame of ours between the user's line and COMMIT
