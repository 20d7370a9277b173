"""Servers somebody else runs, given by URL. They are used as they are: never flushed, nothing created or dropped.

So tests on them get no clean state from us, and see what earlier tests left behind. Where writing was allowed, a test
gets a Postgres database of its own with a random name, dropped in the end, and for Redis a random prefix for its keys,
removed in the end. Nothing but these is ever written by us.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlencode, urlsplit

from redis_perf.errors import ServerUnavailable
from redis_perf.servers import resp
from redis_perf.servers.lifecycle import NotOurs

if TYPE_CHECKING:
    import ssl

KEYS_AT_ONCE = 1000
NOT_ALLOWED = (
    "{choice} is not ours, so nothing is {written} in it unless --redisperf-allow-external-writes says so "
    "(ini key redisperf_allow_external_writes = true)"
)


class ExternalRedis(NotOurs):
    """A RedisServer by its URL: `redis://`, `rediss://` or `unix://`, with user and password."""

    owned = False
    fake = False

    def __init__(self, url: str, *, writable: bool = False) -> None:
        self.url = url
        self.choice = without_password(url)
        self._writable = writable

    def check(self) -> None:
        """Raises ServerUnavailable when it cannot be reached or does not let us in."""
        self._ask(["PING"])

    @cached_property
    def version(self) -> str:
        """Asked when first read. Raises ServerUnavailable, also where this user may not ask (INFO)."""
        (info,) = self._ask(["INFO", "server"])
        return resp.version(info)

    @contextmanager
    def prefix(self) -> Iterator[str]:
        """A random prefix for the keys of one test; whatever has it is removed in the end.

        Raises ServerUnavailable where writing was not allowed.
        """
        if not self._writable:
            raise ServerUnavailable(NOT_ALLOWED.format(choice=self.choice, written="removed"))
        prefix = random_prefix()
        try:
            yield prefix
        finally:
            self._remove(prefix)

    def _remove(self, prefix: str) -> None:
        cursor = "0"
        while True:
            (found,) = self._ask(["SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", str(KEYS_AT_ONCE)])
            assert isinstance(found, list)
            at, keys = found
            assert isinstance(at, bytes)
            assert isinstance(keys, list)
            if keys:
                self._ask(["UNLINK", *(_text(key) for key in keys)])
            cursor = at.decode()
            if cursor == "0":
                return

    def _ask(self, *commands: list[str]) -> list[resp.Reply]:
        parts = urlsplit(self.url)
        before = [*_login(parts), *_selection(parts)]
        try:
            return resp.ask(_address(parts), *before, *commands, tls=_tls(parts))[len(before) :]
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


class ExternalPostgres(NotOurs):
    """A PostgresServer by its URL."""

    owned = False

    def __init__(self, dsn: str, *, writable: bool = False) -> None:
        self.dsn = dsn
        self.choice = without_password(dsn)
        self._writable = writable

    def check(self) -> None:
        """Raises ServerUnavailable when it cannot be reached or does not let us in. Does nothing without psycopg."""
        _ = self.version

    @cached_property
    def version(self) -> str:
        """Asked when first read, with psycopg where that is installed. Raises ServerUnavailable when it fails."""
        if find_spec("psycopg") is None:
            return "PostgreSQL (version not asked: psycopg is not installed)"
        with self._connection() as connection:
            version = connection.parameter_status(b"server_version")
            return f"PostgreSQL {version.decode().split()[0]}" if version else "PostgreSQL (says no version)"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a new database where writing was allowed, dropped in the end; else the given one as it is.

        As it is means that nothing is created before or dropped after: it may be neither fresh nor empty.
        """
        if not self._writable:
            yield self.dsn
            return
        name = f"redisperf_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield _with_database(self.dsn, name)
        finally:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        from psycopg import pq

        with self._connection() as connection:
            result = connection.exec_(statement.encode())
            if result.status != pq.ExecStatus.COMMAND_OK:
                reason = result.error_message.decode(errors="replace").strip()
                raise ServerUnavailable(f"{self.choice}: the server refused {statement!r}: {reason}")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Of libpq itself, which knows all that a DSN can say."""
        if find_spec("psycopg") is None:
            raise ServerUnavailable(
                f"{self.choice}: creating databases in it needs psycopg: pip install 'pytest-redisperf[postgres]'"
            )
        from psycopg import pq

        connection = pq.PGconn.connect(self.dsn.encode())
        try:
            if connection.status != pq.ConnStatus.OK:
                reason = " ".join(connection.error_message.decode(errors="replace").split())
                raise ServerUnavailable(f"{self.choice}: cannot be used: {reason}")
            yield connection
        finally:
            connection.finish()

    def stop(self) -> None:
        """Nothing to end: it is not ours."""


def random_prefix() -> str:
    """For the keys of one test: nobody else has it, and as a pattern it stands for itself."""
    return f"redisperf:{secrets.token_hex(6)}:"


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


def _text(key: resp.Reply) -> str:
    assert isinstance(key, bytes)
    return key.decode(errors="surrogateescape")


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


def _selection(parts: SplitResult) -> list[list[str]]:
    options = parse_qs(parts.query)
    database = options.get("db", [parts.path.strip("/") if parts.scheme != "unix" else ""])[0]
    return [["SELECT", database]] if database.isdigit() and database != "0" else []


def _with_database(dsn: str, name: str) -> str:
    parts = urlsplit(dsn)
    options = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "dbname"]
    return parts._replace(path=f"/{name}", query=urlencode(options)).geturl()


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
