"""What listening to redis-py costs, in CPU time of this process, against nothing and against OpenTelemetry.

    python benchmarks/overhead_redis.py [ROUNDS]

Prints a Markdown table: for each case the median over interleaved rounds, and the median of the ratios to the bare
run of the same round. Needs the `embedded` and `redis` extras, and `opentelemetry-instrumentation-redis` and
`opentelemetry-sdk` for the peer. Reading the log happens after the measured block and has its own column.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from time import process_time_ns
from typing import Any

import redis
import redis.asyncio

from redis_perf import servers
from redis_perf.recorder import Recorder
from redis_perf.taps.redis_py import redis_py

Case = Callable[[], float]
ROUNDS = 15


def timed(run: Callable[[], Any], times: int) -> float:
    """CPU microseconds for one run."""
    run()
    began = process_time_ns()
    for _ in range(times):
        run()
    return (process_time_ns() - began) / times / 1000


def blocking_cases(url: str) -> dict[str, Case]:
    client = redis.Redis.from_url(url)
    client.set("key", "value")
    client.rpush("list", *("item" * 4 for _ in range(1000)))

    def pipeline() -> None:
        with client.pipeline(transaction=False) as pipe:
            for _ in range(100):
                pipe.get("key")
            pipe.execute()

    return {
        "GET": lambda: timed(lambda: client.get("key"), 1000),
        "pipeline of 100 GETs": lambda: timed(pipeline, 40),
        "LRANGE of 1000": lambda: timed(lambda: client.lrange("list", 0, -1), 100),
    }


def asyncio_case(url: str, runner: asyncio.Runner) -> Case:
    client = redis.asyncio.Redis.from_url(url)

    async def gets() -> float:
        await client.get("key")
        began = process_time_ns()
        for _ in range(500):
            await client.get("key")
        return (process_time_ns() - began) / 500 / 1000

    return lambda: runner.run(gets())


class Listened:
    """With the tap in place; `reading` collects what reading the log took afterwards, a round trip."""

    def __init__(self) -> None:
        self.reading: list[float] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        recorder = Recorder()
        since_ns = recorder.open_window()
        with redis_py(recorder):
            yield
            began = process_time_ns()
            trips = recorder.trace(since_ns).redis.round_trips
            self.reading.append((process_time_ns() - began) / trips / 1000)


def instrumented() -> AbstractContextManager[None] | None:
    """OpenTelemetry with an in-memory exporter, or None where it is not installed."""
    try:
        from opentelemetry.instrumentation.redis import RedisInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:
        return None

    @contextmanager
    def instrumentation() -> Iterator[None]:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
        RedisInstrumentor().instrument(tracer_provider=provider)
        try:
            yield
        finally:
            RedisInstrumentor().uninstrument()

    return instrumentation()


def row(name: str, case: Case, rounds: int) -> str:
    listened = Listened()
    ways: dict[str, Callable[[], AbstractContextManager[None] | None]] = {
        "bare": nullcontext,
        "listened to": listened,
        "OpenTelemetry": instrumented,
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, enter in ways.items():
            context = enter()
            if context is not None:
                with context:
                    took[way].append(case())
    cells = [name, f"{median(took['bare']):.1f}"]
    for way in ("listened to", "OpenTelemetry"):
        ratios = [mine / bare for mine, bare in zip(took[way], took["bare"], strict=False)]
        cells.append(f"{median(took[way]):.1f} ({median(ratios):.2f}x)" if ratios else "not installed")
    cells.append(f"{median(listened.reading):.1f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    server = servers.redis("embedded")
    try:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        python = ".".join(map(str, sys.version_info[:3]))
        parser = "hiredis" if redis.utils.HIREDIS_AVAILABLE else "the parser in Python"
        clients = f"redis-py {redis.__version__} with {parser}, Python {python}, {server.version}"
        print(f"{clients}; CPU us, medians of {rounds} rounds\n")
        print("| case | bare | listened to | OpenTelemetry | reading the log later, a round trip |")
        print("|---|---|---|---|---|")
        for name, case in blocking_cases(server.url).items():
            print(row(name, case, rounds))
        with asyncio.Runner() as runner:
            print(row("asyncio GET", asyncio_case(server.url, runner), rounds))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
