"""TLS on either side of the proxy, on both, on none: who connects verifies, and the counts are those of the taps."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest

pytest.importorskip("redis")
pytest.importorskip("trustme")

import redis

import redis_perf
from redis_perf import Trace
from redis_perf.certificates import Certificates
from redis_perf.proxy import Proxy

HOLD_NS = 10_000_000
"""Longer than a busy machine keeps a client from sending on; only then it counts as it would on a network."""
SIDES = pytest.mark.parametrize(
    ("tls_client", "tls_server"),
    [(False, False), (False, True), (True, False), (True, True)],
    ids=["clear", "server", "client", "both"],
)

REDIS_SIDES = pytest.mark.parametrize(
    ("tls_client", "behind"),
    [(tls, behind) for tls in (False, True) for behind in ("redis_url", "terminated_redis", "tls_redis")],
)


def secured(tls_postgres: str, certificates: Certificates, *options: str) -> str:
    return "&".join((f"{tls_postgres}?sslmode=verify-full", f"sslrootcert={certificates.ca_path}", *options))


@pytest.fixture
def redis_proxy(tls_client: bool, behind: str, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    url = request.getfixturevalue(behind)
    with Proxy(redis=url, tls=tls_client, latency_ns=HOLD_NS) as proxy:
        yield proxy


@pytest.fixture
def postgres_proxy(
    tls_client: bool, tls_server: bool, tls_postgres: str, certificates: Certificates
) -> Iterator[Proxy]:
    url = secured(tls_postgres, certificates) if tls_server else f"{tls_postgres}?sslmode=disable"
    with Proxy(postgres=url, tls=tls_client, latency_ns=HOLD_NS) as proxy:
        yield proxy


def figures(trace: Trace) -> dict[str, Any]:
    """Everything the proxy and a tap must agree on."""
    assert trace.problems == ()
    return {
        "setup": sorted(setup(trace)),
        "work": [
            (trip.store, [each.shape for each in trip.operations])
            for trip in trace.round_trips
            if trip.purpose != "setup"
        ],
        "opened": len(trace.opened),
        "bytes": [trip.sent_bytes for trip in trace.round_trips if trip.purpose != "setup"],
    }


def setup(trace: Trace) -> list[tuple[str, ...]]:
    return [tuple(each.name for each in trip.operations) for trip in trace.round_trips if trip.purpose == "setup"]


# --- Redis


@REDIS_SIDES
def test_redis_py_costs_what_its_tap_says_whoever_speaks_tls(redis_proxy: Proxy, tls_client: bool) -> None:
    with redis_proxy.record() as seen, redis_perf.record() as told:
        with redis.Redis.from_url(redis_proxy.url("redis")) as client:
            with client.pipeline(transaction=False) as pipe:
                for number in range(100):
                    pipe.set(f"key:{number}", "x")
                pipe.execute()
            client.get("key:1")
        told_trace = told.trace
    assert figures(seen.trace) == figures(told_trace)
    assert seen.trace.redis.round_trips == 2
    assert (("TLS",) in setup(seen.trace)) is tls_client
    assert urlsplit(redis_proxy.url("redis")).scheme == ("rediss" if tls_client else "redis")


@REDIS_SIDES
def test_five_megabytes_pass_both_ways(redis_proxy: Proxy) -> None:
    value = os.urandom(5_000_000)
    with redis.Redis.from_url(redis_proxy.url("redis")) as client:
        client.ping()
        with redis_proxy.record() as seen:
            client.set("large", value)
            assert client.get("large") == value
        client.delete("large")
    assert [trip.answer for trip in seen.trace.round_trips] == ["complete"] * 2


@pytest.mark.parametrize(("tls_client", "behind"), [(True, "terminated_redis")])
def test_many_clients_at_once_by_tls(redis_proxy: Proxy) -> None:
    def work(number: int) -> None:
        with redis.Redis.from_url(redis_proxy.url("redis")) as client:
            for _ in range(20):
                client.incr(f"counter:{number}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    trace = redis_proxy.trace()
    assert (trace.redis.round_trips, trace.redis.connections) == (160, 8)
    assert setup(trace).count(("TLS",)) == 8


@pytest.mark.parametrize(("tls_client", "behind"), [(True, "tls_redis"), (True, "redis_url"), (False, "tls_redis")])
def test_a_client_that_has_said_its_last_still_gets_its_answers(redis_proxy: Proxy, tls_client: bool) -> None:
    """Half a close, of TLS and of TCP."""
    parts = urlsplit(redis_proxy.url("redis"))
    ca_file = parse_qs(parts.query).get("ssl_ca_certs", [""])[0]
    command = ["openssl", "s_client", "-quiet", "-connect", f"{parts.hostname}:{parts.port}", "-CAfile", ca_file]
    if not tls_client:
        command = [sys.executable, "-c", SAYS_ITS_LAST, str(parts.port)]
    done = subprocess.run(command, input=b"PING\r\nPING\r\nQUIT\r\n", capture_output=True, timeout=60, check=False)
    assert done.stdout == b"+PONG\r\n+PONG\r\n+OK\r\n", done.stderr


SAYS_ITS_LAST = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
    peer.sendall(sys.stdin.buffer.read())
    peer.shutdown(socket.SHUT_WR)
    while data := peer.recv(1000):
        sys.stdout.buffer.write(data)
"""


# --- Postgres


