"""Python clients that no tap sees: coredis, valkey-glide (asyncio, see `redis_asyncio_cases`) and pg8000 (blocking)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from case import TURNS, At, case
from postgres_cases import filled, table

COREDIS, GLIDE, PG8000 = "coredis", "valkey-glide", "pg8000"
LONG_MS = (50, 250)
Use = Callable[[Any], Awaitable[object]]


async def five_gets(redis: Any) -> None:
    for _ in range(5):
        await redis.get("key")


async def ten_at_once(redis: Any) -> None:
    await redis.get("key")
    await asyncio.gather(*(redis.get(f"key:{number}") for number in range(10)))


# --- coredis


def on_coredis(at: At, use: Use, **options: Any) -> None:
    async def main() -> None:
        import coredis

        where = options or {"host": "127.0.0.1", "port": at.redis_port}
        async with coredis.Redis(**where) as redis:
            await use(redis)

    asyncio.run(main())


@case("redis", COREDIS, "5 GET", witness=TURNS, needs=("coredis",), tap=False)
def coredis_get(at: At) -> None:
    on_coredis(at, five_gets)


@case("redis", COREDIS, "5 GET, Unix socket", witness=TURNS, needs=("coredis",), tap=False)
def coredis_unix(at: At) -> None:
    on_coredis(at, five_gets, unix_socket_path=at.redis_unix)


@case(
    "redis", COREDIS, "a GET, then 10 gathered", witness=TURNS, needs=("coredis",), tap=False, latencies_ms=LONG_MS,
    hold_ms=30,
)  # fmt: skip
def coredis_gather(at: At) -> None:
    on_coredis(at, ten_at_once)


@case("redis", COREDIS, "pipeline of 100", witness=TURNS, needs=("coredis",), tap=False)
def coredis_pipeline(at: At) -> None:
    async def use(redis: Any) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(100):
                pipe.get(f"key:{number}")

    on_coredis(at, use)


@case("redis", COREDIS, "MULTI of 3", witness=TURNS, needs=("coredis",), tap=False)
def coredis_multi(at: At) -> None:
    async def use(redis: Any) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.rpush("turns", ["a"])
            pipe.ltrim("turns", -5, -1)
            pipe.expire("turns", 60)

    on_coredis(at, use)


# --- valkey-glide


def on_glide(at: At, use: Use) -> None:
    async def main() -> None:
        import glide

        where = glide.GlideClientConfiguration([glide.NodeAddress("127.0.0.1", at.redis_port)], request_timeout=5000)
        redis = await glide.GlideClient.create(where)
        await use(redis)
        await redis.close()

    asyncio.run(main())


@case("redis", GLIDE, "5 GET", witness=TURNS, needs=("glide",), tap=False)
def glide_get(at: At) -> None:
    on_glide(at, five_gets)


@case(
    "redis", GLIDE, "a GET, then 10 gathered", witness=TURNS, needs=("glide",), tap=False, latencies_ms=LONG_MS,
    hold_ms=30,
)  # fmt: skip
def glide_gather(at: At) -> None:
    on_glide(at, ten_at_once)


def on_glide_batch(at: At, size: int, *, atomic: bool) -> None:
    async def use(redis: Any) -> None:
        import glide

        batch = glide.Batch(is_atomic=atomic)
        for number in range(size):
            batch.set(f"key:{number}", "x")
        await redis.exec(batch, raise_on_error=True)

    on_glide(at, use)


@case("redis", GLIDE, "batch of 100", witness=TURNS, needs=("glide",), tap=False)
def glide_batch(at: At) -> None:
    on_glide_batch(at, 100, atomic=False)


@case("redis", GLIDE, "MULTI of 3", witness=TURNS, needs=("glide",), tap=False)
def glide_multi(at: At) -> None:
    on_glide_batch(at, 3, atomic=True)


# --- pg8000


def pg8000(at: At, **options: Any) -> Any:
    import pg8000.native

    address = {"host": at.postgres_host, "port": at.postgres_port, "ssl_context": False}
    login = {"user": at.postgres_user, "database": at.postgres_database}
    return pg8000.native.Connection(**{**address, **login, **options})


def used(connection: Any, *statements: str) -> None:
    for statement in statements:
        connection.run(statement)
    connection.close()


@case("postgres", PG8000, "connect, trusted", needs=("pg8000",), tap=False)
def pg8000_connect(at: At) -> None:
    pg8000(at).close()


@case("postgres", PG8000, "3 statements", needs=("pg8000",), tap=False)
def pg8000_run(at: At) -> None:
    used(pg8000(at), *["SELECT 1"] * 3)


@case("postgres", PG8000, "3 statements, Unix socket", needs=("pg8000",), tap=False)
def pg8000_unix(at: At) -> None:
    socket = f"{at.postgres_unix}/.s.PGSQL.{at.postgres_port}"
    used(pg8000(at, host=None, unix_sock=socket), *["SELECT 1"] * 3)


@case("postgres", PG8000, "an INSERT in a transaction", needs=("pg8000",), before=table, tap=False)
def pg8000_transaction(at: At) -> None:
    used(pg8000(at), "BEGIN", "INSERT INTO message (body) VALUES ('x')", "COMMIT")


@case(
    "postgres", PG8000, "one statement with a parameter 3 times", needs=("pg8000",), tap=False, own_commits=6,
    note="the server also commits the transactions in which the statement was only prepared, or only described",
)  # fmt: skip
def pg8000_parameters(at: At) -> None:
    connection = pg8000(at)
    for number in range(3):
        connection.run("SELECT :number ::int", number=number)
    connection.close()


@case(
    "postgres", PG8000, "one prepared statement 3 times", needs=("pg8000",), tap=False, own_commits=1,
    note="the server also commits the transaction in which the statement was only prepared",
)  # fmt: skip
def pg8000_prepared(at: At) -> None:
    connection = pg8000(at)
    statement = connection.prepare("SELECT :number ::int")
    for number in range(3):
        statement.run(number=number)
    connection.close()


@case("postgres", PG8000, "20,000 rows", needs=("pg8000",), before=filled, tap=False)
def pg8000_many_rows(at: At) -> None:
    used(pg8000(at), "SELECT id, body FROM message")
