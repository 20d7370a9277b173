"""The servers of one run of the witnesses: our own, gone when the run ends however it ends."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from case import At

from redis_perf import servers

PASSWORD = "correct-horse"


@dataclass(frozen=True)
class Share:
    """The servers of one process that runs cases: nobody else talks to them, so their counters are its own."""

    at: At
    versions: list[str]
    postgres_log: str


@contextmanager
def stage() -> Iterator[Callable[[set[str]], AbstractContextManager[Share]]]:
    """One Postgres for all; call what it yields for a share, with the features needed there.

    Raises ServerUnavailable when there is no Redis or no Postgres to be had.
    """
    postgres = servers.postgres("embedded")
    try:
        directory = prepare_postgres(postgres.dsn)
        yield lambda needs: share(postgres, directory, needs)
    finally:
        postgres.stop()


@contextmanager
def share(postgres: servers.PostgresServer, directory: str, needs: set[str]) -> Iterator[Share]:
    """A Redis and a database of one's own, and what else is needed."""
    with ExitStack() as stack:
        redis: Any = servers.redis("embedded")
        stack.callback(redis.stop)
        dsn = urlsplit(stack.enter_context(postgres.database()))
        port = urlsplit(redis.url).port or 0
        ask(port, f"ACL SETUSER guest on >{PASSWORD} ~* &* +@all")
        (program,) = (line[11:] for line in ask(port, "INFO server").splitlines() if line.startswith("executable:"))
        start = partial(started, stack, program)
        tls = tls_front(stack, port) if "tls" in needs else (0, "")
        watcher, master = sentinel(start) if "sentinel" in needs else (0, 0)
        at = At(
            redis_port=port,
            redis_unix=redis.unix_path,
            redis_password=PASSWORD,
            cluster_port=cluster(start) if "cluster" in needs else 0,
            cluster_ports=cluster_of_three(start) if "cluster of three" in needs else [],
            fake_port=fake_server(stack) if "fake server" in needs else 0,
            sentinel_port=watcher,
            master_port=master,
            tls_port=tls[0],
            tls_certificate=tls[1],
            postgres_host="127.0.0.1",
            postgres_port=dsn.port or 0,
            postgres_unix=directory,
            postgres_user="trusted",
            postgres_database=dsn.path[1:],
            scram_user=unquote(dsn.username or ""),
            scram_password=unquote(dsn.password or ""),
        )
        yield Share(at, [redis.version, postgres.version], f"{directory}/log")


def ask(port: int, command: str) -> str:
    """The reply to one inline command, up to where the server stops."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection, connection.makefile("rb") as replies:
        connection.sendall(f"{command}\r\n".encode())
        reply = replies.readline().decode().rstrip()
        if reply.startswith("-"):
            raise RuntimeError(f"{command}: {reply}")
        return replies.read(int(reply[1:])).decode() if reply.startswith("$") else reply


def prepare_postgres(dsn: str) -> str:
    """A user who needs no password over TCP and a log of every statement; returns the Unix socket's directory."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE trusted LOGIN SUPERUSER")
        connection.execute("ALTER SYSTEM SET log_line_prefix = 'redisperf %d '")
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        (access,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        Path(access).write_text("host all trusted 127.0.0.1/32 trust\n" + Path(access).read_text())
        connection.execute("SELECT pg_reload_conf()")
        (directory,) = connection.execute("SHOW unix_socket_directories").fetchone() or ("",)
    return str(directory)


def started(stack: ExitStack, program: str, *words: str) -> int:
    """One more server with this configuration; returns its port. The shell ends it when its input does."""
    port = free_port()
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="redisperf-"))
    configuration = Path(directory, "conf")
    configuration.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {directory}", 'save ""', *words]))
    command = [program, str(configuration), *["--sentinel"] * any(word.startswith("sentinel") for word in words)]
    script = '"$@" <&- & read -r _; kill $!; wait $!'
    shell = subprocess.Popen(["sh", "-c", script, "sh", *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    stack.callback(shell.communicate)
    until(lambda: ask(port, "PING") == "+PONG")
    return port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with suppress(OSError):
            if ready():
                return
        if time.monotonic() > deadline:
            raise TimeoutError("a server gave no answer within 20 s")
        time.sleep(0.005)


def cluster(start: Callable[..., int]) -> int:
    """A cluster of one node that has all slots."""
    port = start("cluster-enabled yes", f"cluster-port {free_port()}")
    ask(port, "CLUSTER ADDSLOTSRANGE 0 16383")
    until(lambda: "cluster_state:ok" in ask(port, "CLUSTER INFO"))
    return port


def cluster_of_three(start: Callable[..., int]) -> list[int]:
    """Three nodes with a third of the slots each."""
    buses = [free_port() for _ in range(3)]
    ports = [start("cluster-enabled yes", f"cluster-port {bus}", "cluster-node-timeout 2000") for bus in buses]
    for port, first, last in zip(ports, (0, 5461, 10923), (5460, 10922, 16383), strict=True):
        ask(port, f"CLUSTER ADDSLOTSRANGE {first} {last}")
    for port, bus in zip(ports[1:], buses[1:], strict=True):
        ask(ports[0], f"CLUSTER MEET 127.0.0.1 {port} {bus}")
    for port in ports:
        until(lambda port=port: "cluster_known_nodes:3" in (told := ask(port, "CLUSTER INFO")) and "state:ok" in told)
    return ports


def fake_server(stack: ExitStack) -> int:
    """fakeredis behind a socket, in a process of its own, which ends with its input."""
    port = free_port()
    served = (
        "import sys, threading, fakeredis\n"
        f"server = fakeredis.TcpFakeServer(('127.0.0.1', {port}))\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", served], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stack.callback(process.communicate)
    until(lambda: ask(port, "*1\r\n$4\r\nPING") == "+PONG")
    return port


def sentinel(start: Callable[..., int]) -> tuple[int, int]:
    """A sentinel and the master it watches: one of its own, since it keeps asking it things."""
    master = start()
    port = start(f"sentinel monitor main 127.0.0.1 {master} 1")
    until(lambda: "status=ok" in ask(port, "INFO sentinel"))
    return port, master


def tls_front(stack: ExitStack, target: int) -> tuple[int, str]:
    """TLS in front of a server that cannot speak it; returns port and certificate."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redisperf-")))
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext"
        f" subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
    threading.Thread(target=_answer, args=(door, context, target), daemon=True).start()
    return door.getsockname()[1], str(certificate)


def _answer(door: socket.socket, context: ssl.SSLContext, target: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = door.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_forward, args=(client, context, target), daemon=True).start()


def _forward(plain: socket.socket, context: ssl.SSLContext, target: int) -> None:
    """One thread for both directions: one TLS connection must not be read and written at once."""
    with (
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as client,
        socket.create_connection(("127.0.0.1", target)) as server,
    ):
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            ready = [client] if client.pending() else select.select([client, server], [], [])[0]
            for source, sink in ((client, server), (server, client)):
                if source in ready:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    sink.sendall(data)
