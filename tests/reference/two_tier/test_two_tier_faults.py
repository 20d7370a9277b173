"""Redis refused, hung, cut off in the middle, scripts and stamps lost: the old value or the new one, or none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

import redis_perf
import redis_perf_reference.asyncio.cache as asyncio_connecting
from redis_perf_reference import ConsecutiveFailures
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.asyncio.two_tier_cache import TwoTierCache
from redis_perf_reference.codec import Codec
from redis_perf_reference.naive.two_tier_cache import NaiveTwoTierCache
from redis_perf_reference.outcomes import CacheUnavailable


def test_without_redis_reads_are_misses_and_writes_hold_here(caches: Any, redis_relay: Any) -> None:
    cache = caches.two_tier(redis_relay.address, unheard_ttl=60)
    cache.set("a", "before", ttl=60)
    redis_relay.mode = "refuse"
    caches.eventually(lambda: not cache.get_stats().listening)
    assert cache.get("a", "missing") == "missing"
    told = cache.set("a", "after", ttl=60)
    assert (told.everywhere, told.skipped.startswith("Redis ")) == (False, True)
    assert (cache.get("a"), cache.get_many(["a", "b"])) == ("after", {"a": "after"})
    assert (cache.delete("a").count, cache.get("a")) == (1, None)
    for call in (lambda: cache.invalidate_tags("t"), lambda: cache.delete_pattern("a*"), cache.clear):
        assert not call().everywhere
    stats = cache.get_stats()
    assert (stats.l2.available, stats.l1.misses) == (False, stats.l2.lookups)


def test_it_heals_by_itself(caches: Any, redis_relay: Any) -> None:
    breaker = ConsecutiveFailures(threshold=1, open_seconds=0.01)
    redis_relay.mode = "refuse"
    cache = caches.two_tier(redis_relay.address, shared={"breaker": breaker})
    assert not cache.set("a", 1, ttl=60).everywhere
    redis_relay.mode = "pass"
    caches.eventually(lambda: cache.set("a", 1, ttl=60).everywhere)
    caches.eventually(lambda: cache.get_stats().listening)
    assert caches.two_tier().get("a") == 1
    assert cache.get_stats().l2.available


@pytest.mark.parametrize("mode", ["refuse", "lose_reply"])
@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.set("a:b", "new", ttl=60),
        lambda cache: cache.set_many({"a:b": "new"}, ttl=60),
        lambda cache: cache.delete("a:b"),
        lambda cache: cache.delete_pattern("a:*"),
        lambda cache: cache.invalidate_pattern("a:*"),
        lambda cache: cache.invalidate_tags("tag"),
        lambda cache: cache.clear(),
    ],
    ids=["set", "set_many", "delete", "delete_pattern", "invalidate_pattern", "invalidate_tags", "clear"],
)
def test_a_change_cut_off_leaves_the_old_or_the_new_and_nothing_for_ever(
    caches: Any, redis_relay: Any, mode: str, change: Any
) -> None:
    cache = caches.two_tier(redis_relay.address)
    cache.set("a:b", "old", ttl=60, tags=["tag"])
    redis_relay.mode = mode
    told = change(cache)
    assert not told.everywhere
    redis_relay.mode = "pass"
    other = caches.two_tier()
    assert other.get("a:b") in ("old", "new", None)
    assert all(0 < caches.redis.pttl(key) <= 120_000 for key in caches.redis.scan_iter())
    cache.local.clear()
    caches.eventually(lambda: cache.get("a:b") == other.get("a:b"))


def test_a_redis_cache_alone_says_that_redis_is_away(caches: Any, redis_relay: Any) -> None:
    cache = caches.shared(redis_relay.address)
    redis_relay.mode = "refuse"
    assert cache.available
    for call in (lambda: cache.get("a"), lambda: cache.set("a", 1, ttl=60), lambda: cache.delete("a"), cache.clear):
        with pytest.raises(CacheUnavailable):
            call()
    assert not cache.available


def test_a_silent_subscription_is_given_up(caches: Any, redis_relay: Any) -> None:
    cache = caches.two_tier(redis_relay.address, heartbeat_seconds=0.1)
    caches.eventually(lambda: cache.get_stats().listening)
    caches.shared().set("a", 1, ttl=60)
    redis_relay.mode = "hang"
    caches.eventually(lambda: not cache.get_stats().listening)
    assert cache.local.ttl("a") is None


def test_an_idle_subscription_stays(caches: Any) -> None:
    cache = caches.two_tier(heartbeat_seconds=1)
    cache.set("a", 1, ttl=60)
    pings = int(caches.redis.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"])
    caches.eventually(lambda: caches.redis.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] > pings + 1)
    assert (cache.get_stats().listening, cache.local.ttl("a") is not None) == (True, True)


def test_lost_scripts_are_sent_again(caches: Any) -> None:
    cache = caches.two_tier()
    cache.set("a", 1, ttl=60)
    caches.redis.script_flush()
    assert cache.set("a", 2, ttl=60).everywhere
    assert caches.two_tier().get("a") == 2


@pytest.mark.parametrize("stamp", ["*", "a:", "#tag"])
def test_a_lost_stamp_makes_a_miss_and_never_an_old_value(caches: Any, stamp: str) -> None:
    cache = caches.shared()
    cache.set("a:b", "old", ttl=60, tags=["tag"])
    assert caches.redis.delete("{cache}:g:" + stamp) == 1
    assert cache.get("a:b") is None
    cache.set("a:c", 1, ttl=60, tags=["tag"])
    assert (cache.get("a:b"), cache.get("a:c")) == (None, 1)


def test_a_stamp_outlives_the_longest_value_that_carries_it(caches: Any) -> None:
    cache = caches.shared()
    cache.set("a:short", 1, ttl=1)
    cache.set("a:long", 1, ttl=600)
    cache.set("a:short", 1, ttl=1)
    for stamp in ("*", "a:"):
        assert caches.redis.pttl("{cache}:g:" + stamp) >= 600_000
    assert cache.get("a:long") == 1


@pytest.mark.parametrize("tag", ["a b", "#", "*", "日本", "a:b", "%41"])
def test_any_tag_and_any_key_will_do(caches: Any, tag: str) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    for key in (f"{tag}:x", tag, ":", "a b:c d"):
        here.set(key, "value", ttl=60, tags=[tag, "other"])
        caches.held(there, key, "value")
        here.invalidate_tags(tag)
        caches.eventually(lambda key=key: there.local.ttl(key) is None)
        assert there.get(key) is None


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode_responses", [False, True])
def test_any_protocol_and_decoding_will_do(caches: Any, protocol: int, decode_responses: bool) -> None:
    cache = caches.shared(client={"protocol": protocol, "decode_responses": decode_responses}, codec=Codec(bytes))
    cache.set("a", b"\xff\x00", ttl=60, tags=["t"])
    assert (cache.get("a"), cache.delete("a"), cache.delete_pattern("a*"), cache.get("a")) == (b"\xff\x00", 1, 0, None)


def test_connections_may_be_made_in_one_place(caches: Any, redis_relay: Any) -> None:
    client = caches.redis_client(redis_relay.address)
    cache = caches.shared_by(client)
    cache.set("a", 1, ttl=60)
    redis_relay.mode = "refuse"
    with pytest.raises(CacheUnavailable):
        cache.get("a")
    redis_relay.mode = "pass"
    caches.eventually(lambda: client.available)
    assert cache.get("a") == 1


@pytest.mark.parametrize("steps", range(8))
def test_a_cancelled_write_leaves_no_copy_that_redis_does_not_have(redis_url: str, steps: int) -> None:
    async def scenario() -> None:
        client = asyncio_connecting.connect_redis(redis_url, timeout_seconds=2)
        shared = RedisCache(client)
        async with client, TwoTierCache(shared, client) as cache:
            await cache.set("a", "old", ttl=60)
            write = asyncio.create_task(cache.set("a", "new", ttl=60))
            for _ in range(steps):
                await asyncio.sleep(0)
            write.cancel()
            await asyncio.wait([write])  # redis-py may swallow the cancellation; then the write was done
            there = await shared.get("a")
            assert there in ("old", "new")
            assert cache.local.get("a", there) == there

    asyncio.run(scenario())


def test_the_naive_cache_costs_and_fails_as_it_is_said_to(caches: Any) -> None:
    naive, costs = NaiveTwoTierCache(caches.redis), []
    for number in range(10):
        naive.set(f"persona:{number}", {"n": (number,)})
    for call in (
        lambda: naive.set("a", 1),
        lambda: naive.get("persona:1"),
        lambda: naive.get("nothing"),
        lambda: naive.delete_pattern("persona:*"),
        naive.get_stats,
    ):
        with redis_perf.record() as trace:
            call()
        costs.append(trace.redis.round_trips)
    assert costs == [1, 0, 1, 11, 2]
    other = NaiveTwoTierCache(caches.redis)
    other.get("a")
    naive.set("a", 2)
    assert (other.get("a"), naive.delete_pattern("a"), other.get("a")) == (1, 2, 1)
    away = NaiveTwoTierCache(redis.Redis(port=1, socket_timeout=0.1, retry=None))
    assert (away.l2.available, away.get_stats()["l1"]["hit_rate"]) == (False, "0.0%")
