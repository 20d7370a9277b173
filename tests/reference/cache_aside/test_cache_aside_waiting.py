"""Waiting for a load in another process: what it costs, who is told, and what if nobody tells.

A cache with a client of its own stands for another process; Redis knows no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
from redis.crc import key_slot

import redis_perf_reference.asyncio.cache_aside as asyncio_cache_aside
import redis_perf_reference.asyncio.entries as asyncio_entries
import redis_perf_reference.sync.cache_aside as sync_cache_aside
import redis_perf_reference.sync.entries as sync_entries
from pytest_redisperf import RedisPerf
from redis_perf_reference.lifetime import WithTtl
from redis_perf_reference.resources import script

NAME = "cache:key"
HOLDER = "h" * 16


class Elsewhere:
    """Another process: loads `key`, and ends with `value` or raises it as soon as `then` has been true, or has done
    what it does."""

    def __init__(self, caches: Any, then: Callable[[], Any], value: Any = "theirs", key: str = "key") -> None:
        self._began, self.error = Event(), None
        self._then, self._value, self._caches = then, value, caches
        self._thread = Thread(target=self._get, args=(caches.sync_cache(), key))
        self._thread.start()
        assert self._began.wait(20)

    def _get(self, cache: Any, key: str) -> None:
        with suppress(LookupError):
            cache.get_with_cache(key, self._load)

    def _load(self) -> Any:
        self._began.set()
        self._then()
        if isinstance(self._value, Exception):
            raise self._value
        return self._value

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def blocked(caches: Any, count: int = 1) -> None:
    """Returns once so many are blocked on the server."""
    for _ in range(20_000):
        if caches.redis.info("clients")["blocked_clients"] >= count:
            return
    raise AssertionError("nobody waits")


@pytest.fixture
def elsewhere(caches: Any) -> Iterator[Callable[..., Elsewhere]]:
    """Begins a load there, which goes on till somebody here waits for it."""
    begun: list[Elsewhere] = []

    def begin(value: Any = "theirs", *, then: Callable[[], Any] | None = None, key: str = "key") -> Elsewhere:
        begun.append(Elsewhere(caches, then or partial(blocked, caches), value, key))
        return begun[-1]

    yield begin
    for one in begun:
        one.join()


def set_silence(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in (sync_cache_aside, asyncio_cache_aside):
        monkeypatch.setattr(module, "SILENCE_SECONDS", seconds)


def commands(caches: Any, *names: str) -> list[int]:
    stats = caches.redis.info("commandstats")
    return [stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names]


def unreachable() -> str:
    raise AssertionError("nobody loads here")


def held_by_one_who_died(caches: Any, lease_ms: int) -> None:
    caches.redis.evalsha(script("lease").sha, 1, NAME, HOLDER, lease_ms, "0", 0)


def test_a_waiter_pays_its_look_and_one_read_that_brings_the_value(
    redisperf: RedisPerf, caches: Any, elsewhere: Any
) -> None:
    cache = caches.cache()
    cache.get("warm")
    elsewhere()
    with redisperf.record() as spent:
        assert cache.get_with_cache("key", unreachable) == "theirs"
    names = [trip.operations[0].name for trip in spent.trace.redis]
    assert [name for name in names if name not in ("INFO", "HELLO", "CLIENT")][:2] == ["EVALSHA", "XREAD"]
    assert (names.count("EVALSHA"), names.count("XREAD")) == (2, 1)  # one EVALSHA is the other's fill


def test_five_who_wait_in_one_process_are_five_looks_and_one_read(caches: Any, elsewhere: Any) -> None:
    cache = caches.cache()
    elsewhere(then=lambda: (caches.until_scripts_run(5), blocked(caches)))
    caches.redis.config_resetstat()
    assert cache.together(5, "key", unreachable) == ["theirs"] * 5
    assert commands(caches, "evalsha", "xread") == [6, 1]


def test_waiters_in_several_processes_are_all_told(caches: Any, elsewhere: Any) -> None:
    both = [caches.cache().cache for _ in range(2)]
    elsewhere(then=lambda: blocked(caches, 2))
    caches.redis.config_resetstat()
    loader = caches.loader(unreachable)
    assert caches.together([partial(cache.get_with_cache, "key", loader) for cache in both]) == ["theirs"] * 2
    assert commands(caches, "evalsha", "xread", "xadd") == [3, 2, 1]


def test_where_nobody_waits_nothing_more_is_written(caches: Any, source: Any) -> None:
    caches.redis.config_resetstat()
    caches.cache().get_with_cache("key", source)
    assert commands(caches, "set", "setrange", "xadd") == [2, 0, 0]
    assert caches.redis.keys("*") == [NAME.encode()]


@pytest.mark.parametrize("name", ["key", "{tag}:key"])
def test_what_is_told_lies_in_the_entry_s_slot_and_is_gone_soon(caches: Any, elsewhere: Any, name: str) -> None:
    elsewhere(key=name)
    assert caches.cache().get_with_cache(name, unreachable) == "theirs"
    (stream,) = caches.redis.keys("load:*")
    assert key_slot(stream) == key_slot(f"cache:{name}".encode())
    assert 0 < caches.redis.pttl(stream) <= 1000


@pytest.mark.parametrize("value", [None, "", 0, False, []])
def test_trap_15_a_falsy_value_is_told(caches: Any, elsewhere: Any, value: Any) -> None:
    elsewhere(value)
    assert caches.cache().get_with_cache("key", unreachable) == value


@pytest.mark.parametrize("value", [LookupError("no such user"), WithTtl("unkept", 0)], ids=["failed", "not kept"])
def test_a_load_that_leaves_nothing_is_told_and_the_waiter_loads(
    caches: Any, elsewhere: Any, source: Any, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    set_silence(monkeypatch, 60)
    elsewhere(value)
    cache = caches.cache()
    assert cache.get_with_cache("key", source) == "value"
    assert (source.loads, cache.get("key")) == (1, "value")


def test_who_waits_is_told_of_a_write_before_the_load_has_ended(
    caches: Any, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_silence(monkeypatch, 60)
    writer, answered = caches.sync_cache(), Event()
    elsewhere(then=lambda: (blocked(caches), writer.set("key", "written"), answered.wait(20)))
    assert caches.cache().get_with_cache("key", unreachable) == "written"
    answered.set()


def test_trap_17_who_waits_is_told_of_a_delete_and_loads_anew(
    caches: Any, elsewhere: Any, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_silence(monkeypatch, 60)
    writer, answered = caches.sync_cache(), Event()
    elsewhere(then=lambda: (blocked(caches), writer.delete("key"), answered.wait(20)))
    cache = caches.cache()
    assert cache.get_with_cache("key", source) == "value"
    answered.set()
    assert (source.loads, cache.get("key")) == (1, "value")


def test_a_lease_that_nobody_tells_the_end_of_is_noticed_in_silence(
    caches: Any, elsewhere: Any, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evicted, flushed, or removed by somebody who knows nothing of waiting."""
    set_silence(monkeypatch, 0.05)
    answered = Event()
    elsewhere(then=lambda: (blocked(caches), caches.redis.unlink(NAME), answered.wait(20)))
    assert caches.cache().get_with_cache("key", source) == "value"
    answered.set()
    assert source.loads == 1


