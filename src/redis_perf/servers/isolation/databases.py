"""New databases, cloned from templates, the next one made while a test uses the last, old ones dropped behind it.

No thread does this. CREATE and DROP DATABASE are sent on two connections of our own and the server works on them while
the test runs; the answers are read when the next database is wanted, and a failure shows there, once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import PostgresServer
from redis_perf.servers.isolation.session import Refused, Session, dsn_of, literal
from redis_perf.servers.our_postgres import creating, major

if TYPE_CHECKING:
    from redis_perf.servers.isolation.schema import Schema

Answer = TypeVar("Answer")

EMPTY = "template0"
WORTH_A_TEMPLATE = 3
"""From this database on, empty ones are cloned from one that was connected to: it has the file of catalog entries that
the first connection to a database else makes, which takes longer than the connection itself."""
IN_USE = "55006"
NEW = "NEW_DATABASE"
RAW = "local_preload_libraries search_path session_preload_libraries temp_tablespaces"  # kept as lists, quoted already
# What CREATE DATABASE leaves out, as statements: the template's own settings, and its privileges.
TEMPLATE_SETTINGS = f"""
    SELECT CASE WHEN setrole = 0 THEN 'ALTER DATABASE {NEW}'
           ELSE 'ALTER ROLE ' || quote_ident(pg_get_userbyid(setrole)) || ' IN DATABASE {NEW}' END
           || ' SET ' || name || ' = ' || CASE WHEN name = ANY (string_to_array('{RAW}', ' ')) THEN value
           ELSE quote_literal(value) END
    FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS entry,
         split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value
    WHERE datname = """
TEMPLATE_GRANTS = f"""
    SELECT statement FROM pg_database, LATERAL (
        SELECT 0, 'REVOKE ALL ON DATABASE {NEW} FROM PUBLIC' WHERE datacl IS NOT NULL
        UNION ALL
        SELECT 1, 'GRANT ' || privilege_type || ' ON DATABASE {NEW} TO '
               || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
               || CASE WHEN is_grantable AND grantee <> datdba THEN ' WITH GRANT OPTION' ELSE '' END
        FROM aclexplode(datacl)
    ) AS statements (turn, statement)
    WHERE datname = {{}} ORDER BY turn"""


class Databases:
    """Of one server of ours. Not for use by several threads at once."""

    def __init__(self, server: PostgresServer) -> None:
        """Connect. Raises ServerUnavailable."""
        self._server = server
        self._templates: dict[str, tuple[str, ...]] = {}
        self._taken = 0
        self._connect()

    def begin(self, template: str = EMPTY) -> None:
        """Make one before any is asked for. Raises ServerUnavailable."""
        self._answered(lambda: self._begin(template))

    def take(self, template: str = EMPTY) -> str:
        """The name of a database nobody has used. Raises ServerUnavailable, also for what failed since the last."""
        self._taken += 1
        return self._answered(lambda: self._take(template))

    def drop(self, name: str) -> None:
        """Drop it behind our back, with whoever is connected. Raises ServerUnavailable if an earlier drop failed."""
        self._answered(lambda: self._drop(name))

    def template(self, schema: Schema) -> str:
        """The sealed template with this schema, made when first asked for. Raises ServerUnavailable."""
        name = f"template_{schema.digest}"
        if name not in self._templates:
            self._answered(lambda: self._fill(name, schema))
            self._templates[name] = self._clone_also(name)
        return name

    def dsn(self, name: str) -> str:
        return dsn_of(self._server, name)

    def session(self, name: str) -> Session:
        """One of our own on a database. Raises ServerUnavailable."""
        try:
            return Session(self._server, name)
        except OSError as error:
            raise self._silent(error) from error

    def close(self) -> None:
        """Leave. The databases go with the server."""
        self._maker.close()
        self._dropper.close()

    def _connect(self) -> None:
        self._spare: tuple[str, str] | None = None
        self._maker = self.session("postgres")
        self._dropper = self.session("postgres")
        if major(self._server.version) >= 18:
            # Copies nothing on file systems that can share it; the others copy as before. Not in every build.
            with suppress(Refused):
                self._maker.query("SET file_copy_method = clone")

    def _answered(self, do: Callable[[], Answer]) -> Answer:
        """A test may have killed and restarted the server: then once more, on new connections."""
        try:
            return do()
        except OSError:
            self.close()
            self._connect()
        try:
            return do()
        except OSError as error:
            raise self._silent(error) from error

    def _silent(self, error: OSError) -> ServerUnavailable:
        return ServerUnavailable(f"postgres={self._server.choice}: the server does not answer any more ({error})")

    def _begin(self, template: str) -> None:
        name = self._begun(template)
        self._spare = (template, name)
        if template == EMPTY:
            self._maker.receive()
            self.session(name).close()  # see WORTH_A_TEMPLATE

    def _take(self, template: str) -> str:
        if template == EMPTY and self._taken >= WORTH_A_TEMPLATE:
            from redis_perf.servers.isolation.schema import Schema

            template = self.template(Schema((), "of_nothing"))
        name = self._made(template) or self._begun(template)
        self._maker.receive()
        self._spare = (template, self._begun(template))
        return name

    def _drop(self, name: str) -> None:
        try:
            self._dropper.receive()
        except Refused as refusal:
            if refusal.code != IN_USE:
                raise
            self._drop_prepared(refusal.statement)
        self._dropper.send(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _begun(self, template: str) -> str:
        name = f"test_{os.urandom(6).hex()}"
        self._maker.send(creating(name, template, self._server.version))
        self._maker.send(*(statement.replace(NEW, name) for statement in self._templates.get(template, ())))
        return name

    def _made(self, template: str) -> str | None:
        """The one made ahead, if it is of this template; whether it was made is heard next."""
        spare, self._spare = self._spare, None
        if spare is None or spare[0] == template:
            return spare[1] if spare else None
        self._maker.receive()
        self._drop(spare[1])
        return None

    def _drop_prepared(self, dropping: str) -> None:
        """A prepared transaction holds a database against DROP, FORCE or not, and only one connected to it ends it."""
        prepared = self._dropper.query("SELECT database, gid FROM pg_prepared_xacts WHERE database LIKE 'test_%'")
        for name, gid in prepared:
            inside = self.session(str(name))
            try:
                inside.query(f"ROLLBACK PREPARED {literal(str(gid))}")
            finally:
                inside.close()
        self._dropper.query(dropping)

    def _fill(self, name: str, schema: Schema) -> None:
        self._maker.receive()
        open_to_all = self._maker.query(f"SELECT datallowconn FROM pg_database WHERE datname = {literal(name)}")
        if open_to_all == [("f",)]:  # made by another of us
            return
        if open_to_all:  # or begun
            self._maker.query(f"DROP DATABASE {name} WITH (FORCE)")
        self._maker.query(creating(name, EMPTY, self._server.version))
        try:
            schema.apply(self.dsn(name), lambda: self.session(name))
            self.session(name).close()  # see WORTH_A_TEMPLATE
            self._maker.query(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            self._ask_out(name)
        except BaseException:
            self._maker.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            raise

    def _ask_out(self, name: str) -> None:
        """A schema's code may have left a connection open, and a template in use cannot be cloned."""
        mine = f"datid = (SELECT oid FROM pg_database WHERE datname = {literal(name)})"
        leaving = f"SELECT pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL) WHERE {mine}"
        while self._maker.query(leaving):
            continue

    def _clone_also(self, template: str) -> tuple[str, ...]:
        name = literal(template)
        rows = self._maker.query(TEMPLATE_SETTINGS + name) + self._maker.query(TEMPLATE_GRANTS.format(name))
        return tuple(str(row[0]) for row in rows)
