"""How clean each test's servers are: the modes of `redisperf_isolation`, and the databases lent to this run's tests."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

from pytest_redisperf.options import ISOLATIONS, Settings
from redis_perf import ServerUnavailable

if TYPE_CHECKING:
    from pytest_redisperf.ahead import Ahead
    from pytest_redisperf.servers import Servers
    from redis_perf.servers import PostgresServer, RedisServer
    from redis_perf.servers.isolation.lending import Lending
    from redis_perf.servers.isolation.rollback import KeptConnection
    from redis_perf.servers.isolation.schema import Schema

Source: TypeAlias = "str | os.PathLike[str] | Callable[[str], object] | None"
"""What `redisperf_postgres_schema` may return."""

MARKER = "redisperf_isolation"
REDIS_MODES = ("reset", "fresh")
LENT = pytest.StashKey["Lent"]()
"""The database of this test."""
KEEP = pytest.StashKey[bool]()
"""The database of this test stays as it is."""
MOST_SPARES = 4
"""Valkey sleeps for 30 ms while it starts, to measure the processor's clock: several can sleep at once."""


class Lent(NamedTuple):
    """One test's database."""

    dsn: str
    mode: str
    connection: KeptConnection | None = None
    """In mode `rollback`."""


class Wanted(NamedTuple):
    """What a test's marker says, or the run's settings where it says nothing."""

    postgres: str
    redis: str = "reset"

    @classmethod
    def of(cls, node: pytest.Item, settings: Settings) -> Wanted:
        """Fails the test when its marker cannot be read."""
        mark = node.get_closest_marker(MARKER)
        if mark is None:
            return cls(settings.isolation)
        try:
            wanted = cls(*_read(*mark.args, **mark.kwargs))
        except (TypeError, ValueError) as error:
            pytest.fail(f"redisperf: @pytest.mark.{MARKER}: {error}", pytrace=False)
        return wanted._replace(postgres=wanted.postgres or settings.isolation)