@SIDES
def test_psycopg_costs_what_its_tap_says_whoever_speaks_tls(postgres_proxy: Proxy, tls_client: bool) -> None:
    with postgres_proxy.record() as seen, redis_perf.record() as told:
        with psycopg.connect(postgres_proxy.url("postgres")) as connection:
            assert connection.pgconn.ssl_in_use is tls_client
            connection.execute("SELECT 1")
            connection.execute("SELECT count(*) FROM generate_series(1, 1000)")
        told_trace = told.trace
    seen_trace = seen.trace
    for what in ("setup", "work", "opened"):
        assert figures(seen_trace)[what] == figures(told_trace)[what]
    assert seen_trace.postgres.round_trips == 4
    asked = [(), ("TLS",)] if tls_client else []
    assert sorted(setup(seen_trace)) == sorted([("CONNECT",), *asked, *[()] * 3])


@SIDES
def test_asyncpg_connects_whoever_speaks_tls(postgres_proxy: Proxy, tls_client: bool) -> None:
    async def work() -> int | None:
        connection = await asyncpg.connect(postgres_proxy.url("postgres"))
        try:
            return await connection.fetchval("SELECT 42")  # type: ignore[no-any-return]
        finally:
            await connection.close()

    assert asyncio.run(work()) == 42
    assert (("TLS",) in setup(postgres_proxy.trace())) is tls_client


@SIDES
def test_psycopg2_connects_whoever_speaks_tls(postgres_proxy: Proxy, tls_client: bool) -> None:
    connection = psycopg2.connect(postgres_proxy.url("postgres"))
    assert connection.info.ssl_in_use is tls_client
    connection.close()


def test_a_tls_port_of_postgres_serves_in_clear_too_as_the_server_would(tls_postgres: str) -> None:
    with Proxy(postgres=f"{tls_postgres}?sslmode=disable", tls=True) as proxy:
        in_clear = proxy.url("postgres").replace("verify-full", "disable")
        with psycopg.connect(in_clear) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(psycopg.pq.version() < 170000, reason="libpq before 17 asks for TLS first")
def test_tls_from_the_first_byte_is_a_round_trip_less_on_either_side(
    tls_postgres: str, certificates: Certificates
) -> None:
    with (
        Proxy(postgres=secured(tls_postgres, certificates), tls=True, latency_ns=HOLD_NS) as behind,
        Proxy(postgres=f"{behind.url('postgres')}&sslnegotiation=direct", tls=True, latency_ns=HOLD_NS) as before,
    ):
        with psycopg.connect(before.url("postgres"), sslnegotiation="direct") as connection:
            connection.execute("SELECT 1")
        assert setup(before.trace()) == setup(behind.trace()) == [("CONNECT",), ("TLS",), *[()] * 3]


def test_a_statement_can_be_cancelled_by_tls(tls_postgres: str, certificates: Certificates) -> None:
    with Proxy(postgres=secured(tls_postgres, certificates), tls=True) as proxy:
        with psycopg.connect(proxy.url("postgres")) as connection:
            waiting = threading.Event()

            def sleep() -> None:
                waiting.set()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    connection.execute("SELECT pg_sleep(20)")

            cancel = getattr(connection, "cancel_safe", connection.cancel)  # psycopg 3.1 has the latter alone
            sleeper = threading.Thread(target=sleep)
            sleeper.start()
            waiting.wait()
            while sleeper.is_alive():  # it may not have begun
                cancel()
                sleeper.join(0.1)
        trace = proxy.trace()
    assert (trace.postgres.connections, trace.problems) == (1, ())


def test_psycopg_by_tls_without_a_proxy_costs_what_its_tap_says(tls_postgres: str, certificates: Certificates) -> None:
    """CONNECT, the request for TLS, TLS, the start-up message and two of SCRAM; then BEGIN, SELECT and COMMIT."""
    with redis_perf.record() as told:
        with psycopg.connect(secured(tls_postgres, certificates)) as connection:
            assert connection.pgconn.ssl_in_use
            connection.execute("SELECT 1")
        trace = told.trace
    assert trace.problems == ()
    assert setup(trace) == [("CONNECT",), (), ("TLS",), (), (), ()]
    assert (trace.postgres.round_trips, trace.postgres.commits) == (3, 1)


# --- the certificate of the proxy


def test_the_certificate_is_in_a_private_directory_that_goes_with_the_proxy(redis_url: str) -> None:
    with Proxy(redis=redis_url, tls=True) as proxy:
        directory = Path(str(proxy.ca_path)).parent
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / "server.key").stat().st_mode) == 0o600
    assert not directory.exists()


def test_names_of_the_loopback_are_in_the_certificate(certificates: Certificates) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.cert_path, certificates.key_path)
    client = ssl.create_default_context(cafile=str(certificates.ca_path))
    for host in ("localhost", "127.0.0.1", "::1"):
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = client.wrap_bio(to_client, to_server, server_hostname=host)
        theirs = server.wrap_bio(to_server, to_client, server_side=True)
        for side in (ours, theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        assert ours.version() == "TLSv1.3"


def test_without_tls_the_url_is_as_it_always_was(redis_url: str) -> None:
    with Proxy(redis=f"{redis_url}?socket_timeout=5", postgres="postgresql://a:b@127.0.0.1/c?sslmode=prefer") as proxy:
        assert proxy.url("redis").endswith("?socket_timeout=5")
        assert proxy.url("postgres").endswith("/c?sslmode=prefer")
        assert proxy.ca_path is None
