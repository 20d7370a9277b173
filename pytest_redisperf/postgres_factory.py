"""The `redisperf_postgres_factory` fixture: more databases, of the run's Postgres or of one of other settings."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_redisperf.isolation import Isolation, Source, isolation_of
from pytest_redisperf.options import Settings
from pytest_redisperf.topologies import topologies_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_redisperf.servers import Servers
    from redis_perf.servers import PostgresServer


class PostgresFactory:
    """Each call gives the DSN of one more new database, with the run's schema.

    `redisperf_postgres_factory()` is one of the run's first server. `redisperf_postgres_factory("reports",
    version="15", tls=True)` is one of a server of its own: of that version, with the settings of
    `redis_perf.servers.postgres_options.PostgresOptions` (`scram_iterations`, `tls`, `settings`); the name is what
    budgets and the summary call it. The same words again give another database of the same server. `.server(dsn)` is
    the server.
    """

    def __init__(
        self, config: pytest.Config, first: Servers[PostgresServer], schema: Source, seen: Callable[[str], str]
    ) -> None:
        self._config = config
        self._first = first
        self._schema = schema
        self._seen = seen
        self._databases = ExitStack()
        self._given: dict[str, PostgresServer] = {}
        self._named: list[str] = []

    def __call__(self, name: str = "", *, version: str = "", **options: Any) -> str:
        """Raises TypeError or ValueError for options that are none."""
        if name or version or options:
            server, database = self._of_its_own(name, version, options)
        else:
            server = self._first[0]
            database = isolation_of(self._config).another(server, self._schema)
        dsn = self._seen(self._databases.enter_context(database))
        self._given[dsn] = server
        return dsn

    def server(self, dsn: str) -> PostgresServer:
        """The server of a DSN that was given: `.kill()`, `.restart()`, `.pause()` and more. Raises KeyError."""
        return self._given[dsn]

    def close(self) -> None:
        """Databases and names were for one test."""
        from redis_perf.recording import server_names

        try:
            self._databases.close()
        finally:
            for address in self._named:
                server_names().pop(address, None)

    def _of_its_own(
        self, name: str, version: str, options: dict[str, Any]
    ) -> tuple[PostgresServer, AbstractContextManager[str]]:
        from redis_perf.servers.postgres_options import PostgresOptions
        from redis_perf.servers.postgres_topologies import postgres_with

        wanted, settings = PostgresOptions(**options), Settings.of(self._config)
        own = topologies_of(self._config).clean(
            ("postgres", name, version, str(wanted)),
            lambda: _WithDatabases(
                self._config, postgres_with(settings.postgres, wanted, version=version, strict=settings.strict)
            ),
        )
        if name:
            self._name(own.server.dsn, name)
        return own.server, own.isolation.another(own.server, self._schema)

    def _name(self, dsn: str, name: str) -> None:
        from redis_perf.recording import server_names

        parts = urlsplit(dsn)
        address = f"{parts.hostname}:{parts.port}"
        server_names()[address] = name
        self._named.append(address)


class _WithDatabases:
    """A server and those of its databases that tests have."""

    def __init__(self, config: pytest.Config, server: PostgresServer) -> None:
        self.server = server
        self.isolation = Isolation(config)

    def reset(self) -> None:
        """Nothing is to be emptied: each call of the factory makes a new database."""

    def stop(self) -> None:
        self.isolation.close()
        self.server.stop()
