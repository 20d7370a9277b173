"""The subscription: what it hears that it cannot know, and being closed, started again, or in a forked child."""

from __future__ import annotations

import socket
import threading
from typing import Any
from urllib.parse import parse_qsl

import pytest

from redis_perf.proxy import Proxy

CHANNEL = "{cache}:told"


def subscribers(caches: Any) -> int:
    return int(caches.redis.pubsub_numsub(CHANNEL)[0][1])


def check_it_hears(caches: Any, cache: Any, value: str) -> None:
    """That a deletion elsewhere reaches it."""
    caches.eventually(lambda: cache.get_stats().listening)
    caches.shared().set("heard", value, ttl=60)
    caches.held(cache, "heard", value)
    caches.shared().delete("heard")
    caches.eventually(lambda: cache.local.ttl("heard") is None)


@pytest.mark.parametrize(
    "odd", [b"", b"\xff", b"x\ntags\n", b"x\npattern\n[", b"x\npattern\n*", b"x\nkeys", b"x\nnews\nkey"]
)
def test_what_is_no_message_of_ours_forgets_everything_and_deafens_nobody(caches: Any, odd: bytes) -> None:
    cache = caches.two_tier()
    cache.set("a", 1, ttl=60)
    assert caches.redis.publish(CHANNEL, odd) == 1
    if odd != b"x\nkeys":  # of no key
        caches.eventually(lambda: cache.local.ttl("a") is None)
    check_it_hears(caches, cache, "value")


def test_what_breaks_the_listener_s_work_costs_the_connection_and_not_the_listening(
    caches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = caches.two_tier()
    cache.set("a", 1, ttl=60)

    def broken(message: Any) -> None:
        monkeypatch.undo()
        raise LookupError("a bug")

    monkeypatch.setattr(cache.target._near, "heard", broken)
    caches.redis.publish(CHANNEL, b"x\nkeys\nother")
    caches.eventually(lambda: cache.local.ttl("a") is None)
    check_it_hears(caches, cache, "value")
    assert subscribers(caches) == 1


def test_a_closed_cache_that_is_started_again_hears(caches: Any) -> None:
    cache = caches.two_tier()
    for number in range(2):
        cache.close()
        assert not cache.get_stats().listening
        cache.start()
        check_it_hears(caches, cache, str(number))
    assert subscribers(caches) == 1


def test_a_second_start_makes_no_second_reader(caches: Any) -> None:
    cache = caches.two_tier()
    before = threading.active_count()
    cache.start()
    assert (subscribers(caches), threading.active_count()) == (1, before)
    check_it_hears(caches, cache, "value")
    cache.close()
    caches.eventually(lambda: subscribers(caches) == 0)


def test_it_hears_through_tls(caches: Any) -> None:
    with Proxy(redis=caches.redis_url, tls=True) as proxy:
        url, _, certificates = proxy.url("redis").partition("?")
        cache = caches.two_tier(url, client=dict(parse_qsl(certificates)))
        assert url.startswith("rediss://")
        check_it_hears(caches, cache, "value")
        cache.set_many({f"key:{number}": number for number in range(100)}, ttl=60)
        for number in range(100):
            caches.shared().delete(f"key:{number}")
        caches.eventually(lambda: cache.local.get_stats().size == 0)
        cache.close()


def test_a_channel_that_redis_refuses_is_asked_for_again(caches: Any) -> None:
    """A user without the right to it is not taken for one who hears."""
    caches.redis.execute_command("ACL", "SETUSER", "deaf", "on", "nopass", "~*", "+@all", "resetchannels")
    try:
        url = caches.redis_url.replace("redis://", "redis://deaf:any@")
        cache = caches.two_tier(url)
        assert not cache.get_stats().listening
        caches.redis.execute_command("ACL", "SETUSER", "deaf", "&*")
        check_it_hears(caches, cache, "value")
    finally:
        caches.redis.execute_command("ACL", "DELUSER", "deaf")


def test_a_rush_of_news_is_heard_to_its_end(caches: Any) -> None:
    cache, keys = caches.two_tier(max_size=2000), [f"key {number}" for number in range(1000)]
    cache.set_many(dict.fromkeys(keys, "value"), ttl=60)
    elsewhere = caches.shared()
    for key in keys[:300]:
        elsewhere.delete(key)
    elsewhere.delete(*keys[300:])
    caches.eventually(lambda: len(cache.local) == 0)
    check_it_hears(caches, cache, "value")


def test_a_redis_that_hangs_is_waited_for_no_longer_than_its_client_says(caches: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        url = f"redis://127.0.0.1:{hung.getsockname()[1]}/0"
        cache = caches.two_tier(url, client={"socket_timeout": 0.1}, heartbeat_seconds=60)
        assert not cache.get_stats().listening
