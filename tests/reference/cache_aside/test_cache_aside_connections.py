"""The connections of a RedisClient: kept while they are sound, and never used again when they are not."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import ref

import pytest
import redis
from redis.exceptions import RedisError

import redis_perf
from redis_perf_reference.asyncio.client import RedisClient as AsyncRedisClient
from redis_perf_reference.asyncio.exchange import Exchange as AsyncExchange
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.sync.client import RedisClient
from redis_perf_reference.sync.exchange import Exchange


class Client:
    """A RedisClient, called to the end."""

    def __init__(self, caches: Any, url: str = "", **options: Any) -> None:
        self._caches, self.client = caches, caches.client(url, **options)

    def ask(self, *command: Any) -> Any:
        return self._caches.run(self.client.ask, *command)

    def here(self) -> Any:
        async def connections() -> Any:
            return self.client._here.here()[0]

        return self._caches.run(connections) if self._caches.twin == "asyncio" else self.client._here.here()[0]

    def opened_by(self, *command: Any) -> int:
        with redis_perf.record() as trace, suppress(CacheUnavailable):
            self.ask(*command)
        return len(trace.redis.opened)


@pytest.fixture
def client(caches: Any) -> Client:
    """Connected."""
    client = Client(caches)
    client.ask("PING")
    return client


def test_calls_one_after_the_other_share_a_connection_and_an_error_reply_does_not_end_it(client: Client) -> None:
    number = client.ask("CLIENT", "ID")
    assert [client.opened_by("GET"), client.opened_by("PING")] == [0, 0]
    assert client.ask("CLIENT", "ID") == number


@pytest.mark.parametrize("query", ["", "?protocol=3", "?protocol=2"])
def test_nothing_comes_between_replies_whatever_the_url_says_of_the_protocol(caches: Any, query: str) -> None:
    assert b" resp=2 " in Client(caches, caches.redis_url + query).ask("CLIENT", "INFO")


def test_a_connection_that_the_server_closed_costs_no_failure(caches: Any, client: Client) -> None:
    number = client.ask("CLIENT", "ID")
    caches.redis.execute_command("CLIENT", "KILL", "ID", number)
    look = AsyncExchange.unread if caches.twin == "asyncio" else Exchange.unread

    def noticed() -> bool:
        try:
            return bool(caches.run(look, client.here()._idle[0]))
        except (RedisError, OSError):
            return True

    caches.until(noticed)
    assert client.opened_by("PING") == 1
    assert client.client.available


def test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next_one(caches: Any, client: Client) -> None:
    (connection,) = client.here()._idle
    look = AsyncExchange.unread if caches.twin == "asyncio" else Exchange.unread
    caches.run(connection.send_command, "ECHO", "stray")
    caches.until(lambda: bool(caches.run(look, connection)))
    assert client.ask("ECHO", "mine") == b"mine"


def test_a_connection_whose_reply_was_late_is_not_used_again(caches: Any, redis_relay: Any) -> None:
    client = Client(caches, redis_relay.address, probe_seconds=60)
    assert client.ask("ECHO", "first") == b"first"
    redis_relay.mode = "lose_reply"
    with pytest.raises(CacheUnavailable):
        client.ask("ECHO", "lost")
    assert client.here()._idle == []
    redis_relay.mode = "pass"
    assert caches.run(client.client.ping)
    assert client.ask("ECHO", "second") == b"second"


def test_a_call_that_is_cancelled_leaves_no_reply_behind(redis_url: str) -> None:
    async def scenario() -> None:
        client = AsyncRedisClient(redis_url, timeout_seconds=5)
        await client.ping()
        waiting = asyncio.create_task(client.ask("BLPOP", "nothing", 3))
        while client._here.here()[0]._idle:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await client.ask("ECHO", "mine") == b"mine"
        assert client.available
        await client.close()

    asyncio.run(scenario())


def test_a_forked_child_has_connections_of_its_own(redis_url: str) -> None:
    client = RedisClient(redis_url, timeout_seconds=5)
    number = client.ask("CLIENT", "ID")
    child = os.fork()
    if child == 0:
        os._exit(0 if client.ask("CLIENT", "ID") != number else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert client.ask("CLIENT", "ID") == number
    client.close()


def test_a_connection_that_was_in_use_when_all_were_closed_is_closed_too(caches: Any, client: Client) -> None:
    connections = client.here()

    def close_meanwhile() -> None:
        while not caches.redis.info("clients")["blocked_clients"]:
            pass
        closing = connections.close()
        if closing is not None:
            asyncio.run(closing)  # there is nothing idle, so it touches no other loop
        caches.redis.rpush("list", "item")

    before = caches.redis.info("clients")["connected_clients"]
    call: Any = partial(client.client.ask, "BLPOP", "list", 0)
    assert caches.together([call, caches.loader(close_meanwhile)])[0] == [b"list", b"item"]
    assert connections._idle == []
    caches.until(lambda: caches.redis.info("clients")["connected_clients"] == before - 1)


def test_after_a_rush_64_connections_are_kept(caches: Any, client: Client) -> None:
    def let_go() -> None:
        while caches.redis.info("clients")["blocked_clients"] < 70:
            pass
        caches.redis.rpush("list", *range(70))

    before = caches.redis.info("clients")["connected_clients"]
    calls: list[Any] = [partial(client.client.ask, "BLPOP", "list", 0)] * 70
    replies = caches.together([*calls, caches.loader(let_go)])[:-1]
    assert sorted(replies) == sorted([b"list", b"%d" % number] for number in range(70))
    assert len(client.here()._idle) == 64
    caches.until(lambda: caches.redis.info("clients")["connected_clients"] == before + 63)


@pytest.mark.skipif(redis.__version__.startswith("5."), reason="redis-py 5 raises when it closes on an ended loop")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_event_loops_that_ended_without_close_leave_no_connections(redis_url: str) -> None:
    client, loops = AsyncRedisClient(redis_url, timeout_seconds=5), []

    async def ask() -> None:
        loops.append(ref(asyncio.get_running_loop()))
        await client.ask("PING")

    async def last() -> None:
        await ask()
        await client.close()

    for _ in range(4):
        asyncio.run(ask())
    asyncio.run(last())
    gc.collect()
    assert [loop() for loop in loops[:4]] == [None] * 4
