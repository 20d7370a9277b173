"""`--redisperf-write-budgets`: shown, written, and then held to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

SHOP = '''
"""About buying."""


def test_buy(redisperf_redis):   # layout stays
    redisperf_redis.set("a", 1)
    redisperf_redis.get("a")


def test_nothing(): ...


def test_broken(redisperf_redis):
    redisperf_redis.get("a")
    assert False


class TestMany:
    import pytest

    @pytest.mark.parametrize("times", [1, 4])
    def test_many(self, redisperf_redis, times):
        for _ in range(times):
            redisperf_redis.get("a")
'''
DIFF = [
    "+import pytest",
    "+@pytest.mark.redisperf(redis=2)",
    '     @pytest.mark.parametrize("times", [1, 4])',
    "+    @pytest.mark.redisperf(redis=4)",
]


@pytest.mark.parametrize("flag", ["--redisperf-write-budgets", "--redisperf-write-budgets=diff"])
def test_a_dry_run_shows_the_difference_and_writes_nothing(run: Run, pytester: pytest.Pytester, flag: str) -> None:
    result = run(SHOP, flag)
    result.stdout.fnmatch_lines(
        [
            "*= redisperf budgets =*",
            "--- a/test_*.py",
            *map(_literal, DIFF),
            "1 file would change; --redisperf-write-budgets=write*",
        ]
    )
    assert "redisperf(" not in _source(pytester)


def test_what_was_written_holds_and_need_not_be_written_again(
    run: Run, run_pytest: Run, pytester: pytest.Pytester
) -> None:
    run(SHOP, "--redisperf-write-budgets=write").stdout.fnmatch_lines(["1 file written"])
    written = _source(pytester)
    assert written.count("redisperf(") == 2
    assert "def test_buy(redisperf_redis):   # layout stays" in written
    again = run_pytest("--redisperf-redis=fake", "--redisperf-write-budgets=write")
    again.assert_outcomes(passed=4, failed=1)
    again.stdout.fnmatch_lines(["every budget in the source is what was spent"])
    assert _source(pytester) == written


def test_with_xdist_one_process_writes_for_all(run: Run, pytester: pytest.Pytester) -> None:
    run(SHOP, "-p", "xdist", "-n2", "--redisperf-write-budgets=write").stdout.fnmatch_lines(["1 file written"])
    assert _source(pytester).count("redisperf(redis=4)") == 1


def test_a_marker_that_holds_more_than_numbers_is_left_and_said(run: Run) -> None:
    result = run(
        """
        import pytest
        from redis_perf import exactly

        @pytest.mark.redisperf(redis=exactly(1))
        def test_it(redisperf_redis):
            redisperf_redis.get("a")
        """,
        "--redisperf-write-budgets=write",
    )
    result.stdout.fnmatch_lines(
        ["test_*.py::test_it: left as it is: its marker holds more than plain numbers", "every budget in the source*"]
    )


def test_another_word_is_refused(run: Run) -> None:
    result = run("def test_it(): ...", "--redisperf-write-budgets=yes")
    result.stderr.fnmatch_lines(
        ["ERROR: --redisperf-write-budgets: 'yes' is not one of diff and write; paths go before it, or after =VALUE"]
    )


def _source(pytester: pytest.Pytester) -> str:
    (file,) = Path(pytester.path).glob("test_*.py")
    return file.read_text()


def _literal(line: str) -> str:
    return line.replace("[", "[[]")
