"""Which round trips lie on the longest chain, and which of them may be able to overlap."""

from __future__ import annotations

from dataclasses import replace

from redis_perf.analysis.depth import Aside, longest_chain
from redis_perf.trace import Answer, Operation, Purpose, RoundTrip, Site, Store, Trace


def trip(
    started: int,
    ended: int,
    shape: str = "GET a",
    *,
    store: Store = "redis",
    connection: int = 1,
    lane: str = "MainThread",
    purpose: Purpose = "work",
    answer: Answer = "complete",
    function: str = "f",
    waited: bool = False,
) -> RoundTrip:
    operations = (Operation(shape.split()[0], shape),)
    return RoundTrip(
        store, connection, operations, started, ended, 1, 1, Site("app.py", 1, function), purpose, lane,
        answer=answer, waited=waited,
    )  # fmt: skip


def test_the_chain_is_as_long_as_the_depth_and_says_which_they_are() -> None:
    trips = (trip(0, 10), trip(1, 4), trip(2, 9), trip(4, 6), trip(9, 12))
    chain = longest_chain(trips)
    assert chain.trips == (trips[1], trips[3], trips[4])
    assert chain.depth == Trace(trips).depth == 3


def test_tasks_that_share_a_round_trip_stand_on_the_chain_with_each_of_their_waits() -> None:
    shared = replace(trip(0, 40), waits=((0, 10), (5, 15), (12, 22), (20, 30), (30, 40)))
    other = trip(22, 30, connection=2)
    chain = longest_chain([shared, other])
    assert chain.trips == (shared, shared, other, shared)
    assert chain.depth == Trace((shared, other)).depth == 4


def test_what_was_never_answered_lies_on_no_chain() -> None:
    assert longest_chain([trip(0, 1, answer="lost"), trip(2, 3, answer="in flight")]).trips == ()


def test_one_lane_has_an_exact_depth_and_several_on_a_loopback_only_a_bound() -> None:
    assert longest_chain([trip(0, 1), trip(1, 2)]).exact
    both = [trip(0, 1, lane="a"), trip(1, 2, lane="b", connection=2)]
    assert not longest_chain(both).exact
    assert longest_chain(both, exact=True).exact


def test_neighbours_to_two_servers_from_one_function_may_overlap() -> None:
    cached, stored = trip(0, 1), trip(1, 2, "SELECT a", store="postgres", connection=2)
    assert longest_chain([cached, stored]).asides == (Aside(first=cached, second=stored),)


def test_what_cannot_be_told_or_moved_is_no_aside() -> None:
    other = {"store": "postgres", "connection": 2}
    for second in (
        trip(1, 2),  # the same connection: that is a pipeline's affair
        trip(1, 2, **other, lane="Thread-2"),
        trip(1, 2, **other, function="g"),
        trip(1, 2, "COMMIT", **other, purpose="transaction"),
        trip(1, 2, "BLPOP q", connection=2, waited=True),
    ):
        assert longest_chain([trip(0, 1), second]).asides == ()
