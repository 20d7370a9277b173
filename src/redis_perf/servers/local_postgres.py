"""A PostgreSQL cluster of our own, made and run from the installation's `bin` directory.

Tuned to start and forget, not to keep: nothing is flushed to disk, no autovacuum, no JIT. Users connect over TCP on
127.0.0.1 with a random password; we ourselves over a unix socket in a directory that only we may enter. The cluster
is a new one, made in advance where it can be: see `cluster_cache`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import pgwire
from redis_perf.servers.conditions import Condition, read_only_sessions
from redis_perf.servers.lifecycle import OurProcess
from redis_perf.servers.our_postgres import OurPostgres
from redis_perf.servers.ports import TAKEN, on_free_port
from redis_perf.servers.postgres_options import PLAIN, PostgresOptions
from redis_perf.servers.watched import IN_MEMORY, Watched, run_directory

if TYPE_CHECKING:  # what only starting needs is imported where it is: a server may have been started elsewhere
    from redis_perf.servers.cluster_cache import Cluster, ClusterCache
    from redis_perf.servers.unprivileged import Unprivileged

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",  # costs nothing where nothing is flushed; what was committed survives `kill`
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",
}
INITDB = "--username=postgres --auth=trust --no-sync --no-instructions --locale=C --encoding=UTF8 --wal-segsize=1"
WITHOUT_TLS = "SSL is not supported by this build"
NO_TLS = (
    "{choice}: {program} was built without TLS. Other ways: this machine's PostgreSQL (Debian's has TLS: apt-get "
    "install postgresql), which is found by itself, or --redisperf-postgres=postgresql://..."
)


class NoTls(ServerUnavailable):
    """This program cannot speak it."""


class LocalPostgres(OurPostgres, OurProcess):
    """A PostgresServer; `unix_directory` and `port` are the parts of its second address."""

    def __init__(self, choice: str, installation: Path, options: PostgresOptions = PLAIN) -> None:
        """Make and start it; return when it answers. Raises ServerUnavailable with the end of its log."""
        super().__init__()
        self.choice = choice
        self.options = options
        self._installation = installation
        self.origin = ""
        """Where its cluster comes from: `spare`, `copy`, `initdb`, or why there is no cache."""
        self._cache: ClusterCache | None = None
        self._password = os.urandom(16).hex()
        self._watched = on_free_port(self._start)

    @property
    def dsn(self) -> str:
        return self._dsn("postgres")

    def __getstate__(self) -> dict[str, object]:
        """Can be handed over to another process, by pickle. What is made for later runs is left to this one."""
        return {**self.__dict__, "_cache": None}

    def _start(self, port: int) -> Watched:
        from redis_perf.servers.cluster_cache import CacheUnusable, ClusterCache

        directory = run_directory()
        try:
            self._cache = ClusterCache.of(self._installation / "bin/postgres", INITDB, directory, Path(IN_MEMORY))
        except CacheUnusable as why:
            self._cache = None
            self.origin = f"made for this run alone, without a cache: {why}"
            return self._run(port, directory)
        try:
            return self._run(port, directory)
        except ServerUnavailable as failure:
            if TAKEN in str(failure) or self.origin == "initdb" or self.options != PLAIN:
                raise
        self._cache.distrust()
        return self._run(port, run_directory())

    def _run(self, port: int, directory: Path) -> Watched:
        self.port = port
        self.unix_directory = str(directory)
        self._socket_path = f"{directory}/.s.PGSQL.{port}"
        from redis_perf.servers.unprivileged import unprivileged

        user = unprivileged(self._installation, directory)
        if self._cache is None:
            return self._answering(user, directory, _made(user, directory, None))
        with self._cache.cluster(directory / "data", _initdb(user, directory)) as cluster:
            self.origin = cluster.origin
            return self._answering(user, directory, _made(user, directory, cluster))

    def _answering(self, user: Unprivileged, directory: Path, prepare: str) -> Watched:
        from redis_perf.servers.scram import verifier

        access = f"ALTER ROLE postgres PASSWORD '{verifier(self._password, self.options.scram_iterations)}'"
        serve = self._serve(user, directory, self.port)
        clear = _segment_removal(directory)
        watched = Watched(directory, serve, prepare=prepare, clear=clear, furnish=self._furnished)
        try:
            version = watched.until(lambda: pgwire.execute(self._socket_path, access))
        except ServerUnavailable as failure:
            watched.stop()
            if self.options.tls and WITHOUT_TLS in str(failure):
                program = self._installation / "bin/postgres"
                raise NoTls(NO_TLS.format(choice=self.choice, program=program)) from failure
            raise
        except BaseException:
            watched.stop()
            raise
        self.version = f"PostgreSQL {version}"
        return watched

    def _furnished(self, directory: Path) -> None:
        (directory / "access").write_text(self.options.access())
        if self.options.tls:
            from redis_perf.certificates import Certificates

            Certificates.make(directory)

    def _serve(self, user: Unprivileged, directory: Path, port: int) -> list[str]:
        settings = {
            **SETTINGS,
            **self.options.server_settings(directory),
            "port": str(port),
            "unix_socket_directories": str(directory),
            "hba_file": str(directory / "access"),
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*user.prefix, str(user.installation / "bin/postgres"), "-D", str(directory / "data"), *words]

    def read_only(self) -> Condition:
        """Transactions that do not say otherwise are READ ONLY, in all sessions: writes fail with 25006."""
        return self._conditions.begun(read_only_sessions(self._administer, self._watched.until))

    def _ask(self) -> Callable[[], object]:
        return partial(pgwire.execute, self._socket_path, "SELECT 1")

    def _started_anew(self) -> None:
        self._conditions.end()  # ALTER SYSTEM outlives the process

    def outlive(self, seconds: int) -> int:
        """Live on for so long after this process, whatever `stop` says; see `Watched.outlive`."""
        return self._watched.outlive(seconds)

    def stop(self) -> None:
        """End it and return when process and files are gone. Idempotent."""
        if self._cache is not None:
            self._cache.hasten()
        self._watched.stop()
        self.settle()

    def settle(self) -> None:
        """Return when the cluster is there that a later run will take."""
        if self._cache is not None:
            self._cache.settle()

    def _administer(self, statement: str, options: str = pgwire.WRITING) -> None:
        try:
            pgwire.execute(self._socket_path, statement, options=options)
        except OSError as error:
            raise self._watched.failure(f"does not answer any more ({error})") from error

    def _dsn(self, database: str) -> str:
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{database}{self.options.query(self.unix_directory)}"


def _made(user: Unprivileged, directory: Path, cluster: Cluster | None) -> str:
    """Shell text that makes all the server needs."""
    steps = [user.prepare]
    if cluster is None:
        steps.append(_initdb(user, directory))
    elif cluster.origin == "initdb":
        steps.append(cluster.prepare)
    else:
        steps += [cluster.prepare, user.hand_over]
    return " && ".join(steps)


def _segment_removal(directory: Path) -> str:
    """Shell text for a postmaster that was killed: it has left its shared memory segment and the file that names it."""
    file = shlex.quote(str(directory / "data/postmaster.pid"))
    return f'[ ! -f {file} ] || {{ set -- $(sed -n 7p {file}); ipcrm -m "$2"; }}'


def _initdb(user: Unprivileged, directory: Path) -> str:
    program = str(user.installation / "bin/initdb")
    # Without --no-clean one that fails would remove the file by which `_segment_removal` finds what it has left.
    return shlex.join([*user.prefix, program, "--no-clean", "--pgdata", str(directory / "data"), *INITDB.split()])
