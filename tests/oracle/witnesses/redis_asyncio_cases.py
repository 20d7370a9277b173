"""redis-py and valkey-py on asyncio.

The event loop takes bytes from the socket before the coroutine asks for them, and on loopback an answer may be
there while the client still sends what did not depend on it: system calls would split such a round trip in two. So
the witness is the delay pipe, where nothing arrives early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from case import TURNS, At, case

REDIS, VALKEY = "redis-py asyncio", "valkey-py asyncio"
LONG_MS = (50, 250)
"""For tasks side by side: what one computes is hidden in what another waits for, if that is long enough."""
Use = Callable[[Any], Awaitable[object]]


async def used(redis: Any, use: Use) -> None:
    async with redis:
        await use(redis)


def with_redis(at: At, use: Use, **options: Any) -> None:
    async def main() -> None:
        import redis.asyncio

        await used(redis.asyncio.Redis(host="127.0.0.1", port=at.redis_port, **options), use)

    asyncio.run(main())


async def five_gets(redis: Any) -> None:
    for _ in range(5):
        await redis.get("key")


@case("redis", REDIS, "connect and PING", witness=TURNS)
def asyncio_ping(at: At) -> None:
    with_redis(at, lambda redis: redis.ping())


@case("redis", REDIS, "5 GET", witness=TURNS)
def asyncio_get(at: At) -> None:
    with_redis(at, five_gets)


@case("redis", REDIS, "5 GET, RESP2", witness=TURNS)
def asyncio_get_resp2(at: At) -> None:
    with_redis(at, five_gets, protocol=2)


@case("redis", REDIS, "5 GET, database 3, client_name, password", witness=TURNS)
def asyncio_handshake(at: At) -> None:
    with_redis(at, five_gets, db=3, client_name="oracle", username="guest", password=at.redis_password)


@case("redis", REDIS, "5 GET, Python parser, RESP2", witness=TURNS)
def asyncio_python_parser(at: At) -> None:
    async def main() -> None:
        import redis.asyncio
        from redis._parsers import _AsyncRESP2Parser

        pool = redis.asyncio.ConnectionPool(port=at.redis_port, parser_class=_AsyncRESP2Parser, protocol=2)
        await used(redis.asyncio.Redis.from_pool(pool), five_gets)

    asyncio.run(main())


@case("redis", REDIS, "5 GET, Python parser, RESP3", witness=TURNS)
def asyncio_python_parser_resp3(at: At) -> None:
    async def main() -> None:
        import redis.asyncio
        from redis._parsers import _AsyncRESP3Parser

        pool = redis.asyncio.ConnectionPool(port=at.redis_port, parser_class=_AsyncRESP3Parser, protocol=3)
        await used(redis.asyncio.Redis.from_pool(pool), five_gets)

    asyncio.run(main())


@case("redis", REDIS, "5 GET, uvloop", witness=TURNS, needs=("uvloop",))
def asyncio_uvloop(at: At) -> None:
    async def main() -> None:
        import redis.asyncio

        await used(redis.asyncio.Redis(port=at.redis_port), five_gets)

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@case("redis", REDIS, "5 GET, Unix socket", witness=TURNS, note="redis-py 8.1 shakes hands twice on this path")
def asyncio_unix(at: At) -> None:
    async def main() -> None:
        import redis.asyncio

        await used(redis.asyncio.Redis(unix_socket_path=at.redis_unix), five_gets)

    asyncio.run(main())


@case(
    "redis",
    REDIS,
    "5 GET, TLS",
    witness=TURNS,
    needs=("tls",),
    note="not closed but dropped: asyncio waits for the peer's end of TLS, which is no round trip of anybody's",
)
def asyncio_tls(at: At) -> None:
    async def main() -> None:
        import redis.asyncio

        client: Any = redis.asyncio.Redis(port=at.tls_port, ssl=True, ssl_ca_certs=at.tls_certificate)
        await five_gets(client)
        connection = await client.connection_pool.get_connection("_")
        connection._writer.transport.abort()
        await client.connection_pool.release(connection)
        await client.aclose()

    asyncio.run(main())


@case("redis", REDIS, "10 GET gathered, cold pool", witness=TURNS, latencies_ms=LONG_MS, hold_ms=30)
def asyncio_gather(at: At) -> None:
    async def use(redis: Any) -> None:
        await asyncio.gather(*(redis.get(f"key:{number}") for number in range(10)))

    with_redis(at, use)


@case("redis", REDIS, "3 times 10 GET gathered", witness=TURNS, latencies_ms=LONG_MS, hold_ms=30)
def asyncio_gather_thrice(at: At) -> None:
    async def use(redis: Any) -> None:
        for _ in range(3):
            await asyncio.gather(*(redis.get(f"key:{number}") for number in range(10)))

    with_redis(at, use)


@case("redis", REDIS, "pipeline of 100", witness=TURNS)
def asyncio_pipeline(at: At) -> None:
    async def use(redis: Any) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(100):
                pipe.get(f"key:{number}")
            await pipe.execute()

    with_redis(at, use)


@case("redis", REDIS, "MULTI of 3, then a GET", witness=TURNS)
def asyncio_multi(at: At) -> None:
    async def use(redis: Any) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.rpush("turns", "a").ltrim("turns", -5, -1).expire("turns", 60).execute()
        await redis.get("key")

    with_redis(at, use)


async def publish_and_listen(redis: Any) -> None:
    async with redis.pubsub() as listener:
        await listener.subscribe("news", "weather")
        await listener.psubscribe("sport.*")
        for _ in range(3):
            assert await listener.get_message(timeout=5) is not None
        for number in range(3):
            await redis.publish("news", number)
        for _ in range(3):
            assert await listener.get_message(timeout=5) is not None


@case("redis", REDIS, "pub/sub, RESP3", witness=TURNS)
def asyncio_pubsub(at: At) -> None:
    with_redis(at, publish_and_listen, protocol=3)


@case("redis", REDIS, "pub/sub, RESP2", witness=TURNS)
def asyncio_pubsub_resp2(at: At) -> None:
    with_redis(at, publish_and_listen, protocol=2)


@case("redis", REDIS, "registered script, warm", witness=TURNS)
def asyncio_script(at: At) -> None:
    async def use(redis: Any) -> None:
        await redis.script_load("return ARGV[1]")
        await redis.register_script("return ARGV[1]")(keys=["key"], args=["value"])

    with_redis(at, use)


@case("redis", REDIS, "two tasks, 4 GET each", witness=TURNS, latencies_ms=LONG_MS, hold_ms=30)
def asyncio_tasks(at: At) -> None:
    async def use(redis: Any) -> None:
        async def work() -> None:
            for _ in range(4):
                await redis.get("key")

        await asyncio.gather(work(), work())

    with_redis(at, use)


async def eight_steps(redis: Any) -> None:
    """A bit of everything that a fake can do too."""
    await redis.set("key", "1")
    await redis.get("key")
    await redis.hset("user", mapping={"name": "ada", "age": 36})
    await redis.hgetall("user")
    async with redis.pipeline() as pipe:
        await pipe.incr("key").expire("key", 60).execute()
    async with redis.pipeline(transaction=False) as pipe:
        await pipe.rpush("turns", "a", "b").lrange("turns", 0, -1).execute()
    await redis.mget("key", "none")
    await redis.delete("key", "user", "turns")


@case("redis", REDIS, "8 steps", witness=TURNS)
def asyncio_eight_steps(at: At) -> None:
    with_redis(at, eight_steps)


def with_valkey(at: At, use: Use, **options: Any) -> None:
    async def main() -> None:
        import valkey.asyncio

        await used(valkey.asyncio.Valkey(host="127.0.0.1", port=at.redis_port, **options), use)

    asyncio.run(main())


@case("redis", VALKEY, "5 GET", witness=TURNS, needs=("valkey",))
def asyncio_valkey_get(at: At) -> None:
    with_valkey(at, five_gets)


@case("redis", VALKEY, "5 GET, RESP3", witness=TURNS, needs=("valkey",))
def asyncio_valkey_resp3(at: At) -> None:
    with_valkey(at, five_gets, protocol=3)


@case("redis", VALKEY, "10 GET gathered, cold pool", witness=TURNS, latencies_ms=LONG_MS, hold_ms=30, needs=("valkey",))
def asyncio_valkey_gather(at: At) -> None:
    async def use(valkey: Any) -> None:
        await asyncio.gather(*(valkey.get(f"key:{number}") for number in range(10)))

    with_valkey(at, use)


# --- where several servers answer, whose addresses no pipe can change

UNNAMED: dict[str, Any] = {"lib_name": None, "lib_version": None}
"""Else it sends two commands at once while connecting. Now all is awaited in turn, which system calls can tell."""


@case("redis", REDIS, "cluster of three, 3 SET and 3 GET", needs=("cluster of three",), counters=False)
def asyncio_cluster_of_three(at: At) -> None:
    async def main() -> None:
        import redis.asyncio

        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=at.cluster_ports[0], **UNNAMED) as cluster:
            for key in ("a", "b", "c"):
                await cluster.set(key, "x")
                await cluster.get(key)

    asyncio.run(main())


@case("redis", REDIS, "sentinel, master, 3 GET", needs=("sentinel",), counters=False)
def asyncio_sentinel(at: At) -> None:
    async def main() -> None:
        from redis.asyncio import sentinel as module

        untyped: Any = module
        sentinel = untyped.Sentinel([("127.0.0.1", at.sentinel_port)], sentinel_kwargs=UNNAMED, **UNNAMED)
        async with sentinel.master_for("main") as redis:
            for _ in range(3):
                await redis.get("key")
        for known in sentinel.sentinels:
            await known.aclose()

    asyncio.run(main())
