"""get_with_cache broken at every one of its round trips, before and after the server executed it.

By a reset of the connection, and by the death of the server, which keeps an append-only log here. Whatever happens, the
call answers, the next one elsewhere gets the old value or a loaded one, and no lease or record lives for ever.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from redis_perf.proxy import FaultPoint, Proxy, fault_points
from redis_perf_reference import ConsecutiveFailures

LEASE_SECONDS = 0.1


@pytest.fixture(scope="module")
def redis_server(lasting_redis_server: Any) -> Any:
    return lasting_redis_server


class Broken:
    """One call, on a key and a cache of its own each time, that is started anew for each point."""

    def __init__(self, caches: Any, proxy: Proxy, threshold: int, cached: Any, fetch: Callable[[], Any]) -> None:
        self._caches, self._proxy, self._threshold = caches, proxy, threshold
        self._cached, self._fetch = cached, caches.loader(fetch)
        self._keys = (f"key:{number}" for number in itertools.count())
        self.start()

    def start(self) -> None:
        self.key = next(self._keys)
        breaker = ConsecutiveFailures(threshold=self._threshold, open_seconds=60)
        shared = self._caches.shared(self._proxy.url("redis"), breaker=breaker)
        self._cache = self._caches.two_tier_on(shared, lease_seconds=LEASE_SECONDS)
        self._cache.get("warm")
        if self._cached is not None:
            self._caches.shared().set(self.key, self._cached, ttl=60)
        self._caches.redis.script_flush()  # so that sending a script is among the round trips

    def __call__(self) -> Any:
        """None if the loader failed."""
        with suppress(LookupError):
            return self._cache.get_with_cache(self.key, self._fetch, 60)

    def checked(self, wanted: set[Any], point: FaultPoint) -> None:
        """Someone else asks now and must get one of these, soon and not for ever."""
        for name in self._caches.redis.scan_iter():
            assert -1 != self._caches.redis.pttl(name) <= 130_000, str(point)  # -2: a lease that is over
        sound = self._caches.two_tier_on(self._caches.shared())  # whose own lease outlasts its load on a busy machine
        answer = sound.get_with_cache(self.key, self._caches.loader(lambda: "loaded elsewhere"), 60)
        assert answer in wanted, str(point)
        assert self._caches.shared().get(self.key) == answer, str(point)


def points_of(broken: Broken, proxy: Proxy, breaking: Any, wanted: set[Any], answers: set[Any]) -> list[Any]:
    seen = []
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            assert broken() in answers, str(point)
        broken.checked(wanted, point)
        seen.append((point.trip.operations[0].name, point.when))
    return seen


def both_sides(*names: str) -> list[tuple[str, str]]:
    return [(name, when) for name in names for when in ("before", "after")]


@pytest.mark.parametrize("threshold", [1, 3])  # whether what comes after the broken round trip is sent at all
def test_a_miss_broken_anywhere_answers_and_the_next_one_is_right(
    caches: Any, proxy: Proxy, breaking: Any, threshold: int
) -> None:
    broken = Broken(caches, proxy, threshold, None, lambda: "loaded")
    seen = points_of(broken, proxy, breaking, {"loaded", "loaded elsewhere"}, {"loaded"})
    assert seen == both_sides("EVALSHA", "EVAL", "EVALSHA", "EVAL")


def test_a_hit_broken_anywhere_answers_with_the_cached_or_the_loaded_value(
    caches: Any, proxy: Proxy, breaking: Any
) -> None:
    broken = Broken(caches, proxy, 3, "old", lambda: "loaded")
    assert points_of(broken, proxy, breaking, {"old"}, {"old", "loaded"}) == both_sides("EVALSHA", "EVAL")


def test_a_failed_load_broken_anywhere_blocks_nobody_for_longer_than_a_lease(
    caches: Any, proxy: Proxy, breaking: Any
) -> None:
    def fail() -> None:
        raise LookupError

    broken = Broken(caches, proxy, 1, None, fail)
    seen = points_of(broken, proxy, breaking, {"loaded elsewhere"}, {None})
    assert seen == both_sides("EVALSHA", "EVAL", "EVALSHA", "EVAL")
