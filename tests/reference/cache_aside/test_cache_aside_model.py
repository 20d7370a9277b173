"""Whatever happens in whatever order, in two caches on one Redis: what is answered is what a model allows."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

keys = st.sampled_from(["a", "b"])
values = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=2)
steps = st.lists(
    st.tuples(st.sampled_from(["load", "write", "look"]), st.integers(0, 1), keys, values)
    | st.tuples(st.sampled_from(["overtaken by a write", "overtaken by a delete"]), st.integers(0, 1), keys, values)
    | st.tuples(st.sampled_from(["delete", "fail", "damage", "evict", "restart"]), st.integers(0, 1), keys, st.none()),
    max_size=12,
)
NOTHING = object()
numbers = itertools.count()


class Model:
    """Two caches and a dictionary that says what each must answer."""

    def __init__(self, caches: Any, both: list[Any]) -> None:
        self.caches, self.both, self.run = caches, both, next(numbers)
        self.cached: dict[str, object] = {}

    def name(self, key: str) -> str:
        return f"{self.run}:{key}"

    def do(self, step: str, one: int, key: str, value: object) -> None:
        cache, other, name = self.both[one], self.both[1 - one], self.name(key)
        if step == "load":
            assert cache.get_with_cache(name, lambda: value) == self.cached.setdefault(key, value)
        elif step == "write":
            cache.set(name, value)
            self.cached[key] = value
        elif step == "delete":
            cache.delete(name)
            self.cached.pop(key, None)
        elif step == "fail":
            self.fail(cache, key)
        elif step.startswith("overtaken"):
            self.overtake(cache, key, value, write=step.endswith("write"))
        elif step == "damage":
            self.caches.redis.set(f"cache:{name}", b"c1 and no more", px=60_000)
            self.cached.pop(key, None)
        elif step == "evict":
            self.caches.redis.delete(f"cache:{name}")
            self.cached.pop(key, None)
        elif step == "restart":
            self.caches.redis.flushall()
            self.caches.redis.script_flush()
            self.cached.clear()
        assert other.get(name, NOTHING) == self.cached.get(key, NOTHING)

    def fail(self, cache: Any, key: str) -> None:
        def load() -> None:
            raise LookupError

        try:
            assert cache.get_with_cache(self.name(key), load) == self.cached[key]
        except LookupError:
            assert key not in self.cached

    def overtake(self, cache: Any, key: str, value: object, *, write: bool) -> None:
        """In the middle of the load, someone else writes or deletes."""
        other = self.caches.plain

        def load() -> str:
            if write:
                other.set(self.name(key), value)
                self.cached[key] = value
            else:
                other.delete(self.name(key))
            return "overtaken"

        wanted = self.cached.get(key, "overtaken")
        assert cache.get_with_cache(self.name(key), load) == wanted


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=steps)
def test_two_caches_answer_as_one_dictionary(caches: Any, steps: list[Any]) -> None:
    if not hasattr(caches, "both"):
        caches.both = [caches.cache(), caches.cache()]
        caches.plain = caches.sync_cache()
    model = Model(caches, caches.both)
    for step in steps:
        model.do(*step)
    for key in caches.redis.keys("*"):
        assert 0 < caches.redis.pttl(key) <= 300_000, "nothing lives for ever"
