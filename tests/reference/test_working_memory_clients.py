"""Every way a caller may have built its clients: protocols, decoding, pools, row factories, cursors, threads, tasks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import psycopg_pool
import pytest
import redis.asyncio
from psycopg.rows import dict_row

import redis_perf_reference.asyncio as asyncio_twin
from redis_perf_reference import Flushed, OneConnection, Turn, WorkingMemory, connect_redis


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode_responses", [False, True])
def test_any_protocol_and_decoding_will_do(world: Any, protocol: int, decode_responses: bool) -> None:
    memory = world.memory(client={"protocol": protocol, "decode_responses": decode_responses})
    said = [Turn("user", "grüße 🎈"), Turn("assistant", "\r\n$-1\r\n")]
    assert memory.push_turns("ada", "s", said).cached
    assert memory.set_summary("ada", "ümlaut").cached
    assert (memory.history("ada"), memory.summary("ada")) == (said, "ümlaut")
    world.redis.rpush("working:{ada}:turns", b"\xff")
    assert memory.flush("ada") == Flushed(known=2, set_aside=1)
    assert (memory.history("ada"), memory.set_aside("ada")) == (said, [b"\xff"])
    assert memory.delete_user("ada") == 2


def test_a_pool_and_many_threads(redis_url: str, dsn: str) -> None:
    options = {"autocommit": True, "row_factory": dict_row, "cursor_factory": psycopg.ClientCursor}
    with (
        psycopg_pool.ConnectionPool(dsn, min_size=1, max_size=4, kwargs=options, open=True) as pool,
        connect_redis(redis_url, timeout_seconds=10) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        memory = WorkingMemory(client, pool)
        said = [Turn("user", f"turn {n}") for n in range(40)]
        assert all(pushed.cached for pushed in threads.map(lambda turn: memory.push_turn("ada", "s", turn), said))
        history = memory.history("ada")
        assert len(history) == 40
        assert set(history) == set(said)
        memory.clear("ada")
        assert memory.history("ada") == history


def test_a_pool_and_many_tasks(redis_url: str, dsn: str) -> None:
    async def scenario() -> None:
        pool = psycopg_pool.AsyncConnectionPool(dsn, max_size=4, kwargs={"autocommit": True}, open=False)
        async with pool, asyncio_twin.connect_redis(redis_url, timeout_seconds=10) as client:
            memory = asyncio_twin.WorkingMemory(client, pool)
            said = [Turn("user", f"turn {n}") for n in range(40)]
            async with asyncio.TaskGroup() as tasks:
                for turn in said:
                    tasks.create_task(memory.push_turn("ada", "s", turn))
            history = await memory.history("ada")
            assert len(history) == 40
            assert set(history) == set(said)
            await memory.clear("ada")
            assert await memory.history("ada") == history

    asyncio.run(scenario())


def test_a_cancelled_push_leaves_no_stale_history(redis_url: str, dsn: str) -> None:
    """Cancelled while Redis is asked: Postgres has the turn, and this process knows that Redis may not."""
    never = asyncio.Event()

    class Stuck(redis.asyncio.Redis):
        stuck = False

        async def execute_command(self, *args: Any, **options: Any) -> Any:
            if self.stuck:
                reached.set()
                await never.wait()
            return await super().execute_command(*args, **options)

    reached = asyncio.Event()
    said = [Turn("user", "first"), Turn("user", "second")]

    async def scenario() -> None:
        async with (
            await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
            Stuck.from_url(redis_url) as client,
        ):
            memory = asyncio_twin.WorkingMemory(client, asyncio_twin.OneConnection(connection))
            await memory.push_turn("ada", "s", said[0])
            client.stuck = True
            push = asyncio.create_task(memory.push_turn("ada", "s", said[1]))
            await reached.wait()
            push.cancel()
            with pytest.raises(asyncio.CancelledError):
                await push
            client.stuck = False
            assert await memory.history("ada") == said

    asyncio.run(scenario())


@pytest.mark.parametrize("wrong", [{"max_turns": 0}, {"ttl_seconds": 0}, {"flush_chunk": -1}])
def test_a_memory_that_could_keep_nothing_is_refused(wrong: dict[str, int], redis_url: str, dsn: str) -> None:
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        connect_redis(redis_url) as client,
        pytest.raises(ValueError, match=r"all must be above 0$"),
    ):
        WorkingMemory(client, OneConnection(connection), **wrong)
