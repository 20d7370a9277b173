"""Reports of a suite: SARIF, annotations, Markdown and text, from literals; and what must not get into them."""

import json
import re
from typing import Any, get_args

import pytest

from redis_perf.analysis.analysed import Analysed, analysed
from redis_perf.analysis.findings import _RULES, Rule
from redis_perf.analysis.waste import Kind
from redis_perf.report.github import MOST, annotation_lines
from redis_perf.report.markdown import escaped, markdown
from redis_perf.report.rules import RULES
from redis_perf.report.sarif import sarif
from redis_perf.report.secrets import redacted
from redis_perf.report.suite_text import suite_lines
from redis_perf.report.suites_changed import compared, suite_change_lines
from redis_perf.suite import Meant, Suite, Tested
from redis_perf.trace import Operation, RoundTrip, Site, Trace

SHOP = Site("/src/app/shop.py", 7, "badge")


def trip(at: int, site: Site | None = SHOP, shape: str = "GET user:{}") -> RoundTrip:
    return RoundTrip(
        "redis", 1, (Operation(shape.split()[0], shape),), at * 10, at * 10 + 5, 20, 30, site=site, arguments=at
    )  # fmt: skip


def ran(name: str = "test_shop.py::test_badge", trips: int = 4, **more: Any) -> Tested:
    trace = Trace(tuple(trip(at) for at in range(trips)))
    return Tested(
        **{"nodeid": name, "outcome": "passed", "file": "test_shop.py", "line": 3, "phases": {"call": trace}} | more
    )


def suite(*tests: Tested, **more: Any) -> Analysed:
    return analysed(Suite(tests=tests or (ran(),), root="/src/app", networks_ns=(2_000_000,), **more))


def results(found: Analysed, **where: Any) -> list[dict[str, Any]]:
    return json.loads("".join(sarif(found, version="1.0", **where)))["runs"][0]["results"]


# --- SARIF


def test_a_suspect_stands_at_the_users_line_with_a_relative_path():
    (found,) = results(suite())
    place = found["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "shop.py", "uriBaseId": "%SRCROOT%"}, "region": {"startLine": 7}}
    assert (found["ruleId"], found["level"]) == ("redisperf/n-plus-one", "warning")
    assert found["message"]["text"].startswith(
        "4 x GET user:{}: one MGET, or a pipeline, would be 1 round trip\nIn test_"
    )


def test_in_a_repository_of_several_projects_the_path_is_from_its_root():
    (found,) = results(suite(), source_root="/src")
    assert found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "app/shop.py"


def test_a_failed_budget_is_an_error_at_the_test():
    (found,) = results(suite(ran(trips=1, outcome="failed", verdict="redis round trips: budget 0, spent 1")))
    assert (found["ruleId"], found["level"]) == ("redisperf/budget", "error")
    assert found["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}


def test_code_scanning_finds_all_it_asks_for():
    text = "".join(sarif(suite(incomplete=("worker gw0 crashed",)), version="1.0"))
    document = json.loads(text)
    (run,) = document["runs"]
    assert (document["version"], document["$schema"]) == ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json")
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == {f"redisperf/{rule}" for rule in get_args(Rule)}
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] and rule["name"].isalpha() for rule in rules)
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "worker gw0 crashed" in text


def test_a_finding_is_the_same_when_its_lines_have_moved():
    moved = tuple(trip(at, Site(SHOP.file, 70, SHOP.function)) for at in range(4))
    before, after = results(suite()), results(suite(ran(phases={"call": Trace(moved)})))
    assert before[0]["partialFingerprints"] == after[0]["partialFingerprints"]
    assert before[0]["locations"] != after[0]["locations"]