def test_a_loader_that_died_is_waited_for_until_its_lease_is_over(
    caches: Any, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_silence(monkeypatch, 60)
    held_by_one_who_died(caches, 200)
    caches.redis.config_resetstat()
    cache = caches.cache()
    assert cache.get_with_cache("key", source) == "value"
    assert (source.loads, cache.get("key")) == (1, "value")
    assert commands(caches, "xread") == [1]


def test_who_may_answer_with_a_stale_value_waits_for_the_new_one(caches: Any, elsewhere: Any) -> None:
    cache = caches.cache(ttl=0.001, stale_if_error=60)
    cache.set("key", "old")
    caches.until(lambda: cache.get("key") is None)
    elsewhere()
    assert cache.get_with_cache("key", unreachable) == "theirs"


def test_where_a_stale_value_is_answered_nobody_waits(caches: Any, elsewhere: Any) -> None:
    cache, answered = caches.cache(ttl=0.001, stale_while_revalidate=60), Event()
    cache.set("key", "old")
    caches.until(lambda: cache.get("key") is None)
    elsewhere(then=lambda: answered.wait(20))
    caches.redis.config_resetstat()
    assert cache.get_with_cache("key", unreachable) == "old"
    answered.set()
    assert commands(caches, "xread", "setrange") == [0, 0]


@pytest.mark.parametrize("mode", ["refuse", "lose_reply"])
def test_trap_20_who_waits_when_redis_goes_away_loads(
    caches: Any, redis_relay: Any, elsewhere: Any, source: Any, mode: str
) -> None:
    def go_away() -> None:
        blocked(caches)
        redis_relay.mode = mode

    elsewhere(then=go_away)
    assert caches.cache(redis_relay.address).get_with_cache("key", source) == "value"
    assert caches.cache().get("key") == "theirs"


def test_a_wait_lasts_longer_than_the_client_s_timeout(caches: Any, source: Any) -> None:
    """And the client knows that Redis is there all the same."""
    client = caches.client(timeout_seconds=0.2)
    held_by_one_who_died(caches, 400)
    caches.redis.config_resetstat()
    assert caches.cache(client=client).get_with_cache("key", source) == "value"
    assert (client.available, commands(caches, "xread")) == (True, [1])


def test_no_more_connections_are_blocked_than_was_said(
    caches: Any, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sync_entries, asyncio_entries):
        monkeypatch.setattr(module, "MOST_BLOCKED", 1)
        monkeypatch.setattr(module, "UNTOLD_SECONDS", 0.01)
    keys, begun = ["a", "b", "c"], Event()
    for key in keys:
        elsewhere(key, key=key, then=lambda: begun.wait(20))
    cache = caches.cache().cache
    caches.redis.config_resetstat()
    most: list[int] = []

    def look() -> None:
        caches.until_scripts_run(5)
        most.append(caches.redis.info("clients")["blocked_clients"])
        begun.set()

    loader = caches.loader(unreachable)
    calls: list[Any] = [partial(cache.get_with_cache, key, loader) for key in keys]
    assert caches.together([*calls, caches.loader(look)])[:3] == keys
    assert most == [1]


def test_a_batch_looks_once_for_all_that_others_have_loaded_while_it_loaded_its_own(
    caches: Any, elsewhere: Any
) -> None:
    """What they told may be gone by then."""
    go_on = Event()
    others = [elsewhere(key, key=key, then=lambda: go_on.wait(20)) for key in ("a", "b")]

    def load(key: str) -> str:
        go_on.set()
        for other in others:
            other.join()
        caches.redis.delete(*caches.redis.keys("load:*"))
        return key

    batch = caches.batch_cache()
    caches.redis.config_resetstat()
    assert batch.get_many_with_cache(["a", "own", "b"], load) == {"a": "a", "own": "own", "b": "b"}
    assert commands(caches, "evalsha", "xread") == [5, 0]  # two looks and three fills, of which two are the others'
