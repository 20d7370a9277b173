"""redis-py and valkey-py, blocking: what `recv` returned is what the client knew, so its system calls are the truth."""

from __future__ import annotations

import threading
from typing import Any

from case import SLOPE, At, case

REDIS = "redis-py"
VALUE = b"x" * 1000


def client(at: At, **options: Any) -> Any:
    import redis

    return redis.Redis(host="127.0.0.1", port=at.redis_port, **options)


def server(at: At, *commands: tuple[object, ...]) -> None:
    """Bring the server to where a case starts from."""
    with client(at) as redis:
        for command in commands:
            redis.execute_command(*command)


def get(redis: Any, times: int) -> None:
    with redis:
        for _ in range(times):
            redis.get("key")


@case("redis", REDIS, "10 GET")
def redis_get(at: At) -> None:
    get(client(at), 10)


@case("redis", REDIS, "pipeline of 100")
def redis_pipeline(at: At) -> None:
    with client(at) as redis, redis.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.get(f"key:{number}")
        pipe.execute()


@case("redis", REDIS, "pipeline of 5,000 commands of 1 KB")
def redis_pipeline_huge(at: At) -> None:
    with client(at) as redis, redis.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"key:{number % 50}", VALUE)
        pipe.execute()


@case("redis", REDIS, "MULTI of 3")
def redis_multi(at: At) -> None:
    with client(at) as redis, redis.pipeline(transaction=True) as pipe:
        pipe.rpush("turns", "a").ltrim("turns", -5, -1).expire("turns", 60).execute()


@case("redis", REDIS, "WATCH, GET, MULTI of 1")
def redis_watch(at: At) -> None:
    with client(at) as redis, redis.pipeline() as pipe:
        pipe.watch("balance")
        pipe.get("balance")
        pipe.multi()
        pipe.set("balance", 1)
        pipe.execute()


@case("redis", REDIS, "MULTI with a failing command")
def redis_multi_error(at: At) -> None:
    with client(at) as redis, redis.pipeline(transaction=True) as pipe:
        pipe.set("text", "a").incr("text").execute(raise_on_error=False)


def no_scripts(at: At) -> None:
    server(at, ("SCRIPT", "FLUSH"))


def call_script(redis: Any) -> None:
    with redis:
        redis.register_script("return ARGV[1]")(keys=["key"], args=["value"])


@case("redis", REDIS, "registered script, cold", before=no_scripts)
def redis_script_cold(at: At) -> None:
    call_script(client(at))


@case("redis", REDIS, "registered script, warm", before=lambda at: call_script(client(at)))
def redis_script_warm(at: At) -> None:
    call_script(client(at))


def pipe_script(at: At) -> None:
    with client(at) as redis, redis.pipeline() as pipe:
        redis.register_script("return ARGV[1]")(keys=["key"], args=["value"], client=pipe)
        pipe.get("key").execute()


@case("redis", REDIS, "registered script in a pipeline, cold", before=no_scripts)
def redis_script_pipeline_cold(at: At) -> None:
    pipe_script(at)


@case("redis", REDIS, "registered script in a pipeline, warm", before=pipe_script)
def redis_script_pipeline_warm(at: At) -> None:
    pipe_script(at)


def publish_and_listen(redis: Any) -> None:
    with redis, redis.pubsub() as listener:
        listener.subscribe("news", "weather")
        listener.psubscribe("sport.*")
        for _ in range(3):
            assert listener.get_message(timeout=5) is not None
        for number in range(4):
            redis.publish("news", number)
        for _ in range(4):
            assert listener.get_message(timeout=5) is not None
        listener.unsubscribe("news")
        assert listener.get_message(timeout=5) is not None


@case("redis", REDIS, "pub/sub, RESP2")
def redis_pubsub_resp2(at: At) -> None:
    publish_and_listen(client(at, protocol=2))


@case("redis", REDIS, "pub/sub, RESP3")
def redis_pubsub_resp3(at: At) -> None:
    publish_and_listen(client(at, protocol=3))


@case("redis", REDIS, "BLPOP that waits for another client's RPUSH")
def redis_blpop(at: At) -> None:
    with client(at) as redis, client(at) as other:
        other.ping()
        late = threading.Timer(0.05, other.rpush, ("queue:slow", "job"))
        late.start()
        assert redis.blpop("queue:slow", timeout=5)
        late.join()


