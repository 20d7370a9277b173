"""Reports of a whole run: gathered, also from xdist's workers, written by one process, whole or not at all."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from redis_perf.report.suite_file import loads
from redis_perf.suite import Suite, Tested

Run: TypeAlias = Callable[..., pytest.RunResult]

SHOP = """
import pytest

def badge(client, times):
    for number in range(times):
        client.get(f"user:{number}")

@pytest.fixture
def users(redisperf_redis):
    for number in range(3):
        redisperf_redis.set(f"user:{number}", number)
    return redisperf_redis

def test_badge(users):
    badge(users, 5)

@pytest.mark.redisperf(redis=2)
def test_marked(users):
    badge(users, 3)

def test_block(users, redisperf):
    with redisperf.budget(redis=1):
        badge(users, 2)

@pytest.mark.parametrize("url", ["redis://ada:hunter2@host/0"])
def test_url(url, redisperf_redis):
    redisperf_redis.get("a")

def test_skipped():
    pytest.skip("not today")

@pytest.mark.xfail
def test_known():
    assert False

def test_broken(no_such_fixture): ...
"""
XDIST = ("-p", "xdist", "-n2")
ONE_OR_MANY = pytest.mark.parametrize("how", [(), XDIST], ids=["alone", "xdist"])


def suite_in(pytester: pytest.Pytester, file: str = "run.jsonl") -> Suite:
    return loads(Path(pytester.path, file).read_text().splitlines(keepends=True))


def ran(suite: Suite) -> dict[str, Tested]:
    return {tested.nodeid.partition("::")[2]: tested for tested in suite}


@ONE_OR_MANY
def test_the_suite_file_holds_what_each_test_sent(run: Run, pytester: pytest.Pytester, how: tuple[str, ...]) -> None:
    result = run(SHOP, "--redisperf-trace=run.jsonl", *how)
    result.stdout.fnmatch_lines(["*- generated redisperf trace report: *run.jsonl (* KiB) -*"])
    suite = suite_in(pytester)
    tests = ran(suite)
    assert (suite.root, suite.incomplete) == (str(pytester.path), ())
    assert {name: tested.outcome for name, tested in tests.items()} == {
        "test_badge": "passed",
        "test_marked": "failed",
        "test_block": "failed",
        "test_url[redis://ada:***@host/0]": "passed",
        "test_skipped": "skipped",
        "test_known": "xfailed",
        "test_broken": "error",
    }
    badge = tests["test_badge"]
    assert badge.call.redis.shapes == ["GET user:{}"] * 5
    assert len({trip.arguments for trip in badge.call.redis}) == 5
    assert (badge.file, badge.line) == (tests["test_marked"].file, 13)
    (users,) = (fixture for fixture in badge.fixtures if fixture.name == "users")
    assert (users.when, users.scope, users.trace.redis.shapes) == ("setup", "function", ["SET user:{}"] * 3)


@ONE_OR_MANY
def test_why_a_budget_failed_comes_along(run: Run, pytester: pytest.Pytester, how: tuple[str, ...]) -> None:
    run(SHOP, "--redisperf-trace=run.jsonl", *how)
    verdicts = {name: tested.verdict for name, tested in ran(suite_in(pytester)).items() if tested.verdict}
    assert verdicts.keys() == {"test_marked", "test_block"}
    assert verdicts["test_marked"].startswith("redis round trips: budget 2, spent 3 ")
    assert verdicts["test_block"].startswith("redis round trips: budget 1, spent 2 ")


@ONE_OR_MANY
def test_numbers_and_findings_as_json_and_sarif(run: Run, pytester: pytest.Pytester, how: tuple[str, ...]) -> None:
    run(SHOP, "--redisperf-json=out/run.json", "--redisperf-sarif=run.sarif", *how)
    text = Path(pytester.path, "out/run.json").read_text()
    document = json.loads(text)
    assert "hunter2" not in text
    assert document["totals"]["phases"]["call"]["redis"]["round_trips"] == 11
    assert document["totals"]["outcomes"] == {"passed": 2, "failed": 2, "skipped": 1, "xfailed": 1, "error": 1}
    suspects = {
        test["nodeid"].partition("::")[2]: [each["saves"] for each in test["suspects"]] for test in document["tests"]
    }
    assert {name: saves for name, saves in suspects.items() if saves} == {"test_badge": [4], "test_marked": [2]}
    results = json.loads(Path(pytester.path, "run.sarif").read_text())["runs"][0]["results"]
    assert sorted((each["ruleId"], _line(each)) for each in results) == [
        ("redisperf/budget", 16),
        ("redisperf/budget", 20),
        ("redisperf/n-plus-one", 5),
    ]


def _line(result: dict[str, Any]) -> int:
    line: int = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    return line


def test_what_is_to_be_ignored_is_in_no_report(run: Run, pytester: pytest.Pytester) -> None:
    run(SHOP, "--redisperf-sarif=run.sarif", "-o", "redisperf_ignore=GET user:*", *XDIST)
    assert "redisperf/n-plus-one" not in [
        each["ruleId"] for each in json.loads(Path(pytester.path, "run.sarif").read_text())["runs"][0]["results"]
    ]


@ONE_OR_MANY
def test_github_gets_annotations_once_and_a_step_summary(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "step.md"))
    (pytester.path / "step.md").write_text("before\n")
    lines = [line for line in run(SHOP, "--redisperf-github", *how).outlines if line.startswith("::")]
    assert sorted(line.partition(",title")[0].partition("file=")[0] for line in lines) == ["::error "] * 2 + [
        "::warning "
    ]
    page = (pytester.path / "step.md").read_text()
    assert page.startswith("before\n## Redis and Postgres round trips\n\n7 tests: 11 redis and 0 postgres round trips")


def test_outside_of_github_nothing_is_annotated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert not [line for line in run(SHOP, "--redisperf-github").outlines if line.startswith("::")]


def test_junit_has_numbers_of_each_test_and_of_all(run: Run, pytester: pytest.Pytester) -> None:
    run(SHOP, "--redisperf", "--junitxml=junit.xml", *XDIST)
    (suite,) = ElementTree.parse(pytester.path / "junit.xml").getroot()
    badge = next(case for case in suite.iter("testcase") if case.get("name") == "test_badge")
    numbers = {
        "redisperf_redis_round_trips": "5",
        "redisperf_redis_operations": "5",
        "redisperf_postgres_round_trips": "0",
        "redisperf_postgres_operations": "0",
        "redisperf_depth": "5",
    }
    assert _properties(badge) == numbers
    assert _properties(suite)["redisperf_redis_round_trips"] == "11"
    assert _properties(suite).keys() == numbers.keys()


def _properties(of: ElementTree.Element) -> dict[str | None, str | None]:
    return {each.get("name"): each.get("value") for each in of.findall("properties/property")}


def test_a_crashed_worker_makes_the_report_incomplete(run: Run, pytester: pytest.Pytester) -> None:
    source = """
        import os

        def test_before(redisperf_redis):
            redisperf_redis.get("a")

        def test_crash(redisperf_redis):
            os._exit(1)
        """
    result = run(
        source,
        "--redisperf",
        "--redisperf-trace=run.jsonl",
        "--redisperf-sarif=run.sarif",
        "-p",
        "xdist",
        "-n1",
        "--max-worker-restart=0",
    )
    result.stdout.fnmatch_lines(["incomplete: worker gw0 crashed while it ran *::test_crash: what it had sent in *"])
    suite = suite_in(pytester)
    crashed = [sentence for sentence in suite.incomplete if "crashed" in sentence]
    assert len(crashed) == 1
    assert crashed[0].startswith("worker gw0 crashed while it ran test_a_crashed_worker")
    assert "::test_crash: what it had sent" in crashed[0]
    assert ran(suite)["test_before"].call.redis.round_trips == 1
    assert ran(suite)["test_crash"].outcome == "failed"
    invocation = json.loads(Path(pytester.path, "run.sarif").read_text())["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False


def test_what_cannot_be_read_of_a_worker_is_all_that_is_missing(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logreport(report):
            if report.when == "call" and "test_cut" in report.nodeid and hasattr(report, "redisperf_sent"):
                report.redisperf_sent = report.redisperf_sent[:-9]
        """
    )
    source = """
        def test_whole(redisperf_redis):
            redisperf_redis.get("a")

        def test_cut(redisperf_redis):
            redisperf_redis.get("a")
        """
    result = run(source, "--redisperf", "--redisperf-trace=run.jsonl", "-p", "xdist", "-n1")
    result.assert_outcomes(passed=2)
    suite = suite_in(pytester)
    (sentence,) = suite.incomplete
    assert "::test_cut cannot be read: JSONDecodeError: " in sentence
    assert [ran(suite)[name].call.redis.round_trips for name in ("test_whole", "test_cut")] == [1, 0]


