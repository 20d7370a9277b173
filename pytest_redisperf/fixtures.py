"""The fixtures: `redisperf` itself, servers that clean themselves, and plain clients on them.

Servers start with the first test that asks and serve the whole run (each xdist worker has its own). Every test finds
Redis empty and a Postgres database that is clean; only a server given by URL is left as it is. The clients are what
`from_url` and `connect` of their libraries make, with those libraries' defaults, so that the round trips counted are
the ones an application has. Nothing but pytest is imported until a fixture is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
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
    from pytest_redisperf.benchmark import Benchmark
    from pytest_redisperf.isolation import Lent, Source
    from pytest_redisperf.postgres_factory import PostgresFactory
    from pytest_redisperf.proxied import Proxied
    from pytest_redisperf.servers import Servers
    from pytest_redisperf.spending import RedisPerf
    from pytest_redisperf.topologies import RedisFactory
    from redis_perf.servers import PostgresServer, RedisServer
    from redis_perf.servers.fake_postgres import FakePostgres
    from redis_perf.trace import Store


def pytest_configure(config: pytest.Config) -> None:
    if Settings.of(config).keep_failed:
        from pytest_redisperf.keep_failed import KeepFailed

        config.pluginmanager.register(KeepFailed(config), "redisperf-keep-failed")


@pytest.fixture
def redisperf(request: pytest.FixtureRequest) -> Iterator[RedisPerf]:
    """Budgets on the round trips to Redis and Postgres: `with redisperf.budget(redis=1, postgres=1): ...`"""
    from pytest_redisperf.spending import RedisPerf, recorder

    settings = Settings.of(request.config)
    record = recorder(request.config, settings)
    with record() as since_setup:
        yield RedisPerf(request.node, settings, record, since_setup)
    _settle(request.config)


@pytest.fixture
def redisperf_proxy(request: pytest.FixtureRequest) -> Iterator[Proxied]:
    """This test's servers through a proxy that counts what any client, in any process, sends there.

    `redisperf_proxy.redis_url`, `.postgres_dsn`, `.budget(...)`, `.record()`, `.latency("2ms")`. One proxy
    process for the run, about 0.3 s to start.
    """
    from pytest_redisperf.proxied import Proxied
    from pytest_redisperf.wire import wire_of

    yield Proxied(request, wire_of(request.config))
    _settle(request.config)


@pytest.fixture
def redisperf_benchmark(request: pytest.FixtureRequest, redisperf: RedisPerf) -> Benchmark:
    """pytest-benchmark's `benchmark`, which also counts: `redisperf_benchmark(function, ...)`, then
    `.max_round_trips(1)`, `.max_ratio_to(other, 0.5)`."""
    from pytest_redisperf.benchmark import benchmark_of

    return benchmark_of(request, redisperf, Settings.of(request.config).networks_ns)


@pytest.fixture(scope="session")
def _redisperf_redis_servers(request: pytest.FixtureRequest) -> Iterator[Servers[RedisServer]]:
    from pytest_redisperf.servers import servers_of

    running = servers_of(request.config).redis
    yield running
    running.stop()


@pytest.fixture(scope="session")
def _redisperf_postgres_servers(request: pytest.FixtureRequest) -> Iterator[Servers[PostgresServer]]:
    from pytest_redisperf.servers import servers_of

    running = servers_of(request.config).postgres
    yield running
    if "pytest_redisperf.isolation" in sys.modules:
        from pytest_redisperf.isolation import isolation_of

        isolation_of(request.config).close()
    running.stop()


@pytest.fixture
def _redisperf_redis_server(
    request: pytest.FixtureRequest, _redisperf_redis_servers: Servers[RedisServer]
) -> Iterator[RedisServer]:
    from pytest_redisperf.isolation import Wanted, fresh_redis_of

    if Wanted.of(request.node, Settings.of(request.config)).redis == "fresh":
        with fresh_redis_of(request.config).server(_redisperf_redis_servers) as server:
            yield server
        return
    server = _redisperf_redis_servers[0]
    # A new fake one is clean without a command that would be counted.
    yield _redisperf_redis_servers.start() if server.fake else _clean(server)


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
) -> Iterator[RedisFactory]:
    """A function: each call in a test gives the URL of one more empty Redis, a server of its own.

    `redisperf_redis_factory("streams", appendonly=True, password="x")`: see `topologies.RedisFactory`.
    """
    from pytest_redisperf.topologies import RedisFactory

    def plain(index: int) -> RedisServer:
        server = _clean(_redisperf_redis_servers[index])
        _url(server)
        return server

    factory = RedisFactory(request.config, plain, lambda url: _seen(request.config, "redis", url))
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
        url = _url(_redisperf_redis_server)
        if Settings.of(request.config).tap == "proxy":  # else it is slowed down in process, if it is to be
            url = _seen(request.config, "redis", url)
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


@pytest.fixture(scope="session")
def redisperf_postgres_schema(request: pytest.FixtureRequest) -> Source:
    """What every database of this run has in it: what `redisperf_schema` says. Override it to say it in Python.

    It may return the same words, a path, or a function that is called once with the DSN of a template database.
    """
    return Settings.of(request.config).schema


@pytest.fixture
def redisperf_postgres_factory(
    request: pytest.FixtureRequest,
    _redisperf_postgres_servers: Servers[PostgresServer],
    redisperf_postgres_schema: Source,
) -> Iterator[PostgresFactory]:
    """A function: each call in a test gives the DSN of one more new database, with options of another server.

    `redisperf_postgres_factory("reports", version="15", tls=True)`: see `postgres_factory.PostgresFactory`.
    """
    from pytest_redisperf.postgres_factory import PostgresFactory

    seen = partial(_seen, request.config, "postgres")
    factory = PostgresFactory(request.config, _redisperf_postgres_servers, redisperf_postgres_schema, seen)
    yield factory
    factory.close()


@pytest.fixture
def _redisperf_database(
    request: pytest.FixtureRequest,
    _redisperf_postgres_servers: Servers[PostgresServer],
    redisperf_postgres_schema: Source,
) -> Iterator[Lent]:
    from pytest_redisperf.isolation import isolation_of

    isolation, server = isolation_of(request.config), _redisperf_postgres_servers[0]
    with isolation.lent(request.node, server, redisperf_postgres_schema) as lent:
        yield lent


@pytest.fixture
def _redisperf_direct_postgres_dsn(_redisperf_database: Lent) -> str:
    return _redisperf_database.dsn


@pytest.fixture
def redisperf_postgres_dsn(request: pytest.FixtureRequest, _redisperf_direct_postgres_dsn: str) -> str:
    """DSN (`postgresql://...`) of a Postgres database that is clean when the test begins: see `redisperf_isolation`."""
    return _seen(request.config, "postgres", _redisperf_direct_postgres_dsn)


@pytest.fixture
def redisperf_postgres(
    request: pytest.FixtureRequest, redisperf_postgres_dsn: str, _redisperf_database: Lent
) -> Iterator[psycopg.Connection[Any]]:
    """A `psycopg.Connection` to a clean database, as `psycopg.connect(dsn)` makes it: not in autocommit mode.

    With the isolation `rollback` it is one that earlier tests had, made new again: nothing connects.
    """
    psycopg: Any = _client("psycopg", "psycopg 3", "postgres")
    kept = _redisperf_database.connection
    connection = psycopg.connect(redisperf_postgres_dsn) if kept is None else kept.lend(redisperf_postgres_dsn)
    yield connection
    if _stays(request.node) and connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
        connection.commit()  # what the test saw is to be seen
    if kept is None:
        connection.close()
    else:
        kept.give_back()


@pytest.fixture
def redisperf_async_postgres(redisperf_postgres_dsn: str) -> Iterator[AsyncPostgres]:
    """Opens `psycopg.AsyncConnection`s to a clean database, in the running loop.

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


def _stays(node: pytest.Item) -> bool:
    from pytest_redisperf.isolation import KEEP

    return node.stash.get(KEEP, False)


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
    """This URL, or the one that leads there through the proxy where that is to count or to slow things down."""
    settings = Settings.of(config)
    if settings.tap == "clients" and not settings.slow:
        return url
    from pytest_redisperf.wire import wire_of

    return wire_of(config).through(store, url)


def _settle(config: pytest.Config) -> None:
    """What a test has set ends with it."""
    if "pytest_redisperf.wire" in sys.modules:
        from pytest_redisperf.wire import settle

        settle(config)


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


def _client(module: str, name: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        pytest.fail(
            f"redisperf: this fixture needs {name}, which is not installed ({error}); "
            f"pip install 'pytest-redisperf[{extra}]'",
            pytrace=False,
        )
