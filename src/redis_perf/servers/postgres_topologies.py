"""PostgreSQL as it is deployed: another version, the usual SCRAM, TLS.

All of it is made from the program behind a choice (`embedded`, `system:15`); another version of a container's is had
as well, for its image has a tag.
"""

from __future__ import annotations

from pathlib import Path

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import PostgresServer
from redis_perf.servers.local_postgres import LocalPostgres, NoTls
from redis_perf.servers.plan import planned
from redis_perf.servers.postgres_options import PLAIN, PostgresOptions


def postgres_with(
    choice: str, options: PostgresOptions = PLAIN, *, version: str = "", strict: bool = False
) -> PostgresServer:
    """One server, of that version (`15`) or of the choice's own.

    What a wheel does not have, a version or TLS, this machine's PostgreSQL is asked for as well. Raises
    ServerUnavailable, which says what to install.
    """
    kind, _, asked = planned("postgres", choice, strict=strict).choice.partition(":")
    if kind == "docker" and options == PLAIN and version:
        from redis_perf.servers.docker import POSTGRES_IMAGE, DockerPostgres, image

        return DockerPostgres("docker", image(f"docker:{version}", POSTGRES_IMAGE))
    if kind not in ("embedded", "system"):
        raise ServerUnavailable(
            f"postgres={kind}: servers with settings of their own are started from a program: "
            "--redisperf-postgres=embedded or system"
        )
    return _of_programs(kind, version or asked, options)


def _of_programs(kind: str, version: str, options: PostgresOptions) -> LocalPostgres:
    """The first that is there and can do it."""
    refusals: list[ServerUnavailable] = []
    for place in dict.fromkeys((kind, "system")):
        try:
            installation = _program(place, version).parent.parent
        except ServerUnavailable as missing:
            refusals.append(missing)
            continue
        try:
            return LocalPostgres(place, installation, options)
        except NoTls as without:
            refusals.append(without)
    raise ServerUnavailable("; ".join(map(str, refusals)))


def _program(place: str, version: str) -> Path:
    if place == "embedded":
        from redis_perf.servers import embedded

        return embedded.postgres_binary(version)
    from redis_perf.servers import system

    return system.postgres_binary(version)
