"""`redisperf_benchmark`: counts beside times, and assertions on both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

pytest.importorskip("pytest_benchmark")
Run: TypeAlias = Callable[..., pytest.RunResult]

BENCHMARK = ("-p", "pytest_benchmark.plugin", "--benchmark-max-time=0.01", "--benchmark-min-rounds=2")
DISABLED = ("-p", "pytest_benchmark.plugin", "--benchmark-disable")


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-benchmark times nothing in a worker of xdist, and takes the inner run for one."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


PUSH = """
import pytest
from redis_perf import exactly

def push(client):
    client.rpush("turns", "hello")
    client.expire("turns", 60)

def test_push(redisperf_benchmark, redisperf_redis):
    redisperf_benchmark(push, redisperf_redis)
    redisperf_benchmark.max_round_trips(exactly(2))
"""


@pytest.mark.parametrize("options", [BENCHMARK, DISABLED], ids=["measured", "disabled"])
def test_one_warm_call_is_counted_however_often_it_was_timed(run: Run, options: tuple[str, ...]) -> None:
    result = run(PUSH, *options, "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "=* redisperf benchmarks: what one call spends =*",
            "  redis  postgres  statements  depth      bytes    at 2ms   at 30ms",
            "      2         0           0      2   not seen      4 ms     60 ms  *::test_push",
        ]
    )


def test_the_counts_are_in_the_json_and_in_comparisons(run: Run, pytester: pytest.Pytester) -> None:
    run(PUSH, *BENCHMARK, "--benchmark-json=out.json").assert_outcomes(passed=1)
    (found,) = json.loads(Path(pytester.path, "out.json").read_text())["benchmarks"]
    info = found["extra_info"]
    assert {name: info[name] for name in info if not name.endswith("bytes")} == {
        "redisperf_redis_round_trips": 2,
        "redisperf_redis_commands": 2,
        "redisperf_postgres_round_trips": 0,
        "redisperf_postgres_statements": 0,
        "redisperf_depth": 2,
        "redisperf_modelled_at_2ms_ns": 4_000_000,
        "redisperf_modelled_at_30ms_ns": 60_000_000,
    }
    assert len(found["stats"]["data"]) >= 2
    run(PUSH, *BENCHMARK, "--benchmark-compare=out.json").assert_outcomes(passed=1)


def test_too_many_round_trips_fail_with_the_lines_that_spent_them(run: Run) -> None:
    result = run(PUSH.replace("exactly(2)", "1"), *DISABLED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*round trips: at most 1, spent 2", "E*1  RPUSH turns*in push", "E*1  EXPIRE turns*in push"]
    )


def test_statements_are_held_whatever_they_share_a_round_trip_with(run: Run) -> None:
    result = run(
        """
        def test_it(redisperf_benchmark, redisperf_postgres):
            redisperf_benchmark(redisperf_postgres.execute, "select 1; select 2; select 3")
            redisperf_benchmark.max_round_trips(1)
            redisperf_benchmark.max_statements(3)
            redisperf_benchmark.max_statements(2)
        """,
        *DISABLED,
        "--redisperf-postgres=fake",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*postgres statements: budget 2, spent 3 *"])


def test_a_call_that_sends_nothing_proves_nothing(run: Run) -> None:
    result = run(
        """
        def test_it(redisperf_benchmark):
            redisperf_benchmark(lambda: None)
            redisperf_benchmark.max_round_trips(1)
        """,
        *DISABLED,
    )
    result.stdout.fnmatch_lines(["E*round trips: nothing measured: the call sent nothing that was seen"])


def test_a_ratio_to_another_call_is_held_and_kept(run: Run) -> None:
    run(
        """
        import pytest
        from pytest_redisperf.benchmark import RatioExceeded

        def test_it(redisperf_benchmark, redisperf_redis):
            redisperf_benchmark(redisperf_redis.get, "a")
            fifty = lambda: [redisperf_redis.get("a") for _ in range(50)]
            assert 0 < redisperf_benchmark.ratio_to(fifty) < 0.5
            redisperf_benchmark.max_ratio_to(fifty, 0.5)
            with pytest.raises(RatioExceeded, match="times as long as the other, at most 0.5 allowed"):
                redisperf_benchmark.max_ratio_to(lambda: None, 0.5)
        """,
        *DISABLED,
    ).assert_outcomes(passed=1)


def test_a_setup_gives_the_arguments_of_the_call_that_is_counted_too(run: Run) -> None:
    run(
        """
        def test_it(redisperf_benchmark, redisperf_redis):
            made = []

            def setup():
                made.append(1)
                redisperf_redis.set("a", len(made))
                return ("a",), {}

            redisperf_benchmark.pedantic(redisperf_redis.get, setup=setup, rounds=3)
            assert redisperf_benchmark.trace.redis.shapes == ["GET a"]
            assert len(made) == 4
        """,
        *BENCHMARK,
    ).assert_outcomes(passed=1)


def test_at_a_latency_the_ratio_is_that_of_the_round_trips(run: Run) -> None:
    run(
        """
        def test_it(redisperf_benchmark, redisperf_redis):
            def one_by_one():
                for user in range(10):
                    redisperf_redis.get(f"user:{user}")

            redisperf_redis.ping()
            with redisperf_benchmark.at_latency("2ms"):
                redisperf_benchmark(redisperf_redis.mget, [f"user:{user}" for user in range(10)])
                redisperf_benchmark.max_round_trips(1)
                redisperf_benchmark.max_ratio_to(one_by_one, 0.5)
        """,
        *DISABLED,
        "--redisperf-redis=embedded",
    ).assert_outcomes(passed=1)


def test_without_pytest_benchmark_the_fixture_says_what_to_install(run: Run) -> None:
    result = run(PUSH)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["redisperf: redisperf_benchmark needs pytest-benchmark: pip install *"])


def test_only_benchmarks_are_run_where_that_is_asked_for(run: Run) -> None:
    result = run(PUSH + "\ndef test_other(): ...\n", *BENCHMARK, "--benchmark-only")
    result.assert_outcomes(passed=1, skipped=1)


CODSPEED = ("-p", "pytest_codspeed.plugin")
ENABLED = ("--codspeed", "--codspeed-max-time=0.01", "--codspeed-warmup-time=0")


@pytest.mark.parametrize(
    "options",
    [CODSPEED, (*CODSPEED, *ENABLED), (*DISABLED, *CODSPEED), (*BENCHMARK, *CODSPEED, *ENABLED)],
    ids=["disabled", "enabled", "beside pytest-benchmark", "in its place"],
)
def test_next_to_codspeed_calls_are_counted_and_held(run: Run, options: tuple[str, ...]) -> None:
    pytest.importorskip("pytest_codspeed")
    result = run(PUSH.replace("exactly(2)", "1"), *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*round trips: at most 1, spent 2", "      2         0 *::test_push"])
