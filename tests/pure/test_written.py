"""What may have changed something, and what is known not to have."""

from __future__ import annotations

import pytest

from redis_perf.analysis.written import Written
from redis_perf.trace import Operation, Purpose, RoundTrip, Store, Trace


def sent(
    *operations: str | tuple[str, str],
    arguments: int | None = 1,
    store: Store = "redis",
    connection: int = 1,
    client: str | None = None,
    purpose: Purpose = "work",
    failed: bool = False,
) -> Trace:
    asked = [(each, each) if isinstance(each, str) else each for each in operations]
    executed = tuple(Operation(name, shape, failed) for name, shape in asked)
    trip = RoundTrip(store, connection, executed, 0, 1, 1, 1, arguments=arguments, client=client, purpose=purpose)
    return Trace((trip,))


def select(shape: str, verb: str = "SELECT") -> Trace:
    return sent((verb, shape), store="postgres")


@pytest.mark.parametrize("name", ["SET", "HSET", "SADD", "ZADD", "MSET", "SETEX", "DEL"])
def test_the_same_again_changes_nothing_and_with_other_arguments_it_may(name: str) -> None:
    written = Written()
    assert written.add(sent(name, arguments=1))
    assert not written.add(sent(name, arguments=1))
    assert written.add(sent(name, arguments=2))


@pytest.mark.parametrize("name", ["INCR", "RPUSH", "XADD", "EVALSHA", "SELECT", "PUBLISH", "HINCRBY", "SPOP"])
def test_what_does_more_each_time_or_is_not_known_may_always_have_changed_something(name: str) -> None:
    written = Written()
    assert written.add(sent(name))
    assert written.add(sent(name))


def test_arguments_that_were_not_seen_are_not_known_to_be_the_same() -> None:
    written = Written()
    assert written.add(sent("SET", arguments=None))
    assert written.add(sent("SET", arguments=None))


def test_another_connection_may_have_selected_another_database() -> None:
    written = Written()
    written.add(sent("SET", connection=1, client="127.0.0.1:5001"))
    assert written.add(sent("SET", connection=2, client="127.0.0.1:5001"))
    assert written.add(sent("SET", connection=1, client="127.0.0.1:5002"))


def test_a_pipeline_changes_nothing_only_if_none_of_its_commands_does() -> None:
    written = Written()
    written.add(sent("MULTI", "SET", "GET", "EXEC", arguments=7))
    written.add(sent("SET", "RPUSH", arguments=8))
    assert not written.add(sent("MULTI", "SET", "GET", "EXEC", arguments=7))
    assert written.add(sent("SET", "RPUSH", arguments=8))


def test_a_write_that_failed_before_may_have_come_through_now() -> None:
    written = Written()
    written.add(sent("SET", failed=True))
    assert written.add(sent("SET"))


def test_reads_change_nothing_whatever_their_arguments() -> None:
    assert not Written().add(sent("GET", "SMEMBERS", arguments=None))


@pytest.mark.parametrize(
    "shape", ["SELECT id FROM rooms WHERE name = ?", "SELECT count(*) FROM rooms WHERE id IN (?, ?)"]
)
def test_a_plain_select_changes_nothing(shape: str) -> None:
    assert not Written().add(select(shape))


@pytest.mark.parametrize(
    ("verb", "shape"),
    [
        ("INSERT", "INSERT INTO rooms VALUES (...)"),
        ("UPDATE", "UPDATE rooms SET seen = ?"),
        ("SELECT", "SELECT add_room(?) FROM generate_series(?, ?)"),
        ("SELECT", 'SELECT "add"(?) FROM rooms'),
        ("SELECT", "SELECT ... FROM rooms"),
        ("SELECT", "SELECT * INTO others FROM rooms"),
        ("SELECT", "WITH added AS (INSERT INTO rooms VALUES (...) RETURNING ?) SELECT * FROM added"),
        ("SET", "SET search_path TO other"),
    ],
)
def test_sql_whose_effect_is_not_known_may_have_changed_something_each_time(verb: str, shape: str) -> None:
    written = Written()
    assert written.add(select(shape, verb))
    assert written.add(select(shape, verb))


def test_transaction_control_and_prepares_change_nothing() -> None:
    assert not Written().add(sent("BEGIN", store="postgres", purpose="transaction"))
    assert not Written().add(sent(store="postgres"))
