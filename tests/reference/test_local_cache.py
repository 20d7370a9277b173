"""LocalCache, on either LRU: order, age, bounds, copies, numbers."""

from __future__ import annotations

import gc
import importlib.util
import sys
import threading
import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf_reference.cache_input import MAX_KEY_BYTES, InvalidKey, InvalidTtl, checked_key
from redis_perf_reference.cache_message import Message
from redis_perf_reference.codec import Codec, Unencodable
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.lru import PlainLru, new_lru
from redis_perf_reference.near_cache import NearCache
from redis_perf_reference.pattern import Pattern, PatternRefused, escape

LRUS = {"plain": PlainLru} | ({"cachebox": new_lru} if importlib.util.find_spec("cachebox") else {})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=LRUS)
def new_cache(request: pytest.FixtureRequest, clock: Clock) -> Any:
    LRUS[request.param]()  # imports what it is made of, which is no memory of a cache's
    return lambda *args, **options: LocalCache(*args, clock=clock, lru=LRUS[request.param](), **options)


def test_values_are_there_for_their_time(new_cache: Any, clock: Clock) -> None:
    cache = new_cache()
    cache.set("key1", {"data": "value"}, ttl=300)
    clock.now = 299.9
    assert cache.get("key1") == {"data": "value"}
    assert cache.ttl("key1") == pytest.approx(0.1)
    clock.now = 300
    assert (cache.get("key1"), cache.get("key1", 7), cache.ttl("key1"), len(cache)) == (None, 7, None, 0)


def test_the_least_recently_used_leaves_first(new_cache: Any) -> None:
    cache = new_cache(3)
    for key in "abc":
        cache.set(key, key, ttl=60)
    cache.get("a")
    cache.set("b", "again", ttl=60)
    cache.set("d", "d", ttl=60)
    assert [cache.get(key) for key in "abcd"] == ["a", "again", None, "d"]
    assert cache.get_stats().evicted == 1


def test_trap_30_entries_that_expired_make_room_before_others_are_evicted(new_cache: Any, clock: Clock) -> None:
    cache = new_cache(3, max_bytes=10_000)
    cache.set("used long ago", 1, ttl=60)
    cache.set("short", 2, ttl=1)
    cache.set("short too", 3, ttl=1)
    used = cache.get_stats().used_bytes
    clock.now = 1
    assert cache.get_stats().used_bytes < used / 2
    for key in "ab":
        cache.set(key, key, ttl=60)
    stats = cache.get_stats()
    assert (cache.get("used long ago"), stats.size, stats.evicted, stats.expired) == (1, 3, 0, 2)


def test_writing_again_leaves_nothing_of_the_old_entry(new_cache: Any, clock: Clock) -> None:
    cache = new_cache(10)
    for ttl in range(1, 500):
        cache.set("key", "x", ttl=ttl)
    assert len(cache._deadlines) < 50
    clock.now = 400
    assert (cache.get("key"), cache.get_stats().expired) == ("x", 0)
    cache.delete("key")
    assert cache.get_stats().used_bytes == 0


def test_writing_again_at_the_same_time_leaves_nothing_of_the_old_entry_either(new_cache: Any, clock: Clock) -> None:
    cache = new_cache(10)
    for number in range(500):
        cache.set("key", "x", ttl=60 + number % 2)
    assert len(cache._deadlines) < 50
    clock.now = 60
    assert (cache.get("key"), cache.get_stats().expired) == ("x", 0)
    clock.now = 61
    assert (cache.get("key"), cache.get_stats().expired) == (None, 1)


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_the_byte_bound_holds_within_a_tenth(new_cache: Any, size: int) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = new_cache(10**6, max_bytes=400_000)
        for number in range(3000):
            cache.set(f"persona:lua:{number % 2500}", {"text": "x" * (size + number % 7)}, ttl=60 + number % 13)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache.get_stats().used_bytes <= 400_000  # cachebox's own map is not seen by tracemalloc
    assert 0.6 * 400_000 <= used <= 1.1 * 400_000


def test_the_byte_bound_holds_at_every_moment_while_everything_is_replaced(new_cache: Any) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = new_cache(10**6, max_bytes=1_000_000)
        for number in range(9000):
            cache.set(f"persona:lua:{number}", number, ttl=60 + number % 13)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert (cache.get_stats().evicted > 6000, most <= 1.1 * 1_000_000) == (True, True)


