"""What buys nothing, and what is left alone."""

from __future__ import annotations

import pytest

from redis_perf.analysis.waste import LARGE_BYTES, Waste, wasted, wastes
from redis_perf.trace import Opened, Operation, Purpose, RoundTrip, Store, Trace


def trip(
    at: int,
    *shapes: str,
    store: Store = "redis",
    failed: bool = False,
    received: int | None = 1,
    purpose: Purpose = "work",
    connection: int = 1,
) -> RoundTrip:
    operations = tuple(Operation(shape.split()[0], shape, failed) for shape in shapes)
    return RoundTrip(store, connection, operations, at, at + 1, 1, received, purpose=purpose)


def sql(at: int, *shapes: str, purpose: Purpose = "work", connection: int = 1) -> RoundTrip:
    return trip(at, *shapes, store="postgres", purpose=purpose, connection=connection)


def kinds(found: list[Waste]) -> list[tuple[str, int, int]]:
    return [(waste.kind, waste.saves, len(waste.trips)) for waste in found]


def test_a_script_that_was_not_there_yet_costs_the_miss_or_the_load() -> None:
    assert kinds(wasted([trip(0, "EVALSHA a", failed=True), trip(1, "EVAL a")])) == [("cold script", 1, 1)]
    loads = [trip(0, "SCRIPT EXISTS"), trip(1, "SCRIPT LOAD"), trip(2, "EVALSHA a")]
    assert kinds(wasted(loads)) == [("cold script", 2, 2)]


def test_a_script_that_failed_for_its_own_reasons_is_left_alone() -> None:
    assert wasted([trip(0, "EVALSHA a", failed=True)]) == []


def test_begin_and_commit_around_one_statement_are_two_for_nothing() -> None:
    block = [sql(0, "BEGIN", purpose="transaction"), sql(1, "SELECT a"), sql(2, "COMMIT", purpose="transaction")]
    (found,) = wasted(block)
    assert (found.kind, found.saves, found.trips) == ("lonely transaction", 2, (block[0], block[2]))


def test_a_transaction_of_two_statements_is_left_alone() -> None:
    assert wasted([sql(0, "BEGIN"), sql(1, "UPDATE a"), sql(2, "UPDATE b"), sql(3, "COMMIT")]) == []


def test_transactions_on_two_connections_do_not_mix() -> None:
    mixed = [sql(0, "BEGIN"), sql(1, "SELECT a", connection=2), sql(2, "COMMIT")]
    assert wasted(mixed) == []


def test_a_round_trip_that_executed_nothing_prepared_something() -> None:
    assert kinds(wasted([sql(0), sql(1, "SELECT a")])) == [("prepare", 1, 1)]


def test_keys_saves_no_round_trip_and_is_told_all_the_same() -> None:
    (found,) = wasted([trip(0, "KEYS user:*"), trip(1, "KEYS user:*")])
    assert (found.saves, found.text) == (
        0,
        "KEYS looks at every key of the server, which serves nobody else meanwhile, 2 times: SCAN, or a set of the "
        "keys, does not",
    )


@pytest.mark.parametrize(("received", "large"), [(LARGE_BYTES, True), (LARGE_BYTES - 1, False), (None, False)])
def test_a_reply_is_large_from_a_mebibyte_on_if_its_size_was_seen(received: int | None, large: bool) -> None:
    assert [waste.kind for waste in wasted([trip(0, "LRANGE all", received=received)])] == ["large reply"] * large


def test_a_connection_for_each_call_is_the_first_thing_to_mend() -> None:
    trips = tuple(trip(at, "HELLO", purpose="setup", connection=at // 4) for at in range(8))
    trace = Trace((*trips, sql(9)), opened=tuple(Opened("redis", connection, 0) for connection in (0, 1)))
    assert kinds(wastes(trace)) == [("connecting", 8, 8), ("prepare", 1, 1)]


def test_requests_that_were_never_answered_waste_nothing_that_was_counted() -> None:
    lost = RoundTrip("redis", 1, (Operation("KEYS", "KEYS *"),), 0, 1, 1, None, answer="lost")
    assert wasted([lost]) == []