@case("redis", REDIS, "MONITOR")
def redis_monitor(at: At) -> None:
    with client(at) as redis, redis.monitor() as monitor:
        redis.get("key")
        while "GET" not in monitor.next_command()["command"]:
            pass


@case(
    "redis",
    REDIS,
    "SCAN over 1,000 keys",
    before=lambda at: server(at, ("FLUSHALL",), ("MSET", *(part for n in range(1000) for part in (f"user:{n}", n)))),
)
def redis_scan(at: At) -> None:
    with client(at) as redis:
        assert sum(1 for _ in redis.scan_iter("user:*", count=100)) == 1000


@case("redis", REDIS, "lock", before=no_scripts, counters=False, note="its Lua calls commands the server counts too")
def redis_lock(at: At) -> None:
    with client(at) as redis, redis.lock("lock", timeout=5):
        redis.get("key")


@case("redis", REDIS, "streams", before=lambda at: server(at, ("DEL", "stream")))
def redis_streams(at: At) -> None:
    with client(at) as redis:
        redis.xgroup_create("stream", "group", mkstream=True)
        entry = redis.xadd("stream", {"a": 1})
        redis.xreadgroup("group", "me", {"stream": ">"}, block=1000)
        redis.xack("stream", "group", entry)


@case(
    "redis", REDIS, "client-side caching: 8 GET, one invalidation", needs=("redis.cache",),
    before=lambda at: server(at, ("DEL", "cached")),
)  # fmt: skip
def redis_client_side_caching(at: At) -> None:
    import redis
    from redis.cache import CacheConfig
    from redis.connection import CacheProxyConnection

    oldest, CacheProxyConnection.MIN_ALLOWED_VERSION = CacheProxyConnection.MIN_ALLOWED_VERSION, "6.0.0"
    name, CacheProxyConnection.DEFAULT_SERVER_NAME = CacheProxyConnection.DEFAULT_SERVER_NAME, "valkey"
    try:
        with redis.Redis(port=at.redis_port, protocol=3, cache_config=CacheConfig()) as cached, client(at) as other:
            for _ in range(4):
                cached.get("cached")
            other.set("cached", 1)
            for _ in range(4):
                cached.get("cached")
    finally:
        CacheProxyConnection.MIN_ALLOWED_VERSION, CacheProxyConnection.DEFAULT_SERVER_NAME = oldest, name


@case("redis", REDIS, "CLIENT REPLY SKIP before a SET, then a GET")
def redis_reply_skip(at: At) -> None:
    with client(at) as redis:
        connection = redis.connection_pool.get_connection("_")
        connection.send_command("CLIENT", "REPLY", "SKIP")
        connection.send_command("SET", "key", "unanswered")
        connection.send_command("GET", "key")
        assert connection.read_response() == b"unanswered"
        redis.connection_pool.release(connection)


@case("redis", REDIS, "4 threads, 5 GET each, one client")
def redis_threads(at: At) -> None:
    with client(at) as redis:
        together = threading.Barrier(4)

        def work() -> None:
            together.wait()
            for _ in range(5):
                redis.get("key")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@case("redis", REDIS, "value of 1 MB, set and got")
def redis_large_value(at: At) -> None:
    with client(at) as redis:
        redis.set("large", b"x" * 1_000_000)
        assert len(redis.get("large")) == 1_000_000


@case("redis", REDIS, "an error reply")
def redis_error(at: At) -> None:
    import redis

    with client(at) as connected:
        connected.set("text", "a")
        try:
            connected.incr("text")
        except redis.ResponseError:
            connected.get("text")


def eight_steps(redis: Any) -> None:
    """A bit of everything that a fake can do too."""
    with redis:
        redis.set("key", "1")
        redis.get("key")
        redis.hset("user", mapping={"name": "ada", "age": 36})
        redis.hgetall("user")
        with redis.pipeline() as pipe:
            pipe.incr("key").expire("key", 60).execute()
        with redis.pipeline(transaction=False) as pipe:
            pipe.rpush("turns", "a", "b").lrange("turns", 0, -1).execute()
        redis.mget("key", "none")
        redis.delete("key", "user", "turns")


@case("redis", REDIS, "8 steps")
def redis_eight_steps(at: At) -> None:
    eight_steps(client(at))


@case("redis", REDIS, "10 GET, one after another", witness=SLOPE)
def redis_get_slope(at: At) -> None:
    get(client(at), 10)
