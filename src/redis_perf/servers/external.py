"""Servers somebody else runs, given by URL. They are used as they are: never flushed, nothing created or dropped.

So tests on them get no clean state from us, and see what earlier tests left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import resp

if TYPE_CHECKING:
    import ssl


class ExternalRedis:
    """A RedisServer by its URL: `redis://`, `rediss://` or `unix://`, with user and password."""

    owned = False
    fake = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.choice = without_password(url)

    @cached_property
    def version(self) -> str:
        """Asked when first read. Raises ServerUnavailable when the server cannot be reached."""
        parts = urlsplit(self.url)
        login = _login(parts)
        try:
            *_, info = resp.ask(_address(parts), *login, ["INFO", "server"], tls=_tls(parts))
            return resp.version(info)
        except (OSError, ServerUnavailable) as error:
            raise ServerUnavailable(f"{self.choice}: cannot be used: {error}") from error

    def reset(self) -> None:
        """Never: raises ServerUnavailable."""
        raise ServerUnavailable(
            f"{self.choice} is not ours, so it is never flushed, and tests find in it what others left. "
            "For a clean state in each test use --redisperf-redis=embedded, system or fake"
        )

    def stop(self) -> None:
        """Nothing to end: it is not ours."""


class ExternalPostgres:
    """A PostgresServer by its URL."""

    owned = False

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.choice = without_password(dsn)

    @cached_property
    def version(self) -> str:
        """Asked when first read, with psycopg where that is installed. Raises ServerUnavailable when it fails."""
        if find_spec("psycopg") is None:
            return "PostgreSQL (version not asked: psycopg is not installed)"
        from psycopg import pq

        connection = pq.PGconn.connect(self.dsn.encode())
        try:
            if connection.status != pq.ConnStatus.OK:
                reason = connection.error_message.decode(errors="replace").strip()
                raise ServerUnavailable(f"{self.choice}: cannot be used: {reason}")
            version = connection.parameter_status(b"server_version")
            return f"PostgreSQL {version.decode().split()[0]}" if version else "PostgreSQL (says no version)"
        finally:
            connection.finish()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The given DSN itself: nothing is created before or dropped after, so it may be neither fresh nor empty."""
        yield self.dsn

    def stop(self) -> None:
        """Nothing to end: it is not ours."""


def without_password(url: str) -> str:
    """The URL as it may be printed."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:***{at}{host}" if ":" in user else parts.netloc
    query = "&".join(
        f"{item.partition('=')[0]}=***" if "password" in item.partition("=")[0] else item
        for item in parts.query.split("&")
    )
    return parts._replace(netloc=netloc, query=query).geturl()


def _address(parts: SplitResult) -> resp.Address:
    if parts.scheme == "unix":
        return unquote(parts.path)
    return (parts.hostname or "localhost", parts.port or 6379)


def _login(parts: SplitResult) -> list[list[str]]:
    options = parse_qs(parts.query)
    user = unquote(parts.username or options.get("username", [""])[0])
    password = unquote(parts.password or options.get("password", [""])[0])
    if not password:
        return []
    return [["AUTH", user, password]] if user else [["AUTH", password]]


def _tls(parts: SplitResult) -> ssl.SSLContext | None:
    if parts.scheme != "rediss":
        return None
    import ssl

    options = parse_qs(parts.query)
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs", [None])[0])
    if options.get("ssl_cert_reqs") == ["none"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