class Isolation:
    """The databases of one run's tests, all of one server."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = Settings.of(config)
        self._lending: Lending | None = None
        self._connection: KeptConnection | None = None
        self._schemas: dict[object, Schema] = {}
        self._failed_in: dict[object, str] = {}

    @contextmanager
    def lent(self, node: pytest.Item, server: PostgresServer, source: Source) -> Iterator[Lent]:
        """A database for this test. Fails the test when there can be none."""
        if not _lends(server):
            with self.another(server, source) as dsn:
                yield Lent(dsn, "database")
            return
        mode = Wanted.of(node, self._settings).postgres
        with _told():
            lending = self._of(server)
            name = self._name(lending, mode, source)
            lent = node.stash[LENT] = Lent(lending.dsn(name), mode, self._kept_connection(mode))
        yield lent
        with _told():
            self._of(server)
            lending.leave(name) if node.stash.get(KEEP, False) else lending.end(name)

    @contextmanager
    def another(self, server: PostgresServer, source: Source) -> Iterator[str]:
        """One more database that nobody has used. Fails the test when there can be none."""
        if _lends(server):
            with _told():
                lending = self._of(server)
                name = lending.new(self._schema(source))
            yield lending.dsn(name)
            with _told():
                self._of(server)
                lending.end(name)
            return
        if source is not None and server.choice != "fake":
            pytest.fail(
                f"redisperf: redisperf_schema is for servers of ours, which {server.choice} is not; "
                "use --redisperf-postgres=embedded, system or docker",
                pytrace=False,
            )
        with server.database() as dsn:
            yield dsn

    def begin(self, server: PostgresServer) -> None:
        """Connect and begin the first database before a test asks for it. Raises ServerUnavailable."""
        if _lends(server):
            self._of(server).begin()

    def lend(self, lending: Lending) -> None:
        """From these databases, which another process has begun."""
        self._lending = lending

    def close(self) -> None:
        """The databases go with their server. Calling it again does nothing."""
        connection, self._connection = self._connection, None
        lending, self._lending = self._lending, None
        if connection is not None:
            connection.close()
        if lending is not None:
            lending.close()

    def _of(self, server: PostgresServer) -> Lending:
        from redis_perf.servers.isolation.lending import Lending

        recover: Callable[[], None] = getattr(server, "recover", lambda: None)
        recover()  # what a test has killed or paused
        if self._lending is None:
            self._lending = Lending(server)
        return self._lending

    def _name(self, lending: Lending, mode: str, source: Source) -> str:
        schema = self._schema(source)
        if source in self._failed_in:
            raise ServerUnavailable(f"no schema in this run, see the error of {self._failed_in[source]}")
        try:
            if mode == "database":
                return lending.new(schema)
            return lending.cleaned(schema, self._connection.pid if self._connection else 0)
        except ServerUnavailable as error:
            if "redisperf_schema" in str(error):
                self._failed_in[source] = os.environ.get("PYTEST_CURRENT_TEST", "the first test").partition(" (")[0]
            raise

    def _schema(self, source: Source) -> Schema | None:
        if source is None:
            return None
        if source not in self._schemas:
            from redis_perf.servers.isolation.schema import Schema

            root = self._config.rootpath
            text = os.fspath(source) if not callable(source) else ""
            if isinstance(source, Path):
                text = f"'{source}'"
            self._schemas[source] = Schema.by(_unheard(source)) if callable(source) else Schema.of(text, root)
        return self._schemas[source]

    def _kept_connection(self, mode: str) -> KeptConnection | None:
        if mode != "rollback":
            return None
        if self._connection is None:
            from redis_perf.servers.isolation.rollback import KeptConnection

            self._connection = KeptConnection()
        return self._connection


class FreshRedis:
    """New servers, the next ones started while a test uses the last: as many as it takes that no test waits."""

    def __init__(self) -> None:
        self._spares: deque[Ahead[RedisServer]] = deque()
        self._wanted = 1

    @contextmanager
    def server(self, servers: Servers[RedisServer]) -> Iterator[RedisServer]:
        """Fails the test when it cannot be had."""
        server = self._next(servers)
        if not server.owned:
            pytest.fail(
                f"redisperf: @pytest.mark.{MARKER}(redis='fresh') needs a server of ours, which {server.choice} is "
                "not; use --redisperf-redis=embedded, system or docker",
                pytrace=False,
            )
        from pytest_redisperf.ahead import Ahead

        while len(self._spares) < self._wanted:
            self._spares.append(Ahead(servers.start))
        yield server
        server.stop()

    def close(self) -> None:
        while self._spares:
            self._spares.popleft().stop()

    def _next(self, servers: Servers[RedisServer]) -> RedisServer:
        if not self._spares:
            return servers.start()
        spare = self._spares.popleft()
        if not spare.ready and self._wanted < MOST_SPARES:
            self._wanted += 1
        return spare.result()


_OF_RUN = pytest.StashKey[Isolation]()
_FRESH = pytest.StashKey[FreshRedis]()


def isolation_of(config: pytest.Config) -> Isolation:
    """The one of this run."""
    if _OF_RUN not in config.stash:
        config.stash[_OF_RUN] = Isolation(config)
        config.add_cleanup(config.stash[_OF_RUN].close)
    return config.stash[_OF_RUN]


def fresh_redis_of(config: pytest.Config) -> FreshRedis:
    """The one of this run."""
    if _FRESH not in config.stash:
        config.stash[_FRESH] = FreshRedis()
        config.add_cleanup(config.stash[_FRESH].close)
    return config.stash[_FRESH]


def _read(postgres: str = "", *, redis: str = "reset") -> tuple[str, str]:
    for given, known in ((postgres or "database", ISOLATIONS), (redis, REDIS_MODES)):
        if given not in known:
            raise ValueError(f"{given!r} is no isolation; give {' or '.join(map(repr, known))}")
    return postgres, redis


def _lends(server: PostgresServer) -> bool:
    return server.owned and server.choice != "fake"


def _unheard(function: Callable[[str], object]) -> Callable[[str], object]:
    """Called with no tap in place: what makes the schema is no test's traffic."""

    def call(dsn: str) -> object:
        from redis_perf.recording import _listening

        with _listening.suspended():
            return function(dsn)

    return call


@contextmanager
def _told() -> Iterator[Any]:
    try:
        yield
    except ServerUnavailable as error:
        pytest.fail(f"redisperf: {error}", pytrace=False)
