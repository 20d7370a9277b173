"""The suite file and the summary, against every suite there can be; and files that are none."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf.analysis.analysed import analysed
from redis_perf.analysis.tally import STORES, Tally, tallies
from redis_perf.report.file_kind import TraceFileError
from redis_perf.report.suite_file import dumps, loads, read
from redis_perf.report.suite_json import schema, summary
from redis_perf.suite import FixtureSpent, Meant, Suite, Tested
from redis_perf.trace import Opened, Operation, Path, Problem, RoundTrip, Site, Tapped, Trace

TEXT = st.text(max_size=8) | st.sampled_from(["", "a\nb", "\u2028", "\udcff", '"', "größer", "redis://u:p@h"])
NUMBER = st.integers(-(2**70), 2**70) | st.integers(0, 9)
COUNT = st.integers(0, 2**40)
STORE = st.sampled_from(["redis", "postgres"])
SITE = st.builds(Site, TEXT, COUNT, TEXT)


def maybe(strategy):
    return st.none() | strategy


PATH = st.builds(Path, st.lists(SITE, max_size=2).map(tuple), NUMBER, maybe(SITE), maybe(TEXT))
TRIP = st.builds(
    RoundTrip,
    store=STORE,
    connection=st.integers(0, 3),
    operations=st.lists(st.builds(Operation, TEXT, TEXT, st.booleans()), max_size=3).map(tuple),
    started_ns=NUMBER,
    ended_ns=NUMBER,
    sent_bytes=maybe(COUNT),
    received_bytes=maybe(COUNT),
    site=maybe(SITE),
    purpose=st.sampled_from(["setup", "transaction", "work"]),
    lane=maybe(TEXT),
    server=maybe(st.sampled_from(["127.0.0.1:6379", "/run/redis.sock"])),
    commits=st.integers(0, 3),
    answer=st.sampled_from(["complete", "lost", "in flight", "none owed"]),
    waits=st.lists(st.tuples(NUMBER, NUMBER), max_size=2).map(tuple),
    path=maybe(PATH),
    arguments=maybe(NUMBER),
    key=maybe(NUMBER),
)
TRACE = st.builds(
    Trace,
    round_trips=st.lists(TRIP, max_size=4).map(tuple),
    opened=st.lists(st.builds(Opened, store=STORE, connection=NUMBER, at_ns=NUMBER), max_size=2).map(tuple),
    children=st.integers(0, 3),
    taps=st.lists(st.builds(Tapped, TEXT, STORE, maybe(TEXT), maybe(TEXT), maybe(NUMBER)), max_size=2).map(tuple),
    problems=st.lists(st.builds(Problem, TEXT, maybe(STORE)), max_size=2).map(tuple),
    notes=st.lists(TEXT, max_size=2).map(tuple),
)
WHEN = st.sampled_from(["setup", "call", "teardown"])
TESTED = st.builds(
    Tested,
    nodeid=TEXT,
    outcome=st.sampled_from(["passed", "failed", "error", "skipped", "xfailed", "xpassed"]),
    file=maybe(TEXT),
    line=maybe(st.integers(1, 99)),
    phases=st.dictionaries(WHEN, TRACE),
    fixtures=st.lists(st.builds(FixtureSpent, name=TEXT, scope=TEXT, when=WHEN, trace=TRACE), max_size=2).map(tuple),
    verdict=maybe(TEXT),
    meant=st.lists(st.builds(Meant, shape=TEXT, site=SITE), max_size=2).map(tuple),
)
SUITE = st.builds(
    Suite,
    tests=st.lists(TESTED, max_size=3).map(tuple),
    root=TEXT,
    networks_ns=st.lists(st.integers(1, 2**40), max_size=2).map(tuple),
    incomplete=st.lists(TEXT, max_size=2).map(tuple),
    threshold=st.integers(2, 5) | st.just(0),
)


@given(SUITE)
def test_reading_back_loses_nothing(suite):
    assert loads(dumps(suite)) == suite


@given(SUITE)
def test_what_was_asked_with_the_same_arguments_still_is(suite):
    def same(suite):
        traces = [trace for tested in suite for trace in tested.phases.values()]
        return [
            (trip.arguments == other.arguments, trip.key == other.key)
            for trace in traces
            for trip in trace.round_trips
            for other in trace.round_trips
        ]

    assert same(loads(dumps(suite))) == same(suite)


@given(SUITE)
def test_a_reader_that_knows_no_order_of_attributes_reads_the_same(suite):
    turned = [json.dumps(dict(reversed(json.loads(line).items()))) + "\n" for line in list(dumps(suite))[1:]]
    assert loads([next(dumps(suite)), *turned]) == suite


@given(SUITE)
def test_a_file_is_ascii_with_one_record_on_each_line(suite):
    lines = list(dumps(suite))
    assert len("".join(lines).splitlines()) == len(lines)
    assert all(line.isascii() and line.endswith("}\n") and json.loads(line) for line in lines)


@given(SUITE, st.data())
def test_a_file_cut_off_anywhere_keeps_the_tests_before_and_says_so(suite, data):
    lines = list(dumps(suite))
    text = "".join(lines)
    cut = data.draw(st.integers(len(lines[0]), len(text) - len(lines[-1])))
    found = loads(text[:cut].splitlines(keepends=True))
    assert found.tests[:-1] == suite.tests[: max(0, len(found.tests) - 1)]
    assert found.incomplete[:-1] == suite.incomplete
    assert found.incomplete[-1].startswith("the suite file is cut off ")


@given(st.lists(st.text(max_size=30), max_size=4), SUITE, st.data())
def test_whatever_stands_in_a_file_it_is_read_or_refused(strange, suite, data):
    lines = list(dumps(suite))
    for line in strange:
        lines[data.draw(st.integers(0, len(lines) - 1))] = line
    said = ""
    try:
        loads(lines)
    except TraceFileError as error:
        said = str(error)
    assert "\n" not in said


@given(SUITE)
def test_a_reader_gets_each_test_when_its_last_line_has_come(suite):
    parts = list(read(dumps(suite)))
    assert parts == [replace(suite, tests=()), *suite.tests]


@given(SUITE)
def test_the_summary_is_what_its_schema_says(suite):
    jsonschema = pytest.importorskip("jsonschema")
    text = "".join(summary(analysed(suite)))
    assert text.isascii()
    jsonschema.Draft202012Validator(schema()).validate(json.loads(text))


@given(TRACE)
def test_numbers_counted_at_once_are_those_counted_one_by_one(trace):
    found = tallies(trace)
    for store in STORES:
        share = trace.store(store)
        assert getattr(found, store) == Tally(
            **{name: getattr(share, name) for name in ("round_trips", "operations", "commits", "connections", "depth")},
            setup=trace.setup.store(store).round_trips,
            lost=trace.every.store(store).lost,
            sent_bytes=share.sent_bytes,
            received_bytes=share.received_bytes,
        )
    assert found.depth == trace.depth
