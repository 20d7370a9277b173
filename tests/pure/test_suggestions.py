"""What is suggested for which traffic, to the letter."""

from __future__ import annotations

import pytest

from redis_perf.analysis.suggestion import Suggestion, keep_open, suggestions
from redis_perf.trace import Opened, Operation, Purpose, RoundTrip, Site, Store, Trace


def trip(
    at: int,
    *shapes: str,
    store: Store = "redis",
    line: int | None = 1,
    function: str = "f",
    connection: int = 1,
    purpose: Purpose = "work",
    failed: bool = False,
    waited: bool = False,
) -> RoundTrip:
    return RoundTrip(
        store=store,
        connection=connection,
        operations=tuple(Operation(shape.split()[0], shape, failed) for shape in shapes),
        started_ns=at,
        ended_ns=at + 1,
        sent_bytes=1,
        received_bytes=1,
        site=None if line is None else Site("app.py", line, function),
        purpose=purpose,
        waited=waited,
    )


def postgres(at: int, *shapes: str, line: int = 1, purpose: Purpose = "work") -> RoundTrip:
    return trip(at, *shapes, store="postgres", line=line, purpose=purpose)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ("GET user:{}", "20 x GET user:{}: one MGET, or a pipeline, would be 1 round trip"),
        ("SET user:{}", "20 x SET user:{}: one MSET, or a pipeline, would be 1 round trip"),
        ("DEL user:{}", "20 x DEL user:{}: one DEL of all keys, or a pipeline, would be 1 round trip"),
        ("HGET user:{}", "20 x HGET user:{}: one HMGET if the key is the same, else a pipeline, would be 1 round trip"),
        (
            "RPUSH q:{}",
            "20 x RPUSH q:{}: one RPUSH of all values if the key is the same, else a pipeline, would be 1 round trip",
        ),
        (
            "INCR n:{}",
            "20 x INCR n:{}: if none needs another's reply, one pipeline would be 1 round trip",
        ),
    ],
)
def test_one_command_from_one_line_many_times(shape: str, text: str) -> None:
    assert suggestions([trip(at, shape) for at in range(20)]) == [Suggestion(text=text, saves=19)]


def test_different_commands_in_a_row() -> None:
    trips = [trip(at, shape, line=at) for at, shape in enumerate(["RPUSH a", "LTRIM a", "EXPIRE a"])]
    assert suggestions(trips) == [
        Suggestion(
            text="3 commands in a row on one connection: if none needs another's reply, "
            "one pipeline or MULTI would be 1 round trip",
            saves=2,
        )
    ]


def test_pipelines_in_a_row_are_called_round_trips() -> None:
    (found,) = suggestions([trip(0, "RPUSH a", "LTRIM a", line=1), trip(1, "EXPIRE a", line=2)])
    assert found.text.startswith("2 round trips in a row on one connection: ")


@pytest.mark.parametrize(
    "trips",
    [
        [],
        [trip(0, "GET a")],
        [trip(0, "GET a"), trip(1, "DEL a", connection=2)],
        [trip(0, "GET a"), trip(1, "DEL a", function="g")],
        [trip(0, "GET a", line=None), trip(1, "DEL a", line=None)],
        [trip(0, "BLPOP a", waited=True), trip(1, "BLPOP a", waited=True)],
        [trip(0, "HELLO", purpose="setup"), trip(1, "HELLO", purpose="setup")],
        [postgres(0, "INSERT INTO t VALUES (...)"), postgres(1, "SELECT ?")],
        [postgres(0, "VACUUM"), postgres(1, "VACUUM")],
    ],
)
def test_nothing_is_suggested_where_nothing_is_known_to_help(trips: list[RoundTrip]) -> None:
    assert suggestions(trips) == []