def test_1000_items_of_the_seeds_kind_take_less_than_4_mb(new_cache: Any) -> None:
    tracemalloc.start()
    try:
        cache = new_cache(1000)
        for number in range(1000):
            prompt = {
                "persona": "lua",
                "prompt": f"{number} " + "You are Lua, a calm companion. " * 60,
                "scores": [0.1] * 9,
            }
            cache.set(f"prompt:lua:{number}", prompt, ttl=3600)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (len(cache), used < 4 * 2**20) == (1000, True)


def test_what_is_larger_than_the_bound_is_not_kept_and_nothing_leaves_for_it(new_cache: Any) -> None:
    cache = new_cache(max_bytes=2000)
    cache.set("small", 1, ttl=60)
    cache.set("large", "x", ttl=60)
    cache.set("large", "x" * 3000, ttl=60)
    stats = cache.get_stats()
    assert (cache.get("small"), cache.get("large"), stats.too_large, stats.evicted) == (1, None, 1, 0)


class Traits(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


def test_trap_29_what_can_change_is_copied_and_what_cannot_is_shared(new_cache: Any) -> None:
    copying, sharing = new_cache(), new_cache(codec=Codec(Traits))
    copying.set("key", [1], ttl=60)
    copying.get("key").append(2)
    assert copying.get("key") == [1]
    sharing.set("key", Traits(("calm",)), ttl=60)
    assert sharing.get("key") is sharing.get("key")


def test_tags_patterns_and_clear_count_what_they_delete(new_cache: Any, clock: Clock) -> None:
    cache = new_cache()
    cache.set("old", 0, ttl=1, tags=["red"])
    clock.now = 1
    for number in range(6):
        cache.set(f"persona:{number}", number, ttl=60, tags=["red"] if number % 2 else ["blue", "green"])
    assert (cache.invalidate_tags("red", "none"), cache.invalidate_tags("green", "blue")) == (3, 3)
    for key in ("persona:lua:1", "persona:lua:2", "routing:1"):
        cache.set(key, 1, ttl=60)
    assert (cache.delete("routing:1"), cache.delete("routing:1")) == (True, False)
    assert (cache.delete_pattern("persona:lua:*"), cache.clear()) == (2, 0)


def test_stats_are_numbers(new_cache: Any) -> None:
    cache = new_cache(10)
    assert cache.get_stats().hit_rate == 0.0
    cache.set("a", None, ttl=60)
    for key in "aaab":
        cache.get(key)
    stats = cache.get_stats()
    assert (stats.hits, stats.misses, stats.hit_rate, stats.size, stats.max_size) == (3, 1, 0.75, 1, 10)


@pytest.fixture
def switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_trap_30_threads_at_once_break_nothing(new_cache: Any) -> None:
    cache, errors = new_cache(20, max_bytes=20_000), []

    def work(offset: int) -> None:
        try:
            for number in range(400):
                cache.set(f"k{(number * 7 + offset) % 40}", [number], ttl=60)
                value = cache.get(f"k{(number * 3) % 40}")
                assert value is None or isinstance(value[0], int)
                if number % 50 == 0:
                    cache.delete_pattern("k1*")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.get_stats()
    assert errors == []
    assert (stats.size <= 20, stats.hits + stats.misses) == (True, 1600)
    cache.clear()
    assert cache.get_stats().used_bytes == 0


steps = st.lists(
    st.tuples(st.sampled_from(["get", "set", "delete", "wait"]), st.integers(0, 5), st.integers(1, 4)), max_size=60
)


@given(steps=steps, lru=st.sampled_from(sorted(LRUS)))
def test_it_does_what_a_simple_model_does(steps: list[tuple[str, int, int]], lru: str) -> None:
    clock, model = Clock(), OrderedDict[str, tuple[float, int]]()
    cache = LocalCache(3, clock=clock, lru=LRUS[lru]())
    for at, (step, number, amount) in enumerate(steps):
        key = f"k{number}"
        for name in [name for name, (deadline, _) in model.items() if deadline <= clock.now]:
            del model[name]
        if step == "wait":
            clock.now += amount
        elif step == "delete":
            assert cache.delete(key) == (model.pop(key, None) is not None)
        elif step == "get":
            assert cache.get(key) == (model[key][1] if key in model else None)
            if key in model:
                model.move_to_end(key)
        else:
            cache.set(key, at, ttl=amount)
            model[key] = (clock.now + amount, at)
            model.move_to_end(key)
            if len(model) > 3:
                model.popitem(last=False)
        assert cache._used_bytes == sum(entry[3] for _, entry in cache._entries.items())


@pytest.mark.parametrize("ttl", [0, -1, 0.0001, float("nan"), float("inf"), 1e12, True, "60", None])
def test_a_time_to_live_that_is_none_is_refused(new_cache: Any, ttl: Any) -> None:
    cache = new_cache()
    with pytest.raises(InvalidTtl, match=r"^ttl is "):
        cache.set("key", 1, ttl=ttl)
    assert len(cache) == 0


@pytest.mark.parametrize("key", ["", "a\nb", "\x00", "\ud800", b"key", None, 7])
def test_a_key_that_is_none_is_refused(new_cache: Any, key: Any) -> None:
    cache = new_cache()
    with pytest.raises(InvalidKey, match=r"^key (is|holds) "):
        cache.set(key, 1, ttl=60)
    with pytest.raises(InvalidKey, match=r"^tags\[1\] (is|holds) "):
        cache.set("key", 1, ttl=60, tags=["a", key])
    with pytest.raises(InvalidKey, match=r"^tags is str, must be several tags"):
        cache.set("key", 1, ttl=60, tags="tag")
    with pytest.raises(Unencodable, match=r"^value: no json of object"):
        cache.set("key", object(), ttl=60)
    assert len(cache) == 0


def test_a_key_that_redis_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_KEY_BYTES == 512 * 1024 * 1024
    monkeypatch.setattr("redis_perf_reference.cache_input.MAX_KEY_BYTES", 10)
    assert checked_key("x" * 10) == "x" * 10
    for key, has in (("x" * 11, "11 characters"), ("é" * 6, "12 bytes")):
        with pytest.raises(InvalidKey, match=rf"^key has {has}: Redis takes 10"):
            checked_key(key)


@pytest.mark.parametrize("bounds", [{"max_size": 0}, {"max_bytes": 0}])
def test_a_bound_of_nothing_is_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"both must be above 0"):
        LocalCache(**bounds)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_an_escaped_part_matches_itself_alone(part: str) -> None:
    pattern = Pattern("p:" + escape(part))
    assert pattern.matches("p:" + part)
    assert not pattern.matches("p:" + part + "x")
    assert (Pattern("p:" + escape(part) + ":*").prefix, pattern.prefix) == (f"p:{part}:", None)


