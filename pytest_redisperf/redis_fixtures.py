"""A Redis that is empty when the test begins, and plain clients on it: see `fixtures`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pytest_redisperf.access import client_library, seen, url_of
from pytest_redisperf.options import Settings

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from pytest_redisperf.servers import Servers
    from pytest_redisperf.topologies import RedisFactory
    from redis_perf.servers import RedisServer


@pytest.fixture
def _redisperf_redis_server(
    request: pytest.FixtureRequest, _redisperf_redis_servers: Servers[RedisServer]
) -> Iterator[RedisServer]:
    from pytest_redisperf.isolation import Wanted, fresh_redis_of

    if Wanted.of(request.node, Settings.of(request.config)).redis == "fresh":
        with fresh_redis_of(request.config).server(_redisperf_redis_servers) as server:
            yield server
        return
    server = _redisperf_redis_servers.clean(0)
    yield _redisperf_redis_servers.start() if server.fake else server


@pytest.fixture
def _redisperf_direct_redis_url(_redisperf_redis_server: RedisServer) -> str:
    return url_of(_redisperf_redis_server)


@pytest.fixture
def redisperf_redis_url(request: pytest.FixtureRequest, _redisperf_redis_server: RedisServer) -> str:
    """URL of a Redis that is empty when the test begins. There is none with `--redisperf-redis=fake`."""
    return seen(request.config, "redis", url_of(_redisperf_redis_server))


@pytest.fixture
def redisperf_redis_factory(
    request: pytest.FixtureRequest, _redisperf_redis_servers: Servers[RedisServer]
) -> Iterator[RedisFactory]:
    """A function: each call in a test gives the URL of one more empty Redis, a server of its own.

    `redisperf_redis_factory("streams", appendonly=True, password="x")`: see `topologies.RedisFactory`.
    """
    from pytest_redisperf.topologies import RedisFactory

    def plain(index: int) -> RedisServer:
        server = _redisperf_redis_servers.clean(index)
        url_of(server)
        return server

    factory = RedisFactory(request.config, plain, lambda url: seen(request.config, "redis", url))
    yield factory
    factory.forget_names()


@pytest.fixture
def redisperf_redis_prefix(_redisperf_redis_server: RedisServer) -> Iterator[str]:
    """A random prefix for this test's keys. In a Redis given by URL, what has it is removed when the test ends.

    That needs `--redisperf-allow-external-writes`; any other Redis is empty for each test anyway.
    """
    from redis_perf import ServerUnavailable
    from redis_perf.servers.external import ExternalRedis, random_prefix

    if not isinstance(_redisperf_redis_server, ExternalRedis):
        yield random_prefix()
        return
    with ExitStack() as removal:
        try:
            prefix = removal.enter_context(_redisperf_redis_server.prefix())
        except ServerUnavailable as error:
            pytest.fail(f"redisperf: {error}", pytrace=False)
        yield prefix


@pytest.fixture
def redisperf_redis(request: pytest.FixtureRequest, _redisperf_redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A `redis.Redis` on an empty Redis, as `redis.Redis.from_url(url)` makes it: its first command connects."""
    client: Any
    if _in_process(request.config, _redisperf_redis_server):
        client = _fake(_redisperf_redis_server).client()
    else:
        url = url_of(_redisperf_redis_server)
        if Settings.of(request.config).tap == "proxy":  # else it is slowed down in process, if it is to be
            url = seen(request.config, "redis", url)
        client = client_library("redis", "redis-py", "redis").Redis.from_url(url)
    yield client
    client.close()


@pytest.fixture
def redisperf_async_redis(
    request: pytest.FixtureRequest, _redisperf_redis_server: RedisServer
) -> Iterator[redis.asyncio.Redis]:
    """A `redis.asyncio.Redis` on an empty Redis. It connects in the loop that uses it and is closed with that loop."""
    from pytest_redisperf.async_clients import closed_with_its_loop

    client: Any
    if _in_process(request.config, _redisperf_redis_server):
        client = _fake(_redisperf_redis_server).async_client()
    else:
        url = seen(request.config, "redis", url_of(_redisperf_redis_server))
        client = client_library("redis.asyncio", "redis-py", "redis").Redis.from_url(url)
    with closed_with_its_loop(client):
        yield client


def _in_process(config: pytest.Config, server: RedisServer) -> bool:
    if server.fake and Settings.of(config).slow:
        pytest.fail(
            "redisperf: redis=fake lives in the client and cannot be slowed down; "
            "use --redisperf-redis=embedded or no --redisperf-latency",
            pytrace=False,
        )
    if server.fake and Settings.of(config).tap == "proxy":
        pytest.fail(
            "redisperf: redis=fake lives in the client, so nothing passes the proxy; "
            "use --redisperf-redis=embedded or --redisperf-tap=clients",
            pytrace=False,
        )
    return server.fake


def _fake(server: RedisServer) -> Any:
    """A fake server has clients instead of a URL."""
    return server
