"""`redisperf report`, `show` and `diff` of suite files."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import jsonschema
import pytest

from redis_perf import Operation, RoundTrip, Trace, cli
from redis_perf.analysis.baseline import Spent
from redis_perf.report import baseline_file, jsonl, suite_file, suite_json
from redis_perf.suite import Suite, Tested

Written: TypeAlias = Callable[..., None]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """`written("run.jsonl", test_a=3)`: a suite of tests with so many round trips."""
    monkeypatch.chdir(tmp_path)

    def written(name: str, *, incomplete: tuple[str, ...] = (), **tests: int) -> None:
        ran = tuple(
            Tested(nodeid=f"t.py::{test}", outcome="passed", file="t.py", line=1, phases={"call": sent(times)})
            for test, times in tests.items()
        )
        suite = Suite(tests=ran, root=str(tmp_path), networks_ns=(2_000_000,), incomplete=incomplete)
        (tmp_path / name).write_text("".join(suite_file.dumps(suite)))

    return written


def sent(times: int) -> Trace:
    operations = (Operation("GET", "GET a"),)
    return Trace(tuple(RoundTrip("redis", 1, operations, at * 10, at * 10 + 5, 20, 30) for at in range(times)))


def test_every_report_is_made_from_the_file(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("run.jsonl", test_a=2, incomplete=("worker gw0 crashed",))
    forms = ("json", "sarif", "trace", "markdown", "text")
    assert cli.main(["report", "run.jsonl", *(word for form in forms for word in (f"--{form}", f"out/{form}"))]) == 0
    assert json.loads(Path("out/json").read_text())["totals"]["tests"] == 1
    assert json.loads(Path("out/sarif").read_text())["version"] == "2.1.0"
    assert Path("out/trace").read_text() == Path("run.jsonl").read_text()
    assert Path("out/markdown").read_text().startswith("## Redis and Postgres round trips")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "redisperf report: incomplete: worker gw0 crashed"
    assert said[1].startswith("redisperf report: json of 1 test: out/json (")


def test_without_a_format_it_is_text_on_standard_output(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("run.jsonl", test_a=2)
    assert cli.main(["report", "run.jsonl"]) == 0
    assert "      2         0           2      2       4 ms  t.py::test_a" in capsys.readouterr().out


def test_a_trace_file_is_a_suite_of_one(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.jsonl").write_text("".join(jsonl.dumps(sent(3))))
    assert cli.main(["report", "one.jsonl", "--json", "-"]) == 0
    (test,) = json.loads(capsys.readouterr().out)["tests"]
    assert (test["nodeid"], test["phases"]["call"]["redis"]["round_trips"]) == ("one.jsonl", 3)


def test_the_file_that_is_read_is_not_written(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("run.jsonl", test_a=2)
    before = Path("run.jsonl").read_text()
    assert cli.main(["report", "run.jsonl", "--json", "run.jsonl"]) == 2
    assert cli.main(["report", "run.jsonl", "--json", "-", "--sarif", "-"]) == 2
    assert Path("run.jsonl").read_text() == before


def test_a_file_from_the_future_is_refused(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.jsonl").write_text('{"redisperf.format":"redisperf-suite","redisperf.format.version":9}\n')
    assert cli.main(["report", "new.jsonl", "--json", "out.json"]) == 2
    assert capsys.readouterr().err == (
        "redisperf report: new.jsonl: line 1: suite file version 9, expected 1: "
        "upgrade pytest-redisperf, or record it again with this one\n"
    )
    assert not Path("out.json").exists()


def test_show_a_suite_or_one_test_of_it(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("run.jsonl", test_a=2, test_b=5)
    assert cli.main(["show", "run.jsonl", "--shapes"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "run.jsonl: 2 tests"
    assert shown[-1].split() == ["7", "7", "redis", "GET", "a"]
    assert cli.main(["show", "run.jsonl", "--test", "t.py::test_b"]) == 0
    assert capsys.readouterr().out.startswith("t.py::test_b: redis 5 round trips")
    assert cli.main(["show", "run.jsonl", "--test", "t.py::test_c"]) == 2
    assert "has no such test; did you mean t.py::test_" in capsys.readouterr().err


def test_diff_fails_where_a_test_spends_more(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("base.jsonl", test_a=2, test_b=5)
    written("head.jsonl", test_a=3, test_b=4)
    assert cli.main(["diff", "base.jsonl", "head.jsonl"]) == 0
    assert "t.py::test_a: redis round trips: 2 -> 3 (+1); redis operations: 2 -> 3 (+1)" in capsys.readouterr().out
    assert cli.main(["diff", "base.jsonl", "head.jsonl", "--fail-on-increase", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["increased"] == ["t.py::test_a"]
    assert err == "redisperf diff: increased: t.py::test_a\n"
    assert cli.main(["diff", "base.jsonl", "base.jsonl", "--fail-on-increase"]) == 0


def test_an_incomplete_head_proves_nothing(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("base.jsonl", test_a=2)
    written("head.jsonl", test_a=2, incomplete=("worker gw0 crashed",))
    assert cli.main(["diff", "base.jsonl", "head.jsonl", "--fail-on-increase"]) == 1
    assert "head.jsonl is incomplete, so it proves no absence of an increase" in capsys.readouterr().err


def test_a_suite_and_a_trace_cannot_be_compared(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written("base.jsonl", test_a=2)
    Path("one.jsonl").write_text("".join(jsonl.dumps(sent(3))))
    assert cli.main(["diff", "base.jsonl", "one.jsonl"]) == 2
    assert "expected two of a kind" in capsys.readouterr().err


@pytest.fixture
def baseline(written: Written) -> str:
    """Of `test_a`, which sent 2, and of a test that is gone."""
    spent = Spent(round_trips=2, operations=2, shapes={"GET a": 1, "GET b": 1})
    Path("spent.json").write_text(baseline_file.dumps({"t.py::test_a": {"redis": spent}, "t.py::test_gone": {}}))
    return "spent.json"


def test_a_baseline_is_shown_beside_what_was_spent(
    written: Written, baseline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written("run.jsonl", test_a=5, test_new=1)
    forms = ("json", "markdown", "text", "html")
    assert cli.main(["report", "run.jsonl", "--baseline", baseline, *(f"--{form}={form}" for form in forms)]) == 0
    document = json.loads(Path("json").read_text())
    jsonschema.validate(document, suite_json.schema())
    assert [test["before"] for test in document["tests"]] == [
        {
            "redis": {"round_trips": 2, "operations": 2},
            "postgres": {"round_trips": 0, "operations": 0},
            "shapes": [
                {"store": "redis", "asked": "GET a", "before": 1, "after": 5},
                {"store": "redis", "asked": "GET b", "before": 1, "after": 0},
            ],
        },
        None,
    ]
    assert document["missing"] == ["t.py::test_gone"]
    assert "| redis round trips | 2 | 5 | +3 |\n" in Path("markdown").read_text()
    assert "1 test of the baseline did not run.\n" in Path("markdown").read_text()
    assert Path("text").read_text().splitlines()[-4:] == [
        "more: t.py::test_a: redis round trips: baseline 2, spent 5 (+3); redis operations: baseline 2, spent 5 (+3)",
        "    +4  GET a (1 -> 5)",
        "    -1  GET b (1 -> 0)",
        "1 test changed since the baseline; 1 test of it did not run",
    ]
    (rows,) = re.findall(r'id="data-rows">([^<]+)<', Path("html").read_text())
    page = json.loads(zlib.decompress(base64.b64decode(rows), -15))
    assert (page["tests"]["base"], page["missing"]) == ([[2, 2], None], ["t.py::test_gone"])


def test_a_test_that_did_not_run_to_its_end_is_compared_with_nothing_in_any_form(baseline: str) -> None:
    tested = Tested(nodeid="t.py::test_a", outcome="failed", phases={"call": Trace()})
    Path("run.jsonl").write_text("".join(suite_file.dumps(Suite(tests=(tested,), root="/", networks_ns=(1, 2)))))
    forms = ("json", "markdown", "text", "html")
    assert cli.main(["report", "run.jsonl", "--baseline", baseline, *(f"--{form}={form}" for form in forms)]) == 0
    (test,) = json.loads(Path("json").read_text())["tests"]
    assert test["before"] is None
    assert "No test spends other counts" in Path("markdown").read_text()
    assert "0 tests changed since the baseline; 1 test of it did not run" in Path("text").read_text()
    (rows,) = re.findall(r'id="data-rows">([^<]+)<', Path("html").read_text())
    page = json.loads(zlib.decompress(base64.b64decode(rows), -15))
    assert (page["tests"]["base"], page["missing"]) == ([None], ["t.py::test_gone"])


@pytest.mark.parametrize("forms", [["--sarif=out"], ["--trace=out", "--sarif=-"]])
def test_a_baseline_that_no_report_asked_for_can_show_is_refused(
    forms: list[str], written: Written, baseline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written("run.jsonl", test_a=1)
    assert cli.main(["report", "run.jsonl", "--baseline", baseline, *forms]) == 2
    assert "cannot show it; ask for one of --html, --json, --markdown, --text" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "--baseline spent.json: No such file or directory"),
        (
            '{"format": "redisperf-baseline", "version": 9, "tests": {}}',
            "--baseline spent.json: version 9, expected 1: ",
        ),
        ("[]", '--baseline spent.json: not a baseline: expected "format": "redisperf-baseline" in it; '),
    ],
)
def test_a_baseline_that_cannot_be_read_is_told_and_nothing_written(
    written: Written, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    written("run.jsonl", test_a=1)
    if text is not None:
        Path("spent.json").write_text(text)
    assert cli.main(["report", "run.jsonl", "--baseline", "spent.json", "--json", "out.json"]) == 2
    assert capsys.readouterr().err.startswith(f"redisperf report: {said}")
    assert not Path("out.json").exists()


def test_a_baseline_is_not_written_over(written: Written, baseline: str) -> None:
    written("run.jsonl", test_a=1)
    before = Path(baseline).read_text()
    assert cli.main(["report", "run.jsonl", "--baseline", baseline, "--json", baseline]) == 2
    assert Path(baseline).read_text() == before
