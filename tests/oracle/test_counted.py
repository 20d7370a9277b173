"""`counted(client)`: a client that carries the trace of its own traffic and stays what it was."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio

import redis_perf
from redis_perf import counted
from redis_perf.recording import _listening


@pytest.fixture(autouse=True)
def nothing_keeps_recording() -> Iterator[None]:
    yield
    assert _listening._users == 0


def test_a_client_counts_itself_alone(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as other, redis.Redis.from_url(redis_url) as client:
        client.get("before")
        assert counted(client) is client
        assert isinstance(client, redis.Redis)
        assert type(client).__name__ == "Redis"
        other.get("not mine")
        client.get("mine")
        client.pipeline().get("a").get("b").execute()
        assert client.trace.redis.round_trips == 2
        assert client.trace.redis.connections == 0
    assert client.trace.redis.round_trips == 2


def test_connections_opened_later_are_the_clients_with_their_setup(redis_url: str) -> None:
    with counted(redis.Redis.from_url(redis_url), name="cache") as client:
        client.get("key")
        trace = client.trace
    assert trace.redis.round_trips == 1
    assert trace.redis.connections == 1
    assert trace.setup.redis.shapes[0] == "CONNECT"
    assert trace.named("cache").round_trips == 1


def test_two_clients_of_one_name_are_counted_apart(redis_url: str) -> None:
    with (
        counted(redis.Redis.from_url(redis_url), name="cache") as first,
        counted(redis.Redis.from_url(redis_url), name="cache") as second,
    ):
        first.get("key")
        second.get("key")
        second.get("key")
        assert (first.trace.redis.round_trips, second.trace.redis.round_trips) == (1, 2)


def test_counting_goes_on_while_other_recordings_come_and_go(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        with redis_perf.record() as outer:
            client.get("before")
            counted(client)
            client.get("key")
        client.get("key")
        with redis_perf.record() as inner:
            client.get("key")
        assert client.trace.redis.round_trips == 3
    assert (outer.redis.round_trips, inner.redis.round_trips) == (2, 1)


def test_counting_again_starts_from_nothing(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        counted(client).get("key")
        plain = type(client).__mro__[1]
        counted(client).get("key")
        assert client.trace.redis.round_trips == 1
        assert type(client).__mro__[1] is plain is redis.Redis


def test_a_client_that_is_collected_stops_counting(redis_url: str) -> None:
    client = counted(redis.Redis.from_url(redis_url))
    client.get("key")
    client.connection_pool.disconnect()
    assert _listening._users == 1
    del client
    gc.collect()
    assert _listening._users == 0


def test_closing_twice_is_harmless_and_the_client_works_on_uncounted(redis_url: str) -> None:
    client = counted(redis.Redis.from_url(redis_url))
    client.get("key")
    client.close()
    client.close()
    client.get("key")
    assert client.trace.redis.round_trips == 1
    client.connection_pool.disconnect()


def test_a_pubsub_and_a_single_connection_are_the_clients(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, single_connection_client=True) as client:
        client.ping()
        counted(client).get("key")
        with client.pubsub() as listener:
            listener.subscribe("news")
            assert listener.get_message(timeout=5)
        assert client.trace.redis.round_trips == 2


def test_an_asyncio_client_counts_itself(redis_url: str) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client, redis.asyncio.Redis.from_url(redis_url) as other:
            await client.get("before")
            counted(client)
            await other.get("not mine")
            await asyncio.gather(client.get("mine"), client.get("mine"))
            assert client.trace.redis.round_trips == 2
            assert client.trace.redis.connections == 1

    asyncio.run(main())


def test_fakeredis_counts_itself() -> None:
    fakeredis = pytest.importorskip("fakeredis")
    with counted(fakeredis.FakeRedis()) as client:
        client.get("key")
        assert client.trace.redis.round_trips == 1


def test_what_cannot_be_counted_is_a_type_error() -> None:
    with pytest.raises(TypeError) as error:
        counted(object())
    assert str(error.value) == (
        "counted() takes a redis-py or valkey-py client, a psycopg connection or a psycopg_pool pool, "
        "not builtins.object; use redis_perf.record() for everything else"
    )


def test_a_process_that_ends_with_a_counted_client_ends_quietly(redis_url: str) -> None:
    program = f"""
import redis
from redis_perf import counted
client = counted(redis.Redis.from_url({redis_url!r}))
client.get("key")
print(client.trace.redis.round_trips)
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("1\n", "")


needs_psycopg = pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed")
needs_pool = pytest.mark.skipif(importlib.util.find_spec("psycopg_pool") is None, reason="no psycopg_pool")


@needs_psycopg
def test_a_psycopg_connection_counts_itself(postgres_dsn: str) -> None:
    import psycopg

    with psycopg.connect(postgres_dsn, autocommit=True) as other, psycopg.connect(postgres_dsn) as connection:
        counted(connection)
        assert isinstance(connection, psycopg.Connection)
        other.execute("SELECT 1")
        connection.execute("SELECT 1")
        connection.execute("SELECT 2")
        trace: Any = connection.trace  # type: ignore[attr-defined]
        assert trace.postgres.statements == 3
        assert trace.postgres.round_trips == 3


@needs_psycopg
def test_an_asyncio_psycopg_connection_counts_itself(postgres_dsn: str) -> None:
    import psycopg

    async def main() -> Any:
        async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as connection:
            counted(connection)
            await connection.execute("SELECT 1")
            return connection.trace  # type: ignore[attr-defined]

    assert asyncio.run(main()).postgres.round_trips == 1


@needs_pool
def test_a_psycopg_pool_counts_itself(postgres_dsn: str) -> None:
    import psycopg
    from psycopg_pool import ConnectionPool

    options = {"autocommit": True}
    with (
        psycopg.connect(postgres_dsn, autocommit=True) as other,
        ConnectionPool(postgres_dsn, min_size=1, max_size=2, kwargs=options) as pool,
    ):
        pool.wait()
        counted(pool)
        other.execute("SELECT 1")
        with pool.connection() as first, pool.connection() as second:
            first.execute("SELECT 1")
            second.execute("SELECT 2")
        trace: Any = pool.trace  # type: ignore[attr-defined]
        assert trace.postgres.round_trips == 2


@needs_pool
def test_an_asyncio_psycopg_pool_counts_itself(postgres_dsn: str) -> None:
    from psycopg_pool import AsyncConnectionPool

    async def main() -> Any:
        async with AsyncConnectionPool(postgres_dsn, min_size=1, kwargs={"autocommit": True}, open=False) as pool:
            await pool.wait()
            counted(pool)
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            return pool.trace  # type: ignore[attr-defined]

    assert asyncio.run(main()).postgres.round_trips == 1
