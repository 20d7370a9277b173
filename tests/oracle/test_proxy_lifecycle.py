"""The proxy when things end, break or do not fit: what it passes on, what it says, and that it lives on."""

from __future__ import annotations

import itertools
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from redis_perf import RoundTrip, ServerUnavailable, Trace
from redis_perf.proxy import Proxy

GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
MEGABYTE = 1 << 20


@contextmanager
def upstream(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server of one connection, which `serve` is given."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def work() -> None:
            peer, _ = door.accept()
            with peer:
                serve(peer)

        thread = threading.Thread(target=work)
        thread.start()
        yield f"redis://127.0.0.1:{door.getsockname()[1]}"
        thread.join()


def connect(proxy: Proxy, name: str = "redis") -> socket.socket:
    address = proxy.address(name)
    assert isinstance(address, tuple)
    return socket.create_connection(address, timeout=20)


def everything(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def answers(trace: Trace) -> list[str]:
    return [trip.answer for trip in work(trace)]


def work(trace: Trace) -> list[RoundTrip]:
    return [trip for trip in trace.round_trips if trip.operations and trip.operations[0].name != "CONNECT"]


def until(proxy: Proxy, holds: Callable[[Trace], bool]) -> Trace:
    """The trace once it is so: that an end has reached the proxy cannot be seen from outside."""
    deadline = time.monotonic() + 20
    while not holds(trace := proxy.trace()):
        assert time.monotonic() < deadline, trace
    return trace


# --- ends


def test_the_servers_end_reaches_the_client_at_once() -> None:
    with upstream(lambda peer: peer.sendall(b"+OK\r\n")) as url, Proxy(redis=url) as proxy, connect(proxy) as client:
        assert everything(client) == b"+OK\r\n"


def test_a_client_that_has_said_its_last_still_gets_its_answers() -> None:
    def serve(peer: socket.socket) -> None:
        asked = everything(peer)
        peer.sendall(b"$-1\r\n" * asked.count(b"GET"))

    with upstream(serve) as url, Proxy(redis=url) as proxy, connect(proxy) as client:
        client.sendall(GET * 3)
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"$-1\r\n" * 3
        trace = until(proxy, lambda trace: bool(work(trace)))
    assert answers(trace) == ["complete"]


def test_a_client_that_says_its_last_within_the_startup_message_is_heard_by_the_server() -> None:
    def serve(peer: socket.socket) -> None:
        peer.sendall(b"heard " + everything(peer))

    begun = b"\0\0\0\x20\0\3\0\0user"
    with (
        upstream(serve) as url,
        Proxy(postgres=url.replace("redis", "postgresql")) as proxy,
        connect(proxy, "postgres") as client,
    ):
        client.sendall(begun)
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"heard " + begun
        trace = proxy.trace()
    assert (trace.every.postgres.everything, trace.problems) == ((), ())


def test_a_server_that_breaks_off_resets_the_client_and_the_request_is_lost() -> None:
    def serve(peer: socket.socket) -> None:
        peer.recv(1)  # the rest is not read: closing resets
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with upstream(serve) as url, Proxy(redis=url) as proxy, connect(proxy) as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            everything(client)
        assert answers(proxy.trace()) == ["lost"]


def test_a_server_killed_within_a_reply_is_a_lost_request() -> None:
    def serve(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(b"$100\r\nbut not so many")

    with upstream(serve) as url, Proxy(redis=url) as proxy:
        with connect(proxy) as client:
            client.sendall(GET)
            assert everything(client) == b"$100\r\nbut not so many"
        trace = until(proxy, lambda trace: answers(trace) == ["lost"])
    assert trace.problems == ()


def test_a_client_killed_while_it_waits_is_a_lost_request(redis_url: str) -> None:
    script = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
    script += "s.sendall(b'BLPOP never 0\\r\\n'); print(flush=True); s.recv(1)"
    with Proxy(redis=redis_url) as proxy:
        port = str(proxy.address("redis")[1])
        client = subprocess.Popen([sys.executable, "-c", script, port], stdout=subprocess.PIPE)
        assert client.stdout is not None
        client.stdout.readline()
        until(proxy, lambda trace: answers(trace) == ["in flight"])
        client.kill()
        client.communicate()
        until(proxy, lambda trace: answers(trace) == ["lost"])


def test_a_client_that_leaves_within_a_command_leaves_nothing_behind(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy:
        with connect(proxy) as client:
            client.sendall(GET[:-4])
        with connect(proxy) as client:
            client.sendall(GET)
            assert client.recv(100) == b"$-1\r\n"
        until(proxy, lambda trace: [trip for trip in answers(trace) if trip == "complete"] == ["complete"])


# --- memory


def resident_bytes(proxy: Proxy) -> int:
    status = Path(f"/proc/{proxy._process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("latency_ns", [0, 1_000_000])
def test_a_slow_reader_does_not_make_the_proxy_grow(latency_ns: int) -> None:
    reply = b"$%d\r\n%s\r\n" % (100 * MEGABYTE, bytes(100 * MEGABYTE))
    sent = threading.Event()

    def serve(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(reply)
        sent.set()
        everything(peer)

    with upstream(serve) as url, Proxy(redis=url, latency_ns=latency_ns) as proxy, connect(proxy) as client:
        before = resident_bytes(proxy)
        client.sendall(GET)
        assert not sent.wait(0.3)  # it is kept from sending, for nobody reads
        left = len(reply)
        while left:
            left -= len(client.recv(MEGABYTE))
        trace = proxy.trace()
        assert resident_bytes(proxy) - before < 24 * MEGABYTE
    assert (answers(trace), trace.redis.received_bytes) == (["complete"], len(reply))


def test_a_server_that_does_not_read_stops_the_client() -> None:
    go_on = threading.Event()

    def serve(peer: socket.socket) -> None:
        go_on.wait(20)
        everything(peer)

    with upstream(serve) as url, Proxy(redis=url) as proxy, connect(proxy) as client:
        before = resident_bytes(proxy)
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sendall(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s" % (100 * MEGABYTE, bytes(100 * MEGABYTE)))
        go_on.set()
        assert resident_bytes(proxy) - before < 24 * MEGABYTE


# --- servers that are not there, and other protocols


@pytest.fixture
def down() -> Iterator[socket.socket]:
    """It has a port, so that nobody else gets it, and does not listen."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def test_a_redis_that_is_down_is_a_clear_error_and_the_proxy_lives_on(redis_url: str, down: socket.socket) -> None:
    url = f"redis://127.0.0.1:{down.getsockname()[1]}"
    with Proxy(redis=redis_url, cache=url) as proxy:
        for _ in range(2):
            with connect(proxy, "cache") as client:
                client.sendall(GET)
                assert everything(client).startswith(b"-ERR redisperf proxy: 127.0.0.1:")
        with connect(proxy) as client:
            client.sendall(GET)
            assert client.recv(100) == b"$-1\r\n"
        trace = until(proxy, lambda trace: trace.named("cache").lost == 2)
    assert [note for note in trace.notes if "Connection refused" in note]


def test_a_postgres_that_is_down_is_an_error_of_connecting(down: socket.socket) -> None:
    with (
        Proxy(postgres=f"postgresql://ada@127.0.0.1:{down.getsockname()[1]}/db") as proxy,
        pytest.raises(
            psycopg.OperationalError, match=r"redisperf proxy: 127\.0\.0\.1:\d+ cannot be reached: Connection refu"
        ),
    ):
        psycopg.connect(proxy.url("postgres"))


def test_a_server_that_comes_up_later_is_used(down: socket.socket) -> None:
    with Proxy(redis=f"redis://127.0.0.1:{down.getsockname()[1]}") as proxy:
        with connect(proxy) as client:
            client.sendall(GET)
            assert everything(client).startswith(b"-ERR")
        down.listen()
        with connect(proxy) as client, closing(down.accept()[0]) as up:
            up.sendall(b"+here\r\n")
            assert client.recv(100) == b"+here\r\n"


@pytest.mark.parametrize(
    ("beginning", "guess"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"\x00\x00\x00\x0b\x00\x03\x00\x00a\x00\x00", "Postgres"),
    ],
)
def test_another_protocol_is_passed_on_and_reported(beginning: bytes, guess: str) -> None:
    def serve(peer: socket.socket) -> None:
        assert peer.recv(1 << 16) == beginning
        peer.sendall(b"go away")

    with upstream(serve) as url, Proxy(redis=url) as proxy, connect(proxy) as client:
        client.sendall(beginning)
        assert everything(client) == b"go away"
        trace = proxy.trace()
    (problem,) = trace.problems
    assert f"looks like {guess}" in problem


def test_redis_on_the_port_of_postgres_is_passed_on_and_reported(redis_url: str) -> None:
    with Proxy(postgres=redis_url.replace("redis://", "postgresql://")) as proxy:
        with connect(proxy, "postgres") as client:
            client.sendall(GET)
            assert client.recv(100) == b"$-1\r\n"
        (problem,) = proxy.trace().problems
    assert "looks like Redis, not postgres" in problem


def test_what_cannot_be_parsed_is_passed_on_and_reported() -> None:
    def serve(peer: socket.socket) -> None:
        asked = everything(peer)
        peer.sendall(b"$%d\r\n%s\r\n" % (len(asked), asked))

    with upstream(serve) as url, Proxy(redis=url) as proxy, connect(proxy) as client:
        client.sendall(GET + b"*1\r\nno argument\r\n")
        client.shutdown(socket.SHUT_WR)
        assert GET + b"*1\r\nno argument\r\n" in everything(client)
        (problem,) = proxy.trace().problems
    assert "where an argument should begin" in problem


# --- Postgres connections of other kinds


def test_a_cancel_request_is_passed_on_and_not_counted(postgres_dsn: str) -> None:
    with (
        Proxy(postgres=postgres_dsn) as proxy,
        psycopg.connect(proxy.url("postgres"), autocommit=True) as connection,
        psycopg.connect(postgres_dsn, autocommit=True) as other,
    ):
        with proxy.record() as seen:
            sleeping = threading.Thread(target=sleep, args=(connection,))
            sleeping.start()
            while other.execute("select from pg_stat_activity where wait_event = 'PgSleep'").rowcount == 0:
                pass
            connection.cancel()
            sleeping.join()
        assert (seen.trace.postgres.round_trips, seen.trace.postgres.connections) == (1, 0)
        assert seen.trace.setup.postgres.round_trips == 0


def sleep(connection: Any) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("select pg_sleep(60)")


def test_a_replication_connection_is_passed_on_uncounted() -> None:
    def serve(peer: socket.socket) -> None:
        assert b"replication\0database\0" in peer.recv(1 << 16)
        peer.sendall(b"anything at all")

    message = b"\0\3\0\0user\0ada\0replication\0database\0\0"
    with upstream(serve) as url, Proxy(postgres=url.replace("redis", "postgresql")) as proxy:
        with connect(proxy, "postgres") as client:
            client.sendall((len(message) + 4).to_bytes(4, "big") + message)
            assert everything(client) == b"anything at all"
        trace = proxy.trace()
    assert trace.every.postgres.everything == ()
    assert trace.problems == ()
    assert "replication" in " ".join(trace.notes)


def test_requests_for_encryption_are_answered_no_and_counted(postgres_dsn: str) -> None:
    with Proxy(postgres=postgres_dsn) as proxy:
        with psycopg.connect(proxy.url("postgres"), sslmode="prefer"):
            pass
        with_question = proxy.trace().setup.postgres.round_trips
        proxy.forget()
        with psycopg.connect(proxy.url("postgres"), sslmode="disable"):
            pass
        assert with_question == proxy.trace().setup.postgres.round_trips + 1


# --- the process


def leave_descriptors(proxy: Proxy, left: int) -> None:
    """The proxy process can open so many more."""
    process = proxy._process.pid
    used = {int(name) for name in os.listdir(f"/proc/{process}/fd")}
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, left, None))
    resource.prlimit(process, resource.RLIMIT_NOFILE, (limit, resource.prlimit(process, resource.RLIMIT_NOFILE)[1]))


def test_a_client_that_finds_no_descriptor_left_waits_until_there_is_one(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy:
        leave_descriptors(proxy, 2)
        with connect(proxy) as served, connect(proxy) as waiting:
            served.sendall(GET)
            assert served.recv(100) == b"$-1\r\n"
            waiting.sendall(GET)
            trace = until(proxy, lambda trace: bool(trace.notes))
            assert trace.notes == ("redis: connections had to wait until they were accepted: Too many open files; see "
                                   "`ulimit -n`",)  # fmt: skip
            served.close()
            assert waiting.recv(100) == b"$-1\r\n"


def test_a_client_whose_server_gets_no_descriptor_is_refused_and_the_proxy_lives_on(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy:
        leave_descriptors(proxy, 1)
        with connect(proxy) as client:
            client.sendall(GET)
            assert b"cannot be reached: Too many open files" in everything(client)
        leave_descriptors(proxy, 2)
        with connect(proxy) as client:
            client.sendall(GET)
            assert client.recv(100) == b"$-1\r\n"


def test_what_was_sent_before_it_was_accepted_begins_after_the_connection(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy, connect(proxy):  # the kernel notes times once any connection wants them
        until(proxy, lambda trace: trace.redis.connections == 1)
        proxy._process.send_signal(signal.SIGSTOP)
        with connect(proxy) as client:
            client.sendall(GET)
            proxy._process.send_signal(signal.SIGCONT)
            assert client.recv(100) == b"$-1\r\n"
        _, connected, get = proxy.trace().every.redis
    assert [trip.operations[0].name for trip in (connected, get)] == ["CONNECT", "GET"]


def test_two_proxies_at_once_count_apart(redis_url: str) -> None:
    with Proxy(redis=redis_url) as first, Proxy(redis=redis_url) as second:
        for proxy, times in ((first, 1), (second, 2)):
            with connect(proxy) as client:
                for _ in range(times):
                    client.sendall(GET)
                    assert client.recv(100) == b"$-1\r\n"
        assert (first.trace().redis.round_trips, second.trace().redis.round_trips) == (1, 2)


def test_a_proxy_before_a_proxy_counts_the_same(redis_url: str) -> None:
    with Proxy(redis=redis_url) as inner, Proxy(redis=inner.url("redis")) as outer:
        with connect(outer) as client:
            client.sendall(GET)
            assert client.recv(100) == b"$-1\r\n"
        assert (inner.trace().redis.round_trips, outer.trace().redis.round_trips) == (1, 1)


def test_many_connections_at_once(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy:
        clients = [connect(proxy) for _ in range(300)]
        for client in clients:
            client.sendall(GET)
        for client in clients:
            assert client.recv(100) == b"$-1\r\n"
            client.close()
        trace = proxy.trace()
    assert (trace.redis.round_trips, trace.redis.connections) == (300, 300)


def test_it_is_gone_after_the_death_of_its_owner(redis_url: str) -> None:
    script = (
        "import sys, time; from redis_perf.proxy import Proxy\n"
        "proxy = Proxy(redis=sys.argv[1]); print(proxy._process.pid, flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, redis_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    process = os.pidfd_open(int(owner.stdout.readline()))
    try:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
        ended = select.poll()
        ended.register(process, select.POLLIN)
        assert ended.poll(20_000), "the proxy outlived its owner"
    finally:
        os.close(process)


def test_stopping_twice_is_stopping_once(redis_url: str) -> None:
    proxy = Proxy(redis=redis_url)
    proxy.stop()
    proxy.stop()
    assert proxy._process.returncode == 0


def test_a_proxy_that_was_killed_says_so(redis_url: str) -> None:
    with Proxy(redis=redis_url) as proxy:
        proxy._process.kill()
        with pytest.raises(ServerUnavailable, match="the proxy process has ended"):
            proxy.trace()


def test_a_port_in_use_is_an_error_that_names_it(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerUnavailable) as refused:
            Proxy(redis=redis_url, at={"redis": ("127.0.0.1", port)})
    said = f"redis: cannot listen at 127.0.0.1:{port}: Address already in use; give another place, or none"
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rediss://127.0.0.1?ssl_ca_certs=/no/such.pem", "/no/such.pem cannot be used"),
        ("mysql://127.0.0.1", "'mysql' is no scheme the proxy knows; it knows redis://"),
        ("postgresql://127.0.0.1/db?sslmode=strict", "sslmode=strict: expected disable, allow, prefer, require"),
        ("postgresql:///db", "names no host"),
        ("postgresql://one,two/db", "several hosts"),
        ("unix://", "names no path"),
        ("redis://127.0.0.1:port", "Port could not be cast"),
    ],
)
def test_a_url_it_cannot_serve_is_an_error_that_says_why(url: str, said: str) -> None:
    with pytest.raises(ServerUnavailable, match=said):
        Proxy(cache=url)
