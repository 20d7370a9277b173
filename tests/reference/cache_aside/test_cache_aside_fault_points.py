"""Each call of the cache broken at every one of its round trips, before and after the server executed it.

By a reset of the connection, and by the death of the server, which keeps an append-only log here. Whatever happens, the
cache answers with the old value or the new one, entries expire, and no lease outlives its time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.proxy import FaultPoint, Proxy, fault_points
from redis_perf.proxy.faults import Fault, Reset, Restart, When
from redis_perf.servers import topologies
from redis_perf.servers.redis_options import RedisOptions
from redis_perf_reference.outcomes import CacheUnavailable

LEASE_SECONDS = 0.1


@pytest.fixture(scope="module")
def redis_server() -> Iterator[servers.RedisServer]:
    """In the place of the others' that keeps nothing."""
    try:
        server = topologies.redis_with("embedded", RedisOptions(appendonly=True))
    except ServerUnavailable as unavailable:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(unavailable))
    yield server
    server.stop()


@pytest.fixture(params=["reset", "restart"])
def breaking(request: pytest.FixtureRequest, redis_server: Any) -> Callable[..., Fault]:
    """Makes the fault for one point."""

    def fault(server: str, side: Any, on: When) -> Fault:
        return Reset(side, on) if request.param == "reset" else Restart(redis_server, side, on)

    return fault


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(redis=redis_url, latency_ns=1_000_000) as proxy:
        yield proxy


class Broken:
    """One call, on a key and a cache of its own each time, that is started anew for each point."""

    def __init__(self, caches: Any, proxy: Proxy, cached: Any, call: Callable[[Any, str], Any]) -> None:
        self._caches, self._proxy, self._cached, self._call = caches, proxy, cached, call
        self._keys = (f"key {number}" for number in itertools.count())
        self.start()

    def start(self) -> None:
        self.key = next(self._keys)
        client = self._caches.client(self._proxy.url("redis"), probe_seconds=60)  # the call's round trips and no others
        self._cache = self._caches.cache(client=client, lease_seconds=LEASE_SECONDS)
        self._cache.get("warm")
        if self._cached is not None:
            self._caches.cache().set(self.key, self._cached)
        self._caches.redis.script_flush()  # so that sending a script is among the round trips

    def __call__(self) -> Any:
        return self._call(self._cache, self.key)

    def checked(self, wanted: set[Any], point: FaultPoint) -> None:
        """Someone else asks now and must get one of these, soon and not for ever."""
        sound = self._caches.cache()  # whose own lease outlasts its load on a busy machine
        name = f"cache:{self.key}"
        assert -1 != self._caches.redis.pttl(name) <= 300_000, str(point)  # -2 where nothing is left
        assert sound.get_with_cache(self.key, lambda: "loaded") in wanted, str(point)
        self._caches.until(lambda: sound.get_with_cache(self.key, lambda: "loaded") == sound.get(self.key))
        assert sound.get(self.key) in wanted, str(point)
        assert 0 < self._caches.redis.pttl(name) <= 300_000, str(point)


def points_of(
    broken: Broken, proxy: Proxy, breaking: Callable[..., Fault], wanted: set[Any], answers: Any
) -> list[Any]:
    seen = []
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point, suppress(CacheUnavailable):
            assert broken() in answers, str(point)
        broken.checked(wanted, point)
        seen.append((point.trip.operations[0].name, point.when))
    return seen


def both_sides(*names: str) -> list[tuple[str, str]]:
    return [(name, when) for name in names for when in ("before", "after")]


def test_a_miss_broken_anywhere_answers_and_the_next_one_is_right(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(caches, proxy, None, lambda cache, key: cache.get_with_cache(key, lambda: "new"))
    seen = points_of(broken, proxy, breaking, {"new", "loaded"}, {"new"})
    assert seen == both_sides("EVALSHA", "EVAL", "EVALSHA", "EVAL")


def test_a_hit_broken_anywhere_answers_with_the_cached_or_the_loaded_value(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(caches, proxy, "old", lambda cache, key: cache.get_with_cache(key, lambda: "new"))
    assert points_of(broken, proxy, breaking, {"old"}, {"old", "new"}) == both_sides("EVALSHA", "EVAL")


def test_a_write_broken_anywhere_leaves_the_old_or_the_new_value(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(caches, proxy, "old", lambda cache, key: cache.set(key, "new"))
    assert points_of(broken, proxy, breaking, {"old", "new"}, {None}) == both_sides("EVALSHA", "EVAL")


def test_a_delete_broken_anywhere_leaves_the_old_value_or_none(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(caches, proxy, "old", lambda cache, key: cache.delete(key))
    assert points_of(broken, proxy, breaking, {"old", "loaded"}, {1}) == both_sides("UNLINK")


def test_a_failed_load_broken_at_its_release_blocks_nobody_for_longer_than_a_lease(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    def failing(cache: Any, key: str) -> Any:
        def load() -> None:
            raise LookupError

        with suppress(LookupError):
            return cache.get_with_cache(key, load)

    broken = Broken(caches, proxy, None, failing)
    seen = points_of(broken, proxy, breaking, {"loaded"}, {None})
    assert seen == both_sides("EVALSHA", "EVAL", "EVALSHA", "EVAL")
