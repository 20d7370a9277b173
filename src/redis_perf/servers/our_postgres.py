"""What is the same for a PostgreSQL of ours wherever it runs: new databases, and what it can be put under."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import pgwire
from redis_perf.servers.conditions import NO_LIMIT, Condition


class OurPostgres:
    """A part of LocalPostgres and DockerPostgres, which know how to reach it."""

    owned = True
    version: str

    if TYPE_CHECKING:

        def recover(self) -> None:
            """Take back what was done to it: the other part of these classes does."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a fresh, empty database, dropped at the end with whatever is still connected to it."""
        self.recover()
        name = f"test_{os.urandom(6).hex()}"
        self._administer(creating(name, "template0", self.version))
        try:
            yield self._dsn(name)
        finally:
            self.recover()
            self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def fill_memory(self) -> Condition:
        """Raises ServerUnavailable: there is no limit to set."""
        raise ServerUnavailable(NO_LIMIT)

    def _administer(self, statement: str, options: str = pgwire.WRITING) -> None:
        """Raises ServerUnavailable."""
        raise NotImplementedError

    def _dsn(self, database: str) -> str:
        raise NotImplementedError


def creating(name: str, template: str, version: str) -> str:
    """The statement that makes a database, for a server that says it is of this version."""
    # Copying the template's files beats writing them to the log (the default) where nothing is flushed.
    strategy = " STRATEGY FILE_COPY" if major(version) >= 15 else ""
    return f"CREATE DATABASE {name} TEMPLATE {template}{strategy}"


def major(version: str) -> int:
    """18, of `PostgreSQL 18.4`."""
    return int(version.removeprefix("PostgreSQL ").split(".")[0])
