"""What the plugin costs a test run that does not use it: `pytest -p redisperf` against `pytest -p no:redisperf`.

Runs both in turn over one empty test, so that a slow moment of the machine hits both, and prints medians as a
Markdown table: `python benchmarks/startup.py [pairs]`. No other plugin is loaded but, in the second run, an empty one,
so that both look through the installed distributions for their plugin. The difference is the median of the pairs'
differences; a single pair is often off by more than that, so the range is told in which their median is with 95 %
certainty (by their ranks, whatever their distribution). Allowed are 5 ms.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

MEMORY = Path("/dev/shm")
WITH = ("-p", "redisperf")
WITHOUT = ("-p", "no:redisperf", "-p", "nothing")


class Cost(NamedTuple):
    processor_ms: float
    wall_ms: float


def cost_of_run(directory: Path, options: tuple[str, ...]) -> Cost:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_nothing.py"]
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(directory),
        "PYTHONPYCACHEPREFIX": str(directory / "cache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed plugin has its bytecode
    used_s, began_s = _processor_s(), time.perf_counter()
    subprocess.run(command, cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL)
    return Cost(1000 * (_processor_s() - used_s), 1000 * (time.perf_counter() - began_s))


def pair(directory: Path, *, with_it_first: bool) -> tuple[Cost, Cost]:
    """With the plugin, without it; who goes first changes, lest the second gain by it."""
    if with_it_first:
        return cost_of_run(directory, WITH), cost_of_run(directory, WITHOUT)
    without = cost_of_run(directory, WITHOUT)
    return cost_of_run(directory, WITH), without


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(pairs: int) -> None:
    if hasattr(os, "sched_setaffinity"):  # the runs inherit it: one processor, not now this and now that
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        directory = Path(name)
        (directory / "nothing.py").touch()
        (directory / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        for options in (WITH, WITHOUT):  # the first run writes bytecode
            cost_of_run(directory, options)
        runs = [pair(directory, with_it_first=bool(number % 2)) for number in range(pairs)]
    print(f"| median of {pairs} paired runs | with the plugin | `-p no:redisperf` | difference | likely between |")
    print("|---|---|---|---|---|")
    for clock in Cost._fields:
        with_it, without = (statistics.median(getattr(pair[side], clock) for pair in runs) for side in (0, 1))
        differences = [getattr(pair[0], clock) - getattr(pair[1], clock) for pair in runs]
        middle, (least, most) = statistics.median(differences), likely(differences)
        name = clock.removesuffix("_ms")
        print(f"| {name} time | {with_it:.1f} ms | {without:.1f} ms", end=" | ")
        print(f"{middle:+.1f} ms | {least:+.1f} and {most:+.1f} ms |")


def likely(values: list[float]) -> tuple[float, float]:
    """Between which of them the median of all that could have been is, with 95 % certainty."""
    ordered, away = sorted(values), 1.96 * math.sqrt(len(values)) / 2
    least, most = math.floor(len(ordered) / 2 - away), math.ceil(len(ordered) / 2 + away)
    return ordered[max(least, 0)], ordered[min(most, len(ordered) - 1)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
