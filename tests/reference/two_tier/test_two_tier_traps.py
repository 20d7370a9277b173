"""The ways in which a cache of two tiers was seen to answer wrongly, or to cost too much; one test for each."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import redis_perf
from redis_perf_reference.cache_input import InvalidKey
from redis_perf_reference.codec import Codec
from redis_perf_reference.pattern import PatternRefused, escape


class Persona(msgspec.Struct, frozen=True):
    name: str
    born: datetime
    traits: tuple[str, ...]
    scores: tuple[tuple[int, float], ...] = ()


def test_trap_15_what_is_falsy_or_none_is_a_hit(caches: Any) -> None:
    here, there, missing = caches.two_tier(), caches.two_tier(), object()
    values = {"a": "", "b": 0, "c": None, "d": [], "e": False}
    here.set_many(values, ttl=60)
    for cache in (here, there):
        assert {key: cache.get(key, missing) for key in values} == values
        assert cache.get("f", missing) is missing


@pytest.mark.parametrize("damage", [b"", b"\x01{", b"\x11not zlib", b"{}", b"\x7f{}"])
def test_trap_19_what_cannot_be_read_is_a_miss_and_removed(caches: Any, damage: bytes) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    here.set("key", "value", ttl=60)
    record = caches.redis.get("{cache}:v:key")
    caches.redis.set("{cache}:v:key", record.split(b"\n")[0] + b"\n" + damage, ex=60)
    assert there.get_many(["key"]) == {}
    assert there.get_stats().l2.undecodable == 1
    unknown_format = damage in (b"{}", b"\x7f{}")  # a newer release's, maybe: the next write replaces it
    assert caches.redis.exists("{cache}:v:key") == int(unknown_format)


def test_trap_23_a_copy_does_not_outlive_what_it_was_copied_from(caches: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    here.set("key", "value", ttl=60)
    caches.redis.pexpire("{cache}:v:key", 20_000)
    caches.held(there, "key", "value")
    assert 0 < there.local.ttl("key") <= 20
    caches.redis.persist("{cache}:v:key")
    assert caches.two_tier().get("key") is None  # nothing here lives for ever


def test_trap_24_a_write_reaches_the_copies_of_other_processes(caches: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    for change in (
        lambda: here.set("a:b", "new", ttl=60),
        lambda: here.set_many({"a:b": "new"}, ttl=60),
        lambda: here.delete("a:b"),
        lambda: here.invalidate_tags("tag"),
        lambda: here.invalidate_pattern("a:*"),
        lambda: here.delete_pattern("a:?"),
        lambda: here.clear(),
    ):
        here.set("a:b", "old", ttl=60, tags=["tag"])
        caches.held(there, "a:b", "old")
        change()
        caches.eventually(lambda: there.local.ttl("a:b") is None)
        assert there.get("a:b") == here.get("a:b")


def test_trap_24_copies_are_dropped_when_the_subscription_drops(caches: Any) -> None:
    here, there = caches.shared(), caches.two_tier()
    here.set("key", "old", ttl=60)
    caches.held(there, "key", "old")
    caches.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    caches.eventually(lambda: there.local.ttl("key") is None)
    here.set("key", "new", ttl=60)
    assert there.get("key") == "new"
    caches.eventually(lambda: there.get_stats().listening)


def test_trap_24_copies_live_shortly_while_nothing_is_heard(caches: Any, redis_relay: Any) -> None:
    redis_relay.mode = "refuse"
    cache = caches.two_tier(redis_relay.address, unheard_ttl=10)
    assert cache.set("key", "value", ttl=60).skipped
    assert 0 < cache.local.ttl("key") <= 10
    redis_relay.mode = "pass"
    caches.eventually(lambda: cache.get_stats().listening)
    caches.eventually(lambda: cache.set("key", "value", ttl=60).everywhere)
    assert cache.local.ttl("key") > 10


def test_trap_25_keys_are_counted_once_and_only_what_matches_is_deleted(caches: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    users = ["*", "?", "[a]", "\\", "a", "aa"]
    for user in users:
        here.set(f"persona:{user}:name", user, ttl=60)
        caches.held(there, f"persona:{user}:name", user)
    for user in users[:4]:
        assert here.delete_pattern(f"persona:{escape(user)}:*").count == 1
    assert here.get_many([f"persona:{user}:name" for user in users]) == {"persona:a:name": "a", "persona:aa:name": "aa"}
    assert here.delete_pattern("persona:?:*").count == 1
    assert here.delete_pattern("persona:*").count == 1


@pytest.mark.parametrize("pattern", ["*", "**", "*?", "?*", "*:*", ":*"])
def test_trap_25_a_pattern_that_matches_everything_is_refused(caches: Any, pattern: str) -> None:
    cache = caches.two_tier()
    cache.set("a:b", 1, ttl=60)
    for call in (cache.delete_pattern, cache.invalidate_pattern):
        with pytest.raises(PatternRefused, match=r"^pattern '.*' would match every key: name a part of the keys"):
            call(pattern)
    assert cache.get("a:b") == 1


@pytest.mark.parametrize("kind", ["shared", "two_tier", "alone"])
@pytest.mark.parametrize(("keys", "words"), [("abc", "^keys is str"), (7, "^keys is int"), (["a", 7], "^key is int")])
def test_get_many_refuses_what_is_not_several_keys(caches: Any, kind: str, keys: Any, words: str) -> None:
    cache = getattr(caches, kind)()
    cache.set("a", 1, ttl=60)
    with pytest.raises(InvalidKey, match=words):
        cache.get_many(keys)
    assert cache.get_many(["a", "a"]) == cache.get_many(iter("a")) == {"a": 1}


@pytest.mark.parametrize("call", [lambda cache: cache.delete("a:b"), lambda cache: cache.delete_pattern("a:*")])
def test_deletions_count_what_redis_held_also_if_it_counted_no_more(caches: Any, call: Any) -> None:
    cache = caches.two_tier()
    cache.set("a:b", 1, ttl=60)
    cache.invalidate_pattern("a:*")
    assert [call(cache).count for _ in range(2)] == [1, 0]


def test_trap_26_clearing_leaves_everything_that_is_not_this_cache(caches: Any) -> None:
    caches.redis.config_resetstat()
    caches.redis.rpush("queue", "job")
    here, neighbour = caches.two_tier(), caches.two_tier(shared={"namespace": "cache2"})
    here.set("key", 1, ttl=60)
    neighbour.set("key", 2, ttl=60)
    here.clear()
    assert (here.get("key"), neighbour.get("key"), caches.redis.lrange("queue", 0, -1)) == (None, 2, [b"job"])
    here.set("key", 1, ttl=60)
    assert caches.shared().sweep() == 1
    assert (caches.redis.exists("{cache}:v:key"), caches.redis.exists("{cache2}:v:key", "queue")) == (0, 2)
    assert not {"cmdstat_flushdb", "cmdstat_flushall"} & caches.redis.info("commandstats").keys()


def test_trap_27_a_change_of_one_persona_leaves_the_others(caches: Any) -> None:
    cache = caches.two_tier()
    cache.set_many({"persona:lua:name": 1, "persona:lua2:name": 2, "persona:lu*:name": 3}, ttl=60)
    cache.invalidate_pattern(f"persona:{escape('lua')}:*")
    assert cache.get_many(["persona:lua:name", "persona:lua2:name"]) == {"persona:lua2:name": 2}
    cache.invalidate_pattern(f"persona:{escape('lu*')}:*")
    assert cache.get_many(["persona:lu*:name", "persona:lua2:name"]) == {"persona:lua2:name": 2}


def test_trap_29_both_tiers_hand_out_equal_values_and_nobody_shares_what_can_change(caches: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    mine = {"list": [1, {"deep": "x"}]}
    here.set("key", mine, ttl=60)
    caches.held(there, "key", {"list": [1, {"deep": "x"}]})
    for cache in (here, there):
        mine["list"].append("mine")
        cache.get("key")["list"].append("theirs")
        assert cache.get("key") == {"list": [1, {"deep": "x"}]}


def test_trap_29_a_type_brings_tuples_datetimes_and_whole_number_keys_back(caches: Any) -> None:
    typed = {"codec": Codec(dict[int, Persona])}
    here, there = caches.two_tier(shared=typed), caches.two_tier(shared=typed)
    value = {7: Persona("Lua", datetime(2026, 1, 2, tzinfo=UTC), ("calm", "shy"), ((1, 0.5),))}
    here.set("key", value, ttl=60)
    caches.held(there, "key", value)
    assert here.get("key") == there.get("key") == caches.two_tier(shared=typed).get("key") == value


def test_trap_30_many_threads_and_an_expiry_leave_bounds_and_counts_right(caches: Any) -> None:
    cache, errors = caches.alone(max_size=50), []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 300):
                cache.set(f"key:{number % 80}", number, ttl=60)
                cache.get(f"key:{(number * 7) % 80}")
                cache.delete(f"key:{(number * 3) % 80}")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(100 * start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.get_stats()
    assert errors == []
    assert stats.l1.size <= 50
    assert stats.requests == 1200


def test_trap_31_the_numbers_add_up(caches: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    here.set_many({"a": 1, "b": 2}, ttl=60)
    caches.held(there, "a", 1)
    for key in ("a", "a", "b", "c"):
        there.get(key)
    there.get_many(["a", "c", "d"])
    stats = there.get_stats()
    assert stats.l1.misses == stats.l2.lookups
    assert stats.hits == stats.l1.hits + stats.l2.hits
    assert stats.misses == stats.l2.misses == 3
    assert stats.requests == stats.hits + stats.misses
    assert stats.hit_rate == stats.hits / stats.requests


def test_trap_32_nothing_is_permanent_and_many_are_preloaded_at_once(caches: Any) -> None:
    cache = caches.two_tier()
    cache.set("warm", 1, ttl=60)
    with redis_perf.record() as trace:
        cache.set_many({f"persona:{number}": number for number in range(20)}, ttl=60, tags=["persona"])
    assert trace.redis.round_trips == 1
    lives = [caches.redis.pttl(key) for key in caches.redis.scan_iter()]
    assert len(lives) == 21 + 3
    assert all(0 < life <= 120_000 for life in lives)


def test_what_a_stranger_wrote_is_a_miss_and_hides_no_other_value(caches: Any) -> None:
    cache = caches.shared()
    cache.set_many({"a": 1, "c": 3}, ttl=60)
    caches.redis.set("{cache}:v:b", b"no line of stamps", px=60_000)
    assert cache.get_many(["a", "b", "nothing", "c"]) == {"a": 1, "c": 3}
    found = cache.find(["b", "nothing", "c"])
    assert {key: (one.value, 50 < one.ttl <= 60) for key, one in found.items()} == {"c": (3, True)}
