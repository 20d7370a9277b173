"""What round trips would cost on a network."""

from __future__ import annotations

import pytest

from redis_perf.analysis.projection import Projection, projection
from redis_perf.trace import Answer, RoundTrip, Store, Trace


def trip(started_ns: int, ended_ns: int, store: Store = "redis", answer: Answer = "complete") -> RoundTrip:
    return RoundTrip(store, 1, (), started_ns, ended_ns, 1, 1, answer=answer)


def test_round_trips_that_waited_for_each_other_cost_their_sum() -> None:
    trace = Trace((trip(0, 1), trip(1, 2), trip(2, 3)))
    assert projection(trace.redis, 2_000_000) == Projection(
        round_trip_ns=2_000_000, floor_ns=6_000_000, total_ns=6_000_000
    )


def test_round_trips_that_overlapped_have_a_lower_floor() -> None:
    trace = Trace(tuple(trip(0, 9) for _ in range(10)))
    assert projection(trace.redis, 30) == Projection(round_trip_ns=30, floor_ns=30, total_ns=300)


def test_a_whole_trace_costs_what_both_stores_do() -> None:
    trace = Trace((trip(0, 1), trip(2, 3, "postgres"), trip(2, 3)))
    assert projection(trace, 5) == Projection(round_trip_ns=5, floor_ns=10, total_ns=15)


def test_a_lost_request_costs_nothing_that_was_seen() -> None:
    assert projection(Trace((trip(0, 1, answer="lost"),)).redis, 5).total_ns == 0


@pytest.mark.parametrize("round_trip_ns", [0, -1])
def test_a_network_without_latency_is_refused(round_trip_ns: int) -> None:
    with pytest.raises(ValueError, match=rf"^round-trip time {round_trip_ns} ns: expected more than 0$"):
        projection(Trace(), round_trip_ns)