def test_a_run_that_was_stopped_is_incomplete(run: Run, pytester: pytest.Pytester) -> None:
    run("def test_one(): assert 0\ndef test_two(): ...", "--redisperf-trace=run.jsonl", "-x")
    assert suite_in(pytester).incomplete == ("the run ended before all tests had run: stopping after 1 failures",)


def test_where_no_test_ran_nothing_is_overwritten(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "run.json").write_text("precious")
    run("def test_one(): ...", "--redisperf-json=run.json", "-k", "other").stdout.fnmatch_lines(
        ["*no test ran, so *run.json was left as it is*"]
    )
    run("def test_one(): ...", "--redisperf-json=run.json", "--collect-only")
    assert (pytester.path / "run.json").read_text() == "precious"


def test_a_directory_is_refused_before_anything_runs(run: Run, pytester: pytest.Pytester) -> None:
    result = run("def test_one(): ...", "--redisperf-json=.")
    result.stderr.fnmatch_lines(["ERROR: --redisperf-json: * is a directory, expected a file to write"])


def test_a_report_that_cannot_be_written_is_told_and_fails_the_run(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytest_redisperf.gathering.write_whole", full)
    result = run("def test_one(): ...", "--redisperf-json=run.json")
    result.stdout.fnmatch_lines(["*--redisperf-json: *run.json was not written: OSError: *No space left on device*"])
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR


def test_nothing_of_this_is_imported_where_no_report_is_asked_for(run: Run) -> None:
    run(
        """
        import sys

        def test_one():
            assert not {"pytest_redisperf.gathering", "redis_perf.report.sarif"} & set(sys.modules)
        """,
        "--redisperf",
        subprocess=True,
    ).assert_outcomes(passed=1)


LOOP = """
def test_loop(redisperf_redis):
    for user in range({gets}):
        redisperf_redis.get(f"user:{{user}}")
"""
SPENDING_TEARDOWN = """
import pytest

@pytest.fixture
def spending(redisperf, redisperf_redis):
    yield
    with redisperf.budget(redis=1):
        redisperf_redis.get("a")
        redisperf_redis.get("b")

def test_it(spending): ...
"""
EVERYWHERE = ("--redisperf-sarif=run.sarif", "--redisperf-json=run.json", "--redisperf-github", "--junitxml=junit.xml")


@ONE_OR_MANY
def test_a_suspect_that_fails_its_test_is_an_error_in_every_report(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = run(LOOP.format(gets=4), "--redisperf-n-plus-one=fail", *EVERYWHERE, *how)
    assert told(said, pytester) == ("n-plus-one", 3, ["::error file="])


@ONE_OR_MANY
def test_more_than_its_baseline_is_an_error_in_every_report(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("CI", raising=False)
    kept = "--redisperf-baseline=spent.json"
    run(LOOP.format(gets=1), kept, "--redisperf-update-baseline=yes")
    said = run(LOOP.format(gets=2), kept, "--redisperf-ratchet", *EVERYWHERE, *how)
    assert told(said, pytester) == ("ratchet", 1, ["::error file="])


@ONE_OR_MANY
def test_a_budget_that_a_teardown_exceeds_is_an_error_in_every_report(
    run: Run, pytester: pytest.Pytester, how: tuple[str, ...]
) -> None:
    run(SPENDING_TEARDOWN, *EVERYWHERE, *how).assert_outcomes(passed=1, errors=1)
    (test,) = json.loads(Path(pytester.path, "run.json").read_text())["tests"]
    case = next(ElementTree.parse(pytester.path / "junit.xml").getroot().iter("testcase"))
    assert _properties(case)["redisperf_broken"] == "budget"
    assert test["broken"] == "budget"


def told(said: pytest.RunResult, pytester: pytest.Pytester) -> tuple[str, int, list[str]]:
    """The rule that all of them name, the line, and the beginnings of annotations."""
    (test,) = json.loads(Path(pytester.path, "run.json").read_text())["tests"]
    (result,) = json.loads(Path(pytester.path, "run.sarif").read_text())["runs"][0]["results"]
    case = next(ElementTree.parse(pytester.path / "junit.xml").getroot().iter("testcase"))
    assert (test["outcome"], result["level"]) == ("failed", "error")
    assert result["ruleId"] == f"redisperf/{test['broken']}"
    assert _properties(case)["redisperf_broken"] == test["broken"]
    annotations = [line[: len("::error file=")] for line in said.outlines if line.startswith("::")]
    return test["broken"], _line(result), annotations
