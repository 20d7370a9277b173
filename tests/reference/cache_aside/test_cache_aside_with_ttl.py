"""Loaders that say how long a value lives, and loaders that are shown the old value."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.cache_input import InvalidTtl
from redis_perf_reference.lifetime import WithTtl

NAME = "cache:key"


def test_a_loader_says_how_long_its_value_lives(caches: Any, source: Any) -> None:
    cache, source.value = caches.cache(), WithTtl([], 7)
    assert [cache.get_with_cache("key", source) for _ in range(2)] == [[], []]
    assert source.loads == 1
    assert 0 < caches.redis.pttl(NAME) <= 7_000


def test_none_lives_as_long_as_its_loader_says(caches: Any, source: Any) -> None:
    cache, source.value = caches.cache(negative_ttl=3), WithTtl(None, 9)
    assert cache.get_with_cache("key", source) is None
    assert 3_000 < caches.redis.pttl(NAME) <= 9_000


def test_a_value_without_a_time_to_live_is_handed_out_and_not_kept(
    redisperf: RedisPerf, caches: Any, source: Any
) -> None:
    cache, source.value = caches.cache(), WithTtl("half", 0)
    cache.get("warm")
    with redisperf.budget(redis=exactly(2)):  # the second frees the lease
        assert cache.get_with_cache("key", source) == "half"
    assert not caches.redis.exists(NAME)
    source.value = "whole"
    assert cache.get_with_cache("key", source) == "whole"
    assert cache.get("key") == "whole"


def test_those_who_wait_get_the_value_that_is_not_kept(caches: Any, joined: Any) -> None:
    loads = []

    def load() -> Any:
        loads.append(1)
        joined.until(10)
        return WithTtl("half", 0)

    assert caches.cache().together(10, "key", load) == ["half"] * 10
    assert len(loads) == 1


def test_a_bad_time_to_live_is_refused_by_name_and_blocks_nobody(caches: Any, source: Any) -> None:
    cache, source.value = caches.cache(), WithTtl("value", -1)
    with pytest.raises(InvalidTtl, match="ttl is -1 seconds"):
        cache.get_with_cache("key", source)
    assert not caches.redis.exists(NAME)


def test_a_value_past_its_time_is_shown_to_the_one_who_renews_it(caches: Any, source: Any) -> None:
    cache, shown = caches.cache(stale_if_error=60), []

    def renewed(value: Any) -> str:
        shown.append(value)
        return value + "!"

    cache.set("key", "value", 0.001)
    caches.until(lambda: cache.get("key") is None)
    assert cache.get_with_cache("key", source, revalidate=caches.loader(renewed)) == "value!"
    assert cache.get("key") == "value!"
    assert (shown, source.loads) == (["value"], 0)


def test_where_renewing_fails_the_old_value_stands_in(caches: Any, source: Any) -> None:
    cache = caches.cache(stale_if_error=60)

    def renewed(value: Any) -> str:
        raise LookupError

    cache.set("key", "old", 0.001)
    caches.until(lambda: cache.get("key") is None)
    assert cache.get_with_cache("key", source, revalidate=caches.loader(renewed)) == "old"
    assert source.loads == 0
