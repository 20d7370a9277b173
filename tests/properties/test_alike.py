"""What is said to be alike is, wherever a trace comes from; and nothing is lost on the way to where it is needed."""

import json
from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from redis_perf.analysis.alike import alike, kinds
from redis_perf.report.compact import packed, unpacked
from redis_perf.report.suite_file import dumps, loads
from redis_perf.round_trip import SAME
from redis_perf.suite import Suite, Tested
from redis_perf.trace import Operation, Path, RoundTrip, Site, Trace

same = attrgetter(*SAME)


def sent(trace):
    return unpacked(json.loads(json.dumps(packed(trace))))


def written(trace):
    return loads(dumps(Suite(tests=(Tested(nodeid="test", outcome="passed", phases={"call": trace}),)))).tests[0].call


FEW = st.integers(0, 1)
SITE = st.builds(Site, st.sampled_from(["app.py", "\udcff"]), FEW, st.just("push"))
TRIP = st.builds(
    RoundTrip,
    store=st.sampled_from(["redis", "postgres"]),
    connection=FEW,
    operations=st.lists(st.builds(Operation, st.just("GET"), st.just("GET a"), st.booleans()), max_size=2).map(tuple),
    started_ns=st.integers(0, 99),
    ended_ns=st.integers(0, 99),
    sent_bytes=st.none() | FEW,
    received_bytes=st.none() | FEW,
    site=st.none() | SITE,
    purpose=st.sampled_from(["setup", "work"]),
    waits=st.lists(st.tuples(FEW, FEW), max_size=1).map(tuple),
    path=st.none() | st.builds(Path, st.lists(SITE, max_size=1).map(tuple), FEW),
    arguments=st.none() | FEW,
    key=st.none() | FEW,
)
TRACES = st.lists(TRIP, max_size=6).flatmap(lambda trips: st.permutations(trips * 2)).map(lambda all: Trace(tuple(all)))


@given(TRACES)
def test_a_trace_that_was_packed_is_the_same_again(trace):
    assert sent(trace) == trace


@given(TRACES, st.sampled_from([lambda trace: trace, sent, written]))
def test_those_of_a_group_differ_in_nothing_but_what_may_vary(trace, through):
    trips = through(trace).round_trips
    groups = alike(trips)
    assert sorted(map(id, trips)) == sorted(id(trip) for group in groups for trip in group)
    for group in groups:
        assert len({repr(same(trip)) for trip in group}) == 1
    of_mark = {}
    for mark, trip in zip(kinds(trips)[0], trips, strict=True):
        assert of_mark.setdefault(mark, repr(same(trip))) == repr(same(trip))


@given(TRACES)
def test_what_came_from_a_worker_is_one_group_for_each_kind(trace):
    trips = sent(trace).round_trips
    assert len(alike(trips)) == len({same(trip) for trip in trips})
