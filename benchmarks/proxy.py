"""What going through the proxy costs, against going directly, in one run.

    python benchmarks/proxy.py [ROUNDS]

Prints a Markdown table: medians over interleaved rounds, and the median of the ratios within a round. The latency is
0, so what is measured is the proxy's own work. "Forwarder" is `forwarder.py`, which passes bytes on and does nothing
else: less than it costs, no proxy in Python can. Needs the `embedded`, `redis` and `postgres` extras. Client, proxy and
server share the machine's cores: with two of them, the third process is what busy connections show.
"""

from __future__ import annotations

import asyncio
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import monotonic_ns
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
import redis.asyncio

from redis_perf import servers
from redis_perf.proxy import Proxy

Case = Callable[[], float]
ROUNDS = 9
CONNECTIONS = 16
REQUEST, REPLY_BYTES = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", len(b"$5\r\nvalue\r\n")
BUSY_NS = 500_000_000
LARGE_BYTES = 100 << 20
ROWS = "select g, repeat('x', 40) from generate_series(1, 1000) g"


def typical(run: Callable[[], Any], times: int) -> float:
    """Microseconds: the median of so many runs."""
    spent = []
    for _ in range(times):
        began = monotonic_ns()
        run()
        spent.append(monotonic_ns() - began)
    return median(spent) / 1000


def busy(url: str) -> float:
    """Requests a second over connections that each ask again as soon as they are answered."""
    parts = urlsplit(url)
    with ExitStack() as stack:
        epoll = stack.enter_context(select.epoll())
        clients = {}
        for _ in range(CONNECTIONS):
            client = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            clients[client.fileno()] = client
            epoll.register(client.fileno(), select.EPOLLIN)
            client.send(REQUEST)
        answered, began = 0, monotonic_ns()
        while monotonic_ns() - began < BUSY_NS:
            for descriptor, _ in epoll.poll():
                assert len(clients[descriptor].recv(4096)) == REPLY_BYTES
                clients[descriptor].send(REQUEST)
                answered += 1
        return answered / (monotonic_ns() - began) * 1e9


def busy_redis_py(url: str) -> float:
    """The same with a whole client, whose own work is part of it: tasks of redis-py that each ask in turn."""

    async def ask() -> float:
        async with redis.asyncio.Redis.from_url(url, max_connections=CONNECTIONS) as client:
            await asyncio.gather(*(client.get("key") for _ in range(CONNECTIONS)))
            answered, began = 0, monotonic_ns()

            async def one() -> None:
                nonlocal answered
                while monotonic_ns() - began < BUSY_NS:
                    await client.get("key")
                    answered += 1

            await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
            return answered / (monotonic_ns() - began) * 1e9

    return asyncio.run(ask())


def cases(redis_url: str, postgres_dsn: str) -> dict[str, Case]:
    client = redis.Redis.from_url(redis_url)
    client.set("key", "value")
    client.delete("list")
    client.rpush("list", *("item" * 4 for _ in range(1000)))
    connection = psycopg.connect(postgres_dsn, autocommit=True, prepare_threshold=None)
    return {
        "redis-py, one GET (us)": lambda: typical(lambda: client.get("key"), 1000),
        "redis-py, LRANGE of 1,000 (us)": lambda: typical(lambda: client.lrange("list", 0, -1), 200),
        f"bare sockets, GETs on {CONNECTIONS} connections (per second)": lambda: busy(redis_url),
        f"redis-py asyncio, GETs on {CONNECTIONS} connections (per second)": lambda: busy_redis_py(redis_url),
        "psycopg, select 1 (us)": lambda: typical(lambda: connection.execute("select 1").fetchall(), 500),
        "psycopg, 1,000 rows (us)": lambda: typical(lambda: connection.execute(ROWS).fetchall(), 100),
    }


def resident_bytes(process: int, which: str) -> int:
    return int(Path(f"/proc/{process}/status").read_text().split(f"{which}:")[1].split()[0]) * 1024


def growth_bytes(proxy: Proxy) -> int:
    """By how much the proxy's memory grew at most while a large reply passed."""
    process = proxy._process.pid
    with redis.Redis.from_url(proxy.url("redis")) as client:
        client.setrange("large", LARGE_BYTES - 1, b"x")
        before = resident_bytes(process, "VmRSS")
        reply = client.get("large")
    assert reply is not None
    assert len(reply) == LARGE_BYTES
    return resident_bytes(process, "VmHWM") - before


def forwarded(url: str, stack: ExitStack) -> str:
    """The same URL through a forwarder of its own."""
    parts = urlsplit(url)
    script = str(Path(__file__).with_name("forwarder.py"))
    process = stack.enter_context(
        subprocess.Popen([sys.executable, script, str(parts.port)], stdout=subprocess.PIPE, text=True)
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    return url.replace(f":{parts.port}", f":{process.stdout.readline().strip()}", 1)


def main(rounds: int) -> None:
    with ExitStack() as stack:
        cache, database = servers.redis("embedded"), servers.postgres("embedded")
        stack.callback(cache.stop)
        stack.callback(database.stop)
        with Proxy(redis=cache.url, postgres=database.dsn, latency_ns=0) as proxy:
            ways = [
                cases(cache.url, database.dsn),
                cases(forwarded(cache.url, stack), forwarded(database.dsn, stack)),
                cases(proxy.url("redis"), proxy.url("postgres")),
            ]
            print("| | direct | forwarder | | proxy | |\n|---|---:|---:|---:|---:|---:|")
            for name in ways[0]:
                seen = []
                for _ in range(rounds):
                    proxy.forget()  # nothing left to read meanwhile
                    seen.append([way[name]() for way in ways])
                direct, bare, through = (median(column) for column in zip(*seen, strict=True))
                bare_ratio, ratio = (median(each[way] / each[0] for each in seen) for way in (1, 2))
                print(
                    f"| {name} | {direct:,.0f} | {bare:,.0f} | {bare_ratio:.2f} | {through:,.0f} | {ratio:.2f} |",
                    flush=True,
                )
        with Proxy(redis=cache.url, latency_ns=0) as proxy:
            print(f"\na reply of {LARGE_BYTES >> 20} MiB: the proxy grew by {growth_bytes(proxy) / (1 << 20):.1f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