def test_findings_that_look_the_same_have_fingerprints_of_their_own():
    twice = tuple(trip(at, Site(SHOP.file, 7 + at // 4, SHOP.function)) for at in range(8))
    prints = [
        each["partialFingerprints"]["primaryLocationLineHash"]
        for each in results(suite(ran(phases={"call": Trace(twice)})))
    ]
    assert len(set(prints)) == 2
    assert {each.partition(":")[2] for each in prints} == {"1", "2"}


def test_a_line_outside_of_the_sources_is_told_at_the_test():
    outside = Trace(tuple(trip(at, Site("/home/ada/lib.py", 9, "x")) for at in range(4)))
    text = "".join(sarif(suite(ran(phases={"call": outside})), version="1.0"))
    assert "ada" not in text
    assert (
        results(suite(ran(phases={"call": outside})))[0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 3
    )


def test_the_same_in_many_tests_is_one_result():
    (found,) = results(suite(*(ran(f"test_shop.py::test_{number}", trips=4 + number) for number in range(5))))
    assert found["properties"] == {"saves": 7, "tests": 5}
    assert "test_4, test_shop.py::test_3, test_shop.py::test_2 and 2 more tests." in found["message"]["text"]


def test_what_is_meant_to_be_so_is_no_finding():
    assert not results(suite(ran(meant=(Meant(shape="GET user:{}", site=SHOP),))))
    assert not results(suite(threshold=0))


def test_text_of_a_test_is_no_link():
    (found,) = results(suite(ran("t.py::t[x](http://evil)")))
    assert "t[x\\](http://evil)" in found["message"]["text"]


def test_every_kind_of_waste_has_a_rule_and_every_rule_a_text():
    assert set(_RULES) == set(get_args(Kind))
    assert set(RULES) == set(get_args(Rule)) >= set(_RULES.values())


# --- annotations


def test_annotations_name_file_and_line_and_escape_what_they_say():
    failed = ran("t.py::t[a,b:c%]", trips=1, file="a,b:c%.py", outcome="failed", verdict="spent 2\nat 100%::x")
    (line,) = annotation_lines(suite(failed))
    assert line.startswith("::error file=a%2Cb%3Ac%25.py,line=3,title=A test spent more")
    assert line.endswith("::spent 2%0Aat 100%25::x%0Ain t.py::t[a,b:c%25]")


def test_a_suspect_is_a_warning():
    (line,) = annotation_lines(suite())
    assert line.startswith("::warning file=shop.py,line=7,title=The same question")


@pytest.mark.parametrize("broken", ["budget", "ratchet"])
def test_what_failed_a_test_is_an_error_under_its_own_rule(broken):
    failed = suite(ran(trips=1, outcome="failed", verdict="spent 2", broken=broken))
    (found,) = results(failed)
    assert (found["ruleId"], found["level"]) == (f"redisperf/{broken}", "error")
    (line,) = annotation_lines(failed)
    assert line.startswith("::error file=test_shop.py,line=3,")


def test_a_suspect_that_failed_its_test_is_one_error_at_its_line():
    failed = suite(ran(outcome="failed", verdict="redis N+1: 4 round trips, 1 would do", broken="n-plus-one"), ran("b"))
    (found,) = results(failed)
    assert (found["ruleId"], found["level"], found["properties"]["tests"]) == ("redisperf/n-plus-one", "error", 2)
    (line,) = annotation_lines(failed)
    assert line.startswith("::error file=shop.py,line=7,title=The same question")


def test_no_more_annotations_than_are_shown():
    many = [ran(f"t.py::t{n}", trips=1, outcome="failed", verdict="spent 2") for n in range(25)]
    assert len(list(annotation_lines(suite(*many)))) == MOST


# --- Markdown and text


def test_markdown_shows_the_dearest_first_and_the_rest_together():
    page = "".join(markdown(suite(ran("a", 2), ran("b", 9), ran("c", 1)), top=1))
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        "| <code>b</code> | 9 | 0 | 9 | 9 | 18 ms |",
        "| ... and 2 more tests | 3 | 0 | 3 | 3 | 6 ms |",
        "| **in all** | 12 | 0 | 12 | 12 | 24 ms |",
    ]
    assert "at <code>shop&#46;py" not in page
    assert "at <code>shop.py&#58;7</code>" in page


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", "a|b", "`x`", "[x](y)", "**x**", "\nx\n# y", "@all", "</code><b>"]
)
def test_nothing_a_test_is_called_is_markup(evil):
    page = "".join(markdown(suite(ran(evil), incomplete=(evil,))))
    assert evil not in page.replace("</code>", "")
    assert re.fullmatch(r"([\w ]|&#\d+;)*", escaped(evil))


def test_an_incomplete_suite_says_so_first():
    found = suite(incomplete=("worker gw1 crashed while it ran test_x",))
    assert "".join(markdown(found)).splitlines()[2] == "> **Incomplete:** worker gw1 crashed while it ran test&#95;x"
    assert list(suite_lines(found, "s"))[1] == "s: incomplete: worker gw1 crashed while it ran test_x"


def test_a_terminal_gets_no_control_characters():
    assert all(line.isprintable() for line in suite_lines(suite(ran("t\x1b[2J\r::x")), "s\x07"))


def test_the_text_of_a_suite():
    assert list(suite_lines(suite(), "s.jsonl")) == [
        "s.jsonl: 1 test",
        "  redis  postgres  operations  depth    at 2 ms",
        "      4         0           4      4       8 ms  test_shop.py::test_badge",
        "      4         0           4      4       8 ms  in all, setup and teardown apart",
        "what to look at:",
        "  n-plus-one shop.py:7: 4 x GET user:{}: one MGET, or a pipeline, would be 1 round trip "
        "(in test_shop.py::test_badge)",
    ]


def test_two_suites_compared_test_by_test():
    base = Suite(tests=(ran("a", 1), ran("b", 2), ran("gone", 1)))
    head = Suite(tests=(ran("a", 3), ran("b", 2), ran("new", 1)))
    assert list(suite_change_lines(base, head, ("base", "head"))) == [
        "base: 3 tests",
        "head: 3 tests",
        "a: redis round trips: 1 -> 3 (+2); redis operations: 1 -> 3 (+2)",
        "    +2  GET user:{} (1 -> 3)",
        "added: new",
        "removed: gone",
        "1 test changed, 1 of them spent more; 1 as before",
    ]
    assert compared(base, head).risen == ("a",)


# --- secrets


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("t[redis://ada:hunter2@host:1/0]", "t[redis://ada:***@host:1/0]"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("postgresql://a:p@ss@host/db?password=hunter2&x=1", "postgresql://a:***@host/db?password=***&x=1"),
        ("host=db password=hunter2 user=ada", "host=db password=*** user=ada"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("GET user:{}", "GET user:{}"),
    ],
)
def test_passwords_do_not_get_into_reports(text, kept):
    assert redacted(text) == kept
