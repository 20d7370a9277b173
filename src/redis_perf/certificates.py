"""Certificates for servers of our own on the loopback, made by `trustme` (the extra `tls`): an authority of its own for
each directory, which nobody else trusts, and a certificate of it for localhost, 127.0.0.1 and ::1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from redis_perf.errors import ServerUnavailable

HOSTS: Final = ("localhost", "127.0.0.1", "::1")


class Certificates(NamedTuple):
    """PEM files. `ca_path, cert_path, key_path = Certificates.make(directory)`."""

    ca_path: Path
    """For clients: whom to trust."""
    cert_path: Path
    key_path: Path
    """Readable for its owner alone, as Postgres demands."""

    @classmethod
    def make(cls, directory: Path, *more_hosts: str, not_after: datetime | None = None) -> Self:
        """Writes `ca.pem`, `server.pem` and `server.key` there; `not_after` in the past makes it an expired one.

        Raises ServerUnavailable, naming the extra, when `trustme` is not installed.
        """
        authority = _trustme().CA()
        issued = authority.issue_cert(*dict.fromkeys((*HOSTS, *more_hosts)), not_after=not_after)
        made = cls(directory / "ca.pem", directory / "server.pem", directory / "server.key")
        made.key_path.touch(mode=0o600)
        authority.cert_pem.write_to_path(made.ca_path)
        issued.private_key_pem.write_to_path(made.key_path)
        made.cert_path.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return made

    @classmethod
    @contextmanager
    def temporary(cls, *more_hosts: str) -> Iterator[Self]:
        """In a directory that is its owner's alone, and gone afterwards. Raises as `make` does."""
        with tempfile.TemporaryDirectory(prefix="redisperf-tls-") as directory:
            yield cls.make(Path(directory), *more_hosts)


def _trustme() -> Any:
    try:
        return import_module("trustme")
    except ImportError as error:
        raise ServerUnavailable(
            "certificates are made by trustme, which is not installed: pip install 'pytest-redisperf[tls]'"
        ) from error
