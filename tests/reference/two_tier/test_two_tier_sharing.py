"""One load for many processes, and whatever becomes of the one who loads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

import redis_perf
import redis_perf_reference.asyncio.cache as asyncio_connecting
import redis_perf_reference.asyncio.leases as asyncio_leases
import redis_perf_reference.sync.leases as sync_leases
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.asyncio.two_tier_cache import TwoTierCache
from redis_perf_reference.sync.cache import connect_redis
from redis_perf_reference.sync.redis_cache import RedisCache as SyncRedisCache
from redis_perf_reference.sync.two_tier_cache import TwoTierCache as SyncTwoTierCache

RECORD = "{cache}:v:key"
PROCESSES, READERS = 4, 5

IMPORTS = """
import asyncio, os, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from redis import Redis
url, readers, everyone = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
outside = Redis.from_url(url)

def load():
    outside.incr("loads")
    while int(outside.get("asking") or 0) < everyone:
        time.sleep(0.002)
    return "value"

def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)

fetch = load if readers else kill_oneself
"""
SYNC = (
    IMPORTS
    + """
from redis_perf_reference.sync.cache import connect_redis
from redis_perf_reference.sync.redis_cache import RedisCache
from redis_perf_reference.sync.two_tier_cache import TwoTierCache
client = connect_redis(url, timeout_seconds=10)
with TwoTierCache(RedisCache(client), client, lease_seconds=60) as cache:
    def ask(_):
        outside.incr("asking")
        return cache.get_with_cache("key", fetch)
    with ThreadPoolExecutor(readers or 1) as threads:
        found = list(threads.map(ask, range(readers or 1)))
assert found == ["value"] * readers, found
"""
)
ASYNCIO = (
    IMPORTS
    + """
from redis_perf_reference.asyncio.cache import connect_redis
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.asyncio.two_tier_cache import TwoTierCache

async def main():
    client = connect_redis(url, timeout_seconds=10)
    async with client, TwoTierCache(RedisCache(client), client, lease_seconds=60) as cache:
        async def ask():
            outside.incr("asking")
            return await cache.get_with_cache("key", lambda: asyncio.to_thread(fetch))
        assert await asyncio.gather(*(ask() for _ in range(readers or 1))) == ["value"] * readers

