"""The fixtures: `redisperf` itself, servers that clean themselves, and plain clients on them.

Servers start with the first test that asks and serve the whole run (each xdist worker has its own). Every test finds
Redis empty and a Postgres database that is new; only a server given by URL is left as it is. The clients are what
`from_url` and `connect` of their libraries make, with those libraries' defaults, so that the round trips counted are
the ones an application has. Nothing but pytest is imported until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_redisperf.options import Settings

if TYPE_CHECKING:
    import psycopg
    import redis
    import redis.asyncio

    from pytest_redisperf.async_clients import AsyncPostgres
    from pytest_redisperf.proxied import Proxied
    from pytest_redisperf.servers import Servers
    from pytest_redisperf.spending import RedisPerf
    from redis_perf.servers import PostgresServer, RedisServer
    from redis_perf.servers.fake_postgres import FakePostgres
    from redis_perf.trace import Store


@pytest.fixture
def redisperf(request: pytest.FixtureRequest) -> Iterator[RedisPerf]:
    """Budgets on the round trips to Redis and Postgres: `with redisperf.budget(redis=1, postgres=1): ...`"""
    from pytest_redisperf.spending import RedisPerf, recorder

    settings = Settings.of(request.config)
    record = recorder(request.config, settings)
    with record() as since_setup:
        yield RedisPerf(request.node, settings, record, since_setup)
    if settings.tap == "proxy":
        _usual_latency(request.config)


@pytest.fixture
def redisperf_proxy(request: pytest.FixtureRequest) -> Iterator[Proxied]:
    """This test's servers through a proxy that counts what any client, in any process, sends there.

    `redisperf_proxy.redis_url`, `.postgres_dsn`, `.budget(...)`, `.record()`, `.latency("2ms")`. One proxy process
    for each server and run, about 0.3 s to start.
    """
    from pytest_redisperf.proxied import Proxied, wire_of

    yield Proxied(request, wire_of(request.config))
    _usual_latency(request.config)


@pytest.fixture(scope="session")
def _redisperf_redis_servers(request: pytest.FixtureRequest) -> Iterator[Servers[RedisServer]]:
    from pytest_redisperf.servers import Servers
    from redis_perf import servers

    choice = Settings.of(request.config).redis
    running = Servers(request.config, lambda: servers.redis(choice))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def _redisperf_postgres_servers(request: pytest.FixtureRequest) -> Iterator[Servers[PostgresServer]]:
    from pytest_redisperf.servers import Servers
    from redis_perf import servers

    choice = Settings.of(request.config).postgres
    running = Servers(request.config, lambda: servers.postgres(choice))
    yield running
    running.stop()


@pytest.fixture
def _redisperf_redis_server(_redisperf_redis_servers: Servers[RedisServer]) -> RedisServer:
    server = _redisperf_redis_servers[0]
    if server.fake:  # a new one is clean without a command that would be counted
        return _redisperf_redis_servers.start()
    return _clean(server)


@pytest.fixture
def _redisperf_direct_redis_url(_redisperf_redis_server: RedisServer) -> str:
    return _url(_redisperf_redis_server)


@pytest.fixture
def redisperf_redis_url(request: pytest.FixtureRequest, _redisperf_direct_redis_url: str) -> str:
    """URL of a Redis that is empty when the test begins. There is none with `--redisperf-redis=fake`."""
    return _seen(request.config, "redis", _redisperf_direct_redis_url)


@pytest.fixture
def redisperf_redis_factory(
    request: pytest.FixtureRequest, _redisperf_redis_servers: Servers[RedisServer]
) -> Callable[[], str]:
    """A function: each call in a test gives the URL of one more empty Redis, a server of its own."""
    asked = 0

    def another() -> str:
        nonlocal asked
        asked += 1
        return _seen(request.config, "redis", _url(_clean(_redisperf_redis_servers[asked])))

    return another


@pytest.fixture
def redisperf_redis(request: pytest.FixtureRequest, _redisperf_redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A `redis.Redis` on an empty Redis, as `redis.Redis.from_url(url)` makes it: its first command connects."""
    client: Any
    if _in_process(request.config, _redisperf_redis_server):
        client = _fake(_redisperf_redis_server).client()
    else:
        url = _seen(request.config, "redis", _url(_redisperf_redis_server))
        client = _client("redis", "redis-py", "redis").Redis.from_url(url)
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
        url = _seen(request.config, "redis", _url(_redisperf_redis_server))
        client = _client("redis.asyncio", "redis-py", "redis").Redis.from_url(url)
    with closed_with_its_loop(client):
        yield client


