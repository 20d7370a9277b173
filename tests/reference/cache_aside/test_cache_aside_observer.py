"""What a cache tells its observer, and what becomes of it in Prometheus."""

from __future__ import annotations

from typing import Any

import pytest

from redis_perf_reference.observer import SILENT, Observer


def test_a_miss_then_a_hit(caches: Any, source: Any, counting: Any) -> None:
    cache = caches.cache(observer=counting)
    for _ in range(3):
        cache.get_with_cache("key", source)
    cache.set("key", 1)
    cache.delete("key")
    assert counting.counts == {
        "miss": 1, "load": 1, "hit": 2,
        "seconds: read": 3, "seconds: load": 1, "seconds: fill": 1, "seconds: write": 1, "seconds: delete": 1,
    }  # fmt: skip


def test_those_who_wait_are_misses_too(caches: Any, counting: Any, joined: Any) -> None:
    def load() -> str:
        joined.until(10)
        return "value"

    cache = caches.cache(observer=counting)
    cache.together(10, "key", load)
    assert counting.of("miss", "load", "hit") == [10, 1, 0]


def test_a_load_that_raises_is_an_error(caches: Any, source: Any, counting: Any) -> None:
    cache, source.value = caches.cache(observer=counting), LookupError("no such user")
    with pytest.raises(LookupError):
        cache.get_with_cache("key", source)
    assert counting.of("miss", "load", "error: load", "seconds: load", "seconds: fill") == [1, 1, 1, 1, 0]


def test_the_silent_observer_takes_everything() -> None:
    observer: Observer = SILENT
    observer.hit()
    observer.miss()
    observer.stale()
    observer.load()
    observer.error("load")
    observer.seconds("read", 0.1)


def test_prometheus_counts_by_cache_and_reason_and_knows_no_keys(caches: Any, source: Any) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    from redis_perf_reference.prometheus import CacheMetrics

    registry = prometheus.CollectorRegistry()
    metrics = CacheMetrics(registry)
    users, rooms = (caches.cache(prefix=name, observer=metrics.observer(name)) for name in ("users", "rooms"))
    for _ in range(3):
        users.get_with_cache("ada@example.org", source)
    source.value = LookupError("no such room")
    with pytest.raises(LookupError):
        rooms.get_with_cache("secret room", source)

    def sample(name: str, **labels: str) -> float | None:
        value: float | None = registry.get_sample_value(name, labels)
        return value

    assert [sample("cache_hits_total", cache_type=cache) for cache in ("users", "rooms")] == [2, 0]
    assert [sample("cache_misses_total", cache_type=cache) for cache in ("users", "rooms")] == [1, 1]
    assert sample("cache_errors_total", cache_type="rooms", reason="load") == 1
    assert sample("cache_errors_total", cache_type="users", reason="unavailable") == 0
    assert sample("cache_operation_seconds_count", cache_type="users", operation="read") == 3
    assert sample("cache_operation_seconds_bucket", cache_type="users", operation="load", le="1800.0") == 1
    exposed = prometheus.generate_latest(registry).decode()
    assert "ada@example.org" not in exposed
    assert "secret room" not in exposed
