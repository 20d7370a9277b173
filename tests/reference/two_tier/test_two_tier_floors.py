"""What each call of the shared caches costs, counted on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import redis_perf

KEYS = [f"persona:lua:{number}" for number in range(50)]


def cost(call: Callable[[], Any]) -> int:
    """Round trips to Redis; each is one command here."""
    with redis_perf.record() as trace:
        call()
    assert trace.redis.operations == trace.redis.round_trips
    return int(trace.redis.round_trips)


@pytest.fixture
def cache(caches: Any) -> Any:
    """A cache on a server that knows its scripts."""
    cache = caches.two_tier()
    cache.set("warm", 1, ttl=60)
    cache.get("nothing")
    cache.delete("warm")
    cache.delete_pattern("warm*")
    return cache


def test_a_hit_in_this_process_is_no_round_trip(cache: Any) -> None:
    cache.set("key", 1, ttl=60)
    assert cost(lambda: cache.get("key")) == 0
    assert cost(lambda: cache.get_many(["key"])) == 0


def test_a_hit_in_redis_and_a_miss_are_one_round_trip(cache: Any, caches: Any) -> None:
    caches.shared().set_many(dict.fromkeys(KEYS, 1), ttl=60, tags=["a", "b"])
    assert cost(lambda: cache.get(KEYS[0])) == 1
    assert cost(lambda: cache.get("nothing")) == 1


@pytest.mark.parametrize("count", [1, 2, 50])
def test_many_keys_are_one_round_trip(cache: Any, caches: Any, count: int) -> None:
    values = dict.fromkeys(KEYS[:count], "value")
    assert cost(lambda: cache.set_many(values, ttl=60, tags=["a"])) == 1
    other = caches.two_tier()
    with redis_perf.record() as trace:
        assert other.get_many(values) == values
    assert trace.redis.round_trips == 1
    assert cost(lambda: cache.delete(*values)) == 1


def test_no_keys_are_no_round_trip(cache: Any) -> None:
    calls = [lambda: cache.get_many([]), lambda: cache.set_many({}, ttl=1)]
    assert [cost(call) for call in calls] == [0, 0]


def test_a_write_that_tells_the_others_is_one_round_trip(cache: Any) -> None:
    assert cost(lambda: cache.set("key", 1, ttl=60, tags=["tag"])) == 1
    assert cost(lambda: cache.delete("key")) == 1


@pytest.mark.parametrize("count", [1, 200])
def test_invalidating_is_one_round_trip_for_any_number_of_values(cache: Any, count: int) -> None:
    values = {f"persona:lua:{number}": number for number in range(count)}
    for call in (
        lambda: cache.invalidate_tags("tag", "other"),
        lambda: cache.invalidate_pattern("persona:*"),
        lambda: cache.invalidate_pattern("persona:lua:*"),
        lambda: cache.clear(),
    ):
        cache.set_many(values, ttl=60, tags=["tag"])
        assert cost(call) == 1
        assert cache.get_many(values) == {}


def test_deleting_1000_of_5000_keys_is_at_most_12_round_trips(cache: Any, caches: Any) -> None:
    caches.redis.mset({f"stranger:{number}": 1 for number in range(3990)})
    cache.set_many({f"persona:{number}": number for number in range(1000)}, ttl=60)
    deleted: list[Any] = []
    assert cost(lambda: deleted.append(cache.delete_pattern("persona:*"))) <= 12
    assert deleted[0].count == 1000


def test_a_cache_without_redis_costs_nothing(caches: Any) -> None:
    cache = caches.alone()

    def everything() -> None:
        cache.set("a:b", 1, ttl=60, tags=["t"])
        assert cache.get("a:b") == 1
        assert cache.get_many(["a:b", "c"]) == {"a:b": 1}
        assert [cache.delete("a:b").count, cache.delete("a:b").count] == [1, 0]
        for call in (
            lambda: cache.invalidate_tags("t"),
            lambda: cache.invalidate_pattern("a:*"),
            lambda: cache.delete_pattern("a:*"),
            cache.clear,
        ):
            cache.set("a:b", 1, ttl=60, tags=["t"])
            assert call().count == 1
            assert cache.get("a:b") is None

    assert cost(everything) == 0


def test_a_refused_call_sends_nothing(cache: Any) -> None:
    def refused() -> None:
        for call in (
            lambda: cache.set("key", object(), ttl=60),
            lambda: cache.set("key", 1, ttl=0),
            lambda: cache.set("ke\ny", 1, ttl=60),
            lambda: cache.set_many({"a": 1, "b": object()}, ttl=60),
            lambda: cache.delete_pattern("*"),
            lambda: cache.invalidate_pattern("*:lua"),
        ):
            with pytest.raises((TypeError, ValueError)):
                call()

    assert cost(refused) == 0
    assert cache.get_stats().l1.size == 0
