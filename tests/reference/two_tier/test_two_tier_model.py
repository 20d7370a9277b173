"""Two processes, one cache, and faults at any step: what is read was written and not long since replaced."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_perf_reference import ConsecutiveFailures

PAUSE = threading.Event()
LEASE_SECONDS = 0.05
KEYS = ["a:b:1", "a:b:2", "a:c", "d"]
TAGS = {"a:b:1": ["red"], "a:b:2": ["red", "blue"], "a:c": ["blue"], "d": []}
STEPS = ["get", "get_many", "load", "overtaken", "set", "delete", "tags", "pattern", "sweep", "clear"]
STEPS += ["lose stamp", "lose scripts"]
steps = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(0, 1),
        st.sampled_from(KEYS),
        st.sampled_from(["pass", "pass", "pass", "refuse", "lose_reply"]),
    ),
    max_size=12,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_two_processes_read_what_was_written(
    caches: Any, redis_relay: Any, steps: list[tuple[str, int, str, str]]
) -> None:
    """`possible` holds what each key may be: one value, or several once a change was cut off."""
    redis_relay.mode = "pass"
    caches.redis.flushdb()
    never_open = {"breaker": ConsecutiveFailures(threshold=10**9)}
    options = {"shared": never_open, "unheard_ttl": 0.001, "lease_seconds": LEASE_SECONDS}
    pair = [caches.two_tier(redis_relay.address, **options) for _ in range(2)]
    possible: dict[str, set[Any]] = {key: {None} for key in KEYS}
    for at, (step, who, key, mode) in enumerate(steps):
        cache, hit, after = pair[who], [key], None
        settle(caches, pair)
        redis_relay.mode = mode
        if step.startswith("get"):
            value = cache.get(key) if step == "get" else cache.get_many(KEYS).get(key)
            assert value in possible[key] | ({None} if mode != "pass" else set())
            redis_relay.mode = "pass"
            continue
        if step in ("load", "overtaken"):
            possible[key] = loaded(
                caches, cache, pair[1 - who] if step == "overtaken" else None, key, at, possible[key]
            )
            redis_relay.mode = "pass"
            continue
        if step == "set":
            told, after = cache.set(key, at, ttl=60, tags=TAGS[key]), at
        elif step == "delete":
            told = cache.delete(key)
        elif step == "tags":
            told, hit = cache.invalidate_tags("red"), [key for key in KEYS if "red" in TAGS[key]]
        elif step in ("pattern", "sweep"):
            told = cache.invalidate_pattern("a:b:*") if step == "pattern" else cache.delete_pattern("a:b:*")
            hit = [key for key in KEYS if key.startswith("a:b:")]
        elif step == "clear":
            told, hit = cache.clear(), KEYS
        else:
            redis_relay.mode = "pass"
            if step == "lose scripts":
                caches.redis.script_flush()
            elif caches.redis.delete("{cache}:g:a:"):
                for other in ("a:b:1", "a:b:2", "a:c"):
                    possible[other].add(None)
            continue
        for name in hit:
            possible[name] = {after} if told.everywhere else possible[name] | {after}
        redis_relay.mode = "pass"
    settle(caches, pair)
    assert all(caches.redis.pttl(key) != -1 for key in caches.redis.scan_iter())
    for key in KEYS:
        for cache in pair:
            assert cache.get(key) in possible[key]
    for cache in pair:
        cache.close()


def loaded(caches: Any, cache: Any, other: Any, key: str, at: int, before: set[Any]) -> set[Any]:
    """What the key may be after get_with_cache; `other` deletes it in the middle of the load."""
    told: list[Any] = []
    began = monotonic()

    def fetch() -> int:
        told.append(other.delete(key) if other else None)
        return at

    value = cache.get_with_cache(key, caches.loader(fetch), 60, TAGS[key])
    late = monotonic() - began > LEASE_SECONDS  # whose lease is over fills nothing
    if not told:
        assert value in before
        return before
    assert value == at
    if other:
        return {None} if told[0].everywhere else before | {None}
    stats = cache.get_stats()
    assert not stats.l2.available or None in before
    return (before - {None} if stats.l2.available and not late else before) | {at}


def settle(caches: Any, pair: list[Any]) -> None:
    """Until both listen and have heard everything said so far: a value written now is dropped by the other."""
    for writer, reader in (pair, pair[::-1]):

        def heard(writer: Any = writer, reader: Any = reader) -> bool:
            if not all(cache.get_stats().listening for cache in pair):
                return False
            reader.local.set("~settled", 1, ttl=60)
            return bool(writer.delete("~settled").everywhere) and not caches_hold(reader)

        caches.eventually(heard)


def caches_hold(cache: Any) -> bool:
    """Waits a moment for the news to arrive."""
    for _ in range(200):
        if cache.local.ttl("~settled") is None:
            return False
        PAUSE.wait(0.0005)
    return True
