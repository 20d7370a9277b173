"""How reads fare while Redis is away, with our caches and others': `python benchmarks/redis_away.py`.

Refused: the server is killed. Hung: it is stopped by a signal, so that connections are accepted and nothing answers.
Ours are read from two clients in turn for two seconds each time; the first read of each client counts as a timeout or
not at all, as it is the one that finds out. Healed is how long after the server was there again a write reached it.
Others are read once and once more, as they come, in a process of their own, and not waited for longer than 12 seconds.
A peer that is not installed has no row. Prints Markdown; installs like benchmarks/caching.py.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import count
from statistics import quantiles
from time import perf_counter_ns
from typing import Any, NamedTuple

import redis
from caches import case
from caches.case import finished
from caches.peers import PEERS, Peer

from redis_perf import servers
from redis_perf_reference.outcomes import CacheUnavailable

AWAY_SECONDS = 2.0
PEER_SECONDS = 12
TIMEOUT_MS = 100.0
"""Of a RedisClient, if not said otherwise."""
KINDS = [(kind, twin) for kind in ("CacheAside", "TwoTierCache") for twin in ("sync", "asyncio")]


class Client(NamedTuple):
    read: Callable[[], Any]
    write: Callable[[], Any]
    close: Callable[[], Any]


class Away(NamedTuple):
    timeouts: list[int]
    """Of each client: reads that took more than half of one."""
    p99_ms: float
    longest_ms: float
    """Timeouts apart."""
    healed_ms: float

    def shown(self) -> str:
        timeouts = " and ".join(map(str, self.timeouts))
        return f"{timeouts} | {self.p99_ms:.2f} | {self.longest_ms:.2f} | {self.healed_ms:.0f}"


async def client(kind: str, twin: str, url: str) -> Client:
    """A cache with a client of its own, in which one value has been read."""

    def module(name: str) -> Any:
        return import_module(f"redis_perf_reference.{twin}.{name}")

    redis_client, numbers = module("client").RedisClient(url), count()
    load = case.load if twin == "sync" else case.load_async
    if kind == "CacheAside":
        aside = module("cache_aside").CacheAside(redis_client)
        made = Client(lambda: aside.get_with_cache("key", load), lambda: aside.set("new", 1), redis_client.close)
    else:
        listen = module("cache").connect_redis(url)
        cache = module("two_tier_cache").TwoTierCache(module("redis_cache").RedisCache(redis_client), listen)
        await finished(cache.start())

        async def close() -> None:
            await finished(cache.close())
            await finished(redis_client.close())
            await finished(listen.close() if twin == "sync" else listen.aclose())

        made = Client(lambda: cache.get(f"key {next(numbers)}"), lambda: cache.set("new", 1, 60), close)
    await finished(made.read())
    return made


async def away(clients: list[Client], leave: Callable[[], None], heal: Callable[[], None], outside: Any) -> Away:
    leave()
    took: list[list[float]] = [[] for _ in clients]
    begun = perf_counter_ns()
    while perf_counter_ns() - begun < AWAY_SECONDS * 1e9:
        for one, times in zip(clients, took, strict=True):
            started = perf_counter_ns()
            await finished(one.read())
            times.append((perf_counter_ns() - started) / 1e6)
        await asyncio.sleep(0.001)
    heal()
    healed_ms = max([await healed(one, outside) for one in clients])
    timeouts = [sum(ms > TIMEOUT_MS / 2 for ms in times) for times in took]
    later = [ms for times in took for ms in times[1:]]
    return Away(timeouts, quantiles(later, n=100)[-1], max(ms for ms in later if ms <= TIMEOUT_MS / 2), healed_ms)


async def healed(one: Client, outside: Any) -> float:
    """Milliseconds until a write is on the server."""
    begun = perf_counter_ns()
    outside.flushall()
    while not outside.exists("cache:new", "{cache}:v:new"):
        with suppress(CacheUnavailable):
            await finished(one.write())
        await asyncio.sleep(0.001)
    return (perf_counter_ns() - begun) / 1e6


async def ours(server: Any) -> list[str]:
    outside, lines = redis.Redis.from_url(server.url), []
    for kind, twin in KINDS:
        clients = [await client(kind, twin, server.url) for _ in range(2)]
        refused = await away(clients, server.kill, server.start, outside)
        hung = await away(clients, server.pause, server.resume, outside)
        for one in clients:
            await finished(one.close())
        lines += [f"| {kind}, {twin}, refused | {refused.shown()} |", f"| {kind}, {twin}, hung | {hung.shown()} |"]
    return lines


def theirs(server: Any) -> list[str]:
    lines = []
    for peer in PEERS:
        if peer.function in ("cachetools", "decorated", "redis_py"):  # nothing to read from Redis
            continue
        refused = outcome(peer, server, server.kill, server.start)
        if refused:
            hung = outcome(peer, server, server.pause, server.resume)
            lines.append(f"| {peer.distribution} | {refused} | {hung} |")
    return lines


def outcome(peer: Peer, server: Any, leave: Callable[[], None], heal: Callable[[], None]) -> str:
    """What the process of this peer says; nothing if it is not installed."""
    command = [sys.executable, __file__, peer.function, server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        if child.stdout is None or child.stdout.readline() != "ready\n":
            return ""
        leave()
        try:
            return child.communicate("go\n", timeout=PEER_SECONDS)[0].strip()
        except subprocess.TimeoutExpired:
            child.kill()
            return f"more than {PEER_SECONDS} s"
        finally:
            heal()


async def read_twice(peer: Peer, url: str) -> None:
    """In the process of a peer."""
    async with peer.entered(url) as contender:
        read, said = contender.cases[case.HIT].call, []
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(2):
            started, answer = perf_counter_ns(), "answers"
            try:
                await finished(read())
            except Exception as error:
                answer = f"{type(error).__name__}"
            said.append(f"{answer} after {(perf_counter_ns() - started) / 1e6:,.1f} ms")
        print(", then ".join(said), flush=True)
        sys.exit()


def main() -> int:
    warnings.simplefilter("ignore")
    logging.disable()
    if len(sys.argv) == 3:
        (peer,) = (peer for peer in PEERS if peer.function == sys.argv[1])
        asyncio.run(read_twice(peer, sys.argv[2]))
    server = servers.redis("embedded")
    try:
        print(
            "| ours | reads that timed out, of each client | p99 of the others, ms | longest, ms | healed after, ms |"
        )
        print("|---|---|---|---|---|")
        print("\n".join(asyncio.run(ours(server))))
        print("\n| two reads | refused | hung |\n|---|---|---|")
        print("\n".join(theirs(server)))
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
