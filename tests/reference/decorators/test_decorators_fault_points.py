"""A decorated call broken at every one of its round trips, before and after the server executed it.

By a reset of the connection, and by the death of the server, which keeps an append-only log here. Whatever happens, the
caller gets the function's result, others the old or a new one, and nothing in Redis lives for ever.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from redis_perf.proxy import Proxy, fault_points

LEASE_SECONDS = 0.03  # of the call that is broken; those who ask later have time


@pytest.fixture(scope="module")
def redis_server(lasting_redis_server: Any) -> Any:
    return lasting_redis_server


@pytest.fixture
def outside(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


class Broken:
    """A cached function and one that changes what it reads, in a process of their own for each point."""

    def __init__(self, twin: Any, outside: Any, proxy: Proxy, cached: bool, changes: bool) -> None:
        self._twin, self._redis, self._proxy, self._cached, self._changes = twin, outside, proxy, cached, changes
        self._ids = itertools.count()
        self.start()

    def start(self) -> None:
        self._id, self._name = next(self._ids), "old"
        if self._cached:
            self.found_elsewhere()
        cache = self._twin.cache(self._proxy.url("redis"), lease_seconds=LEASE_SECONDS)
        self._persona, self._rename = self._functions(cache)
        self._twin.finish(cache.get("connected"))
        self._redis.script_flush()  # so that sending a script is among the round trips

    def __call__(self) -> Any:
        if self._changes:
            return self._twin.finish(self._rename(self._id, "new"))
        return self._twin.finish(self._persona(self._id))

    def found_elsewhere(self) -> str:
        """What somebody else gets now, which is in Redis then."""
        cache = self._twin.cache()
        persona, _ = self._functions(cache)
        found = str(self._twin.finish(persona(self._id)))
        there = self._twin.cache()
        assert self._twin.finish(there.get(persona.key(self._id))) == found
        for key in self._redis.scan_iter():
            assert -1 != self._redis.pttl(key) <= 2 * (60 + 10) * 1000  # of a stamp: twice value and lease
        return found

    def _functions(self, cache: Any) -> tuple[Any, Any]:
        def persona(persona_id: int, field: str = "name") -> str:
            return self._name

        def rename(persona_id: int, name: str) -> str:
            self._name = name
            return "renamed"

        caching = self._twin.caching(cache)
        return (
            caching.cached(ttl=60, key_prefix="persona")(self._twin.function(persona)),
            caching.invalidate_cache("persona:{persona_id}:*")(self._twin.function(rename)),
        )


@pytest.mark.parametrize(
    ("cached", "changes", "scripts", "answer", "left"),
    [
        (False, False, 2, "old", {"old"}),
        (True, False, 1, "old", {"old"}),
        (True, True, 1, "renamed", {"old", "new"}),
    ],
    ids=["miss", "hit", "invalidate_cache"],
)
def test_a_call_broken_anywhere_returns_its_result_and_leaves_the_old_or_the_new(
    twin: Any,
    outside: Any,
    proxy: Proxy,
    breaking: Any,
    cached: bool,
    changes: bool,
    scripts: int,
    answer: str,
    left: set[str],
) -> None:
    broken, seen = Broken(twin, outside, proxy, cached, changes), 0
    for point in fault_points(proxy, broken, breaking=breaking):
        broken.start()
        with point:
            assert broken() == answer, str(point)
        assert broken.found_elsewhere() in left, str(point)
        seen += 1
    assert seen == 4 * scripts  # EVALSHA and EVAL, each before and after
