"""Each test's database: taken when the test asks for it, dropped or kept when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redis_perf.servers import PostgresServer
from redis_perf.servers.isolation.databases import EMPTY, Databases

if TYPE_CHECKING:
    from redis_perf.servers.isolation.reset import Reset
    from redis_perf.servers.isolation.schema import Schema


class _Kept(NamedTuple):
    name: str
    template: str
    reset: Reset


class Lending:
    """The databases of one server of ours, for one test after another."""

    def __init__(self, server: PostgresServer) -> None:
        """Raises ServerUnavailable when it does not answer."""
        self._databases = Databases(server)
        self._kept: _Kept | None = None
        self._untouched = False
        """No test had the kept one yet."""

    def begin(self, schema: Schema | None = None, mode: str = "database") -> None:
        """Make what the first test will ask for before it does. Raises ServerUnavailable."""
        if mode == "database":
            self._databases.begin(self._template(schema))
        else:
            self.cleaned(schema)
            self._untouched = True

    def new(self, schema: Schema | None) -> str:
        """The name of a database nobody has used, with the schema. Raises ServerUnavailable."""
        return self._databases.take(self._template(schema))

    def cleaned(self, schema: Schema | None, spared_pid: int = 0) -> str:
        """The name of the database that is kept, clean; a new one where it cannot be cleaned.

        All connections to it are ended but the one of `spared_pid`. Raises ServerUnavailable.
        """
        template = self._template(schema)
        kept, untouched = self._kept, self._untouched
        self._untouched = False
        if kept is not None and kept.template == template and (untouched or kept.reset.clean(spared_pid)):
            return kept.name
        from redis_perf.servers.isolation.reset import Reset

        self._kept = None
        if kept is not None:
            kept.reset.close()
            self._databases.drop(kept.name)
        name = self._databases.take(template)
        self._kept = _Kept(name, template, Reset(self._databases.session(name)))
        return name

    def dsn(self, name: str) -> str:
        return self._databases.dsn(name)

    def end(self, name: str) -> None:
        """A test has ended: its database goes, if it is not the one that is kept."""
        if self._kept is None or self._kept.name != name:
            self._databases.drop(name)

    def leave(self, name: str) -> None:
        """A test has ended, and its database stays as it is."""
        if self._kept is not None and self._kept.name == name:
            self._kept.reset.close()
            self._kept = None

    def close(self) -> None:
        """Leave. The databases go with the server."""
        if self._kept is not None:
            self._kept.reset.close()
            self._kept = None
        self._databases.close()

    def _template(self, schema: Schema | None) -> str:
        return EMPTY if schema is None else self._databases.template(schema)
