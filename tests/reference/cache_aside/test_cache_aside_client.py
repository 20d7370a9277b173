"""RedisClient: it says whether Redis is there, costs next to nothing while it is not, and finds it again by itself."""

from __future__ import annotations

import asyncio
import gc
import logging
from time import monotonic
from typing import Any

import pytest
from redis.exceptions import DataError

import redis_perf
from redis_perf_reference.asyncio.client import RedisClient as AsyncRedisClient
from redis_perf_reference.cache_input import InvalidKey
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.sync.client import RedisClient, shared, without_password

PASSWORD = "s3cret"


class Face:
    def __init__(self, caches: Any, client: Any) -> None:
        self._caches, self.client = caches, client

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self._caches.run(getattr(self.client, name), *args, **options)


@pytest.mark.parametrize("query", ["", "?decode_responses=True", "?protocol=3", "?protocol=2&decode_responses=True"])
def test_bytes_are_safe_whatever_the_url_says_about_decoding(caches: Any, query: str) -> None:
    client = Face(caches, caches.client(caches.redis_url + query))
    for value in (b"\xff\x00\r\n", "grüße".encode(), b""):
        client.set("key", value, 60)
        assert client.get("key") == value
    assert 0 < caches.redis.pttl("key") <= 60_000
    assert (client.get("none"), client.delete("key", "none"), client.delete()) == (None, 1, 0)


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_ttl_of_zero_is_refused_not_taken_for_ever(caches: Any, ttl: float) -> None:
    client = Face(caches, caches.client())
    with pytest.raises(ValueError, match=r"^ttl is .* seconds, must be between"):
        client.set("key", "value", ttl)
    assert caches.redis.exists("key") == 0


@pytest.mark.parametrize("mode", ["refuse", "hang"])
def test_a_redis_that_went_away_is_not_asked_again_by_callers_and_is_found_again(
    caches: Any, redis_relay: Any, mode: str
) -> None:
    timeout_seconds = 1 if mode == "hang" else 5
    client = Face(caches, caches.client(redis_relay.address, timeout_seconds=timeout_seconds, probe_seconds=0.01))
    client.set("key", "value")
    redis_relay.mode = mode
    with pytest.raises(CacheUnavailable, match=r"^Redis did not answer GET: "):
        client.get("key")
    assert not client.client.available
    with redis_perf.record() as trace:
        for _ in range(20):
            if not client.client.available:
                with pytest.raises(CacheUnavailable, match=r"^Redis not asked"):
                    client.get("key")
    assert [trip for trip in trace.redis if trip.operations[0].name == "GET"] == []
    redis_relay.mode = "pass"
    if mode == "hang":  # what hangs in it stays there
        redis_relay._close_all()
    caches.until(lambda: client.client.available)
    assert client.get("key") == b"value"


def test_a_redis_that_is_late_is_found(caches: Any, redis_relay: Any) -> None:
    redis_relay.mode = "refuse"
    client = Face(caches, caches.client(redis_relay.address, probe_seconds=0.01))
    assert client.client.available, "nobody has asked yet"
    assert not client.ping()
    redis_relay.mode = "pass"
    caches.until(lambda: client.client.available)
    assert client.ping()


def test_nothing_is_retried(caches: Any, redis_relay: Any) -> None:
    client = Face(caches, caches.client(redis_relay.address, probe_seconds=60))
    client.ping()
    caches.redis.config_resetstat()
    redis_relay.mode = "lose_reply"
    with pytest.raises(CacheUnavailable):
        client.ask("INCR", "counter")
    assert caches.redis.get("counter") == b"1"


def test_a_closed_client_stops_asking(caches: Any, redis_relay: Any) -> None:
    client = Face(caches, caches.client(redis_relay.address, probe_seconds=0.01))
    redis_relay.mode = "refuse"
    assert not client.ping()
    client.close()
    running = client.client._background
    if caches.twin == "sync":
        running._last.join(20)
        assert not running._last.is_alive()
    else:
        caches.until(lambda: not running._running)


def test_nobody_looks_out_for_a_client_that_nobody_has(redis_relay: Any) -> None:
    client = RedisClient(redis_relay.address, timeout_seconds=5, probe_seconds=0.01)
    redis_relay.mode = "refuse"
    assert not client.ping()
    looking_out = client._background._last
    assert looking_out is not None
    assert looking_out.is_alive()
    del client
    until = monotonic() + 20
    while looking_out.is_alive():
        assert monotonic() < until
        gc.collect()
        looking_out.join(0.01)