asyncio.run(main())
"""
)
CODE = {"sync": SYNC, "asyncio": ASYNCIO}


def process(caches: Any, readers: int, everyone: int = 0) -> subprocess.Popen[bytes]:
    """`readers` that ask at once; none: one whose loader kills its process."""
    code = CODE[caches.twin]
    return subprocess.Popen([sys.executable, "-c", code, caches.redis_url, str(readers), str(everyone)])


def test_trap_16_misses_in_four_processes_at_once_are_one_load(caches: Any) -> None:
    processes = [process(caches, READERS, PROCESSES * READERS) for _ in range(PROCESSES)]
    assert [one.wait(60) for one in processes] == [0] * PROCESSES
    assert caches.redis.get("loads") == b"1"


def test_a_loader_that_is_killed_frees_the_lease(caches: Any, source: Any) -> None:
    """Its lease of 60 s is cut short here, as time would."""
    assert process(caches, 0).wait(60) == -signal.SIGKILL
    assert 0 < caches.redis.pttl(RECORD) <= 60_000
    caches.redis.pexpire(RECORD, 1)
    assert caches.two_tier().get_with_cache("key", caches.loader(source)) == "loaded"


def test_a_loader_elsewhere_that_never_ends_is_waited_for_no_longer_than_a_lease(caches: Any, source: Any) -> None:
    assert process(caches, 0).wait(60) == -signal.SIGKILL
    cache = caches.two_tier(lease_seconds=0.05)
    assert cache.get_with_cache("key", caches.loader(source)) == "loaded"
    assert (source.loads, cache.get("key"), cache.local.ttl("key")) == (1, None, None)


def test_a_waiter_takes_over_when_the_lease_elsewhere_is_gone(caches: Any, source: Any) -> None:
    assert process(caches, 0).wait(60) == -signal.SIGKILL
    caches.redis.pexpire(RECORD, 30)
    cache = caches.two_tier()
    assert caches.together([lambda: cache.get_with_cache("key", caches.loader(source))] * 5) == ["loaded"] * 5
    assert (source.loads, cache.get("key")) == (1, "loaded")
    stats = cache.get_stats()
    assert (stats.l1.misses, stats.l2.misses) == (stats.l2.lookups + stats.joined, stats.l2.lookups)


def test_when_a_load_elsewhere_fails_one_who_waits_loads_soon(caches: Any, source: Any) -> None:
    here, there, answers = caches.two_tier(), caches.two_tier(), []
    waiter = threading.Thread(target=lambda: answers.append(there.get_with_cache("key", caches.loader(source))))

    def failing() -> None:
        waiter.start()
        caches.eventually(lambda: there.get_stats().l2.misses == 1)
        raise LookupError

    with pytest.raises(LookupError):
        here.get_with_cache("key", caches.loader(failing))
    waiter.join()
    assert (answers, source.loads) == (["loaded"], 1)
    assert here.get("key") == "loaded"


def test_those_who_wait_in_another_process_are_two_round_trips_however_long_it_takes(
    caches: Any, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for twin in (asyncio_leases, sync_leases):
        monkeypatch.setattr(twin, "SILENCE_SECONDS", 60)  # nobody looks again without having heard
    here, there, answers, threads = caches.two_tier(), caches.two_tier(), [], []
    for cache in (here, there):
        cache.get_with_cache("scripts are known then", caches.loader(lambda: 1))

    def ask() -> None:
        answers.append(there.get_with_cache("key", caches.loader(source)))

    def meanwhile() -> None:
        threads.extend(threading.Thread(target=ask) for _ in range(5))
        for thread in threads:
            thread.start()
        caches.eventually(lambda: there.local.get_stats().misses == 6)
        threading.Event().wait(0.2)  # in which polling would have asked five times

    source.meanwhile = meanwhile
    with redis_perf.record() as trace:
        answers.append(here.get_with_cache("key", caches.loader(source)))
        for thread in threads:
            thread.join()
    assert (answers, source.loads) == (["loaded"] * 6, 1)
    assert trace.redis.round_trips == 2 + 2
    assert caches.redis.get(RECORD).endswith(b'"loaded"')


def test_those_who_wait_notice_when_nothing_is_heard(caches: Any, source: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    waiter = threading.Thread(target=lambda: there.get_with_cache("key", caches.loader(source)))

    def meanwhile() -> None:
        waiter.start()
        caches.eventually(lambda: there.get_stats().l2.misses == 1)
        caches.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    source.meanwhile = meanwhile
    here.get_with_cache("key", caches.loader(source))
    waiter.join()
    assert source.loads == 1
    assert there.get("key") == "loaded"


def test_what_a_loader_raises_is_raised_to_all_who_wait_here(caches: Any, source: Any) -> None:
    cache, source.value = caches.two_tier(), LookupError("gone")
    source.meanwhile = lambda: caches.eventually(lambda: cache.local.get_stats().misses == 5)
    answers = caches.together([lambda: cache.get_with_cache("key", caches.loader(source))] * 5)
    assert [str(answer) for answer in answers] == ["gone"] * 5
    assert source.loads == 1
    assert not caches.redis.exists(RECORD)


def asyncio_scenario(url: str, scenario: Any) -> None:
    async def run() -> None:
        client = asyncio_connecting.connect_redis(url, timeout_seconds=5)
        async with client, TwoTierCache(RedisCache(client), client) as cache:
            await scenario(cache)

    asyncio.run(run())


def test_a_cancelled_leader_takes_nobody_along(redis_url: str) -> None:
    async def scenario(cache: TwoTierCache) -> None:
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
        assert cache.local.get("key") == "value"

    asyncio_scenario(redis_url, scenario)


def test_leases_that_are_left_by_cancellation_are_given_back(redis_url: str) -> None:
    async def scenario(cache: TwoTierCache) -> None:
        entered = asyncio.Event()

        async def hold() -> None:
            async with cache.leases({"key": ()}, ttl=60):
                entered.set()
                await asyncio.Event().wait()

        holder = asyncio.create_task(hold())
        await entered.wait()
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        async with cache.leases({"key": ()}, ttl=60) as leases:
            assert not leases.elsewhere("key")

    asyncio_scenario(redis_url, scenario)


def test_a_look_cancelled_with_the_lease_in_hand_gives_it_back(redis_url: str) -> None:
    """Cancelled when Redis has granted the lease and the reply is not looked at yet."""

    async def scenario(cache: TwoTierCache) -> None:
        shared, granted = cache._shared, asyncio.Event()
        assert shared is not None
        run = shared._run

        async def run_and_stop(name: str, *arguments: Any) -> Any:
            reply = await run(name, *arguments)
            if name == "cache_lease":
                granted.set()
                await asyncio.Event().wait()
            return reply

        shared._run = run_and_stop  # type: ignore[method-assign]
        look = asyncio.create_task(cache.leases({"key": ()}, ttl=60).__aenter__())
        await granted.wait()
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look
        shared._run = run  # type: ignore[method-assign]
        await asyncio.gather(*cache._read_through._tiers.background._running)
        async with cache.leases({"key": ()}, ttl=60) as leases:
            assert not leases.elsewhere("key")

    asyncio_scenario(redis_url, scenario)


def test_two_event_loops_share_one_load(redis_url: str, eventually: Any) -> None:
    client, answers = RedisClient(redis_url, timeout_seconds=5), []
    cache, loads = TwoTierCache(RedisCache(client)), []

    async def ask() -> None:
        answers.append(await cache.get_with_cache("key", load))
        await client.close()

    async def load() -> str:
        loads.append(threading.current_thread())
        if len(loads) == 1:
            other.start()
        await asyncio.to_thread(eventually, lambda: cache.get_stats().l2.lookups == 2)
        return "value"

    other = threading.Thread(target=lambda: asyncio.run(ask()))
    asyncio.run(ask())
    other.join()
    assert (answers, len(loads)) == (["value"] * 2, 1)


def test_a_forked_child_does_not_wait_for_its_parent_s_threads(redis_url: str) -> None:
    client = connect_redis(redis_url, timeout_seconds=5)
    cache, codes = SyncTwoTierCache(SyncRedisCache(client), lease_seconds=0.05), []

    def load() -> str:
        child = os.fork()
        if child == 0:
            os._exit(0 if cache.get_with_cache("key", lambda: "mine") == "mine" else 1)
        codes.append(os.waitpid(child, 0)[1])
        return "value"

    with client:
        assert cache.get_with_cache("key", load) == "value"
    assert codes == [0]


@pytest.mark.parametrize("away", [False, True])
def test_a_load_in_this_process_that_hangs_is_waited_for_no_longer_than_a_lease(caches: Any, away: bool) -> None:
    """The first load goes on only once somebody else has begun another; who comes later does not wait for it either."""
    loads, go_on = [], threading.Event()

    def load() -> str:
        loads.append("load")
        if len(loads) > 1:
            go_on.set()
        return "value" if go_on.wait(10) else "nobody else has loaded"

    options = {"lease_seconds": 0.1, "ttl": 60}
    cache, loader = caches.alone(**options) if away else caches.two_tier(**options), caches.loader(load)
    assert caches.together([lambda: cache.get_with_cache("key", loader)] * 2) == ["value"] * 2
    assert len(loads) == 2
