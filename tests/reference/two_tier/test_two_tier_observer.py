"""What an observer is told of plain reads and writes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from redis_perf_reference.observer import Silent


class Counting(Silent):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self) -> None:
        self.counts["hit"] += 1

    def miss(self) -> None:
        self.counts["miss"] += 1

    def error(self, reason: str) -> None:
        self.counts[reason] += 1

    def seconds(self, operation: str, seconds: float) -> None:
        self.counts[operation] += 1


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_each_plain_read_is_a_hit_or_a_miss_wherever_the_value_was(caches: Any, counting: Counting) -> None:
    writer, cache = caches.two_tier(), caches.two_tier(observer=counting)
    writer.set_many({"a": 1, "b": None}, ttl=60)
    cache.get("none")  # both in Redis, with b None, and nothing at all
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": None}
    assert counting.counts == {"hit": 2, "miss": 2, "read": 2}
    caches.held(cache, "a", 1)
    counting.counts.clear()
    assert (cache.get("a"), cache.get_many(["a"])) == (1, {"a": 1})
    assert counting.counts == {"hit": 2}


def test_writes_and_deletions_are_timed(caches: Any, counting: Counting) -> None:
    cache = caches.two_tier(observer=counting)
    cache.set("a", 1, ttl=60)
    cache.set_many({"b": 2}, ttl=60)
    cache.delete("a")
    cache.invalidate_pattern("x:*")
    cache.clear()
    assert counting.counts == {"write": 2, "delete": 3}


def test_without_redis_there_are_hits_and_misses_and_nothing_is_asked(caches: Any, counting: Counting) -> None:
    cache = caches.alone(observer=counting)
    cache.set("a", 1, ttl=60)
    assert cache.get_many(["a", "b"]) == {"a": 1}
    assert counting.counts == {"hit": 1, "miss": 1}


def test_a_redis_that_is_away_is_an_error_of_each_call_and_a_miss_of_each_key(
    caches: Any, counting: Counting, redis_relay: Any
) -> None:
    cache = caches.two_tier(redis_relay.address, observer=counting)
    redis_relay.mode = "refuse"
    assert cache.get_many(["a", "b"]) == {}
    cache.set("a", 1, ttl=60)
    cache.delete("b")
    counts = {"miss": 2, "unavailable": 3, "read": 1, "write": 1, "delete": 1}
    assert {name: counting.counts[name] for name in counts} == counts
