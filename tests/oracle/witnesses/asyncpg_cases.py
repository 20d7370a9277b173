"""asyncpg, which is asyncio only: see `postgres_cases`.

Its `close` waits until the server has hung up. That has no reply, so no protocol counts it, but it takes as long as a
round trip: the cases that are timed hang up themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from case import SLOPE, TURNS, At, case
from postgres_cases import filled, table

ASYNCPG = "asyncpg"
NEEDS = ("asyncpg",)
LONG_MS = (50, 250)
BULK_MS = (100, 500)
INSERT = "INSERT INTO message (body) VALUES ($1)"
Use = Callable[[Any], Awaitable[object]]


def address(at: At, **options: Any) -> dict[str, Any]:
    return {
        "host": at.postgres_host,
        "port": at.postgres_port,
        "user": at.postgres_user,
        "database": at.postgres_database,
        "ssl": False,
        **options,
    }


async def connected(at: At, use: Use, *, timed: bool = False, **options: Any) -> None:
    import asyncpg

    connection = await asyncpg.connect(**address(at, **options))
    await use(connection)
    if timed:
        connection.terminate()
    else:
        await connection.close()


def on_asyncpg(at: At, use: Use, *, timed: bool = False, **options: Any) -> None:
    asyncio.run(connected(at, use, timed=timed, **options))


async def nothing(_: Any) -> None:
    pass


async def three_fetches(connection: Any) -> None:
    for number in range(3):
        assert await connection.fetchval("SELECT $1::int", number) == number


async def three_in_a_transaction(connection: Any) -> None:
    async with connection.transaction():
        await three_fetches(connection)


@case("postgres", ASYNCPG, "connect, trusted", needs=NEEDS)
def asyncpg_connect(at: At) -> None:
    on_asyncpg(at, nothing)


@case("postgres", ASYNCPG, "connect, SCRAM", needs=NEEDS)
def asyncpg_connect_scram(at: At) -> None:
    on_asyncpg(at, nothing, user=at.scram_user, password=at.scram_password)


@case("postgres", ASYNCPG, "connect, sslmode=prefer, server without TLS", needs=NEEDS)
def asyncpg_connect_prefer(at: At) -> None:
    on_asyncpg(at, nothing, ssl="prefer")


@case("postgres", ASYNCPG, "connect, Unix socket, one statement 3 times", needs=NEEDS)
def asyncpg_unix(at: At) -> None:
    on_asyncpg(at, three_fetches, host=at.postgres_unix)


@case("postgres", ASYNCPG, "one statement 3 times", needs=NEEDS)
def asyncpg_fetch(at: At) -> None:
    on_asyncpg(at, three_fetches)


@case("postgres", ASYNCPG, "one statement 3 times, no statement cache", needs=NEEDS)
def asyncpg_fetch_uncached(at: At) -> None:
    on_asyncpg(at, three_fetches, statement_cache_size=0)


@case("postgres", ASYNCPG, "one statement 3 times, uvloop", needs=(*NEEDS, "uvloop"))
def asyncpg_uvloop(at: At) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(connected(at, three_fetches))


@case("postgres", ASYNCPG, "one statement 3 times in a transaction", needs=NEEDS)
def asyncpg_transaction(at: At) -> None:
    on_asyncpg(at, three_in_a_transaction)


@case("postgres", ASYNCPG, "executemany(50)", needs=NEEDS, before=table, witness=TURNS)
def asyncpg_executemany(at: At) -> None:
    async def use(connection: Any) -> None:
        await connection.executemany(INSERT, [(f"body {number}",) for number in range(50)])

    on_asyncpg(at, use, timed=True)


@case(
    "postgres",
    ASYNCPG,
    "executemany(2,000) of 1 KB",
    needs=NEEDS,
    before=table,
    witness=SLOPE,
    latencies_ms=BULK_MS,
    note="sending takes longer than the pipe holds back, so only the slope can tell",
)
def asyncpg_executemany_huge(at: At) -> None:
    async def use(connection: Any) -> None:
        await connection.executemany(INSERT, [("x" * 1000,)] * 2000)

    on_asyncpg(at, use, timed=True)


@case("postgres", ASYNCPG, "COPY in, 1,000 records", needs=NEEDS, before=table)
def asyncpg_copy_in(at: At) -> None:
    async def use(connection: Any) -> None:
        records = [(f"body {number}",) for number in range(1000)]
        await connection.copy_records_to_table("message", columns=["body"], records=records)

    on_asyncpg(at, use)


@case(
    "postgres",
    ASYNCPG,
    "COPY in, from a slow source",
    needs=NEEDS,
    before=table,
    witness=SLOPE,
    hold_ms=30,
    note="the leave to send has come before the data are there, which nobody waited for; the proxy cannot tell "
    "if it holds back for less time than the source takes",
)
def asyncpg_copy_in_slowly(at: At) -> None:
    async def rows() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(0.005)
            yield f"body {number}\n".encode()

    async def use(connection: Any) -> None:
        await connection.copy_to_table("message", columns=["body"], source=rows())

    on_asyncpg(at, use, timed=True)


@case("postgres", ASYNCPG, "COPY out, 1,000 rows", needs=NEEDS)
def asyncpg_copy_out(at: At) -> None:
    async def sink(_: bytes) -> None:
        pass

    async def use(connection: Any) -> None:
        await connection.copy_from_query("SELECT generate_series(1, 1000)", output=sink)

    on_asyncpg(at, use)


@case("postgres", ASYNCPG, "cursor, 120 rows, 50 at a time", needs=NEEDS)
def asyncpg_cursor(at: At) -> None:
    async def use(connection: Any) -> None:
        async with connection.transaction():
            assert len([row async for row in connection.cursor("SELECT generate_series(1, 120)")]) == 120

    on_asyncpg(at, use)


@case("postgres", ASYNCPG, "a type it has to look up", needs=NEEDS, looks_like_work=4)
def asyncpg_introspection(at: At) -> None:
    async def use(connection: Any) -> None:
        await connection.execute("DROP TYPE IF EXISTS mood")
        await connection.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        assert await connection.fetchval("SELECT ARRAY['bad'::mood]") == ["bad"]

    on_asyncpg(at, use)


@case("postgres", ASYNCPG, "an error, then a statement", needs=NEEDS)
def asyncpg_error(at: At) -> None:
    import asyncpg

    async def use(connection: Any) -> None:
        try:
            await connection.execute("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            await connection.execute("SELECT 1")

    on_asyncpg(at, use)


@case("postgres", ASYNCPG, "1,000 rows", needs=NEEDS, before=filled)
def asyncpg_thousand_rows(at: At) -> None:
    async def use(connection: Any) -> None:
        assert len(await connection.fetch("SELECT id, body FROM message LIMIT 1000")) == 1000

    on_asyncpg(at, use)


@case("postgres", ASYNCPG, "pool of 1, 3 uses", needs=NEEDS, counters=False, looks_like_work=3)
def asyncpg_pool(at: At) -> None:
    async def main() -> None:
        import asyncpg

        async with asyncpg.create_pool(**address(at), min_size=1, max_size=1) as pool:
            for _ in range(3):
                async with pool.acquire() as connection:
                    await connection.fetchval("SELECT 1")

    asyncio.run(main())


@case(
    "postgres", ASYNCPG, "pool of 3, 9 tasks", needs=NEEDS, witness=TURNS, latencies_ms=LONG_MS, counters=False,
    hold_ms=30, looks_like_work=9,
)  # fmt: skip
def asyncpg_pool_tasks(at: At) -> None:
    async def main() -> None:
        import asyncpg

        pool = await asyncpg.create_pool(**address(at), min_size=3, max_size=3)
        await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(9)))
        pool.terminate()

    asyncio.run(main())
