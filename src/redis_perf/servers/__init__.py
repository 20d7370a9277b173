"""Where tests get a Redis and a Postgres from.

`redis(choice)` and `postgres(choice)` start (or find) one and return it once it has answered a query. A server we
started is `owned`: it can be brought to a clean state, listens on loopback only, and dies with this process however
that ends, leaving no file behind. A server named by its URL is not ours: nothing is ever flushed, created or dropped,
unless writing was allowed; then only under random names of our own, which are removed again.

Backends are imported when asked for; importing this package costs nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from redis_perf.errors import ServerUnavailable

REDIS_CHOICES = (
    "auto, fake, embedded[:VERSION], system[:VERSION], docker[:IMAGE], redis://..., rediss://..., unix://..."
)
POSTGRES_CHOICES = "auto, fake, embedded[:VERSION], system[:VERSION], docker[:IMAGE], postgresql://..., postgres://..."


class RedisServer(Protocol):
    """A Redis, Valkey or fakeredis that answers."""

    @property
    def choice(self) -> str:
        """What was asked for: `embedded`, or a URL without its password."""
        ...

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`. Raises ServerUnavailable where there is no wire (`fake`)."""
        ...

    @property
    def version(self) -> str:
        """`Valkey 9.1.2`, as the server itself says."""
        ...

    @property
    def owned(self) -> bool:
        """May be flushed."""
        ...

    @property
    def fake(self) -> bool:
        """Lives in this process: use the `client()` and `async_client()` of `FakeRedisServer`, there is no URL."""
        ...

    def reset(self) -> None:
        """Empty it: data, scripts, functions, statistics. Raises ServerUnavailable if it is not ours."""
        ...

    def stop(self) -> None:
        """End it, if it is ours, and return when it is gone. Calling it again does nothing."""
        ...


class PostgresServer(Protocol):
    """A PostgreSQL that answers."""

    @property
    def choice(self) -> str:
        """What was asked for: `embedded`, or a URL without its password."""
        ...

    @property
    def dsn(self) -> str:
        """Of the maintenance database: `postgresql://user:password@127.0.0.1:PORT/postgres`."""
        ...

    @property
    def version(self) -> str:
        """`PostgreSQL 18.4`, as the server itself says."""
        ...

    @property
    def owned(self) -> bool:
        """Databases may be created and dropped in it."""
        ...

    def database(self) -> AbstractContextManager[str]:
        """The DSN of a fresh, empty database, dropped at the end; of a server not ours, its own DSN as it is."""
        ...

    def stop(self) -> None:
        """End it, if it is ours, and return when it is gone. Calling it again does nothing."""
        ...


def redis(choice: str, *, strict: bool = False, external_writes: bool = False) -> RedisServer:
    """The Redis of this choice, answering. Raises ServerUnavailable, which says what else there is.

    `strict` forbids `auto` to fall back; `external_writes` allows prefixes of our own in a server given by URL.
    """
    if choice == "auto":
        from redis_perf.servers.plan import planned

        choice = planned("redis", choice, strict=strict).choice
    try:
        return _redis(choice, external_writes)
    except OSError as error:  # no directory to be had, a full disk, no more processes
        raise ServerUnavailable(f"redis={choice.partition('://')[0]}: cannot be started: {error}") from error


def _redis(choice: str, external_writes: bool) -> RedisServer:
    kind, _, asked = choice.partition(":")
    if choice == "fake":
        from redis_perf.servers.fake import FakeRedisServer

        return FakeRedisServer()
    if kind == "embedded":
        from redis_perf.servers import embedded

        return embedded.redis(asked)
    if kind == "system":
        from redis_perf.servers import system

        return system.redis(asked)
    if kind == "docker":
        from redis_perf.servers.docker import REDIS_IMAGE, DockerRedis, image

        return DockerRedis("docker", image(choice, REDIS_IMAGE))
    if choice.startswith(("redis://", "rediss://", "unix://")):
        from redis_perf.servers.external import ExternalRedis

        external = ExternalRedis(choice, writable=external_writes)
        external.check()
        return external
    raise ServerUnavailable(f"redis={choice}: no such choice; there are {REDIS_CHOICES}")


def postgres(choice: str, *, strict: bool = False, external_writes: bool = False) -> PostgresServer:
    """The Postgres of this choice, answering. Raises ServerUnavailable, which says what else there is.

    `strict` forbids `auto` to fall back; `external_writes` allows databases of our own in a server given by URL.
    """
    if choice == "auto":
        from redis_perf.servers.plan import planned

        choice = planned("postgres", choice, strict=strict).choice
    try:
        return _postgres(choice, external_writes)
    except OSError as error:  # no directory to be had, a full disk, no more processes
        raise ServerUnavailable(f"postgres={choice.partition('://')[0]}: cannot be started: {error}") from error


def _postgres(choice: str, external_writes: bool) -> PostgresServer:
    kind, _, asked = choice.partition(":")
    if choice == "fake":
        from redis_perf.servers.fake_postgres import FakePostgres

        return FakePostgres()
    if kind == "embedded":
        from redis_perf.servers import embedded

        return embedded.postgres(asked)
    if kind == "system":
        from redis_perf.servers import system

        return system.postgres(asked)
    if kind == "docker":
        from redis_perf.servers.docker import POSTGRES_IMAGE, DockerPostgres, image

        return DockerPostgres("docker", image(choice, POSTGRES_IMAGE))
    if choice.startswith(("postgresql://", "postgres://")):
        from redis_perf.servers.external import ExternalPostgres

        external = ExternalPostgres(choice, writable=external_writes)
        external.check()
        return external
    raise ServerUnavailable(f"postgres={choice}: no such choice; there are {POSTGRES_CHOICES}")
