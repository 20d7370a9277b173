"""fakeredis is counted like a server, except that the size of its replies is not seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

fakeredis = pytest.importorskip("fakeredis")

import redis_perf  # noqa: E402

# fakeredis asks for no maintenance notifications, and before redis-py 8 there are none.


def shapes(trace: Any) -> list[list[str]]:
    assert not trace.trace.problems
    return [[operation.shape for operation in trip.operations] for trip in trace.redis]


def blocking(use: Callable[[Any], None], **options: Any) -> Any:
    client = fakeredis.FakeRedis(**options)
    client.ping()
    with redis_perf.record() as trace:
        use(client)
    client.close()
    return trace


def test_commands_and_pipelines_are_counted_and_reply_bytes_are_not_seen() -> None:
    def use(client: Any) -> None:
        client.set("key", "value")
        client.get("key")
        client.pipeline(transaction=False).get("a").get("b").execute()
        client.pipeline().incr("a").incr("b").execute()

    trace = blocking(use)
    assert [len(trip.operations) for trip in trace.redis] == [1, 1, 2, 4]
    assert trace.redis.commits == 1
    assert trace.redis.received_bytes is None
    assert trace.redis.sent_bytes is not None
    assert {trip.site.function for trip in trace.redis if trip.site} == {"use"}


def test_asyncio_commands_and_pipelines_are_counted() -> None:
    async def main() -> Any:
        async with fakeredis.FakeAsyncRedis() as client:
            await client.ping()
            with redis_perf.record() as trace:
                await client.set("key", "value")
                await client.pipeline(transaction=False).get("a").get("b").execute()
                await client.pipeline().incr("a").incr("b").execute()
        return trace

    trace = asyncio.run(main())
    assert [len(trip.operations) for trip in trace.redis] == [1, 2, 4]
    assert trace.redis.commits == 1
    assert trace.redis.received_bytes is None
    assert {trip.site.function for trip in trace.redis if trip.site} == {"main"}


def test_a_fake_connection_opens_without_tcp() -> None:
    with redis_perf.record() as trace:
        client = fakeredis.FakeRedis(host="cache", port=7000)
        client.get("key")
        client.close()
    assert trace.redis.at("cache:7000").round_trips == 1
    assert trace.redis.connections == 1
    assert "CONNECT" not in trace.setup.redis.shapes
    assert {trip.purpose for trip in trace.setup.redis} == {"setup"}


def test_an_error_is_marked_as_failed() -> None:
    def use(client: Any) -> None:
        client.set("text", "a")
        with pytest.raises(Exception, match="WRONGTYPE"):
            client.rpush("text", "b")

    trace = blocking(use)
    assert [operation.failed for trip in trace.redis for operation in trip.operations] == [False, True]


def test_an_aborted_transaction_is_no_commit() -> None:
    def use(client: Any) -> None:
        with client.pipeline() as pipe:
            pipe.watch("key")
            client.set("key", "changed")
            pipe.multi()
            pipe.set("key", "mine")
            with pytest.raises(Exception, match="Watched variable changed"):
                pipe.execute()

    assert blocking(use).redis.commits == 0


def test_a_large_pipeline_written_in_pieces_is_one_round_trip() -> None:
    def use(client: Any) -> None:
        with client.pipeline(transaction=False) as pipe:
            for number in range(200):
                pipe.set(f"key:{number}", b"v" * 1000)
            pipe.execute()

    trace = blocking(use)
    assert (trace.redis.round_trips, trace.redis.operations) == (1, 200)


@pytest.mark.parametrize("protocol", [2, 3])
def test_published_messages_cost_nothing(protocol: int) -> None:
    def use(client: Any) -> None:
        listener = client.pubsub()
        listener.subscribe("news", "weather")
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe"] * 2
        client.publish("news", "hello")
        client.publish("news", "again")
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["message"] * 2
        listener.unsubscribe()
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["unsubscribe"] * 2
        listener.close()

    assert blocking(use, protocol=protocol).redis.round_trips == 4


def test_a_list_that_looks_like_a_message_is_a_reply() -> None:
    def use(client: Any) -> None:
        client.rpush("list", "message", "news", "hello")
        client.lrange("list", 0, -1)
        client.get("key")

    trace = blocking(use)
    assert trace.redis.round_trips == 3
    assert {trip.answer for trip in trace.redis} == {"complete"}


def test_a_script_is_one_round_trip() -> None:
    pytest.importorskip("lupa")

    def use(client: Any) -> None:
        assert client.eval("return {1, 2, redis.call('SET', KEYS[1], ARGV[1])}", 1, "key", "value") == [1, 2, b"OK"]

    assert blocking(use).redis.round_trips == 1


def test_fakeredis_works_on_after_the_tap() -> None:
    client = fakeredis.FakeRedis()
    with redis_perf.record():
        client.set("key", "value")
        fake = client.connection_pool._available_connections[0]._sock
        assert type(fake).sendall is not fakeredis._socket.FakeSocket.sendall
    assert type(fake) is fakeredis._socket.FakeSocket
    assert client.get("key") == b"value"
    client.close()


def test_valkey_fakes_are_counted() -> None:
    pytest.importorskip("valkey")
    client = fakeredis.FakeValkey()
    with redis_perf.record() as trace:
        client.get("key")
    client.close()
    assert trace.redis.round_trips == 1
