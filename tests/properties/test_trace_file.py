"""The ways a trace travels, against every trace there can be; and files that are none."""

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from redis_perf.report.compact import packed, unpacked
from redis_perf.report.file_kind import TraceFileError
from redis_perf.report.jsonl import dumps, loads
from redis_perf.trace import Opened, Operation, Path, Problem, RoundTrip, Site, Tapped, Trace

TEXT = st.text(max_size=12) | st.sampled_from(["", "a\nb", "\u2028", "\udcff", '"', "größer"])
SERVERS = TEXT | st.sampled_from(
    [
        "127.0.0.1:6379",
        "[::1]:5432",
        "::1:6379",
        "/run/redis.sock",
        "/run/redis:1",
        "db:05432",
        "db:70000",
        ":1",
        "[a]:1",
    ]
)
NUMBER = st.integers(-(2**70), 2**70)
STORE = st.sampled_from(["redis", "postgres"])
PURPOSE = st.sampled_from(["setup", "transaction", "work"])
ANSWER = st.sampled_from(["complete", "lost", "in flight", "none owed"])


def maybe(strategy):
    return st.none() | strategy


OPERATION = st.builds(Operation, TEXT, TEXT, st.booleans())
OPERATIONS = st.lists(OPERATION | st.just(Operation("GET", "GET a")), max_size=6).map(tuple)
SITE = st.builds(Site, TEXT, NUMBER, TEXT)
PATH = st.builds(Path, callers=st.lists(SITE, max_size=3).map(tuple), key=NUMBER, loop=maybe(SITE), through=maybe(TEXT))
TRIP = st.builds(
    RoundTrip,
    store=STORE,
    connection=NUMBER,
    operations=OPERATIONS,
    started_ns=NUMBER,
    ended_ns=NUMBER,
    sent_bytes=maybe(NUMBER),
    received_bytes=maybe(NUMBER),
    site=maybe(SITE),
    purpose=PURPOSE,
    lane=maybe(TEXT),
    server=maybe(SERVERS),
    name=maybe(TEXT),
    commits=NUMBER,
    answer=ANSWER,
    waited=st.booleans(),
    client=maybe(SERVERS),
    waits=st.lists(st.tuples(NUMBER, NUMBER), max_size=3).map(tuple),
    path=maybe(PATH),
    arguments=maybe(NUMBER),
    key=maybe(NUMBER),
)
PROBLEM = st.builds(Problem, TEXT, maybe(STORE), maybe(SERVERS), maybe(TEXT))
TRACE = st.builds(
    Trace,
    round_trips=st.lists(TRIP, max_size=4).map(tuple),
    opened=st.lists(
        st.builds(Opened, store=STORE, connection=NUMBER, at_ns=NUMBER, server=maybe(SERVERS), name=maybe(TEXT)),
        max_size=3,
    ).map(tuple),
    children=NUMBER,
    taps=st.lists(st.builds(Tapped, TEXT, STORE, maybe(TEXT), maybe(TEXT), maybe(NUMBER)), max_size=2).map(tuple),
    problems=st.lists(PROBLEM | TEXT, max_size=2).map(tuple),
    purposes=st.frozensets(PURPOSE),
    notes=st.lists(TEXT, max_size=2).map(tuple),
)


@given(TRACE)
def test_reading_back_loses_nothing(trace):
    assert loads(dumps(trace)) == trace


@given(TRACE)
def test_packing_loses_nothing_and_leaves_plain_values(trace):
    assert unpacked(json.loads(json.dumps(packed(trace)))) == trace


@given(TRACE)
def test_packing_keeps_which_were_asked_with_the_same_arguments(trace):
    found = unpacked(json.loads(json.dumps(packed(trace))))
    for name in ("arguments", "key"):
        before, after = ([getattr(trip, name) for trip in each.round_trips] for each in (trace, found))
        assert [before.index(value) for value in before] == [after.index(value) for value in after]
        assert [value is None for value in before] == [value is None for value in after]


@given(PROBLEM)
def test_a_problem_keeps_whose_it_is(problem):
    (found,) = loads(dumps(Trace(problems=(problem,)))).problems
    assert (found, found.store, found.server, found.name) == (problem, problem.store, problem.server, problem.name)


@given(TRACE)
def test_a_file_is_ascii_with_one_record_on_each_line(trace):
    lines = list(dumps(trace))
    assert len("".join(lines).splitlines()) == len(lines) == 2 + len(trace.round_trips) + len(trace.opened)
    assert all(line.isascii() and line.endswith("}\n") for line in lines)


@given(TRACE, st.data())
def test_a_file_cut_off_anywhere_keeps_the_lines_before_and_says_so(trace, data):
    lines = list(dumps(trace))
    text = "".join(lines)
    cut = data.draw(st.integers(len(lines[0]), len(text) - len(lines[-1])))
    found = loads(text[:cut].splitlines(keepends=True))
    assert found.round_trips == trace.round_trips[: len(found.round_trips)]
    assert found.opened == trace.opened[: len(found.opened)]
    whole = text[:cut].count("\n") - 1
    assert len(found.round_trips) + len(found.opened) in (whole, whole + 1)  # one may lack but its newline
    assert found.problems[:-1] == trace.problems
    assert found.problems[-1].startswith("the trace file is cut off ")


@given(st.lists(st.text(max_size=30), max_size=4), TRACE, st.data())
def test_whatever_stands_in_a_file_it_is_read_or_refused(strange, trace, data):
    lines = list(dumps(trace))
    for line in strange:
        lines[data.draw(st.integers(0, len(lines) - 1))] = line
    said = ""
    try:
        loads(lines)
    except TraceFileError as error:
        said = str(error)
    assert "\n" not in said


def test_no_field_of_a_trace_is_left_out_above():
    """A new field needs an attribute, a line in docs/trace-file.md and a strategy above."""
    assert {kind: [field.name for field in fields(kind)] for kind in (Trace, RoundTrip, Opened, Tapped)} == {
        Trace: ["round_trips", "opened", "children", "taps", "problems", "purposes", "notes"],
        RoundTrip: [
            "store", "connection", "operations", "started_ns", "ended_ns", "sent_bytes", "received_bytes", "site",
            "purpose", "lane", "server", "name", "commits", "answer", "waited", "client",
            "waits", "path", "arguments", "key",
        ],
        Opened: ["store", "connection", "at_ns", "server", "name"],
        Tapped: ["name", "store", "version", "problem", "seen"],
    }  # fmt: skip
    assert [*Site._fields, *Path._fields, *Operation._fields] == [
        "file", "line", "function", "callers", "key", "loop", "through", "name", "shape", "failed",
    ]  # fmt: skip
