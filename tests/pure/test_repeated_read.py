"""Reads that ask what was asked before."""

from __future__ import annotations

import pytest

from redis_perf.analysis.repeated_read import repeated_reads
from redis_perf.analysis.suggestion import suggestions
from redis_perf.analysis.waste import Waste, wasted
from redis_perf.trace import Operation, Path, Purpose, RoundTrip, Site, Store


def trip(
    at: int,
    shape: str,
    *,
    arguments: int | None = 1,
    store: Store = "redis",
    line: int = 1,
    key: int = 1,
    pause: int = 10,
    purpose: Purpose = "work",
    failed: bool = False,
    lane: str = "main",
    waited: bool = False,
) -> RoundTrip:
    return RoundTrip(
        store=store,
        connection=1,
        operations=(Operation(shape.split()[0], shape, failed),),
        started_ns=pause * at,
        ended_ns=pause * at + 1,
        sent_bytes=1,
        received_bytes=1,
        site=Site("app.py", line, "f"),
        path=Path(callers=(), key=key),
        purpose=purpose,
        lane=lane,
        waited=waited,
        arguments=arguments,
    )


def sizes(*trips: RoundTrip) -> list[int]:
    return [len(group) for group in repeated_reads(trips)]


def test_the_same_read_again_is_waste_and_says_what_to_do() -> None:
    trips = [trip(at, "GET user:{}") for at in range(5)]
    assert wasted(trips) == [
        Waste(
            kind="repeated read",
            text="5 x GET user:{} with the same arguments, nothing written in between: keep the answer, or cache it",
            saves=4,
            trips=tuple(trips[1:]),
        )
    ]
    assert [suggestion.saves for suggestion in suggestions(trips)] == [4]


def test_several_kinds_are_told_together() -> None:
    trips = [trip(at, "GET a") for at in range(3)] + [trip(9 + at, "GET b", arguments=2) for at in range(2)]
    (waste,) = wasted(trips)
    assert (waste.saves, waste.text.partition(":")[0]) == (
        3,
        "3 x GET a with the same arguments, nothing written in between, and 1 more like it",
    )


def test_two_places_may_ask_the_same() -> None:
    assert sizes(trip(0, "GET a", line=1), trip(1, "GET a", line=9, key=2)) == [2]


def test_other_arguments_are_another_question() -> None:
    assert sizes(trip(0, "GET user:{}", arguments=1), trip(1, "GET user:{}", arguments=2)) == []


def test_arguments_that_were_not_seen_are_not_taken_for_the_same() -> None:
    assert sizes(trip(0, "GET a", arguments=None), trip(1, "GET a", arguments=None)) == []


@pytest.mark.parametrize("between", ["SET a", "DEL b", "EVALSHA abc...", "FLUSHDB", "BLPOP queue", "UNHEARD OF"])
def test_after_a_write_it_is_a_new_question(between: str) -> None:
    assert sizes(trip(0, "GET a"), trip(1, between, arguments=7), trip(2, "GET a")) == []


def test_a_write_to_the_other_store_changes_nothing() -> None:
    insert = trip(1, "INSERT INTO t VALUES (...)", store="postgres", arguments=7)
    assert sizes(trip(0, "GET a"), insert, trip(2, "GET a")) == [2]


@pytest.mark.parametrize(("between", "purpose"), [("PING", "work"), ("BEGIN", "transaction"), ("HELLO", "setup")])
def test_what_writes_nothing_does_not_come_between(between: str, purpose: Purpose) -> None:
    assert sizes(trip(0, "GET a"), trip(1, between, purpose=purpose, arguments=7), trip(2, "GET a")) == [2]


def test_reads_whose_arguments_were_not_seen_do_not_come_between() -> None:
    assert sizes(trip(0, "GET a"), trip(1, "GET user:{}", arguments=None), trip(2, "GET a")) == [2]


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT ?",
        "SELECT nextval(?) FROM t",
        "SELECT a FROM jobs ORDER BY id LIMIT ? FOR UPDATE SKIP locked",
        "SELECT pg_try_advisory_lock(?) FROM t",
        "SELECT random() FROM t",
        "UPDATE t SET a = ?",
        "FETCH FORWARD ? FROM ?",
    ],
)
def test_statements_that_answer_otherwise_each_time_are_none(shape: str) -> None:
    assert sizes(*(trip(at, shape, store="postgres") for at in range(3))) == []


def test_a_select_again_is_one() -> None:
    assert sizes(*(trip(at, "SELECT a FROM t WHERE id = ?", store="postgres") for at in range(3))) == [3]


def test_polling_is_none() -> None:
    assert sizes(*(trip(at, "GET job", pause=2_000_000) for at in range(5))) == []


def test_slow_readers_in_two_places_do_not_poll() -> None:
    assert sizes(*(trip(at, "GET job", pause=2_000_000, key=at) for at in range(2))) == [2]


def test_retries_blocking_reads_and_other_lanes_are_none() -> None:
    assert sizes(*(trip(at, "GET a", failed=True) for at in range(3))) == []
    assert sizes(*(trip(at, "XREAD a", waited=True) for at in range(3))) == []
    assert sizes(*(trip(at, "GET a", lane=str(at)) for at in range(3))) == []
