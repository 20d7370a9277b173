"""A PostgreSQL cluster of our own, made and run from the installation's `bin` directory.

Tuned to start and forget, not to keep: nothing is flushed to disk, no autovacuum, no JIT. Users connect over TCP on
127.0.0.1 with a random password; we ourselves over a unix socket in a directory that only we may enter.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis_perf.servers import pgwire
from redis_perf.servers.ports import on_free_port
from redis_perf.servers.unprivileged import Unprivileged, unprivileged
from redis_perf.servers.watched import Watched, run_directory

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",
}
ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class LocalPostgres:
    """A PostgresServer; `unix_directory` and `port` are the parts of its second address."""

    owned = True

    def __init__(self, choice: str, installation: Path) -> None:
        """Make and start it; return when it answers. Raises ServerUnavailable with the end of its log."""
        self.choice = choice
        self._installation = installation
        self._password = secrets.token_hex(16)
        self._watched = on_free_port(self._start)

    @property
    def dsn(self) -> str:
        return self._dsn("postgres")

    def _start(self, port: int) -> Watched:
        directory = run_directory()
        self.port = port
        self.unix_directory = str(directory)
        self._socket_path = f"{directory}/.s.PGSQL.{port}"
        user = unprivileged(self._installation, directory)
        access = f"ALTER ROLE postgres PASSWORD '{_verifier(self._password)}'"
        watched = Watched(directory, self._serve(user, directory, port), prepare=_prepare(user, directory))
        try:
            version = watched.until(lambda: pgwire.execute(self._socket_path, access))
        except BaseException:
            watched.stop()
            raise
        self.version = f"PostgreSQL {version}"
        return watched

    def _serve(self, user: Unprivileged, directory: Path, port: int) -> list[str]:
        settings = {
            **SETTINGS,
            "port": str(port),
            "unix_socket_directories": str(directory),
            "hba_file": str(directory / "access"),
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*user.prefix, str(user.installation / "bin/postgres"), "-D", str(directory / "data"), *words]

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a fresh, empty database, dropped at the end with whatever is still connected to it."""
        name = f"test_{secrets.token_hex(6)}"
        # Copying the template's files beats writing them to the log (the default) where nothing is flushed.
        strategy = " STRATEGY FILE_COPY" if self._major >= 15 else ""
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0{strategy}")
        try:
            yield self._dsn(name)
        finally:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """End it and return when process and files are gone. Idempotent."""
        self._watched.stop()

    @property
    def _major(self) -> int:
        return int(self.version.removeprefix("PostgreSQL ").split(".")[0])

    def _execute(self, statement: str) -> None:
        try:
            pgwire.execute(self._socket_path, statement)
        except OSError as error:
            raise self._watched.failure(f"does not answer any more ({error})") from error

    def _dsn(self, database: str) -> str:
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{database}"


def _prepare(user: Unprivileged, directory: Path) -> str:
    initdb = [*user.prefix, str(user.installation / "bin/initdb"), "--pgdata", str(directory / "data")]
    options = "--username=postgres --auth=trust --no-sync --no-instructions --locale=C --encoding=UTF8 --wal-segsize=1"
    access = f"printf %s {shlex.quote(ACCESS)} >{shlex.quote(str(directory / 'access'))}"
    return f"{access} && {user.prepare} && {shlex.join([*initdb, *options.split()])}"


def _verifier(password: str) -> str:
    """What the server keeps of a SCRAM password. One iteration: it is random, and 4096 would cost 8 ms a connection."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded_salt, stored, server = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256$1:{encoded_salt}${stored}:{server}"
