"""`--redisperf-repeat`: each test several times, with one result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

SUITE = """
import pytest

runs = []

@pytest.fixture(scope="module")
def shared():
    runs.append("shared")

@pytest.fixture
def own(shared):
    runs.append("own")

def test_cold(redisperf_redis, own):
    if runs.count("own") == 1:
        redisperf_redis.set("warm", 1)
    redisperf_redis.get("a")

def test_steady(redisperf_redis):
    redisperf_redis.get("a")

def test_fixtures():
    assert runs == ["shared", "own", "own", "own"]
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["alone", "xdist"])
def test_what_varies_is_told_with_its_cause_and_each_test_has_one_result(run: Run, workers: tuple[str, ...]) -> None:
    result = run(SUITE, "--redisperf-repeat=3", *workers)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "varies: *::test_cold: redis round trips 2, 1, 1: SET warm was asked more often",
            "varies: *::test_cold: redis operations 2, 1, 1: SET warm was asked more often",
            "3 tests run 3 times each: 1 of them varies in what was spent",
        ]
    )


def test_the_first_run_that_fails_is_the_result(run: Run) -> None:
    result = run(
        """
        import pytest

        runs = []

        @pytest.fixture(scope="module", autouse=True)
        def shared():
            yield
            print("torn", "down")

        def test_it(redisperf_redis):
            runs.append(1)
            assert len(runs) != 2, "the second"

        def test_next():
            assert len(runs) == 3
        """,
        "--redisperf-repeat=3",
        "-s",
    )
    result.assert_outcomes(failed=1, passed=1)
    assert str(result.stdout).count("torn down") == 1
    result.stdout.fnmatch_lines(["E*AssertionError: the second", "2 tests run 3 times each: none of them vary *"])


@pytest.mark.parametrize("times", ["1", "many"])
def test_fewer_than_two_runs_compare_nothing(run: Run, times: str) -> None:
    run("def test_it(): ...", f"--redisperf-repeat={times}").stderr.fnmatch_lines(
        [f"ERROR: --redisperf-repeat: '{times}' is no number of runs to compare; give a whole number from 2"]
    )
