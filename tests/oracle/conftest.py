"""Real servers for the oracle tests: one of each per run, clean state per test.

Without one a test is skipped and says why; with REDISPERF_REQUIRE_SERVERS=1 that is an error.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.certificates import Certificates
from redis_perf.servers.local_redis import LocalRedis, NoTls
from redis_perf.servers.redis_options import RedisOptions

Server = TypeVar("Server", servers.RedisServer, servers.PostgresServer)


def started(start: Callable[[str], Server], choice: str) -> Server:
    try:
        return start(choice)
    except ServerUnavailable as unavailable:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(unavailable))


@pytest.fixture(autouse=True)
def alone(nobody_else_listens: None) -> None:
    """These tests put taps in place themselves."""


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[servers.RedisServer]:
    """A real Valkey of our own. It keeps what tests leave in it: see `redis_url`."""
    server = started(servers.redis, "embedded")
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey_server: servers.RedisServer) -> str:
    """The URL of a real Valkey, emptied before this test."""
    valkey_server.reset()
    return valkey_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    """A real PostgreSQL of our own."""
    server = started(servers.postgres, "embedded")
    yield server
    server.stop()


@pytest.fixture
def postgres_dsn(postgres_server: servers.PostgresServer) -> Iterator[str]:
    """The DSN of a fresh, empty database of this test."""
    with postgres_server.database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    """Of an authority of their own, for the servers below."""
    pytest.importorskip("trustme")
    with Certificates.temporary() as made:
        yield made


@pytest.fixture(scope="session")
def tls_postgres(certificates: Certificates) -> Iterator[str]:
    """The DSN (with no `sslmode`) of a PostgreSQL that speaks TLS, if asked to, and asks for passwords by SCRAM."""
    import psycopg

    server = started(servers.postgres, "system")
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            for path, name in ((certificates.cert_path, "server.crt"), (certificates.key_path, "server.key")):
                lines = "),(".join(f"'{line}'" for line in path.read_text().splitlines())
                connection.execute(f"COPY (VALUES ({lines})) TO PROGRAM 'umask 077; cat >{name}'")
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60
        while not _speaks_tls(server.dsn):
            assert time.monotonic() < deadline
        yield server.dsn
    finally:
        server.stop()


def _speaks_tls(dsn: str) -> bool:
    import psycopg

    with psycopg.connect(dsn, sslmode="prefer") as connection:
        return connection.pgconn.ssl_in_use


@pytest.fixture(scope="session")
def terminated_redis(valkey_server: servers.RedisServer, certificates: Certificates) -> Iterator[str]:
    """The URL of our Valkey behind something that speaks TLS for it."""
    with terminated(certificates, urlsplit(valkey_server.url).port or 0) as door:
        yield f"rediss://127.0.0.1:{door}/0?ssl_ca_certs={certificates.ca_path}"


@pytest.fixture(scope="session")
def tls_redis() -> Iterator[str]:
    """The URL of a Redis of our own that speaks TLS."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        pytest.skip("no redis-server on PATH")
    try:
        server = LocalRedis("system", Path(binary), RedisOptions(tls=True))
    except NoTls as missing:
        pytest.skip(str(missing))
    yield server.url
    server.stop()


@pytest.fixture(scope="session", name="terminated")
def terminated_fixture() -> Callable[..., AbstractContextManager[int]]:
    return terminated


@contextmanager
def terminated(
    certificates: Certificates, port: int, host: str = "127.0.0.1", *, demands: bool = False
) -> Iterator[int]:
    """The port of something that speaks TLS and passes on what it hears, in clear, to that port of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_path, certificates.key_path)
    if demands:
        context.load_verify_locations(certificates.ca_path)
        context.verify_mode = ssl.CERT_REQUIRED
    begun: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = queue.SimpleQueue()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def passing_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, behind[1]), pump(behind[0], writer))

    async def serving() -> None:
        over = asyncio.Event()
        async with await asyncio.start_server(passing_on, host, 0, ssl=context) as server:
            begun.put((asyncio.get_running_loop(), over, server.sockets[0].getsockname()[1]))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serving()))
    thread.start()
    loop, over, door = begun.get()
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
