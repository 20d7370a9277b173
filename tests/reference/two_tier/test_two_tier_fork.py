"""A forked child of a process that uses a cache: somebody else, who hears nothing until it asks to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.lru import PlainLru
from redis_perf_reference.sync.cache import connect_redis
from redis_perf_reference.sync.redis_cache import RedisCache
from redis_perf_reference.sync.two_tier_cache import TwoTierCache

STAMP, CHANNEL = "{cache}:g:*", "{cache}:told"


@pytest.fixture
def cache(redis_url: str) -> Iterator[TwoTierCache]:
    with ExitStack() as stack:
        client = stack.enter_context(connect_redis(redis_url, timeout_seconds=5))
        yield stack.enter_context(TwoTierCache(RedisCache(client), client))


@pytest.fixture
def outside(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def in_child(work: Callable[[], bool]) -> bool:
    """What it comes to in a forked child; False where it raises or takes a minute."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def test_a_child_s_write_is_heard_by_its_parent(cache: TwoTierCache, eventually: Any) -> None:
    cache.set("a", "parent's", ttl=60)
    assert in_child(lambda: cache.set("a", "child's", ttl=60).everywhere)
    eventually(lambda: cache.get("a") == "child's")


def test_no_two_children_use_the_same_stamp(cache: TwoTierCache, outside: Any) -> None:
    def anew() -> bool:
        return cache.clear().everywhere and cache.set("a", 1, ttl=60).everywhere

    stamps = [outside.get(STAMP) for work in (anew, anew, anew) if in_child(work)]
    assert anew()
    assert len({*stamps, outside.get(STAMP)}) == 4


def test_a_child_hears_nobody_and_has_forgotten_what_was_kept(cache: TwoTierCache) -> None:
    cache.set("a", 1, ttl=60)
    assert in_child(lambda: not cache.get_stats().listening and cache.local.ttl("a") is None)
    assert cache.get_stats().listening
    assert cache.local.ttl("a") is not None


def test_a_child_that_closes_leaves_its_parent_s_subscription(
    cache: TwoTierCache, outside: Any, eventually: Any
) -> None:
    cache.set("a", 1, ttl=60)
    assert in_child(lambda: cache.close() is None)
    assert outside.pubsub_numsub(CHANNEL)[0][1] == 1
    assert cache.local.ttl("a") is not None  # a subscription that was lost and renewed would have forgotten it
    outside.publish(CHANNEL, b"x\nall")
    eventually(lambda: cache.local.ttl("a") is None)


def test_a_child_that_starts_hears_for_itself(cache: TwoTierCache, outside: Any, eventually: Any) -> None:
    def hears() -> bool:
        cache.start()
        cache.set("a", 1, ttl=60)
        heard = outside.publish(CHANNEL, b"x\nall")
        eventually(lambda: cache.local.ttl("a") is None)
        cache.close()
        return heard == 2 and not cache.get_stats().listening

    assert in_child(hears)


@pytest.mark.parametrize("plain_lru", [False, True])
def test_a_lock_that_another_thread_held_does_not_hold_the_child(plain_lru: bool) -> None:
    cache = TwoTierCache()
    if plain_lru:
        cache.local = cache._near.local = LocalCache(lru=PlainLru())
    cache.set("a", 1, ttl=60)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in (cache._near._lock, cache.local._lock, getattr(cache.local._entries, "_lock", None)):
                if lock is not None:
                    stack.enter_context(lock)
            held.set()
            go_on.wait()

    def works() -> bool:
        cache.set("b", 2, ttl=60)
        return (cache.get("a"), cache.get("b"), len(cache.local)) == (None, 2, 1)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    worked = in_child(works)
    go_on.set()
    thread.join()
    assert worked
    assert cache.get("a") == 1


def test_a_child_has_what_a_cache_without_redis_kept() -> None:
    cache = TwoTierCache()
    cache.set("a", 1, ttl=60)
    assert in_child(lambda: cache.get("a") == 1)
