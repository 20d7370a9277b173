"""What is said to be alike is, wherever a trace comes from; and nothing is lost on the way to where it is needed."""

import json
from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st
from test_suite_file import TRACE

from redis_perf.analysis.alike import alike, marks
from redis_perf.report.compact import packed, unpacked
from redis_perf.report.suite_file import dumps, loads
from redis_perf.round_trip import SAME
from redis_perf.suite import Suite, Tested
from redis_perf.trace import Trace

same = attrgetter(*SAME)


def sent(trace):
    return unpacked(json.loads(json.dumps(packed(trace))))


def written(trace):
    return loads(dumps(Suite(tests=(Tested(nodeid="test", outcome="passed", phases={"call": trace}),)))).tests[0].call


TRACES = TRACE.flatmap(
    lambda trace: st.permutations(trace.round_trips * 2).map(lambda trips: Trace(tuple(trips), trace.opened))
)


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
    for mark, trip in zip(marks(trips), trips, strict=True):
        assert of_mark.setdefault(mark, repr(same(trip))) == repr(same(trip))


@given(TRACES)
def test_what_came_from_a_worker_is_one_group_for_each_kind(trace):
    trips = sent(trace).round_trips
    assert len(alike(trips)) == len({same(trip) for trip in trips})
