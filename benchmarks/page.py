"""How fast the HTML page of a large run opens in Chromium: 10,000 tests with 1,000,000 round trips.

    python benchmarks/page.py [5]    so many times

The goal: usable within 3 s. Opened from a file; a test's waterfall is read when it is looked at, and timed apart.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from random import randrange
from statistics import median
from time import perf_counter, process_time
from types import ModuleType

import analysis

from redis_perf.report.compact import Packed, packed, unpacked
from redis_perf.report.html import html
from redis_perf.round_trip import VARIES
from redis_perf.suite import Suite, Tested
from redis_perf.trace import Trace

TESTS, TRIPS, ROUNDS = 10_000, 100, 5
TEST_SHOWN = "!document.getElementById('detail').hidden && document.querySelectorAll('g.bar').length"


def main() -> None:
    command = shutil.which("chromium") or sys.exit("no chromium on PATH")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        page, run = Path(folder, "run.html"), suite()
        began = process_time()
        with page.open("w", encoding="utf-8") as file:
            file.writelines(html(run))
        made = process_time() - began
        browser = driver().Browser(command, Path(folder, "profile"))
        try:
            opened, shown = zip(*(looked_at(browser, page, number) for number in range(rounds)), strict=True)
        finally:
            browser.close()
        size = f"{page.stat().st_size / 1e6:.1f} MB"
    print(f"| {TESTS:,} tests, {TESTS * TRIPS:,} round trips | median of {rounds} |\n|---|---|")
    print(f"| analysed and written ({size}), processor time | {made:.1f} s |")
    print(f"| page usable | {median(opened):.2f} s |\n| a test's waterfall drawn | {median(shown):.2f} s |")


def suite() -> Suite:
    analysis.TRIPS = TRIPS
    traces = [packed(analysis.trace(number)) for number in range(200)]
    tests = (
        Tested(nodeid=f"test_shop.py::test_{number}", outcome="passed", phases={"call": timed(traces[number % 200])})
        for number in range(TESTS)
    )
    return Suite(tests=tuple(tests), root="/app", networks_ns=(2_000_000,))


def timed(trace: Packed) -> Trace:
    """The trace with times and sizes of its own, which is what does not compress."""
    columns = trace["round_trips"]["columns"]
    started = columns[VARIES.index("started_ns")]
    columns[VARIES.index("ended_ns")] = [start + randrange(20_000, 90_000) for start in started]
    columns[VARIES.index("received_bytes")] = [randrange(5, 2_000) for _ in range(TRIPS)]
    return unpacked(trace)


def looked_at(browser: object, page: Path, number: int) -> tuple[float, float]:
    """Seconds until the page can be used, and from there until one of its last tests is drawn."""
    opened: float = browser.open(page)  # type: ignore[attr-defined]
    began = perf_counter()
    browser.run(f"location.hash = '#test-{TESTS - 1 - number}'")  # type: ignore[attr-defined]
    browser.wait(TEST_SHOWN)  # type: ignore[attr-defined]
    return opened, perf_counter() - began


def driver() -> ModuleType:
    """The browser that the tests of the page use."""
    spec = importlib.util.spec_from_file_location("driver", Path(__file__).parents[1] / "tests/browser/conftest.py")
    if spec is None or spec.loader is None:
        raise ImportError("tests/browser/conftest.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


if __name__ == "__main__":
    main()
