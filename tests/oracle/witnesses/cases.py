"""Runs cases in a process of its own, so that a witness can look at that process alone.

    python cases.py list                    all cases, one JSON list
    python cases.py run < request.json      one JSON line per run of a case

The request says where the servers are (`direct`), which pipes to go `through` (one after another, several times;
none is one direct run) and their latencies, how many `runs` of a single way there are to be, whether to count with the
`tapped` clients, and which `cases` to run.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import counters
import slope
from case import CASES, At, Case
from figures import seen

import redis_perf

MODULES = (
    "redis_connection_cases", "redis_cases", "redis_asyncio_cases", "valkey_cases", "fakeredis_cases",
    "postgres_cases", "postgres_asyncio_cases", "asyncpg_cases", "psycopg2_cases", "sqlalchemy_cases",
    "proxy_only_cases", "node_cases",
)  # fmt: skip
for module in MODULES:
    importlib.import_module(module)
FEATURES = ("tls", "cluster", "cluster of three", "sentinel", "fake server", "node")
MOST_RUNS = 8
MARKS = os.open(os.devnull, os.O_WRONLY)


class Counters:
    """Reads the servers' own counters around a case; the connection for that is opened before any tap is."""

    def __init__(self, direct: At, log: str) -> None:
        import psycopg

        self._at = direct
        self._log = Path(log)
        self._connection = psycopg.connect(
            host=direct.postgres_unix, port=direct.postgres_port, user="postgres", dbname="postgres", autocommit=True
        )

    def read(self, store: str) -> Any:
        if store == "redis":
            return counters.redis_info(self._at.redis_port)
        commits = counters.postgres_commits(self._ask, self._at.postgres_database)
        return self._log.stat().st_size, commits

    def spent(self, store: str, before: Any) -> dict[str, int]:
        """Operations (and commits) since `before`, as the server tells it."""
        after = self.read(store)
        if store == "redis":
            return {"operations": counters.redis_commands(before, after)}
        statements = counters.postgres_statements(self._log, before[0], self._at.postgres_database)
        commits, sessions = (new - old for new, old in zip(after[1], before[1], strict=True))
        return {"operations": statements, "commits": commits, "sessions": sessions}

    def _ask(self, query: str) -> str:
        (answer,) = self._connection.execute(query).fetchone() or ("",)
        return str(answer)


def run(case: Case, direct: At, at: At, counted: Counters, *, tapped: bool) -> dict[str, Any]:
    """One run: what the tap counted, how long it took, what the server counted."""
    if case.before:
        case.before(direct)
    gc.collect()
    before = counted.read(case.store)
    with redis_perf.record() if tapped else nullcontext() as recording:
        os.write(MARKS, f"case {case.name} begins".encode())
        begin_ns = time.monotonic_ns()
        case.run(at)
        end_ns = time.monotonic_ns()
        os.write(MARKS, f"case {case.name} ends".encode())
    answer = {"begin_ns": begin_ns, "end_ns": end_ns, "server": counted.spent(case.store, before)}
    return answer | (seen(recording.trace, case.store) if recording else {})


def settle(names: list[str]) -> None:
    """Import now what the cases will, so that collecting garbage before each need not go through all of it."""
    for module in {module for name in names for module in modules(CASES[name])}:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def results(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    direct = At(**request["direct"])
    through = [At(**at) for at in request["through"]] or [direct]
    counted = Counters(direct, request["postgres_log"])
    settle(request["cases"])
    for name in request["cases"]:
        case = CASES[name]
        times: list[list[int]] = [[] for _ in through]
        while more_runs(times, request["latencies_ms"], request["runs"]):
            for number, at in enumerate(through):
                result: dict[str, Any] = {"case": name, "through": number, "begun_ns": time.monotonic_ns()}
                try:
                    result |= run(case, direct, at, counted, tapped=request["tapped"])
                    times[number].append(result["end_ns"] - result["begin_ns"])
                except Exception:
                    result["error"] = traceback.format_exc()
                    times[number] += [0] * MOST_RUNS
                yield result


def more_runs(times: list[list[int]], latencies_ms: tuple[int, int], wanted: int) -> bool:
    """As many as wanted one way. Through pipes: until the slope has settled, on whichever number that is."""
    runs = len(times[0])
    if len(times) == 1:
        return runs < wanted
    return runs < MOST_RUNS and not slope.settled(times[0], times[1], latencies_ms)


def listed() -> list[dict[str, Any]]:
    keys = (
        "name",
        "store",
        "client",
        "mode",
        "witness",
        "needs",
        "counters",
        "latencies_ms",
        "twin",
        "own_commits",
        "unseen",
        "tap",
        "hold_ms",
        "looks_like_work",
        "note",
    )
    return [{key: getattr(case, key) for key in keys} | {"missing": missing(case)} for case in CASES.values()]


def missing(case: Case) -> list[str]:
    """Modules this case needs that are not installed."""
    return [name for name in modules(case) if not found(name)]


def modules(case: Case) -> list[str]:
    """What it imports; `needs` also names features of the run."""
    needed = {"redis": "redis", "postgres": "psycopg"}[case.store], *case.needs
    return [name for name in needed if name not in FEATURES]


def found(module: str) -> bool:
    package, _, _ = module.partition(".")
    return importlib.util.find_spec(package) is not None and importlib.util.find_spec(module) is not None


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print(json.dumps(listed()))
    else:
        for line in results(json.load(sys.stdin)):
            print(json.dumps(line), flush=True)
