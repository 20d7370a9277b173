"""What the psycopg tap costs: CPU time of this process per operation, against no tap and against OpenTelemetry.

    python benchmarks/overhead_psycopg.py [--rounds 15] [--dsn postgresql://...]

One run, this process pinned to one CPU. Rounds are interleaved (raw, tapped, opentelemetry, raw, ...), a ratio is the
median of the ratios within a round, so a slow spell of the machine meets all alike. OpenTelemetry exports to memory.
Reading the log (once, after the measured code) is shown apart. Without `--dsn` a server of its own is started.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from redis_perf import servers
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as psycopg_tap

Work = Callable[[psycopg.Connection[Any]], Any]
Way = Callable[[str], AbstractContextManager[psycopg.Connection[Any]]]

ROWS = "select g, md5(g::text) from generate_series(1, 1000) g"
WORK: dict[str, tuple[int, Work]] = {
    "select 1": (400, lambda connection: connection.execute("select 1").fetchone()),
    "1,000 rows": (60, lambda connection: connection.execute(ROWS).fetchall()),
    "executemany of 100": (
        30,
        lambda connection: connection.cursor().executemany("select %s::int", [(each,) for each in range(100)]),
    ),
}


@contextmanager
def raw(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


class Tapped:
    """Keeps the time that reading its logs took."""

    def __init__(self) -> None:
        self.reading: list[float] = []

    @contextmanager
    def __call__(self, dsn: str) -> Iterator[psycopg.Connection[Any]]:
        recorder = Recorder()
        with psycopg_tap(recorder), raw(dsn) as connection:
            yield connection
            began = time.process_time()
            recorder.read()
            self.reading.append(time.process_time() - began)


@contextmanager
def opentelemetry(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    instrumentor = PsycopgInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        with raw(dsn) as connection:
            yield connection
    finally:
        instrumentor.uninstrument()


def seconds_each(way: Way, dsn: str, times: int, work: Work) -> float:
    with way(dsn) as connection:
        work(connection)
        began = time.process_time()
        for _ in range(times):
            work(connection)
        return (time.process_time() - began) / times


def measure(dsn: str, rounds: int, times: int, work: Work) -> tuple[dict[str, list[float]], float]:
    tapped = Tapped()
    ways: dict[str, Way] = {"raw": raw, "tapped": tapped, "opentelemetry": opentelemetry}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(seconds_each(way, dsn, times, work))
    return seconds, statistics.median(tapped.reading) / (times + 1)


def row(name: str, seconds: dict[str, list[float]], reading: float) -> str:
    cells = [f"{statistics.median(seconds['raw']) * 1e6:.0f} us"]
    for way in ("tapped", "opentelemetry"):
        pairs = zip(seconds[way], seconds["raw"], strict=True)
        ratio = statistics.median(each / base for each, base in pairs)
        cells.append(f"{statistics.median(seconds[way]) * 1e6:.0f} us, {ratio:.2f}x")
    return "| " + " | ".join([name, *cells, f"{reading * 1e6:.0f} us"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dsn", help="of a server to use instead of an embedded one")
    options = parser.parse_args()
    server = None if options.dsn else servers.postgres("embedded")
    dsn = options.dsn or (server.dsn if server else "")
    try:
        with nullcontext():
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(f"psycopg {psycopg.__version__} ({psycopg.pq.__impl__}), median of {options.rounds} rounds, CPU time\n")
        print("| operation | raw | tapped | opentelemetry | reading the log, later |\n|---|---|---|---|---|")
        for name, (times, work) in WORK.items():
            print(row(name, *measure(dsn, options.rounds, times, work)), flush=True)
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
