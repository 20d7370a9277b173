"""Many keys in the round trips of one, each of them as sound as if it had been asked for alone."""

from __future__ import annotations

import asyncio
from threading import Barrier, Lock
from typing import Any

import pytest

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.asyncio.batch_cache_aside import BatchCacheAside
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.cache_input import InvalidKey
from redis_perf_reference.lifetime import WithTtl
from redis_perf_reference.observer import Silent

KEYS = [f"key {number}" for number in range(20)]


class KeyedSource:
    """Knows the value of each key, and which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: set[str] = set()

    def __call__(self, key: str) -> Any:
        self.asked.append(key)
        if key in self.failing:
            raise LookupError(key)
        return key.upper()


def values_of(keys: list[str]) -> dict[str, str]:
    return {key: key.upper() for key in keys}


@pytest.fixture
def keyed() -> KeyedSource:
    return KeyedSource()


@pytest.fixture
def batch(caches: Any) -> Any:
    """Connected."""
    batch = caches.batch_cache()
    batch.get("warm")
    return batch


def test_many_misses_are_two_round_trips_and_many_hits_one(redisperf: RedisPerf, batch: Any, keyed: Any) -> None:
    with redisperf.budget(redis=exactly(2)):
        assert batch.get_many_with_cache(KEYS, keyed) == values_of(KEYS)
    with redisperf.budget(redis=exactly(1)):
        assert batch.get_many_with_cache(KEYS, keyed) == values_of(KEYS)
    assert sorted(keyed.asked) == sorted(KEYS)


def test_only_the_missing_ones_are_loaded(redisperf: RedisPerf, batch: Any, keyed: Any) -> None:
    batch.set("key 3", "THREE")
    with redisperf.budget(redis=exactly(2)):
        answers = batch.get_many_with_cache(["key 2", "key 3", "key 2"], keyed)
    assert (answers, keyed.asked) == ({"key 2": "KEY 2", "key 3": "THREE"}, ["key 2"])


def test_no_keys_are_no_round_trip(redisperf: RedisPerf, batch: Any, keyed: Any) -> None:
    with redisperf.budget(redis=0):
        assert batch.get_many_with_cache([], keyed) == {}


def test_no_more_loads_run_at_once_than_was_said(caches: Any, batch: Any) -> None:
    lock, running, most = Lock(), [0], [0]
    together = Barrier(3)

    def load(key: str) -> str:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait(10)  # so three do run at once
        with lock:
            running[0] -= 1
        together.wait(10)
        return key

    batch.get_many_with_cache(KEYS[:9], load, at_once=3)
    assert most == [3]


def test_if_one_fails_the_others_are_kept_and_its_lease_is_free(redisperf: RedisPerf, batch: Any, keyed: Any) -> None:
    keyed.failing = {"key 1"}
    with redisperf.budget(redis=exactly(3)), pytest.raises(LookupError, match="key 1"):
        batch.get_many_with_cache(KEYS, keyed)
    keyed.failing, keyed.asked = set(), []
    assert batch.get_many_with_cache(KEYS, keyed) == values_of(KEYS)
    assert keyed.asked == ["key 1"]


def test_trap_16_a_reader_of_one_key_waits_for_the_batch_that_loads_it(caches: Any, batch: Any) -> None:
    loads = []

    def load(key: str) -> str:
        loads.append(key)
        caches.until_scripts_run(2)  # both have looked
        return "value"

    many, one = caches.loader(load), caches.loader(lambda: load("key"))
    caches.redis.config_resetstat()
    answers = caches.together(
        [lambda: batch.cache.get_many_with_cache(["key"], many), lambda: batch.cache.get_with_cache("key", one)]
    )
    assert (answers, loads) == ([{"key": "value"}, "value"], ["key"])


def test_two_batches_in_opposite_order_do_not_wait_in_a_circle(caches: Any, batch: Any) -> None:
    """Each holds one lease that the other wants; the leases would hold for an hour."""
    first, second = (caches.batch_cache(lease_seconds=3600) for _ in range(2))

    def load(key: str) -> str:
        caches.until_scripts_run(2)  # both have looked
        return key.upper()

    caches.redis.config_resetstat()
    calls = [
        lambda cache=cache, keys=keys: cache.cache.get_many_with_cache(keys, caches.loader(load), at_once=1)
        for cache, keys in ((first, ["a", "b"]), (second, ["b", "a"]))
    ]
    assert caches.together(calls) == [values_of(["a", "b"])] * 2


def test_trap_17_what_was_deleted_while_the_batch_loads_stays_deleted(caches: Any, batch: Any) -> None:
    def load(key: str) -> str:
        if key == "deleted":
            caches.sync_cache().delete(key)
        return "old"

    assert batch.get_many_with_cache(["deleted", "kept"], load) == {"deleted": "old", "kept": "old"}
    assert (batch.get("deleted"), batch.get("kept")) == (None, "old")


def test_trap_19_what_cannot_be_read_is_loaded_anew(caches: Any, batch: Any, keyed: Any) -> None:
    caches.batch_cache().set("key 1", "value")
    caches.redis.setrange("cache:key 1", 67, b"\x01{")
    assert batch.get_many_with_cache(KEYS, keyed) == values_of(KEYS)
    assert batch.get("key 1") == "KEY 1"


def test_what_a_cancelled_caller_was_loading_is_kept(redis_url: str) -> None:
    async def scenario() -> None:
        client = RedisClient(redis_url, timeout_seconds=5)
        loading, on, filled = asyncio.Event(), asyncio.Event(), asyncio.Event()

        class Watching(Silent):
            def seconds(self, operation: str, seconds: float) -> None:
                if operation == "fill":
                    filled.set()

        cache = BatchCacheAside(client, observer=Watching())

        async def load(key: str) -> str:
            loading.set()
            await on.wait()
            return key

        call = asyncio.create_task(cache.get_many_with_cache(KEYS[:2], load))
        await loading.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        on.set()
        await filled.wait()
        assert [await cache.get(key) for key in KEYS[:2]] == KEYS[:2]
        await client.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_trap_20_without_redis_all_are_loaded(caches: Any, redis_relay: Any, keyed: Any) -> None:
    batch = caches.batch_cache(caches.client(redis_relay.address))
    redis_relay.mode = "refuse"
    assert batch.get_many_with_cache(KEYS, keyed) == values_of(KEYS)
    assert sorted(keyed.asked) == sorted(KEYS)


def test_each_value_lives_as_long_as_its_loader_says(caches: Any, batch: Any) -> None:
    answers = {"brief": WithTtl(1, 20), "unkept": WithTtl(2, 0), "usual": 3, "nothing": None}
    assert batch.get_many_with_cache(answers, answers.__getitem__, 600, negative_ttl=50) == {
        "brief": 1,
        "unkept": 2,
        "usual": 3,
        "nothing": None,
    }
    tens_of_seconds = [-(-caches.redis.pttl(f"cache:{key}") // 10_000) for key in answers]
    assert tens_of_seconds == [2, 0, 60, 5]


def test_values_past_their_time_are_renewed(caches: Any) -> None:
    batch = caches.batch_cache(stale_if_error=60)
    batch.set("old", "old", 0.001)
    caches.until(lambda: batch.get("old") is None)
    renewed = caches.loader(lambda key, value: f"{key}, {value}!")
    answers = batch.get_many_with_cache(["old", "new"], lambda key: key.upper(), revalidate=renewed)
    assert answers == {"old": "old, old!", "new": "NEW"}


def test_a_bad_key_sends_nothing(redisperf: RedisPerf, batch: Any, keyed: Any) -> None:
    with redisperf.budget(redis=0):
        with pytest.raises(InvalidKey, match="key holds a control character"):
            batch.get_many_with_cache(["key", "ke\ny"], keyed)
        with pytest.raises(ValueError, match="at_once=0: must be above 0"):
            batch.get_many_with_cache(["key"], keyed, at_once=0)
    assert keyed.asked == []
