"""One load for many: across processes, threads and event loops, and whatever becomes of the one who loads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from time import monotonic
from typing import Any

import pytest

from redis_perf_reference.asyncio.cache_aside import CacheAside
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.sync.cache_aside import CacheAside as SyncCacheAside
from redis_perf_reference.sync.client import RedisClient as SyncRedisClient

NAME = "cache:key"
PROCESSES, READERS = 4, 5

IMPORTS = """
import asyncio, os, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from redis import Redis
url, readers, everyone = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
outside = Redis.from_url(url)

def load():
    outside.incr("loads")
    while outside.info("commandstats")["cmdstat_evalsha"]["calls"] < everyone:
        time.sleep(0.002)
    return "value"

def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)
"""
SYNC = (
    IMPORTS
    + """
from redis_perf_reference.sync.cache_aside import CacheAside
from redis_perf_reference.sync.client import RedisClient
cache = CacheAside(RedisClient(url, timeout_seconds=10), lease_seconds=60)
fetch = kill_oneself if readers == 0 else load
with ThreadPoolExecutor(readers or 1) as threads:
    found = list(threads.map(lambda _: cache.get_with_cache("key", fetch), range(readers or 1)))
assert found == ["value"] * readers, found
"""
)
ASYNCIO = (
    IMPORTS
    + """
from redis_perf_reference.asyncio.cache_aside import CacheAside
from redis_perf_reference.asyncio.client import RedisClient

async def main():
    client = RedisClient(url, timeout_seconds=10)
    cache = CacheAside(client, lease_seconds=60)
    fetch = kill_oneself if readers == 0 else load
    calls = (cache.get_with_cache("key", lambda: asyncio.to_thread(fetch)) for _ in range(readers or 1))
    assert await asyncio.gather(*calls) == ["value"] * readers
    await client.close()

