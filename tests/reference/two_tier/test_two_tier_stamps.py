"""Stamps that a process takes for known: whoever else changes them, a write counts, is one round trip, and lasts."""

from __future__ import annotations

from typing import Any

import pytest

import redis_perf

EVERYTHING, BEGINNING, TAG = "{cache}:g:*", "{cache}:g:a:", "{cache}:g:#red"


def written(cache: Any, value: object, ttl: float = 60) -> None:
    """In one round trip, and found by others."""
    with redis_perf.record() as trace:
        cache.set("a:1", value, ttl=ttl, tags=["red"])
    assert trace.redis.round_trips == 1


@pytest.mark.parametrize("lost", [[EVERYTHING], [BEGINNING], [TAG], [EVERYTHING, BEGINNING, TAG]])
def test_a_write_counts_though_its_stamps_are_others_now(caches: Any, lost: list[str]) -> None:
    here, there = caches.shared(), caches.shared()
    here.set("a:1", "old", ttl=60, tags=["red"])
    caches.redis.unlink(*lost)
    there.set("a:2", "other", ttl=60, tags=["red"])  # which makes new ones
    written(here, "new")
    written(here, "newer")
    assert there.get_many(["a:1", "a:2"]) == {"a:1": "newer", "a:2": "other"}
    there.invalidate_tags("red")
    assert here.get_many(["a:1", "a:2"]) == {}


@pytest.mark.parametrize("change", ["tags", "pattern", "clear"])
def test_what_was_invalidated_elsewhere_is_not_brought_back_by_a_later_write(caches: Any, change: str) -> None:
    here, there = caches.shared(), caches.shared()
    here.set_many({"a:1": 1, "a:2": 2}, ttl=60, tags=["red"])
    {
        "tags": lambda: there.invalidate_tags("red"),
        "pattern": lambda: there.invalidate_pattern("a:*"),
        "clear": there.clear,
    }[change]()
    written(here, 3)
    assert there.get_many(["a:1", "a:2"]) == {"a:1": 3}


def test_stamps_outlive_every_record_that_carries_them(caches: Any) -> None:
    cache = caches.shared()
    cache.set("the script is known then", 0, ttl=1)
    for ttl in (1, 60, 1, 600, 3600, 60):
        written(cache, ttl, ttl)
        for stamp in (EVERYTHING, BEGINNING, TAG):
            assert caches.redis.pttl(stamp) >= caches.redis.pttl("{cache}:v:a:1"), (ttl, stamp)


def test_values_with_known_and_unknown_stamps_are_written_together(caches: Any) -> None:
    cache = caches.shared()
    cache.set("a:1", "old", ttl=60)
    values = {"a:1": 1, "b:1": 2, "a:2": 3, "b:2": 4, "c": 5}
    for _ in range(2):
        with redis_perf.record() as trace:
            cache.set_many(values, ttl=60)
        assert trace.redis.round_trips == 1
        assert caches.shared().get_many(values) == values
    cache.invalidate_pattern("b:*")
    assert caches.shared().get_many(values) == {"a:1": 1, "a:2": 3, "c": 5}
    cache.set_many(values, ttl=60)
    assert caches.shared().get_many(values) == values


def test_more_groups_than_are_remembered_are_written_all_the_same(caches: Any) -> None:
    cache, values = caches.shared(), {f"group {number}:key": number for number in range(3000)}
    for _ in range(2):
        cache.set_many(values, ttl=60)
        assert caches.shared().get_many(values) == values
