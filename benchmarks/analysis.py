"""What a whole run costs to analyse and report, and what metering adds to a run of tests.

    python benchmarks/analysis.py              both
    python benchmarks/analysis.py million      1,000,000 round trips analysed and reported, in a process of its own
    python benchmarks/analysis.py suite [9]    1,000 tests with 20 GETs each, with and without --redisperf, 9 rounds
    python benchmarks/analysis.py network [3]  the same where each reply takes 0.5 ms more, as within a zone

The goals: at most 10 s and 1.5 GB for the first, at most 1.05 times the time without for the others. `elapsed` is what
a user waits; the server is a process of its own, so `processor` is that of the tests alone. Modules are compiled once,
before the first round, as they are when a package is installed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TypeVar

from redis_perf import servers
from redis_perf import trace as traces
from redis_perf.proxy import Proxy
from redis_perf.report.compact import packed, unpacked
from redis_perf.report_formats import Reporting
from redis_perf.suite import Suite, Tested
from redis_perf.trace import Operation, RoundTrip, Site, Trace
from redis_perf.uncollected import uncollected
from redis_perf.whole_file import write_whole

T = TypeVar("T")
TESTS, TRIPS = 50_000, 20
ROUNDS = 7
NETWORK_NS = 500_000
OWN_CLIENT = """
import os, pytest, redis
client = redis.Redis.from_url(os.environ["BENCHMARK_URL"])

@pytest.mark.parametrize("number", range(1000))
def test_gets(number):
    for at in range(20):
        client.get("key")
"""
OUR_FIXTURE = """
import pytest

@pytest.mark.parametrize("number", range(1000))
def test_gets(redisperf_redis, number):
    for at in range(20):
        redisperf_redis.get("key")
"""


def trace(number: int) -> Trace:
    return Trace(tuple(trip(number, at) for at in range(TRIPS)))


def trip(number: int, at: int) -> RoundTrip:
    began_ns = (number * TRIPS + at) * 100_000
    asked = ("GET", "GET user:{}") if at % 4 else ("HGETALL", f"HGETALL page:{{}}:{number % 7}")
    return RoundTrip(
        "redis", 1, (Operation(*asked),), began_ns, began_ns + 60_000, 30, 40 + at % 5,
        site=Site("/app/shop.py", 10 + number % 50, "badge"), lane="MainThread", server="127.0.0.1:6379",
        path=traces.Path((Site("/app/test_shop.py", 4, "test"),), number % 50), arguments=at % 19, key=at % 19,
    )  # fmt: skip


def tests() -> Iterator[Tested]:
    """As they come from xdist's workers."""
    sent = [json.dumps(packed(trace(number))) for number in range(500)]
    for number in range(TESTS):
        phases = {"setup": Trace(), "call": unpacked(json.loads(sent[number % 500])), "teardown": Trace()}
        yield Tested(
            nodeid=f"test_shop.py::test_{number}", outcome="passed", file="test_shop.py", line=1, phases=phases
        )  # type: ignore[arg-type]


def million() -> None:
    """As the plugin does it once the tests have run."""
    print(f"| {TESTS * TRIPS:,} round trips of {TESTS:,} tests | elapsed | processor | size |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, uncollected():
        suite = timed(
            "(gathered from packed traces)", lambda: Suite(tests=tuple(tests()), root="/app", networks_ns=(2_000_000,))
        )[0]
        reporting = Reporting(suite)
        took = [timed("analysed", lambda: reporting.analysed)[1]]
        for form in ("json", "sarif", "markdown", "html", "trace"):
            path = Path(folder, form)
            took.append(timed(form, lambda path=path, form=form: write_whole(path, reporting.pieces(form)))[1])  # type: ignore[misc]
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"| analysed and reported | {sum(took):.1f} s | | peak of the process {peak_bytes / 1e9:.2f} GB |")


def timed(name: str, run: Callable[[], T]) -> tuple[T, float]:
    elapsed, processor = perf_counter(), process_time()
    result = run()
    elapsed, processor = perf_counter() - elapsed, process_time() - processor
    size = f"{result / 1e6:.0f} MB" if isinstance(result, int) else ""
    print(f"| {name} | {elapsed:.1f} s | {processor:.1f} s | {size} |", flush=True)
    return result, elapsed


def suite(rounds: int) -> None:
    """Paired: each round runs both, in alternating order. Processor time of the run and of its children."""
    print(
        f"| 1,000 tests with 20 GETs each, medians of {rounds} rounds | without | --redisperf | ratio |\n"
        "|---|---|---|---|"
    )
    server = servers.redis("embedded")
    try:
        for name, source in (("a client of their own", OWN_CLIENT), ("redisperf_redis", OUR_FIXTURE)):
            rows(name, source, server.url, rounds)
    finally:
        server.stop()


def network(rounds: int) -> None:
    """Through the proxy, which takes its time for each reply, with and without."""
    print(f"| on a network of 0.5 ms, medians of {rounds} rounds | without | --redisperf | ratio |\n|---|---|---|---|")
    server = servers.redis("embedded")
    try:
        with Proxy(redis=server.url, latency_ns=NETWORK_NS) as proxy:
            rows("a client of their own", OWN_CLIENT, proxy.url("redis"), rounds)
    finally:
        server.stop()


def rows(name: str, source: str, url: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_gets.py").write_text(source)
        run(folder, url, "--redisperf", "-k", "gets[0]")
        pairs = [pair(folder, url, first=number % 2) for number in range(rounds)]
    for at, kind in enumerate(("elapsed", "processor")):
        bare, metered = ([each[way][at] for each in pairs] for way in (0, 1))
        ratio = median(one / other for one, other in zip(metered, bare, strict=True))
        print(f"| {name}, {kind} | {median(bare):.2f} s | {median(metered):.2f} s | {ratio:.2f} |", flush=True)


def pair(folder: str, url: str, *, first: int) -> list[tuple[float, float]]:
    took = {way: run(folder, url, *(["--redisperf"] if way else [])) for way in ((0, 1) if first else (1, 0))}
    return [took[0], took[1]]


def run(folder: str, url: str, *options: str) -> tuple[float, float]:
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
    environment = {**os.environ, **compiled, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment |= {"BENCHMARK_URL": url, "REDISPERF_REDIS": url}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "redisperf", "-p", "no:cacheprovider", *options]
    words += ["--redisperf-allow-external-writes", folder]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(words, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    elapsed, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "both"
    if what == "million":
        million()
        return
    if what == "both":
        subprocess.run([sys.executable, __file__, "million"], check=True)
        print()
    run_both = network if what == "network" else suite
    run_both(int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)


if __name__ == "__main__":
    main()