@pytest.fixture
def redisperf_postgres_factory(
    request: pytest.FixtureRequest, _redisperf_postgres_servers: Servers[PostgresServer]
) -> Iterator[Callable[[], str]]:
    """A function: each call in a test gives the DSN of one more new, empty database."""
    with ExitStack() as databases:
        yield lambda: _seen(
            request.config, "postgres", databases.enter_context(_redisperf_postgres_servers[0].database())
        )


@pytest.fixture
def _redisperf_direct_postgres_dsn(_redisperf_postgres_servers: Servers[PostgresServer]) -> Iterator[str]:
    with _redisperf_postgres_servers[0].database() as dsn:
        yield dsn


@pytest.fixture
def redisperf_postgres_dsn(request: pytest.FixtureRequest, _redisperf_direct_postgres_dsn: str) -> str:
    """DSN (`postgresql://...`) of a Postgres database that is new and empty when the test begins."""
    return _seen(request.config, "postgres", _redisperf_direct_postgres_dsn)


@pytest.fixture
def redisperf_postgres(redisperf_postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A `psycopg.Connection` to a new database, as `psycopg.connect(dsn)` makes it: not in autocommit mode."""
    connection = _client("psycopg", "psycopg 3", "postgres").connect(redisperf_postgres_dsn)
    yield connection
    connection.close()


@pytest.fixture
def redisperf_async_postgres(redisperf_postgres_dsn: str) -> Iterator[AsyncPostgres]:
    """Opens `psycopg.AsyncConnection`s to a new database, in the running loop.

    `async with redisperf_async_postgres() as connection:` or `connection = await redisperf_async_postgres()`;
    arguments go to `AsyncConnection.connect`. What is still open when the test ends is closed.
    """
    from pytest_redisperf.async_clients import AsyncPostgres

    opened = AsyncPostgres(_client("psycopg", "psycopg 3", "postgres"), redisperf_postgres_dsn)
    yield opened
    opened.close()


@pytest.fixture
def redisperf_fake_postgres(
    request: pytest.FixtureRequest, _redisperf_postgres_servers: Servers[PostgresServer]
) -> Iterator[FakePostgres]:
    """The stand-in that is this run's Postgres with `--redisperf-postgres=fake`, its script and memory empty.

    `redisperf_fake_postgres.on("SELECT ...").rows([...])`; `.asked` is what it was asked. The other fixtures use it.
    """
    choice = Settings.of(request.config).postgres
    if choice != "fake":
        pytest.fail(
            "redisperf: this test scripts the stand-in for Postgres, which is there with --redisperf-postgres=fake; "
            f"this run has {choice.partition('://')[0]}",
            pytrace=False,
        )
    fake: Any = _redisperf_postgres_servers[0]
    fake.clear()
    yield fake
    fake.clear()


def _clean(server: RedisServer) -> RedisServer:
    if server.owned:
        server.reset()
    return server


def _url(server: RedisServer) -> str:
    from redis_perf import ServerUnavailable

    try:
        return server.url
    except ServerUnavailable as error:
        pytest.fail(f"redisperf: {error}", pytrace=False)


def _seen(config: pytest.Config, store: Store, url: str) -> str:
    """This URL, or with `--redisperf-tap=proxy` the one that leads there through the proxy."""
    if Settings.of(config).tap == "clients":
        return url
    from pytest_redisperf.proxied import wire_of

    return wire_of(config).through(store, url)


def _usual_latency(config: pytest.Config) -> None:
    """What a test has set ends with it."""
    from pytest_redisperf.proxied import wire_of

    wire = wire_of(config)
    wire.latency_ns = wire.usual_ns


def _in_process(config: pytest.Config, server: RedisServer) -> bool:
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


def _client(module: str, name: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        pytest.fail(
            f"redisperf: this fixture needs {name}, which is not installed ({error}); "
            f"pip install 'pytest-redisperf[{extra}]'",
            pytrace=False,
        )
