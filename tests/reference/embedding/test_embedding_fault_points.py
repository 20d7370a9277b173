"""Each call of the embedding cache broken at every one of its round trips, before and after the server executed it.

By a reset of the connection, and by the death of the server, which keeps an append-only log here. Whatever happens, the
caller has the right vectors, and Redis has the right one or none, which expires.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from redis_perf.proxy import Proxy, fault_points
from redis_perf.proxy.faults import Fault
from redis_perf_reference.outcomes import CacheUnavailable


@pytest.fixture(scope="module")
def redis_server(lasting_redis_server: Any) -> Any:
    return lasting_redis_server


class Broken:
    """One call, on a cache of its own each time, that is started anew for each point. "a" and "b" are known to it."""

    def __init__(self, world: Any, proxy: Proxy, encoder: Any, call: Callable[[Any], Any]) -> None:
        self._world, self._proxy, self._encoder, self._call = world, proxy, encoder, call
        self._namespaces = (f"run{number}" for number in itertools.count())
        self.start()

    def start(self) -> None:
        self.namespace = next(self._namespaces)
        client = self._world.client(self._proxy.url("redis"), probe_seconds=60)  # the call's round trips and no others
        self.sound().embed(["a", "b"])
        self._cache = self._world.cache(self._encoder, client=client, namespace=self.namespace)
        self._world.redis.script_flush()  # so that sending a script is among the round trips

    def sound(self) -> Any:
        return self._world.cache(self._encoder, namespace=self.namespace)

    def __call__(self) -> Any:
        return self._call(self._cache)

    def checked(self, point: str) -> None:
        for name in self._world.redis.keys(f"{{{self.namespace}}}:*"):
            assert 0 < self._world.redis.pttl(name) <= 86_400_000, point
        for _ in range(2):
            found = self.sound().embed(["a", "b", "c"])
            assert np.array_equal(found, self._encoder.vectors(["a", "b", "c"])), point

    def seen(self, breaking: Callable[..., Fault], answer: Any) -> list[tuple[str, str]]:
        seen = []
        for point in fault_points(self._proxy, self, breaking=breaking):
            self.start()
            with point, suppress(CacheUnavailable):
                assert np.array_equal(self(), answer), str(point)
            self.checked(str(point))
            seen.append((point.trip.operations[0].name, point.when))
        return seen


def both_sides(*names: str) -> list[tuple[str, str]]:
    return [(name, when) for name in names for when in ("before", "after")]


def test_new_texts_broken_anywhere_are_embedded_all_the_same(
    world: Any, proxy: Proxy, encoder: Any, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(world, proxy, encoder, lambda cache: cache.embed(["a", "new", "b"]))
    seen = broken.seen(breaking, encoder.vectors(["a", "new", "b"]))
    assert seen == both_sides("MGET", "EVALSHA", "EVAL")


def test_known_texts_broken_anywhere_are_embedded_all_the_same(
    world: Any, proxy: Proxy, encoder: Any, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(world, proxy, encoder, lambda cache: cache.embed(["b", "a"]))
    assert broken.seen(breaking, encoder.vectors(["b", "a"])) == both_sides("MGET")


def test_clearing_broken_anywhere_leaves_right_vectors_or_none(
    world: Any, proxy: Proxy, encoder: Any, breaking: Callable[..., Fault]
) -> None:
    broken = Broken(world, proxy, encoder, lambda cache: cache.clear_cache())
    assert broken.seen(breaking, 2) == both_sides("SET", "EVALSHA", "EVAL")
