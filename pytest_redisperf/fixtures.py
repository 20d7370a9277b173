"""The fixtures: `redisperf` itself, servers that clean themselves, and plain clients on them.

Servers start with the first test that asks and serve the whole run (each xdist worker has its own). Every test finds
Redis empty and a Postgres database that is clean; only a server given by URL is left as it is. The clients are what
`from_url` and `connect` of their libraries make, with those libraries' defaults, so that the round trips counted are
the ones an application has. Nothing but pytest is imported until a fixture is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_redisperf.options import Settings

if TYPE_CHECKING:
    from pytest_redisperf.benchmark import Benchmark
    from pytest_redisperf.proxied import Proxied
    from pytest_redisperf.servers import Servers
    from pytest_redisperf.spending import RedisPerf
    from redis_perf.servers import PostgresServer, RedisServer


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


def _settle(config: pytest.Config) -> None:
    """What a test has set ends with it."""
    if "pytest_redisperf.wire" in sys.modules:
        from pytest_redisperf.wire import settle

        settle(config)
