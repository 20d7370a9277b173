"""Fixtures of servers as they are deployed, and of the servers themselves, to be killed, paused and restarted.

Each is started when a test first asks for it, serves the rest of the run and is emptied, brought back to life if need
be, for each test. Nothing but pytest is imported until a fixture is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pytest

from pytest_redisperf.options import Settings

if TYPE_CHECKING:
    from redis_perf.servers import PostgresServer, RedisServer
    from redis_perf.servers.pgbouncer import PgBouncer
    from redis_perf.servers.redis_cluster import RedisCluster
    from redis_perf.servers.redis_sentinel import RedisSentinel


class Resettable(Protocol):
    """A server, or several that belong together."""

    def reset(self) -> None: ...
    def stop(self) -> None: ...


Made = TypeVar("Made", bound=Resettable)


class Topologies:
    """Those of this run, by what they are and how many of that kind the test had asked for before."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._running: dict[object, Resettable] = {}

    def clean(self, kind: object, start: Callable[[], Made]) -> Made:
        """The one of this kind, empty. Fails the test where it cannot be had."""
        from pytest_redisperf.servers import started
        from redis_perf import ServerUnavailable

        if kind not in self._running:
            self._running[kind] = started(self._config, start)
        server: Any = self._running[kind]
        try:
            server.reset()
        except ServerUnavailable as broken:
            self._running.pop(kind).stop()
            pytest.fail(f"redisperf: {broken}", pytrace=False)
        return server  # type: ignore[no-any-return]

    def stop(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()


_OF_RUN = pytest.StashKey[Topologies]()


def topologies_of(config: pytest.Config) -> Topologies:
    """The ones of this run; none is started by asking."""
    running = config.stash.get(_OF_RUN, None)
    if running is None:
        running = config.stash[_OF_RUN] = Topologies(config)
        config.add_cleanup(running.stop)
    return running


class RedisFactory:
    """The `redisperf_redis_factory` fixture: each call gives the URL of one more empty Redis, a server of its own.

    `redisperf_redis_factory()` is like the run's first. `redisperf_redis_factory("streams", appendonly=True)` has
    settings of its own, those of `redis_perf.servers.redis_options.RedisOptions` (`password`, `user`, `acl`,
    `appendonly`, `tls`, `settings`); the name is what budgets and the summary call it. `.server(url)` is the server.
    """

    def __init__(self, config: pytest.Config, plain: Callable[[int], RedisServer], seen: Callable[[str], str]) -> None:
        self._config = config
        self._plain = plain
        self._seen = seen
        self._asked: Counter[object] = Counter()
        self._given: dict[str, RedisServer] = {}
        self._named: list[str] = []

    def __call__(self, name: str = "", **options: Any) -> str:
        """Raises TypeError or ValueError for options that are none."""
        server = self._with(options) if options else self._like_the_first()
        if name:
            self._name(server.url, name)
        url = self._seen(server.url)
        self._given[url] = server
        return url

    def server(self, url: str) -> RedisServer:
        """The server of a URL that was given: `.kill()`, `.restart()`, `.pause()` and more. Raises KeyError."""
        return self._given[url]

    def forget_names(self) -> None:
        """They were for one test."""
        from redis_perf.recording import server_names

        for address in self._named:
            server_names().pop(address, None)

    def _like_the_first(self) -> RedisServer:
        self._asked[None] += 1
        return self._plain(self._asked[None])

    def _with(self, options: dict[str, Any]) -> RedisServer:
        from redis_perf.servers.redis_options import RedisOptions
        from redis_perf.servers.topologies import redis_with

        wanted = RedisOptions(**options)
        key = str(wanted)
        self._asked[key] += 1
        settings = Settings.of(self._config)
        return topologies_of(self._config).clean(
            ("redis", key, self._asked[key]),
            lambda: redis_with(settings.redis, wanted, strict=bool(settings.strict)),
        )

    def _name(self, url: str, name: str) -> None:
        from redis_perf.recording import server_names

        parts = urlsplit(url)
        address = f"{parts.hostname}:{parts.port}"
        server_names()[address] = name
        self._named.append(address)


@pytest.fixture
def redisperf_redis_server(_redisperf_redis_server: RedisServer) -> RedisServer:
    """The server of `redisperf_redis_url`: `.kill()`, `.restart()`, `.pause()`, `.fill_memory()`, `.read_only()`."""
    return _redisperf_redis_server


@pytest.fixture
def redisperf_postgres_server(_redisperf_postgres_servers: Any) -> PostgresServer:
    """The server of `redisperf_postgres_dsn`: `.kill()`, `.restart()`, `.pause()`, `.read_only()`."""
    return _redisperf_postgres_servers[0]  # type: ignore[no-any-return]


@pytest.fixture
def redisperf_redis_cluster(request: pytest.FixtureRequest) -> RedisCluster:
    """A Redis Cluster of three primaries, empty: `.url`, `.nodes`. Ready in about 0.2 s, once in a run."""
    from redis_perf.servers.topologies import redis_cluster

    settings = _seen_by_clients(request.config, "a Redis Cluster")
    start = lambda: redis_cluster(settings.redis, strict=bool(settings.strict))  # noqa: E731
    return topologies_of(request.config).clean("cluster", start)


@pytest.fixture
def redisperf_redis_sentinel(request: pytest.FixtureRequest) -> RedisSentinel:
    """A primary, its replica and a Sentinel, empty: `.sentinels`, `.service`, `.failover()`. Ready in about 1.2 s."""
    from redis_perf.servers.topologies import redis_sentinel

    settings = _seen_by_clients(request.config, "a Sentinel")
    start = lambda: redis_sentinel(settings.redis, strict=bool(settings.strict))  # noqa: E731
    return topologies_of(request.config).clean("sentinel", start)


@pytest.fixture
def redisperf_pgbouncer(request: pytest.FixtureRequest, _redisperf_postgres_servers: Any) -> PgBouncer:
    """The PgBouncer of `redisperf_pgbouncer_dsn`: `.kill()`, `.restart()`, `.pause()`. Ready in about 20 ms."""
    from redis_perf.servers.pgbouncer import before

    server = _redisperf_postgres_servers[0]
    return topologies_of(request.config).clean("pgbouncer", lambda: before(server))


@pytest.fixture
def redisperf_pgbouncer_dsn(
    request: pytest.FixtureRequest, redisperf_pgbouncer: PgBouncer, _redisperf_direct_postgres_dsn: str
) -> str:
    """DSN of this test's Postgres database through PgBouncer in transaction mode."""
    from pytest_redisperf.access import seen

    return seen(request.config, "postgres", redisperf_pgbouncer.dsn(_redisperf_direct_postgres_dsn))


def _seen_by_clients(config: pytest.Config, what: str) -> Settings:
    """Fails a test whose traffic would be missed."""
    settings = Settings.of(config)
    if settings.tap == "proxy":
        pytest.fail(
            f"redisperf: {what} tells clients the addresses of its servers, so they would go past the proxy and not be "
            "counted; use --redisperf-tap=clients",
            pytrace=False,
        )
    return settings
