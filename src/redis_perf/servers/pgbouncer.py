"""A PgBouncer of our own before one PostgreSQL, in transaction mode: the `pgbouncer` on PATH (Debian's package).

It lends a server connection for one transaction at a time, so what a client keeps in its session (prepared statements,
SET, advisory locks, LISTEN, temporary tables) is not there in its next transaction. Databases, user and password are
those of the server behind it; its own settings are PgBouncer's defaults, but for those given.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import PostgresServer, pgwire
from redis_perf.servers.lifecycle import OurProcess
from redis_perf.servers.ports import on_free_port
from redis_perf.servers.unprivileged import as_somebody
from redis_perf.servers.watched import Watched, run_directory

CONSOLE = "pgbouncer"
"""The database by which it is administered."""
PLACES = ("/usr/sbin", "/usr/local/sbin")
"""Where packages put it, and which an ordinary user's PATH often lacks."""
MISSING = (
    "there is no pgbouncer on PATH or in " + " or ".join(PLACES) + ": install it (Debian: apt-get install pgbouncer)"
)


class PgBouncer(OurProcess):
    """`kill()`, `restart()`, `pause()` as of a server; `port` is where it listens on 127.0.0.1."""

    def __init__(self, server_dsn: str, settings: Mapping[str, str] | None = None) -> None:
        """Before the server of this DSN; returns when it answers. Raises ServerUnavailable with the end of its log.

        `settings` are lines of its `[pgbouncer]` section, such as `{"max_prepared_statements": "100"}`.
        """
        super().__init__()
        self._program = _program()
        self._server = urlsplit(server_dsn)
        self._user, self._password = unquote(self._server.username or ""), unquote(self._server.password or "")
        self._settings = {} if settings is None else dict(settings)
        self._watched = on_free_port(self._start)

    def dsn(self, direct: str) -> str:
        """Where this DSN of the server behind leads through PgBouncer."""
        address = urlsplit(direct)
        login, _, _ = address.netloc.rpartition("@")
        return address._replace(netloc=f"{login}@127.0.0.1:{self.port}").geturl()

    def _start(self, port: int) -> Watched:
        directory = run_directory()
        self.port = port
        user = as_somebody(directory)
        serve = [*user.prefix, self._program, str(directory / "pgbouncer.ini")]
        watched = Watched(directory, serve, prepare=user.prepare, furnish=self._furnished, farewell=False)
        try:
            version = watched.until(self._ask())
        except BaseException:
            watched.stop()
            raise
        self.version = f"PgBouncer {version.partition('/')[0]}"
        return watched

    def _furnished(self, directory: Path) -> None:
        for name, text in (("users", self._users()), ("pgbouncer.ini", "\n".join(self._lines(directory)) + "\n")):
            file = directory / name
            file.touch(mode=0o600)
            file.write_text(text)

    def _users(self) -> str:
        """In plain text, for PgBouncer itself must log in with it."""
        return " ".join('"{}"'.format(word.replace('"', '""')) for word in (self._user, self._password)) + "\n"

    def _lines(self, directory: Path) -> Iterator[str]:
        yield "[databases]"
        yield f"* = host={self._server.hostname} port={self._server.port or 5432}"
        yield "[pgbouncer]"
        settings = {
            "pool_mode": "transaction",
            **self._settings,
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(directory / "users"),
            "admin_users": self._user,
        }
        yield from (f"{name} = {value}" for name, value in settings.items())

    def _ask(self) -> Callable[[], str]:
        return partial(_console, self.port, self._password, "SHOW VERSION")

    def _end(self) -> None:
        with suppress(OSError):  # it hangs up instead of answering
            _console(self.port, self._password, "SHUTDOWN")
        self._watched.gone("was told SHUTDOWN")

    def reset(self) -> None:
        """Alive and awake. Databases are a test's own, so there is nothing to empty."""
        self.recover()

    def stop(self) -> None:
        """End it and return when process and files are gone. Idempotent."""
        self._watched.stop()


def before(server: PostgresServer) -> PgBouncer:
    """One before a server of ours. Raises ServerUnavailable for others: their passwords need not be ours to keep."""
    if not server.owned or server.choice == "fake":
        raise ServerUnavailable(
            f"PgBouncer is put before a server of ours, which {server.choice} is not; "
            "use --redisperf-postgres=embedded, system or docker"
        )
    return PgBouncer(server.dsn)


def _console(port: int, password: str, statement: str) -> str:
    """Returns the version. Raises OSError while it does not answer."""
    return pgwire.execute(("127.0.0.1", port), statement, password=password, database=CONSOLE, options="")


def _program() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
    found = shutil.which("pgbouncer", path=path)
    if found is None:
        raise ServerUnavailable(MISSING)
    return found
