"""Servers from container images: `docker` takes the usual image, `docker:8` its tag, `docker:NAME:TAG` another one.

The images are to behave like the official ones of redis, valkey and postgres: options as the container's command,
and for Postgres POSTGRES_PASSWORD and POSTGRES_INITDB_ARGS from the environment.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import pgwire, resp, scram
from redis_perf.servers.conditions import Condition, read_only_sessions
from redis_perf.servers.container import MEMORY, Container, OurContainer
from redis_perf.servers.our_postgres import OurPostgres
from redis_perf.servers.our_redis import OurRedis
from redis_perf.servers.ports import on_free_port

REDIS_IMAGE = "redis:8"
POSTGRES_IMAGE = "postgres:18"
REDIS_OPTIONS = ("--save", "", "--appendonly", "no")
INITDB = "--no-sync --locale=C --encoding=UTF8 --wal-segsize=1"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "jit": "off",
}
STEADY_S = 2.0
# The image makes the cluster with a temporary server, which it then stops. The one that stays has replaced the script,
# so it is process 1; where something else is, it is the one that has not been replaced for a while.
STAYS = (
    "DO $$ DECLARE pid text := split_part(pg_read_file('postmaster.pid'), E'\\n', 1); BEGIN IF pid <> '1' THEN "
    "RAISE EXCEPTION 'postmaster % of %', pid, pg_postmaster_start_time() USING ERRCODE = '57P03'; END IF; END $$"
)


class DockerRedis(OurRedis, OurContainer):
    """A RedisServer in a container, with a random password."""

    def __init__(self, choice: str, image: str) -> None:
        """Run it and return when it answers. Raises ServerUnavailable with the end of its log."""
        super().__init__()
        self.choice = choice
        self._image = image
        self._password = secrets.token_hex(16)
        on_free_port(self._start)

    def _start(self, port: int) -> None:
        self._container = Container("redis", self._image, 6379, port, [*REDIS_OPTIONS, "--requirepass", self._password])
        try:
            (info,) = self._container.until(lambda: self._asked(["INFO", "server"]))
        except BaseException:
            self.stop()
            raise
        self.version = resp.version(info)

    @property
    def url(self) -> str:
        host, port = self._container.address
        return f"redis://:{self._password}@{host}:{port}/0"

    def reset(self) -> None:
        """As it was when it started: no keys, scripts, functions, statistics, clients; its own settings and users.

        Killed it is started, paused it is resumed, a condition is ended. Raises ServerUnavailable when it does not
        answer any more.
        """
        self.recover()
        self._as_before()

    def kill(self) -> None:
        """SIGKILL; `start` brings it back, empty."""
        self._container.kill()
        self._killed, self._paused = True, False

    def start(self) -> None:
        """Start it after `kill`, at the same address; returns when it answers."""
        self._container.start()
        self._killed = False
        self._container.until(lambda: self._asked(["PING"]))
        self._conditions.forget()

    def restart(self) -> None:
        """End it in good order, if it runs, and start it; returns when it answers. It is empty then."""
        if self._paused:
            self.resume()
        if self.alive:
            self._container.end()
        self.start()

    def ask(self, *commands: Sequence[str], then: resp.Then = resp.nothing) -> list[resp.Reply]:
        """The replies, see `resp.ask`. Raises ServerUnavailable when it refuses a command or answers no more."""
        try:
            return self._asked(*commands, then=then)
        except OSError as error:
            raise self._container.failure(f"does not answer any more ({error})") from error

    def _asked(self, *commands: Sequence[str], then: resp.Then = resp.nothing) -> list[resp.Reply]:
        return resp.ask(self._container.address, ["AUTH", self._password], *commands, then=then)[1:]


class DockerPostgres(OurPostgres, OurContainer):
    """A PostgresServer in a container, with a random password."""

    def __init__(self, choice: str, image: str) -> None:
        """Run it and return when the server that stays answers. Raises ServerUnavailable with the end of its log."""
        super().__init__()
        self.choice = choice
        self._image = image
        self._password = secrets.token_hex(16)
        on_free_port(self._start)

    def _start(self, port: int) -> None:
        command = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._container = Container(
            "postgres",
            self._image,
            5432,
            port,
            command,
            PGDATA=f"{MEMORY}/data",
            POSTGRES_PASSWORD=self._password,
            POSTGRES_INITDB_ARGS=INITDB,
        )
        try:
            self._container.until(_Staying(self._execute))
            version = self._execute(f"ALTER ROLE postgres PASSWORD '{scram.verifier(self._password)}'")
        except BaseException:
            self.stop()
            raise
        self.version = f"PostgreSQL {version}"

    @property
    def dsn(self) -> str:
        """Of the maintenance database."""
        return self._dsn("postgres")

    def read_only(self) -> Condition:
        """Transactions that do not say otherwise are READ ONLY, in all sessions: writes fail with 25006."""
        return self._conditions.begun(read_only_sessions(self._administer, self._container.until))

    def _execute(self, statement: str, options: str = pgwire.WRITING) -> str:
        return pgwire.execute(self._container.address, statement, password=self._password, options=options)

    def _administer(self, statement: str, options: str = pgwire.WRITING) -> None:
        try:
            self._execute(statement, options)
        except OSError as error:
            raise self._container.failure(f"does not answer any more ({error})") from error

    def _dsn(self, database: str) -> str:
        host, port = self._container.address
        return f"postgresql://postgres:{self._password}@{host}:{port}/{database}"


class _Staying:
    """Asks whether the server that stays answers; raises OSError while it does not."""

    def __init__(self, execute: Callable[[str], str]) -> None:
        self._execute = execute
        self._first_seen: dict[str, float] = {}

    def __call__(self) -> None:
        try:
            self._execute(STAYS)
        except ServerUnavailable as refusal:
            _, other, postmaster = str(refusal).rpartition("postmaster ")
            if not other:
                raise
            now = time.monotonic()
            if now - self._first_seen.setdefault(postmaster, now) < STEADY_S:
                raise ConnectionError(f"only the server that makes the cluster answers: {postmaster}") from refusal


def image(choice: str, default: str) -> str:
    """`docker` is the default image, `docker:8` that tag of it, `docker:NAME:TAG` another image."""
    asked = choice.partition(":")[2]
    if asked[:1].isdigit() and ":" not in asked and "/" not in asked:
        return f"{default.partition(':')[0]}:{asked}"
    return asked or default