asyncio.run(main())
"""
)
CODE = {"sync": SYNC, "asyncio": ASYNCIO}


def process(caches: Any, readers: int, everyone: int = 0) -> subprocess.Popen[bytes]:
    code = CODE[caches.twin]
    return subprocess.Popen([sys.executable, "-c", code, caches.redis_url, str(readers), str(everyone)])


def test_misses_in_four_processes_at_once_are_one_load(caches: Any) -> None:
    caches.redis.config_resetstat()
    processes = [process(caches, READERS, PROCESSES * READERS) for _ in range(PROCESSES)]
    assert [one.wait(60) for one in processes] == [0] * PROCESSES
    assert caches.redis.get("loads") == b"1"


def test_a_loader_that_is_killed_frees_the_lease(caches: Any, source: Any) -> None:
    """Its lease of 60 s is cut short here, as time would."""
    assert process(caches, 0).wait(60) == -signal.SIGKILL
    assert caches.redis.pttl(NAME) > 0
    caches.redis.pexpire(NAME, 1)
    assert caches.cache().get_with_cache("key", source) == "value"


def test_a_loader_elsewhere_that_never_ends_is_waited_for_no_longer_than_a_lease(caches: Any, source: Any) -> None:
    assert process(caches, 0).wait(60) == -signal.SIGKILL
    cache = caches.cache(lease_seconds=0.05)
    assert cache.get_with_cache("key", source) == "value"
    assert (source.loads, cache.get("key")) == (1, None)


def test_a_waiter_takes_over_when_the_lease_elsewhere_is_gone(caches: Any, source: Any) -> None:
    assert process(caches, 0).wait(60) == -signal.SIGKILL
    caches.redis.pexpire(NAME, 30)
    cache = caches.cache()
    assert cache.together(5, "key", source) == ["value"] * 5
    assert (source.loads, cache.get("key")) == (1, "value")


@contextmanager
def asyncio_cache(url: str, **options: Any) -> Iterator[tuple[asyncio.Runner, CacheAside]]:
    with asyncio.Runner() as runner:
        client = RedisClient(url, timeout_seconds=5)
        yield runner, CacheAside(client, **options)
        runner.run(client.close())


def test_a_cancelled_leader_takes_nobody_along(redis_url: str) -> None:
    async def scenario(cache: CacheAside) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def load() -> str:
            began.set()
            await go_on.wait()
            return "value"

        leader = asyncio.create_task(cache.get_with_cache("key", load))
        await began.wait()
        waiters = [asyncio.create_task(cache.get_with_cache("key", load)) for _ in range(5)]
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        go_on.set()
        assert await asyncio.gather(*waiters) == ["value"] * 5
        assert await cache.get("key") == "value"

    with asyncio_cache(redis_url) as (runner, cache):
        runner.run(scenario(cache))


def test_a_load_that_everybody_left_fills_the_cache_or_fails_in_silence(redis_url: str) -> None:
    async def scenario(cache: CacheAside) -> None:
        for key, outcome in (("good", "value"), ("bad", LookupError("nobody hears of it"))):
            began, go_on = asyncio.Event(), asyncio.Event()

            async def load(began: Any = began, go_on: Any = go_on, outcome: Any = outcome) -> str:
                began.set()
                await go_on.wait()
                if isinstance(outcome, Exception):
                    raise outcome
                return str(outcome)

            leader = asyncio.create_task(cache.get_with_cache(key, load))
            await began.wait()
            leader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leader
            go_on.set()
            await asyncio.gather(*cache._flights.here()._tasks)
        assert [await cache.get("good"), await cache.get("bad")] == ["value", None]

    with asyncio_cache(redis_url) as (runner, cache):
        runner.run(scenario(cache))


def test_a_reader_cancelled_with_the_lease_in_hand_gives_it_back(redis_url: str) -> None:
    """Cancelled when Redis has granted the lease and the reply is not looked at yet."""

    async def scenario(cache: CacheAside) -> None:
        granted, run = asyncio.Event(), cache._redis.run

        async def run_and_stop(name: str, *arguments: Any) -> Any:
            reply = await run(name, *arguments)
            if name == "lease":
                granted.set()
                await asyncio.Event().wait()
            return reply

        cache._redis.run = run_and_stop  # type: ignore[method-assign]
        reader = asyncio.create_task(cache.get_with_cache("key", unreachable))
        await granted.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        cache._redis.run = run  # type: ignore[method-assign]
        await asyncio.gather(*cache._background._running)
        assert await cache._redis.get(NAME) is None
        assert await cache.get_with_cache("key", value) == "value"

    with asyncio_cache(redis_url) as (runner, cache):
        runner.run(scenario(cache))


async def unreachable() -> str:
    raise AssertionError("nobody loads")


async def value() -> str:
    return "value"


def test_one_cache_serves_several_event_loops(redis_url: str) -> None:
    client = RedisClient(redis_url, timeout_seconds=5)
    cache, found = CacheAside(client), []

    async def scenario() -> None:
        found.append(await cache.get_with_cache("key", value))
        await client.close()

    for thread in [Thread(target=lambda: asyncio.run(scenario())) for _ in range(3)]:
        thread.start()
        thread.join()
    asyncio.run(scenario())
    assert found == ["value"] * 4


def test_a_forked_child_does_not_wait_for_its_parent_s_threads(redis_url: str) -> None:
    cache, began, go_on = SyncCacheAside(SyncRedisClient(redis_url, timeout_seconds=5)), Event(), Event()

    def load() -> str:
        began.set()
        go_on.wait()
        return "value"

    thread = Thread(target=cache.get_with_cache, args=("key", load))
    thread.start()
    began.wait()
    cache._flights.here()._found("cache:other")  # as if Redis were away and a thread were loading
    child = os.fork()
    if child == 0:
        os._exit(0 if cache._flights.here().share("cache:other", lambda: "mine") == "mine" else 1)
    go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get("key") == "value"


def test_three_hundred_calls_at_once_do_not_make_redis_look_away(redis_url: str) -> None:
    async def scenario(cache: CacheAside) -> None:
        await cache.set("key", "value")
        found = await asyncio.gather(*(cache.get_with_cache("key", unreachable) for _ in range(300)))
        assert found == ["value"] * 300
        assert cache._redis.available

    with asyncio_cache(redis_url) as (runner, cache):
        runner.run(scenario(cache))


@pytest.mark.parametrize("away", [False, True])
def test_a_load_in_this_process_that_hangs_is_waited_for_no_longer_than_a_lease(caches: Any, away: bool) -> None:
    """The first load goes on only once somebody else has begun another."""
    loads, go_on = [], Event()

    def load() -> str:
        loads.append("load")
        if len(loads) > 1:
            go_on.set()
        return "value" if go_on.wait(10) else "nobody else has loaded"

    cache = caches.cache("redis://127.0.0.1:1/0" if away else "", lease_seconds=0.1)
    assert cache.together(2, "key", load) == ["value"] * 2
    assert len(loads) == 2


def test_whoever_waited_twice_loads_for_itself(caches: Any) -> None:
    """Neither the first load goes on nor the one of those who gave up on it, before the third has begun one."""
    loads, go_on = [], Event()

    def load() -> str:
        loads.append("load")
        if len(loads) > 2:
            go_on.set()
        return "value" if go_on.wait(10) else "nobody else has loaded"

    cache = caches.cache("redis://127.0.0.1:1/0", lease_seconds=0.1)
    assert cache.together(3, "key", load) == ["value"] * 3
    assert len(loads) == 3


@contextmanager
def due_cache(url: str, keys: list[str]) -> Iterator[SyncCacheAside]:
    """What it holds is old, and due."""
    client = SyncRedisClient(url, timeout_seconds=5)
    cache = SyncCacheAside(client, jitter=0, ttl=0.001, stale_while_revalidate=60, retry_after_error=0.001)
    for key in keys:
        cache.set(key, "old")
    while any(cache.get(key) for key in keys):
        pass
    yield cache
    client.close()


def loaded_soon(cache: SyncCacheAside, key: str) -> bool:
    """Whether somebody may load it anew, who was refused before."""
    until = monotonic() + 20
    while monotonic() < until:
        if cache.get_with_cache(key, lambda: "new", 60) == "new":
            return True
    return False


def test_at_most_eight_threads_load_in_the_background_and_the_rest_is_loaded_later(redis_url: str) -> None:
    keys, go_on, before = [f"key {number}" for number in range(20)], Event(), set(enumerate_threads())

    def load() -> str:
        go_on.wait(20)
        return "new"

    with due_cache(redis_url, keys) as cache:
        assert [cache.get_with_cache(key, load, 60) for key in keys] == ["old"] * 20
        assert len(set(enumerate_threads()) - before) == 8
        assert cache.get_with_cache(keys[-1], load) == "old"
        go_on.set()
        assert all(loaded_soon(cache, key) for key in keys)


def test_at_most_eight_tasks_load_in_the_background_and_the_rest_is_loaded_later(redis_url: str) -> None:
    keys, loading = [f"key {number}" for number in range(20)], list[str]()

    async def scenario(cache: CacheAside) -> None:
        go_on = asyncio.Event()

        async def load(key: str) -> str:
            loading.append(key)
            await go_on.wait()
            return "new"

        with due_cache(redis_url, keys):
            found = [await cache.get_with_cache(key, partial(load, key), 60) for key in keys]
        assert (found, len(cache._loads._running)) == (["old"] * 20, 8)
        go_on.set()
        await asyncio.gather(*cache._loads._running)
        while [await cache.get_with_cache(key, partial(load, key), 60) for key in keys] != ["new"] * 20:
            pass
        assert len(loading) == 20

    options = {"jitter": 0, "stale_while_revalidate": 60, "retry_after_error": 0.001}
    with asyncio_cache(redis_url, **options) as (runner, cache):
        runner.run(asyncio.wait_for(scenario(cache), 20))


def test_where_no_thread_can_start_a_stale_value_is_answered_and_loaded_later(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with due_cache(redis_url, ["key"]) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(Thread, "start", start)
            assert [cache.get_with_cache("key", lambda: "new", 60) for _ in range(20)] == ["old"] * 20
        assert loaded_soon(cache, "key")
