"""Settings that a PostgreSQL of our own can be started with, beyond what every one of ours has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

USUAL_ITERATIONS = 4096
"""What PostgreSQL itself takes, and RFC 7677 asks for at least."""


class _PostgresOptions(NamedTuple):
    scram_iterations: int = 1
    """Of SCRAM-SHA-256, for the password. One is safe for a random password and saves each connection 4 to 8 ms;
    pg8000, for one, refuses fewer than 4096 (USUAL_ITERATIONS)."""
    tls: bool = False
    """Speak TLS only, with a certificate made for this server. The DSN says `sslmode=verify-full`."""
    settings: Mapping[str, str] = MappingProxyType({})
    """Further settings of `postgresql.conf`, which win over ours: `{"autovacuum": "on", "jit": "on"}`."""


class PostgresOptions(_PostgresOptions):  # no dataclass: see RedisOptions
    """Raises ValueError for fewer than one iteration, and for settings that are ours."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __new__(cls, *values: Any, **named: Any) -> Self:
            options = super().__new__(cls, *values, **named)
            options._check()
            return options

        def _replace(self, **named: Any) -> Self:
            return type(self)(**{**self._asdict(), **named})

        def __getnewargs__(self) -> tuple[object, ...]:
            """For pickle, which takes no MappingProxyType."""
            return tuple({**self._asdict(), "settings": dict(self.settings)}.values())

    def _check(self) -> None:
        if self.scram_iterations < 1:
            raise ValueError(f"scram_iterations={self.scram_iterations}: expected 1 or more; usual are 4096")
        ours = ADDRESS & self.settings.keys()
        if ours:
            raise ValueError(f"settings: {', '.join(sorted(ours))} say where the server is, which we decide")

    def access(self) -> str:
        """Of `pg_hba.conf`: we ourselves over the private socket, everybody else with the password."""
        return f"local all all trust\n{'hostssl' if self.tls else 'host'} all all 127.0.0.1/32 scram-sha-256\n"

    def server_settings(self, directory: Path) -> dict[str, str]:
        """Those that differ from a plain server's; certificates are in its directory."""
        tls = {"ssl": "on", "ssl_cert_file": f"{directory}/server.pem", "ssl_key_file": f"{directory}/server.key"}
        return {**(tls if self.tls else {}), **self.settings}

    def query(self, directory: str) -> str:
        """What a DSN ends with."""
        return f"?sslmode=verify-full&sslrootcert={quote(f'{directory}/ca.pem')}" if self.tls else ""


ADDRESS = frozenset({"port", "listen_addresses", "unix_socket_directories", "hba_file", "data_directory"})
PLAIN = PostgresOptions()
