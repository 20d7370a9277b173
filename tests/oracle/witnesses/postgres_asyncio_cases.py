"""psycopg 3 on asyncio: see `postgres_cases`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from case import TURNS, At, case
from postgres_cases import INSERT, address, table

ASYNCIO = "psycopg asyncio"
LONG_MS = (50, 250)
"""For tasks side by side: what one computes is hidden in what another waits for, if that is long enough."""
Use = Callable[[Any], Awaitable[object]]


def on_asyncio(at: At, use: Use, **options: Any) -> None:
    async def main() -> None:
        import psycopg

        async with await psycopg.AsyncConnection.connect(**address(at, **options)) as connection:
            await use(connection)

    asyncio.run(main())


async def three_statements(connection: Any) -> None:
    for _ in range(3):
        await connection.execute("SELECT 1")


@case("postgres", ASYNCIO, "3 statements, autocommit")
def psycopg_asyncio(at: At) -> None:
    on_asyncio(at, three_statements)


@case("postgres", ASYNCIO, "3 statements in a transaction, SCRAM")
def psycopg_asyncio_transaction(at: At) -> None:
    on_asyncio(at, three_statements, autocommit=False, user=at.scram_user, password=at.scram_password)


@case("postgres", ASYNCIO, "3 statements, uvloop", needs=("uvloop",))
def psycopg_asyncio_uvloop(at: At) -> None:
    async def main() -> None:
        import psycopg

        async with await psycopg.AsyncConnection.connect(**address(at)) as connection:
            await three_statements(connection)

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@case("postgres", ASYNCIO, "executemany(50) in its own transaction", before=table, witness=TURNS)
def psycopg_asyncio_executemany(at: At) -> None:
    async def use(connection: Any) -> None:
        await connection.cursor().executemany(INSERT, [(f"body {number}",) for number in range(50)])

    on_asyncio(at, use, autocommit=False)


@case("postgres", ASYNCIO, "pipeline of 50", witness=TURNS)
def psycopg_asyncio_pipeline(at: At) -> None:
    async def use(connection: Any) -> None:
        async with connection.pipeline():
            for number in range(50):
                await connection.execute("SELECT %s::int", (number,))

    on_asyncio(at, use)


@case("postgres", ASYNCIO, "COPY in, then COPY out", before=table)
def psycopg_asyncio_copy(at: At) -> None:
    async def use(connection: Any) -> None:
        async with connection.cursor().copy("COPY message (body) FROM STDIN") as copy:
            for number in range(1000):
                await copy.write_row((f"body {number}",))
        async with connection.cursor().copy("COPY message TO STDOUT") as copy:
            async for _ in copy.rows():
                pass

    on_asyncio(at, use)


@case(
    "postgres", ASYNCIO, "pool of 3, 9 tasks", witness=TURNS, latencies_ms=LONG_MS, hold_ms=30, needs=("psycopg_pool",)
)
def psycopg_asyncio_pool(at: At) -> None:
    async def main() -> None:
        from psycopg_pool import AsyncConnectionPool

        async with AsyncConnectionPool(kwargs=address(at), min_size=3, max_size=3, open=False) as pool:
            await pool.wait()

            async def work() -> None:
                async with pool.connection() as connection:
                    await connection.execute("SELECT 1")

            await asyncio.gather(*(work() for _ in range(9)))

    asyncio.run(main())
