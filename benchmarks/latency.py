"""How exactly the proxy adds the latency it was asked for, in one run.

    python benchmarks/latency.py [ROUNDS]

Prints Markdown tables. What was added is what a GET took through the proxy less the median of what it took directly
in the same round, and, for comparison, less the median through a proxy with latency 0. Rounds are interleaved.

- "reply there": from sending the request until the kernel had the reply for the client. That is what the proxy is
  answerable for.
- "call returns": a whole call of redis-py. A client that has slept for a millisecond is woken later, and runs slower
  at first, than one that is answered at once; a network of that latency would do the same to it.

Needs the `embedded` and `redis` extras, Linux, and a quiet machine: what else runs is in these numbers too.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median, quantiles
from time import monotonic_ns, time_ns
from urllib.parse import urlsplit

import redis

from redis_perf import servers
from redis_perf.proxy import Proxy

ROUNDS = 10
CALLS = 200
LATENCIES_MS = (1, 5)
SEQUENTIAL = 3
REQUEST = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
TIMESTAMPS, TIMESPEC = 35, struct.Struct("ll")  # SO_TIMESTAMPNS
Measured = Callable[[], list[float]]


def reply_there(url: str, stack: ExitStack) -> Measured:
    """Microseconds until the reply was in this machine's hands, for each of so many requests."""
    parts = urlsplit(url)
    client = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0)))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, TIMESTAMPS, 1)

    def each() -> Iterator[float]:
        for _ in range(CALLS):
            began = time_ns()
            client.send(REQUEST)
            _, notes, _, _ = client.recvmsg(4096, socket.CMSG_SPACE(TIMESPEC.size))
            for _, _, stamp in notes:  # the first packets after it was asked for may come without
                seconds, nanoseconds = TIMESPEC.unpack(stamp)
                yield (seconds * 1_000_000_000 + nanoseconds - began) / 1000

    return lambda: list(each())


def spent_us(run: Callable[[], object], times: int = CALLS) -> list[float]:
    """Microseconds that each of so many runs took."""
    spent = []
    for _ in range(times):
        began = monotonic_ns()
        run()
        spent.append((monotonic_ns() - began) / 1000)
    return spent


def call_returns(url: str, stack: ExitStack) -> Measured:
    client = stack.enter_context(redis.Redis.from_url(url))
    return lambda: spent_us(lambda: client.get("key"))


def added(rounds: int, proxied: Measured, others: list[Measured]) -> list[list[float]]:
    """What a call took more than the median of each of the others, in microseconds."""
    more: list[list[float]] = [[] for _ in others]
    for _ in range(rounds):
        bases = [median(other()) for other in others]
        each = proxied()
        for base, values in zip(bases, more, strict=True):
            values += [one - base for one in each]
    return more


def row(asked_ms: int, what: str, than: str, values: list[float]) -> str:
    asked, p50, p99 = asked_ms * 1000, median(values), quantiles(values, n=100)[98]
    off = f"{p50:,.0f} us | {p50 / asked - 1:+.1%} | {p99:,.0f} us | {p99 / asked - 1:+.1%}"
    return f"| {asked:,} us | {what} | {than} | {off} |"


def three_to_one(rounds: int, url: str) -> float:
    """How much longer so many GETs in a row take than a pipeline of as many."""
    with redis.Redis.from_url(url) as client:

        def in_a_row() -> None:
            for number in range(SEQUENTIAL):
                client.get(f"key:{number}")

        def at_once() -> None:
            with client.pipeline(transaction=False) as pipe:
                for number in range(SEQUENTIAL):
                    pipe.get(f"key:{number}")
                pipe.execute()

        times = CALLS // SEQUENTIAL
        return median(median(spent_us(in_a_row, times)) / median(spent_us(at_once, times)) for _ in range(rounds))


def main(rounds: int) -> None:
    with ExitStack() as stack:
        server = servers.redis("embedded")
        stack.callback(server.stop)
        zero = stack.enter_context(Proxy(redis=server.url, latency_ns=0))
        proxy = stack.enter_context(Proxy(redis=server.url))
        urls = (proxy.url("redis"), server.url, zero.url("redis"))
        print("| asked | | more than | p50 | off by | p99 | off by |\n|---:|---|---|---:|---:|---:|---:|")
        for what, measure in (("reply there", reply_there), ("call returns", call_returns)):
            proxied, *others = (measure(url, stack) for url in urls)
            for asked_ms in LATENCIES_MS:
                proxy.latency(asked_ms * 1_000_000)
                for than, values in zip(("directly", "latency 0"), added(rounds, proxied, others), strict=True):
                    print(row(asked_ms, what, than, values), flush=True)
        proxy.latency(LATENCIES_MS[0] * 1_000_000)
        print(f"\n{SEQUENTIAL} GETs : 1 pipeline of {SEQUENTIAL} = {three_to_one(rounds, urls[0]):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