def test_a_loop_that_ended_does_not_keep_redis_away(redis_relay: Any) -> None:
    """Whoever looks out for Redis was a task of a loop that is no more."""
    client = AsyncRedisClient(redis_relay.address, timeout_seconds=5, probe_seconds=0.01)
    redis_relay.mode = "refuse"
    assert not asyncio.run(client.ping())
    redis_relay.mode = "pass"

    async def scenario() -> None:
        with pytest.raises(CacheUnavailable):
            await client.get("key")
        until = monotonic() + 20
        while not client.available:
            assert monotonic() < until
            await asyncio.sleep(0.005)
        assert await client.get("key") is None
        await client.close()

    asyncio.run(scenario())


def test_an_error_reply_is_an_answer(caches: Any) -> None:
    client = Face(caches, caches.client())
    caches.redis.rpush("list", 1)
    with pytest.raises(CacheUnavailable, match=r"^Redis refused GET: .*WRONGTYPE"):
        client.get("list")
    assert client.client.available


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://user:{PASSWORD}@127.0.0.1:1/3", "redis://127.0.0.1:1/3"),
        (f"rediss://:{PASSWORD}@cache.example?ssl_cert_reqs=none", "rediss://cache.example:6379"),
        (f"unix://:{PASSWORD}@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        (f"redis://127.0.0.1:1/0?password={PASSWORD}", "redis://127.0.0.1:1/0"),
    ],
)
def test_the_password_is_in_no_repr_log_line_or_error(
    caches: Any, caplog: pytest.LogCaptureFixture, url: str, shown: str
) -> None:
    caplog.set_level(logging.DEBUG)
    client = Face(caches, caches.client(url.replace("cache.example", "127.0.0.1:1"), probe_seconds=60))
    with pytest.raises(CacheUnavailable) as error:
        client.get("key")
    assert without_password(url) == shown
    said = f"{client.client!r} {error.value!r} {error.value.__cause__!r} {caplog.text}"
    assert PASSWORD not in said
    assert " away>" in said


@pytest.mark.parametrize(
    "url",
    [f"redis://:{PASSWORD}/x@127.0.0.1:6379/0", f"redis://:{PASSWORD}#x@h:1", f"http://:{PASSWORD}@h", PASSWORD, "",
     f"redis://:x@h:{PASSWORD}", f"redis://[{PASSWORD}"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url is not one for Redis: .*expected redis://") as error:
        RedisClient(url)
    assert PASSWORD not in f"{error.value!r} {error.value.__cause__!r}"


@pytest.mark.parametrize("option", ["timeout_seconds", "probe_seconds"])
def test_times_are_checked(redis_url: str, option: str) -> None:
    with pytest.raises(ValueError, match=rf"^{option} is 0 seconds"):
        RedisClient(redis_url, **{option: 0})


def test_shared_is_the_same_for_the_same_url(redis_url: str) -> None:
    assert shared(redis_url) is shared(redis_url)
    assert shared(redis_url) is not shared(redis_url + "?db=1")
    for client in (shared(redis_url), shared(redis_url + "?db=1")):
        client.close()


@pytest.mark.parametrize("value", [None, True, 1, 1.5, ["a"], bytearray(b"a")])
def test_a_value_that_redis_does_not_take_is_the_caller_s_mistake(caches: Any, value: Any) -> None:
    client = Face(caches, caches.client())
    with pytest.raises(TypeError, match=rf"^value is {type(value).__name__}, must be str or bytes$"):
        client.set("key", value)
    with pytest.raises(DataError):
        client.ask("PING", None)
    assert (client.client.available, caches.redis.exists("key")) == (True, 0)


@pytest.mark.parametrize("key", [None, 1, b"key", "", "a\nb", "\ud800"])
def test_keys_are_checked(caches: Any, key: Any) -> None:
    client = Face(caches, caches.client())
    for call in (lambda: client.get(key), lambda: client.set(key, "value"), lambda: client.delete("other", key)):
        with pytest.raises(InvalidKey, match=r"^key "):
            call()
    assert client.client.available
