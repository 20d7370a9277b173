"""The counts of the taps and of the proxy, against witnesses that know nothing of them (`witnesses/case.py`).

All cases run once per test run, outside this process: `python tests/oracle/witnesses/run.py` does the same by hand.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

WITNESSES = Path(__file__).parent / "witnesses"
Outcome = dict[str, dict[str, Any]]


def answer_of(*words: str) -> Any:
    done = subprocess.run([sys.executable, *words], cwd=WITNESSES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


NAMES = [case["name"] for case in answer_of("cases.py", "list")]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Every case, tapped and witnessed; run once even where several workers of pytest-xdist ask."""
    workers = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if workers else tmp_path_factory.mktemp("witnesses")
    with (shared / "witnesses.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = shared / "witnesses.json"
        if not known.exists():
            known.write_text(json.dumps(answer_of("run.py")))
    told = json.loads(known.read_text())
    if "unavailable" in told:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            pytest.fail(told["unavailable"])
        pytest.skip(told["unavailable"])
    return {case["name"]: case for case in told["cases"]}


def ran(outcome: Outcome, name: str) -> dict[str, Any]:
    case = outcome[name]
    if case["skipped"]:
        pytest.skip(case["skipped"])
    return case


@pytest.mark.parametrize("name", NAMES)
def test_the_tap_counts_what_its_witness_and_the_server_count(outcome: Outcome, name: str) -> None:
    assert ran(outcome, name)["disagreements"] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_proxy_counts_what_the_witness_and_the_tap_count(outcome: Outcome, name: str) -> None:
    case = ran(outcome, name)
    if case["around"]:
        pytest.skip(f"does not go through the proxy: {case['around']}")
    assert case["disagreements_of_the_proxy"] == []


def test_there_are_at_least_ninety_cases_of_many_clients() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 90


@pytest.mark.parametrize(
    ("name", "setup", "charged", "operations"),
    [
        ("psycopg_executemany", 2, 3, 52),
        ("psycopg_eight", 2, 9, 8),
        ("psycopg_eight_unprepared", 2, 8, 8),
        ("psycopg_copy_in_autocommit", 2, 2, 1),
        ("psycopg_copy_in", 2, 4, 3),
        ("psycopg_connect_scram", 4, 0, 0),
        ("psycopg_connect_prefer", 3, 0, 0),
        ("psycopg_pipeline_huge", 2, 1, 2000),
        ("asyncpg_fetch", 2, 4, 3),
        ("asyncpg_executemany_huge", 2, 2, 2000),
        ("asyncpg_copy_in_slowly", 2, 1, 1),
        ("psycopg2_executemany", 1, 52, 52),
        ("psycopg2_batch", 1, 5, 50),
        ("psycopg2_values", 1, 1, 1),
        ("redis_get", 5, 10, 14),
        ("redis_pipeline_huge", 5, 1, 5004),
        ("redis_script_cold", 5, 3, 7),
        ("redis_script_warm", 5, 1, 5),
        ("redis_script_pipeline_cold", 5, 3, 10),
        ("asyncio_get", 4, 5, 9),
        ("asyncio_gather", 40, 10, 50),
    ],
)
def test_the_figures_people_know_these_clients_by(
    outcome: Outcome, name: str, setup: int, charged: int, operations: int
) -> None:
    if not name.startswith(("psycopg", "asyncpg_")) and not version("redis").startswith("8."):
        pytest.skip(f"these are the figures of redis-py 8, this is {version('redis')}")
    case = ran(outcome, name)
    assert (case["setup"], case["round_trips"] - case["setup"], case["operations"]) == (setup, charged, operations)
