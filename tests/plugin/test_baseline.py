"""`--redisperf-baseline`: written, compared, ratcheted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

FILE = "--redisperf-baseline=spent.json"
WRITE = "--redisperf-update-baseline=yes"


def shop(gets: int, more: str = "") -> str:
    return f"""
def test_buy(redisperf_redis):
    for user in range({gets}):
        redisperf_redis.get(f"user:{{user}}")

def test_nothing(): ...
{more}
"""


@pytest.fixture
def kept(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Runs `shop(...)` as test_shop.py."""
    monkeypatch.delenv("CI", raising=False)

    def kept(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_shop=source)
        return pytester.runpytest_inprocess(
            "-p", "redisperf", "-p", "no:cacheprovider", "--redisperf-redis=fake", FILE, *options
        )

    return kept


def written(pytester: pytest.Pytester) -> Any:
    return json.loads(Path(pytester.path, "spent.json").read_text())["tests"]


def test_it_is_written_when_told_and_then_compared(kept: Run, pytester: pytest.Pytester) -> None:
    kept(shop(2)).stdout.fnmatch_lines(["there is no spent.json yet: --redisperf-update-baseline=yes writes it"])
    assert not Path(pytester.path, "spent.json").exists()
    kept(shop(2), WRITE).stdout.fnmatch_lines(["spent.json written: 0 changed, 2 new; *"])
    assert written(pytester) == {
        "test_shop.py::test_buy": {"redis": {"round_trips": 2, "operations": 2, "shapes": {"GET user:{}": 2}}},
        "test_shop.py::test_nothing": {},
    }
    kept(shop(2)).stdout.fnmatch_lines(["2 tests compared, none changed"])


def test_the_flag_alone_writes_and_a_path_after_it_is_not_taken_for_a_value(
    kept: Run, pytester: pytest.Pytester
) -> None:
    kept(shop(2), "--redisperf-update-baseline").stdout.fnmatch_lines(["spent.json written: *"])
    kept(shop(2), "--redisperf-update-baseline", "test_shop.py").stderr.fnmatch_lines(
        ["ERROR: --redisperf-update-baseline: 'test_shop.py' is not one of yes and in-ci; paths go before it, *"]
    )


def test_a_file_that_cannot_be_written_is_told_and_fails_the_run(kept: Run) -> None:
    result = kept(shop(1), "--redisperf-baseline=/proc/none/spent.json", WRITE)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["/proc/none/spent.json was not written: No such file or directory"])
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR


def test_the_file_is_called_as_it_was_given(kept: Run) -> None:
    kept(shop(1), "--redisperf-baseline=kept/spent.json").stdout.fnmatch_lines(["there is no kept/spent.json yet: *"])


def test_more_is_told_and_fails_only_with_the_ratchet(kept: Run) -> None:
    kept(shop(2), WRITE)
    said = [
        "more: test_shop.py::test_buy: redis round trips: baseline 2, spent 20 (+18); redis operations: *",
        "   +18  GET user:{} (2 -> 20)",
        "2 tests compared, 1 changed",
    ]
    result = kept(shop(20))
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(said)
    ratcheted = kept(shop(20), "--redisperf-ratchet")
    ratcheted.assert_outcomes(passed=1, failed=1)
    ratcheted.stdout.fnmatch_lines(
        [
            "redis round trips: baseline 2, spent 20 (+18); redis operations: baseline 2, spent 20 (+18)",
            "   +18  GET user:{} (2 -> 20)",
            "if this is right, --redisperf-update-baseline=yes writes it",
        ]
    )
    ratcheted.stdout.no_fnmatch_line("*traceback*")


def test_a_test_that_begins_to_send_is_more(kept: Run) -> None:
    kept(shop(0), WRITE)
    kept(shop(1), "--redisperf-ratchet").assert_outcomes(passed=1, failed=1)


def test_less_is_to_be_locked_in(kept: Run, pytester: pytest.Pytester) -> None:
    kept(shop(9), WRITE)
    result = kept(shop(1), "--redisperf-ratchet")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "less: test_shop.py::test_buy: redis round trips: baseline 9, spent 1 (-8); *",
            "1 test spent less than the baseline: --redisperf-update-baseline=yes writes it, so that it stays so",
        ]
    )
    kept(shop(1), WRITE)
    assert written(pytester)["test_shop.py::test_buy"]["redis"]["round_trips"] == 1


def test_only_what_ran_and_passed_is_updated(kept: Run, pytester: pytest.Pytester) -> None:
    kept(shop(2, "def test_other(redisperf_redis): redisperf_redis.get('a')"), WRITE)
    kept(shop(3, "def test_other(redisperf_redis): redisperf_redis.get('a'); redisperf_redis.get('b'); 1/0"), WRITE)
    trips = {test: entry.get("redis", {}).get("round_trips") for test, entry in written(pytester).items()}
    assert trips == {"test_shop.py::test_buy": 3, "test_shop.py::test_nothing": None, "test_shop.py::test_other": 1}
    kept(shop(5), WRITE, "-k", "nothing")
    assert written(pytester)["test_shop.py::test_buy"]["redis"]["round_trips"] == 3


def test_what_is_no_test_any_more_is_listed_but_not_what_was_left_out(kept: Run) -> None:
    kept(shop(1, "def test_other(redisperf_redis): ..."), WRITE)
    stale = "stale: test_shop.py::test_other: there is no such test any more"
    kept(shop(1)).stdout.fnmatch_lines([stale])
    kept(shop(1), "-k", "nothing").stdout.no_fnmatch_line("stale: *")
    kept(shop(1), "test_shop.py::test_buy").stdout.no_fnmatch_line("stale: *")


def test_with_xdist_it_is_the_same(kept: Run, pytester: pytest.Pytester) -> None:
    kept(shop(2), WRITE, "-p", "xdist", "-n2").stdout.fnmatch_lines(["spent.json written: 0 changed, 2 new; *"])
    result = kept(shop(3), "-p", "xdist", "-n2", "--redisperf-ratchet")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["more: test_shop.py::test_buy: *", "2 tests compared, 1 changed"])


def test_in_ci_it_is_written_only_when_that_was_meant(
    kept: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    kept(shop(1), WRITE).stderr.fnmatch_lines(["ERROR: --redisperf-update-baseline=yes: in CI (the variable CI *"])
    kept(shop(1), "--redisperf-update-baseline=in-ci").stdout.fnmatch_lines(["spent.json written: *"])


@pytest.mark.parametrize("text", ["{}", "not json", '{"format": "redisperf-baseline", "version": 2}'])
def test_a_file_that_is_no_baseline_is_refused_and_kept(kept: Run, pytester: pytest.Pytester, text: str) -> None:
    Path(pytester.path, "spent.json").write_text(text)
    kept(shop(1), WRITE).stderr.fnmatch_lines(["ERROR: --redisperf-baseline: *spent.json: *"])
    assert Path(pytester.path, "spent.json").read_text() == text


def test_a_ratchet_without_a_baseline_holds_nothing_and_says_so(kept: Run, run: Run) -> None:
    alone = kept(shop(1), "--redisperf-ratchet")
    alone.stderr.fnmatch_lines(["ERROR: --redisperf-ratchet: there is no *spent.json, *"])
    nothing = run(shop(1), "--redisperf-ratchet")
    nothing.stderr.fnmatch_lines(["ERROR: *--redisperf-ratchet need --redisperf-baseline=*"])
