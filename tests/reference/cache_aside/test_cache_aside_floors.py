"""What each call of the cache costs, counted on the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.naive.cache_aside import get_with_cache


@pytest.fixture
def cache(caches: Any) -> Any:
    """Connected."""
    cache = caches.cache()
    cache.set("warm", 1)
    return cache


def test_a_hit_is_one_round_trip(redisperf: RedisPerf, cache: Any, source: Any) -> None:
    cache.set("key", "value")
    with redisperf.budget(redis=exactly(1)):
        assert cache.get_with_cache("key", source) == "value"
    assert source.loads == 0


def test_a_miss_is_two_round_trips(redisperf: RedisPerf, cache: Any, source: Any) -> None:
    with redisperf.budget(redis=exactly(2)):
        assert cache.get_with_cache("key", source) == "value"
    with redisperf.budget(redis=exactly(1)):
        assert cache.get_with_cache("key", source) == "value"
    assert source.loads == 1


def test_reading_writing_and_deleting_are_one_round_trip_each(redisperf: RedisPerf, cache: Any) -> None:
    with redisperf.budget(redis=exactly(1)):
        cache.set("key", "value")
    with redisperf.budget(redis=exactly(1)):
        assert cache.get("key") == "value"
    cache.set("other", "value")
    with redisperf.budget(redis=exactly(1)):
        assert cache.delete("key", "other", "third") == 2
    with redisperf.budget(redis=0):
        assert cache.delete() == 0


def test_a_load_that_fails_is_two_round_trips(redisperf: RedisPerf, cache: Any, source: Any) -> None:
    source.value = LookupError("no such user")
    with redisperf.budget(redis=exactly(2)), pytest.raises(LookupError):
        cache.get_with_cache("key", source)


def test_waiters_in_the_same_process_pay_for_their_look_only(redisperf: RedisPerf, cache: Any, joined: Any) -> None:
    loads = []

    def load() -> str:
        loads.append(1)
        joined.until(20)
        return "value"

    with redisperf.record() as spent:
        assert cache.together(20, "key", load) == ["value"] * 20
    scripts = [trip for trip in spent.trace.redis if trip.operations[0].name == "EVALSHA"]
    assert (len(loads), len(scripts)) == (1, 21)


def test_the_hundredth_hit_costs_what_the_first_did(redisperf: RedisPerf, cache: Any, source: Any) -> None:
    cache.set("key", "value")
    with redisperf.budget(redis=exactly(100)):
        for _ in range(100):
            cache.get_with_cache("key", source)


def test_a_server_that_does_not_know_the_scripts_costs_two_more_once(
    redisperf: RedisPerf, caches: Any, cache: Any, source: Any
) -> None:
    caches.redis.script_flush()
    with redisperf.budget(redis=exactly(4)):
        cache.get_with_cache("key", source)
    with redisperf.budget(redis=exactly(2)):
        cache.get_with_cache("other", source)


def test_the_naive_cache_costs_one_and_two(redisperf: RedisPerf, redis_url: str) -> None:
    async def value() -> list[int]:
        return [1]

    async def scenario() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.ping()
            for cost in (2, 1):
                with redisperf.budget(redis=exactly(cost)):
                    assert await get_with_cache(client, "key", value) == [1]

    asyncio.run(scenario())
