"""redis-py, blocking: ways to connect, and what each costs before the first command. See `redis_cases`."""

from __future__ import annotations

from typing import Any

from case import At, case
from redis_cases import REDIS, client, get


@case("redis", REDIS, "connect and PING")
def redis_ping(at: At) -> None:
    with client(at) as redis:
        redis.ping()


@case("redis", REDIS, "10 GET, RESP2")
def redis_get_resp2(at: At) -> None:
    get(client(at, protocol=2), 10)


@case("redis", REDIS, "10 GET, Python parser, RESP2")
def redis_python_parser_resp2(at: At) -> None:
    import redis
    from redis._parsers import _RESP2Parser

    pool = redis.ConnectionPool(port=at.redis_port, parser_class=_RESP2Parser, protocol=2)
    get(redis.Redis.from_pool(pool), 10)


@case("redis", REDIS, "10 GET, Python parser, RESP3")
def redis_python_parser_resp3(at: At) -> None:
    import redis
    from redis._parsers import _RESP3Parser

    pool = redis.ConnectionPool(port=at.redis_port, parser_class=_RESP3Parser, protocol=3)
    get(redis.Redis.from_pool(pool), 10)


@case("redis", REDIS, "10 GET, Unix socket")
def redis_unix(at: At) -> None:
    import redis

    get(redis.Redis(unix_socket_path=at.redis_unix), 10)


@case("redis", REDIS, "10 GET, TLS", needs=("tls",))
def redis_tls(at: At) -> None:
    import redis

    get(redis.Redis(port=at.tls_port, ssl=True, ssl_ca_certs=at.tls_certificate), 10)


@case("redis", REDIS, "one GET, password, RESP2")
def redis_auth_resp2(at: At) -> None:
    get(client(at, protocol=2, username="guest", password=at.redis_password), 1)


@case("redis", REDIS, "one GET, password, RESP3")
def redis_auth_resp3(at: At) -> None:
    get(client(at, protocol=3, username="guest", password=at.redis_password), 1)


@case("redis", REDIS, "one GET, database 3")
def redis_select(at: At) -> None:
    get(client(at, db=3), 1)


@case("redis", REDIS, "one GET, client_name")
def redis_client_name(at: At) -> None:
    get(client(at, client_name="oracle"), 1)


@case("redis", REDIS, "one GET, no library name")
def redis_no_library_name(at: At) -> None:
    get(client(at, lib_name=None, lib_version=None), 1)


@case("redis", REDIS, "two GET, health check before each")
def redis_health_check(at: At) -> None:
    with client(at, health_check_interval=60) as redis:
        redis.get("key")
        connection = redis.connection_pool.get_connection("_")
        connection.next_health_check = 0
        redis.connection_pool.release(connection)
        redis.get("key")


@case("redis", REDIS, "GET, CLIENT KILL by another client, GET again")
def redis_killed(at: At) -> None:
    with client(at) as redis, client(at) as other:
        other.client_kill_filter(_id=redis.client_id())
        redis.get("key")


@case("redis", REDIS, "subclassed connection")
def redis_subclass(at: At) -> None:
    import redis

    blocking: Any = redis.Connection

    class Connection(blocking):  # type: ignore[misc]
        def on_connect(self) -> None:
            super().on_connect()
            self.send_command("CLIENT", "NO-EVICT", "ON")
            self.read_response()

    get(redis.Redis.from_pool(redis.ConnectionPool(connection_class=Connection, port=at.redis_port)), 3)


@case("redis", REDIS, "single connection client, 5 GET")
def redis_single_connection(at: At) -> None:
    get(client(at, single_connection_client=True), 5)


@case("redis", REDIS, "cluster of one node, 3 SET and a pipeline of 3", needs=("cluster",), counters=False)
def redis_cluster(at: At) -> None:
    import redis

    with redis.RedisCluster(host="127.0.0.1", port=at.cluster_port) as cluster:
        for number in range(3):
            cluster.set(f"key:{number}", number)
        with cluster.pipeline() as pipe:
            for number in range(3):
                pipe.get(f"key:{number}")
            pipe.execute()


@case("redis", REDIS, "sentinel, master, 3 GET", needs=("sentinel",), counters=False)
def redis_sentinel(at: At) -> None:
    from redis import sentinel as module

    untyped: Any = module
    sentinel = untyped.Sentinel([("127.0.0.1", at.sentinel_port)])
    get(sentinel.master_for("main"), 3)
    for known in sentinel.sentinels:
        known.close()


@case("redis", REDIS, "cluster of three, 3 SET and a pipeline of 3", needs=("cluster of three",), counters=False)
def redis_cluster_of_three(at: At) -> None:
    import redis

    with redis.RedisCluster(host="127.0.0.1", port=at.cluster_ports[0]) as cluster:
        for key in ("a", "b", "c"):
            cluster.set(key, "x")
        with cluster.pipeline() as pipe:
            pipe.get("a").get("b").get("c").execute()
