"""What a clean state costs each test: `python benchmarks/isolation.py [rounds]`.

Each row is a run of pytest with so many tests, the modes in turn in each round. A test's cost is the time from its own
beginning to that of the next, less that of an empty test; the rows without a body only take the fixture.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = 40
SCHEMA = "".join(f"CREATE TABLE t{i} (id serial PRIMARY KEY, a text UNIQUE, b int);\n" for i in range(20))
CONFTEST = """
import time
starts = []
def pytest_runtest_logstart():
    starts.append(time.perf_counter())
def pytest_sessionfinish():
    starts.append(time.perf_counter())
    print("TIMES", *(round((b - a) * 1e3, 3) for a, b in zip(starts[5:], starts[6:])))
"""
TEST = """
import pytest

@pytest.mark.parametrize("turn", range({tests}))
def test_it(turn{fixture}):
    {body}
"""
WRITES = "redisperf_postgres.execute('INSERT INTO t1 (b) VALUES (1)'); redisperf_postgres.commit()"
LEAVES = "redisperf_postgres.execute('INSERT INTO t1 (b) VALUES (1)')"
SLOW = "; import time; time.sleep(0.03)"
POSTGRES = ", redisperf_postgres"
ROWS: dict[str, tuple[str, str, str]] = {
    "empty test": ("", "pass", ""),
    "database, DSN only": (", redisperf_postgres_dsn", "pass", "database"),
    "database, DSN only, 30 ms body (30 ms not counted)": (", redisperf_postgres_dsn", "pass" + SLOW, "database"),
    "database, connects, inserts, commits": (POSTGRES, WRITES, "database"),
    "reset, DSN only": (", redisperf_postgres_dsn", "pass", "reset"),
    "reset, connects": (POSTGRES, "pass", "reset"),
    "reset, connects, inserts, commits": (POSTGRES, WRITES, "reset"),
    "rollback, untouched": (POSTGRES, "pass", "rollback"),
    "rollback, inserts": (POSTGRES, LEAVES, "rollback"),
    "rollback, inserts, commits": (POSTGRES, WRITES, "rollback"),
    "Redis, URL only": (", redisperf_redis_url", "pass", ""),
    "Redis, connects, one key": (", redisperf_redis", "redisperf_redis.set('a', 1)", ""),
}


def measured(fixture: str, body: str, mode: str) -> list[float]:
    """Milliseconds of each test but the first five."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "schema.sql").write_text(SCHEMA)
        Path(directory, "conftest.py").write_text(CONFTEST)
        Path(directory, "test_it.py").write_text(TEST.format(tests=TESTS, fixture=fixture, body=body))
        options = ["-p", "redisperf", "-p", "no:cacheprovider", "-q", "-s", "--redisperf-schema=schema.sql"]
        command = [sys.executable, "-m", "pytest", *options, *([f"--redisperf-isolation={mode}"] if mode else [])]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=True)
    times = next(line for line in ended.stdout.splitlines() if "TIMES" in line).partition("TIMES ")[2]
    return [float(time) for time in times.split()]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name, row in ROWS.items():
            times[name] += measured(*row)
    empty = statistics.median(times["empty test"])
    print(f"{'ms a test, over an empty one':52} {'median':>7} {'fastest tenth':>14}")
    for name, found in times.items():
        less = (0.0 if name == "empty test" else empty) + (30.0 if "30 ms" in name else 0.0)
        fastest = statistics.quantiles(found, n=10)[0]
        print(f"{name:52} {statistics.median(found) - less:7.2f} {fastest - less:14.2f}")


if __name__ == "__main__":
    main()
