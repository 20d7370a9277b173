"""Each call of the cache broken at every one of its round trips, before and after the server executed it.

By a reset of the connection, and by the death of the server, which keeps an append-only log here. Whatever happens, the
cache answers with the old value or the new one, entries expire, and no lease outlives its time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import pytest
import redis

from redis_perf.proxy import FaultPoint, Proxy, fault_points
from redis_perf.proxy.faults import Fault
from redis_perf_reference.outcomes import CacheUnavailable

LONGER_LEASE_SECONDS = 0.5  # not over before the other one waits, on a busy machine too


@pytest.fixture(scope="module")
def redis_server(lasting_redis_server: Any) -> Any:
    return lasting_redis_server


class Broken:
    """One call, on a key and a cache of its own each time, that is started anew for each point."""

    lease_seconds = 0.1

    def __init__(self, caches: Any, proxy: Proxy, cached: Any, call: Callable[[Any, str], Any]) -> None:
        self._caches, self._proxy, self._cached, self._call = caches, proxy, cached, call
        self._keys = (f"key {number}" for number in itertools.count())
        self.start()

    def start(self) -> None:
        self.key = next(self._keys)
        client = self._caches.client(self._proxy.url("redis"), probe_seconds=60)  # the call's round trips and no others
        self._cache = self._caches.cache(client=client, lease_seconds=self.lease_seconds)
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
    assert points_of(broken, proxy, breaking, {"old", "loaded"}, {1}) == both_sides("EVALSHA", "EVAL")


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


class Waiting(Broken):
    """While somebody else loads, who goes on until the call waits for it or has ended."""

    lease_seconds = LONGER_LEASE_SECONDS

    def start(self) -> None:
        super().start()
        self._loading, self._ended = Event(), Event()
        self._elsewhere = Thread(target=self._get, args=(self._caches.sync_cache(self.lease_seconds), self.key))
        self._elsewhere.start()
        assert self._loading.wait(20)

    def __call__(self) -> Any:
        try:
            return super().__call__()
        finally:
            self._ended.set()
            self._elsewhere.join()

    def _get(self, cache: Any, key: str) -> None:
        cache.get_with_cache(key, self._load)

    def _load(self) -> str:
        self._loading.set()
        while not self._ended.is_set():
            with suppress(redis.ConnectionError):
                if self._caches.redis.info("clients")["blocked_clients"]:
                    break
        return "theirs"


def test_a_wait_for_another_s_load_broken_anywhere_answers_and_the_next_one_is_right(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    broken = Waiting(caches, proxy, None, lambda cache, key: cache.get_with_cache(key, lambda: "new"))
    seen = points_of(broken, proxy, breaking, {"theirs", "new", "loaded"}, {"theirs", "new"})
    assert seen == both_sides("EVALSHA", "XREAD")
    assert all(caches.redis.pttl(stream) != -1 for stream in caches.redis.keys("load:*"))


class WaitedFor(Broken):
    """While it loads somebody else waits for it, and must get this value or load another."""

    lease_seconds = LONGER_LEASE_SECONDS

    def __call__(self) -> Any:
        self._waiting, self._answers = list[Thread](), list[Any]()
        try:
            return super().__call__()
        finally:
            for thread in self._waiting:
                thread.join(20)
            assert set(self._answers) <= {"new", "waited"}
            assert len(self._answers) == len(self._waiting)

    def load(self) -> str:
        self._waiting.append(Thread(target=self._wait, args=(self._caches.sync_cache(self.lease_seconds),)))
        self._waiting[-1].start()
        with suppress(redis.ConnectionError):
            while self._waiting[-1].is_alive() and not self._caches.redis.info("clients")["blocked_clients"]:
                pass
        return "new"

    def _wait(self, cache: Any) -> None:
        self._answers.append(cache.get_with_cache(self.key, lambda: "waited"))


def test_a_fill_that_is_waited_for_broken_anywhere_leaves_no_waiter_without_a_value(
    caches: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
    broken = WaitedFor(caches, proxy, None, lambda cache, key: cache.get_with_cache(key, broken.load))
    seen = points_of(broken, proxy, breaking, {"new", "waited", "loaded"}, {"new"})
    assert seen == both_sides("EVALSHA", "EVAL", "EVALSHA", "EVAL")
    assert all(caches.redis.pttl(stream) != -1 for stream in caches.redis.keys("load:*"))