@pytest.mark.parametrize("text", ["a[bc]", "a\\", "*", "?:*"])
def test_a_pattern_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(PatternRefused, match=r"^pattern '.*' (holds a \[|ends in a backslash|would match every key)"):
        Pattern(text)


CHANGES = [
    Message("", "keys", ("a:b",)),
    Message("", "tags", ("t",)),
    Message("", "pattern", ("a:*",)),
    Message("", "all"),
]


@pytest.mark.parametrize("message", CHANGES, ids=lambda message: message.kind)
def test_trap_24_what_was_overtaken_on_its_way_is_not_kept(message: Message) -> None:
    near = NearCache(LocalCache())
    with near.reading(["a:b"]) as passage:
        near.heard(message)
        passage.keep("a:b", b"1", 1, 60, ("t",))
    assert near.local.get("a:b") is None
    with near.reading(["a:b"]) as passage:
        passage.keep("a:b", b"1", 1, 60, ("t",))
    assert (near.local.get("a:b"), near._under_way) == (1, {})
    near.heard(message)
    assert near.local.get("a:b") is None


def test_trap_24_of_two_writes_at_once_neither_is_kept() -> None:
    near = NearCache(LocalCache())
    for first_ends_first in (True, False):
        one, two = near.writing(["k"]), near.writing(["k"])
        one.__enter__()
        two.__enter__()
        for passage, value in ((one, 1), (two, 2)) if first_ends_first else ((two, 2), (one, 1)):
            passage.keep("k", b"%d" % value, value, 60, ())
            passage.__exit__()
        assert (near.local.get("k"), near._under_way) == (None, {})


def test_a_write_that_failed_leaves_no_copy_of_the_old_value() -> None:
    near = NearCache(LocalCache())
    near.local.set("k", "old", ttl=60)
    with pytest.raises(KeyboardInterrupt), near.writing(["k"]):
        raise KeyboardInterrupt
    assert (near.local.get("k"), near._under_way) == (None, {})