def test_a_script_that_was_missing_and_loaded() -> None:
    trips = [
        trip(0, "EVALSHA 5f3a2b1c... a", failed=True),
        trip(1, 'SCRIPT LOAD "push"'),
        trip(2, "EVALSHA 5f3a2b1c... a", line=2),
    ]
    assert suggestions(trips)[1] == Suggestion(
        text="a script was loaded inside the block: loading scripts once at start leaves only EVALSHA", saves=2
    )


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (
            "INSERT INTO t VALUES (...)",
            "50 x INSERT INTO t VALUES (...): one executemany (not psycopg2's), multi-row INSERT, "
            "or INSERT ... SELECT FROM unnest(...), "
            "would be 1 round trip",
        ),
        (
            "UPDATE t SET a = ? WHERE id = ?",
            "50 x UPDATE t SET a = ? WHERE id = ?: one UPDATE with = ANY($1), or UPDATE ... FROM unnest(...), "
            "would be 1 round trip",
        ),
        (
            "SELECT a FROM t WHERE id = ?",
            "50 x SELECT a FROM t WHERE id = ?: one SELECT with = ANY($1) would be 1 round trip",
        ),
        (
            "DELETE FROM t WHERE id = ?",
            "50 x DELETE FROM t WHERE id = ?: one DELETE with = ANY($1) would be 1 round trip",
        ),
    ],
)
def test_one_statement_from_one_line_many_times(shape: str, text: str) -> None:
    assert suggestions([postgres(at, shape) for at in range(50)]) == [Suggestion(text=text, saves=49)]


def transaction(at: int, *statements: str) -> list[RoundTrip]:
    begin, commit = postgres(at, "BEGIN", purpose="transaction"), postgres(at + 9, "COMMIT", purpose="transaction")
    return [begin, *(postgres(at + 1 + n, each, line=n) for n, each in enumerate(statements)), commit]


def test_a_transaction_around_a_single_statement() -> None:
    assert suggestions(transaction(0, "INSERT INTO t VALUES (...)")) == [
        Suggestion(
            text="BEGIN and COMMIT around a single statement: with autocommit it is 1 round trip instead of 3", saves=2
        )
    ]


def test_several_transactions_around_single_statements() -> None:
    assert suggestions([*transaction(0, "SELECT a"), *transaction(10, "DELETE FROM b")]) == [
        Suggestion(
            text="BEGIN and COMMIT around a single statement, 2 times: with autocommit it is 1 round trip instead of 3",
            saves=4,
        )
    ]


def test_a_transaction_of_two_statements_is_left_alone() -> None:
    assert suggestions(transaction(0, "INSERT INTO t VALUES (...)", "DELETE FROM u")) == []


def test_a_round_trip_that_executed_nothing() -> None:
    trips = [postgres(at, "SELECT ?", line=at) for at in range(3)]
    assert suggestions([*trips, postgres(9)]) == [
        Suggestion(
            text="1 round trip executed nothing, most likely to prepare a statement: "
            "prepare_threshold=None leaves that out",
            saves=1,
        )
    ]


def test_a_question_without_a_condition_cannot_be_asked_for_several_at_once() -> None:
    assert suggestions([postgres(at, "SELECT ?") for at in range(3)]) == []


def test_the_two_that_save_most_come_first() -> None:
    trips = [trip(at, "GET a") for at in range(5)] + [postgres(9 + at, "DELETE FROM t WHERE id = ?") for at in range(9)]
    found = suggestions([*trips, postgres(99)])
    assert [each.saves for each in found] == [8, 4]


@pytest.mark.parametrize(
    ("opened", "text", "saves"),
    [
        (1, "1 connection was opened inside the block: a pool, or a client that lives longer, keeps them open", 2),
        (2, "2 connections were opened inside the block: a pool, or a client that lives longer, keeps them open", 3),
    ],
)
def test_connections_opened_inside_the_block(opened: int, text: str, saves: int) -> None:
    setup = Trace(
        (
            trip(0, "connect", purpose="setup"),
            trip(1, "HELLO", purpose="setup"),
            trip(2, "connect", connection=2, purpose="setup"),
            trip(3, "SELECT", connection=3, purpose="setup"),
        )
    ).setup
    assert keep_open([Opened("redis", n + 1, 0) for n in range(opened)], setup) == Suggestion(text=text, saves=saves)


def test_no_connection_opened_needs_no_advice() -> None:
    assert keep_open([], Trace().setup) is None
