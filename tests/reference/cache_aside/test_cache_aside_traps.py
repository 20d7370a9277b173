"""The ways in which a cache like this was seen to answer wrongly, too slowly, or not at all; tests for each."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest
import redis.asyncio

from redis_perf_reference.codec import Codec, Unencodable
from redis_perf_reference.naive.cache_aside import get_with_cache
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.resources import script

NAME = "cache:key"


@pytest.mark.parametrize("value", ["", 0, 0.0, False, None, [], {}])
def test_trap_15_a_falsy_value_is_a_hit(caches: Any, source: Any, value: object) -> None:
    cache, source.value = caches.cache(), value
    assert [cache.get_with_cache("key", source) for _ in range(3)] == [value] * 3
    assert source.loads == 1


def test_trap_15_none_has_a_time_of_its_own(caches: Any, source: Any) -> None:
    cache, source.value = caches.cache(ttl=100, negative_ttl=10), None
    cache.get_with_cache("key", source)
    assert 5_000 < caches.redis.pttl(NAME) <= 10_000
    cache.get_with_cache("other", source, negative_ttl=2)
    assert 0 < caches.redis.pttl("cache:other") <= 2_000
    cache.get_with_cache("short", source, 5)
    assert 2_000 < caches.redis.pttl("cache:short") <= 5_000
    cache.set("key", None)
    assert 5_000 < caches.redis.pttl(NAME) <= 10_000


def test_trap_16_fifty_misses_at_once_are_one_load(caches: Any, joined: Any) -> None:
    loads = []

    def load() -> str:
        loads.append(1)
        joined.until(50)
        return "value"

    cache = caches.cache()
    assert cache.together(50, "key", load) == ["value"] * 50
    assert len(loads) == 1


def test_trap_16_whoever_waits_gets_the_exception_too_and_the_next_one_loads(
    caches: Any, source: Any, joined: Any
) -> None:
    def load() -> str:
        source()
        joined.until(10)
        raise LookupError("no such user")

    cache = caches.cache()
    outcomes = cache.together(10, "key", load)
    assert [str(outcome) for outcome in outcomes] == ["no such user"] * 10
    assert (source.loads, caches.redis.exists(NAME)) == (1, 0)
    assert cache.get_with_cache("key", source) == "value"


def test_trap_16_the_naive_cache_loads_each_time(redis_url: str) -> None:
    loads, all_began = [], asyncio.Event()

    async def load() -> str:
        loads.append(1)
        if len(loads) == 50:
            all_began.set()
        await all_began.wait()
        return "value"

    async def scenario() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await asyncio.gather(*(get_with_cache(client, "key", load) for _ in range(50)))

    asyncio.run(scenario())
    assert len(loads) == 50


@pytest.mark.parametrize("undo", ["set", "delete", "unlink", "flushall"])
def test_trap_17_a_slow_load_does_not_undo_a_newer_write(caches: Any, undo: str) -> None:
    """What is written or removed meanwhile comes from another client, in the middle of the load."""
    cache, other = caches.cache(), caches.redis

    def load() -> str:
        if undo == "set":
            other.evalsha(script("fill").sha, 1, NAME, "", 60_000, 0, 0, cache.cache._entries._codec.encode("new"))
        elif undo == "flushall":
            other.flushall()
        else:
            other.execute_command("UNLINK" if undo == "unlink" else "DEL", NAME)
        return "old"

    assert cache.get_with_cache("key", load) == "old"
    assert cache.get("key") == ("new" if undo == "set" else None)
    assert cache.get_with_cache("key", lambda: "newer") == ("new" if undo == "set" else "newer")


def test_trap_17_who_asks_after_a_delete_does_not_get_what_was_loaded_before_it(caches: Any) -> None:
    """The second caller asks while the first load is still under way, but after the delete: it loads anew."""
    cache, began, deleted = caches.cache(), Event(), Event()

    def old() -> str:
        began.set()
        assert deleted.wait(20)
        return "old"

    def delete() -> str:
        assert began.wait(20)
        caches.redis.unlink(NAME)
        return "deleted"

    def new() -> str:
        deleted.set()
        return "new"

    first = lambda: cache.cache.get_with_cache("key", caches.loader(old))  # noqa: E731
    if caches.twin == "sync":

        def second() -> str:
            delete()
            return cache.cache.get_with_cache("key", new)
    else:

        async def second() -> str:
            await asyncio.to_thread(delete)
            return await cache.cache.get_with_cache("key", caches.loader(new))

    assert caches.together([first, second]) == ["old", "new"]
    assert cache.get("key") == "new"


def test_trap_17_an_expired_lease_is_another_reader_s(caches: Any) -> None:
    """A loader that takes longer than its lease may not overwrite what its successor has loaded."""
    slow, quick = caches.cache(lease_seconds=0.03), caches.cache()

    def load() -> str:
        caches.until(lambda: caches.redis.exists(NAME) == 0) if caches.twin == "sync" else until_gone()
        with ThreadPoolExecutor(1) as thread:
            thread.submit(fill_elsewhere).result()
        return "late"

    def until_gone() -> None:
        while caches.redis.exists(NAME):
            pass

    def fill_elsewhere() -> None:
        token = "f" * 16
        caches.redis.evalsha(script("lease").sha, 1, NAME, token, 60_000, "0", 0)
        raw = quick.cache._entries._codec.encode("in time")
        assert caches.redis.evalsha(script("fill").sha, 1, NAME, token, 60_000, 0, 0, raw) == 1

    assert slow.get_with_cache("key", load) == "late"
    assert quick.get("key") == "in time"


def test_trap_18_values_written_together_do_not_expire_together(caches: Any) -> None:
    cache = caches.cache(ttl=100, jitter=0.5)
    for number in range(100):
        cache.get_with_cache(f"key {number}", lambda: 1)
    left = [caches.redis.pttl(f"cache:key {number}") for number in range(100)]
    assert 45_000 < min(left) <= max(left) <= 100_000
    assert len({ms // 1000 for ms in left}) > 20


def test_trap_18_a_stale_value_is_answered_while_it_is_loaded_anew(caches: Any, source: Any, counting: Any) -> None:
    cache = caches.cache(ttl=0.01, stale_while_revalidate=60, observer=counting)
    cache.set("key", "old")
    caches.until(lambda: cache.get("key") is None)
    assert cache.get_with_cache("key", source, 100) == "old"
    caches.until(lambda: cache.get("key") == "value")
    assert (source.loads, counting.of("stale")) == (1, [1])
    assert cache.get_with_cache("key", source) == "value"
    assert caches.redis.pttl(NAME) > 100_000


def test_trap_18_a_stale_value_is_answered_if_loading_fails_and_nobody_hurries(
    caches: Any, source: Any, counting: Any
) -> None:
    cache = caches.cache(ttl=0.01, stale_if_error=60, retry_after_error=60, observer=counting)
    cache.set("key", "old")
    caches.until(lambda: cache.get("key") is None)
    source.value = ConnectionError("origin is down")
    assert [cache.get_with_cache("key", source) for _ in range(3)] == ["old"] * 3
    assert (source.loads, counting.of("stale", "error: load")) == (1, [3, 1])
    with pytest.raises(ConnectionError, match=r"^origin is down$"):
        cache.get_with_cache("other", source)


def test_trap_18_an_entry_past_its_stale_time_is_gone(caches: Any, source: Any) -> None:
    cache = caches.cache(ttl=0.01, stale_if_error=0.01)
    cache.set("key", "old")
    caches.until(lambda: caches.redis.exists(NAME) == 0)
    source.value = ConnectionError("origin is down")
    with pytest.raises(ConnectionError):
        cache.get_with_cache("key", source)


def test_trap_18_an_entry_is_loaded_anew_before_its_time(caches: Any, source: Any, counting: Any) -> None:
    """The load is said to have taken 1000 s, so at 100 s before its time it is due, nearly for certain."""
    cache = caches.cache(ttl=100, early_refresh=100, observer=counting)
    raw = cache.cache._entries._codec.encode("old")
    caches.redis.evalsha(script("fill").sha, 1, NAME, "", 100_000, 0, 1_000_000, raw)
    caches.until(lambda: cache.get_with_cache("key", source) == "value")
    assert (source.loads, counting.of("miss", "stale")) == (1, [0, 0])


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"{not json", b'{"json": 1}', b"c1" + b"0" * 64 + b"=garbage"])
def test_trap_19_bytes_that_cannot_be_read_are_a_miss_and_replaced(caches: Any, source: Any, raw: bytes) -> None:
    cache = caches.cache()
    caches.redis.set(NAME, raw)
    assert cache.get("key") is None
    assert cache.get_with_cache("key", source) == "value"
    assert cache.get_with_cache("key", source) == "value"
    assert source.loads == 1
    assert 0 < caches.redis.pttl(NAME) <= 300_000


def test_trap_19_a_value_that_the_codec_cannot_read_is_removed(caches: Any, source: Any, counting: Any) -> None:
    cache = caches.cache(observer=counting)
    caches.redis.evalsha(script("fill").sha, 1, NAME, "", 60_000, 0, 0, b"\x01{not json")
    assert cache.get_with_cache("key", source) == "value"
    assert cache.get_with_cache("key", source) == "value"
    assert (source.loads, counting.of("error: undecodable")) == (1, [1])


def test_trap_19_what_a_newer_release_wrote_is_left_by_who_looks_and_replaced_by_who_loads(
    caches: Any, source: Any, counting: Any
) -> None:
    newer, older = caches.cache(codec=Codec(format="msgpack")), caches.cache(observer=counting)
    newer.set("key", "newer")
    assert older.get("key") is None
    assert (newer.get("key"), counting.of("miss", "error: undecodable")) == ("newer", [1, 1])
    assert [older.get_with_cache("key", source) for _ in range(2)] == ["value"] * 2
    assert (source.loads, older.get("key")) == (1, "value")
    newer.set("key", "newest")
    assert newer.get("key") == "newest"


def test_trap_19_a_list_under_this_key_is_left_alone(caches: Any, source: Any, counting: Any) -> None:
    cache = caches.cache(observer=counting)
    caches.redis.rpush(NAME, "somebody else's")
    assert cache.get_with_cache("key", source) == "value"
    assert caches.redis.lrange(NAME, 0, -1) == [b"somebody else's"]
    assert counting.of("error: unavailable") == [2]


@pytest.mark.parametrize("mode", ["refuse", "lose_reply"])
def test_trap_20_an_error_of_redis_does_not_break_a_read(
    caches: Any, redis_relay: Any, source: Any, counting: Any, mode: str
) -> None:
    cache = caches.cache(redis_relay.address, observer=counting)
    cache.set("warm", 1)
    redis_relay.mode = mode
    assert cache.get_with_cache("key", source) == "value"
    assert cache.get("key", "default") == "default"
    assert counting.of("hit", "miss", "load") == [0, 2, 1]
    assert counting.counts["error: unavailable"] >= 2


def test_trap_20_an_error_at_the_fill_does_not_lose_the_value(caches: Any, redis_relay: Any, counting: Any) -> None:
    cache = caches.cache(redis_relay.address, observer=counting)

    def load() -> str:
        redis_relay.mode = "refuse"
        return "value"

    assert cache.get_with_cache("key", load) == "value"
    assert counting.of("miss", "load", "error: unavailable") == [1, 1, 1]


def test_trap_20_writing_and_deleting_say_that_they_failed(caches: Any, redis_relay: Any) -> None:
    cache = caches.cache(redis_relay.address)
    cache.set("key", 1)
    redis_relay.mode = "refuse"
    with pytest.raises(CacheUnavailable):
        cache.set("key", 2)
    with pytest.raises(CacheUnavailable):
        cache.delete("key")


def test_trap_20_without_redis_those_who_ask_at_once_share_a_load(caches: Any, redis_relay: Any) -> None:
    cache, looked, loads = caches.cache(redis_relay.address), [], []
    cache.set("warm", 1)
    redis_relay.mode = "refuse"
    assert cache.get("warm") is None
    share = cache.cache._flights

    class Watching:
        """Counts who has come to share."""

        def here(self) -> Any:
            looked.append(1)
            return share.here()

    def load() -> str:
        loads.append(1)
        while len(looked) < 20:  # each calls `here` twice
            pass
        return "value"

    cache.cache._flights = Watching()
    assert cache.together(10, "key", load) == ["value"] * 10
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": ""}, r"^key is empty$"),
        ({"key": "a\ud800"}, r"^key holds a lone surrogate at 1: it has no UTF-8 form$"),
        ({"key": "a\r\nb"}, r"^key holds a control character, '\\r' at 1$"),
        ({"key": b"bytes"}, r"^key is bytes, must be str$"),
        ({"ttl": 0}, r"^ttl is 0 seconds, must be between 0.001 and \d+$"),
        ({"ttl": -1}, r"^ttl is -1 seconds, must be between"),
        ({"ttl": float("nan")}, r"^ttl is nan seconds"),
        ({"ttl": float("inf")}, r"^ttl is inf seconds"),
        ({"ttl": "60"}, r"^ttl is str, must be a number of seconds$"),
        ({"negative_ttl": 0}, r"^negative_ttl is 0 seconds"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_done(
    caches: Any, source: Any, arguments: dict[str, Any], message: str
) -> None:
    cache = caches.cache()
    with pytest.raises(ValueError, match=message):
        cache.get_with_cache(**{"key": "key", "fetch": source} | arguments)
    assert (source.loads, caches.redis.dbsize()) == (0, 0)


def test_what_cannot_be_encoded_is_refused_and_nothing_is_written(caches: Any, source: Any, counting: Any) -> None:
    cache, source.value = caches.cache(observer=counting), object()
    with pytest.raises(Unencodable, match=r"^value: no json of object"):
        cache.set("key", object())
    with pytest.raises(Unencodable, match=r"^value: no json of object"):
        cache.get_with_cache("key", source)
    assert (caches.redis.dbsize(), counting.of("error: unencodable", "error: load")) == (0, [2, 0])


@pytest.mark.parametrize(
    "options",
    [{"ttl": 0}, {"jitter": 1}, {"jitter": -0.1}, {"early_refresh": -1}, {"lease_seconds": 0}, {"stale_if_error": -1},
     {"stale_while_revalidate": float("nan")}, {"retry_after_error": 0}, {"prefix": "two words"}],
)  # fmt: skip
def test_bad_options_name_themselves(caches: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        caches.cache(**options)


def test_entries_say_what_they_are(caches: Any) -> None:
    caches.cache(ttl=60, stale_if_error=60).set("key", {"json": 1})
    entry = caches.redis.get(NAME)
    assert (entry[:2], entry[44:57], entry[66:68]) == (b"c1", b"0000000060000", b"=\x01")
    assert json.loads(entry[68:]) == {"json": 1}


def test_trap_18_an_entry_that_is_loaded_anew_does_not_expire_meanwhile(caches: Any) -> None:
    """Else the load that began shortly before its end could not fill it, and would be lost."""
    cache, left = caches.cache(ttl=100, early_refresh=100, lease_seconds=50), []

    def load() -> str:
        left.append(caches.redis.pttl(NAME))
        return "value"

    raw = cache.cache._entries._codec.encode("old")
    caches.redis.evalsha(script("fill").sha, 1, NAME, "", 10_000, 0, 1_000_000, raw)
    caches.until(lambda: cache.get_with_cache("key", load) == "value")
    assert len(left) == 1
    assert 10_000 < left[0] <= 50_000


def test_two_keys_whose_loads_failed_never_get_each_other_s_value(caches: Any, source: Any) -> None:
    """Readers that take no stale value do not wait for a failed load, as if it were one that both keys share."""
    keys, writer = ("a", "b"), caches.cache(ttl=0.01, stale_if_error=60, retry_after_error=60)
    reader, changing = caches.cache(), caches.sync_cache()
    for key in keys:
        writer.set(key, "old")
    caches.until(lambda: [writer.get(key) for key in keys] == [None, None])
    source.value = LookupError("away")
    for key in keys:
        assert writer.get_with_cache(key, source) == "old"
    caches.redis.config_resetstat()

    def change() -> None:
        caches.until_scripts_run(2)
        changing.set("a", "new")

    loaders = {key: caches.loader(lambda key=key: f"loaded {key}") for key in keys}
    calls: list[Any] = [partial(reader.cache.get_with_cache, key, loader) for key, loader in loaders.items()]
    assert caches.together([*calls, caches.loader(change)])[:2] == ["loaded a", "loaded b"]
