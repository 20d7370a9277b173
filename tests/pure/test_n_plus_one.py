"""What is suspected of an N+1, and what must not be: the second half holds every release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redis_perf.analysis.n_plus_one import Suspect, n_plus_one
from redis_perf.trace import Answer, Operation, Path, Purpose, RoundTrip, Site, Store, Trace

GET = Site("/app/users.py", 10, "load")
FOR = Site("/app/views.py", 20, "render")
CALL = Site("/app/views.py", 21, "render")
PATH = Path(callers=(CALL,), key=1, loop=FOR)


def trip(
    at: int,
    *shapes: str,
    store: Store = "redis",
    site: Site | None = GET,
    path: Path | None = PATH,
    arguments: int | None = -1,
    key: int | None = -1,
    failed: bool = False,
    waited: bool = False,
    purpose: Purpose = "work",
    answer: Answer = "complete",
    lane: str = "main",
    lasts: int = 1,
    sent_bytes: int = 30,
    connection: int = 1,
) -> RoundTrip:
    """At 10, 20, ...: one after another. -1: other arguments than all others."""
    return RoundTrip(
        store=store,
        connection=connection,
        operations=tuple(Operation(shape.split()[0], shape, failed) for shape in shapes),
        started_ns=10 * at,
        ended_ns=10 * at + lasts,
        sent_bytes=sent_bytes,
        received_bytes=5,
        site=site,
        purpose=purpose,
        lane=lane,
        answer=answer,
        waited=waited,
        path=path,
        arguments=1000 + at if arguments == -1 else arguments,
        key=2000 + at if key == -1 else key,
    )


def found(*trips: RoundTrip, threshold: int = 3) -> list[Suspect]:
    return n_plus_one(Trace(round_trips=trips), threshold)


def redis(shape: str, times: int = 20, **more: object) -> list[Suspect]:
    return found(*(trip(at, shape, **more) for at in range(times)))  # type: ignore[arg-type]


def postgres(shape: str, times: int = 20, **more: object) -> list[Suspect]:
    return found(*(trip(at, shape, store="postgres", key=None, **more) for at in range(times)))  # type: ignore[arg-type]


# --- what is one


def test_a_loop_of_gets_with_its_two_lines_its_saving_and_its_fix() -> None:
    trips = tuple(trip(at, "GET user:{}") for at in range(20))
    (suspect,) = found(*trips)
    assert suspect == Suspect(
        store="redis",
        shape="GET user:{}",
        site=GET,
        loop=FOR,
        trips=trips,
        different=20,
        fix="one MGET, or a pipeline,",
    )
    assert suspect.saves == 19


def test_without_a_loop_in_sight_the_calling_line_is_the_second() -> None:
    (suspect,) = redis("GET user:{}", path=PATH._replace(loop=None))
    assert suspect.loop == CALL


def test_without_a_path_there_is_one_line() -> None:
    (suspect,) = redis("GET user:{}", path=None)
    assert suspect.loop is None


@pytest.mark.parametrize(
    ("shape", "fix"),
    [
        ("SET user:{}", "one MSET, or a pipeline,"),
        ("HGET user:{}", "one pipeline"),
        ("HGETALL user:{}", "if none needs another's reply, one pipeline"),
        ("EVALSHA abcdef01... user:{}", "one pipeline, or one script over all keys,"),
        (
            'EVAL "return {}" user:{}',
            "one pipeline of EVALSHA (SCRIPT LOAD at start), or one script over all keys,",
        ),
        ("LRANGE timeline:{}", "if none needs another's reply, one pipeline"),
        ("PUBLISH news", "if none needs another's reply, one pipeline"),
    ],
)
def test_redis_fixes_by_name(shape: str, fix: str) -> None:
    assert [suspect.fix for suspect in redis(shape)] == [fix]


def test_fields_of_one_hash_are_one_hmget() -> None:
    assert [suspect.fix for suspect in redis("HGET user:{}", key=7)] == ["one HMGET"]


def test_where_keys_were_not_seen_the_fix_is_a_condition() -> None:
    (suspect,) = redis("HGET user:{}", key=None)
    assert suspect.fix == "one HMGET if the key is the same, else a pipeline,"


@pytest.mark.parametrize(
    ("shape", "through", "fix"),
    [
        ("SELECT name FROM users WHERE id = ?", None, "one SELECT with = ANY($1)"),
        ("SELECT f(?)", None, "one statement over all of them, as unnest($1),"),
        (
            "INSERT INTO t ... VALUES (...)",
            None,
            "one executemany (not psycopg2's), multi-row INSERT, or INSERT ... SELECT FROM unnest(...),",
        ),
        ("UPDATE t SET a = ? WHERE id = ?", None, "one UPDATE with = ANY($1), or UPDATE ... FROM unnest(...),"),
        ("DELETE FROM t WHERE id = ?", None, "one DELETE with = ANY($1)"),
        (
            "SELECT a FROM t WHERE id = ?",
            "sqlalchemy lazy load",
            "selectinload() or joinedload() on the query before",
        ),
        (
            "INSERT INTO t ... VALUES (...)",
            "sqlalchemy",
            "one flush of add_all(), or execute(insert(...), rows), which is insertmanyvalues,",
        ),
        (
            "SELECT a FROM t WHERE id = ?",
            "django lazy load",
            "select_related() or prefetch_related() on the query before",
        ),
        ("INSERT INTO t ... VALUES (...)", "django", "one bulk_create()"),
        ("UPDATE t SET a = ? WHERE id = ?", "django lazy load", "one bulk_update(), or one update() of a QuerySet,"),
    ],
)
def test_sql_fixes_by_name(shape: str, through: str | None, fix: str) -> None:
    assert [suspect.fix for suspect in postgres(shape, path=PATH._replace(through=through))] == [fix]


def test_what_else_the_loop_does_in_between_does_not_matter() -> None:
    other = Site("/app/users.py", 11, "load")
    trips = [
        each for at in range(4) for each in (trip(2 * at, "GET user:{}"), trip(2 * at + 1, "INCR hits:{}", site=other))
    ]
    assert [(suspect.shape, suspect.saves) for suspect in found(*trips)] == [("GET user:{}", 3), ("INCR hits:{}", 3)]


def test_a_new_connection_each_time_is_still_a_loop() -> None:
    assert len(found(*(trip(at, "GET user:{}", connection=at) for at in range(3)))) == 1


def test_where_arguments_were_not_seen_repetition_is_enough() -> None:
    (suspect,) = redis("GET user:{}", arguments=None, key=None)
    assert suspect.different is None


def test_the_greatest_saving_is_first() -> None:
    other = PATH._replace(key=2)
    trips = [trip(at, "GET a:{}") for at in range(3)] + [trip(10 + at, "GET b:{}", path=other) for at in range(5)]
    assert [suspect.saves for suspect in found(*trips)] == [4, 2]


def test_some_asked_twice_are_told() -> None:
    trips = [trip(at, "GET user:{}", arguments=at % 5, key=at % 5) for at in range(20)]
    assert [(suspect.different, len(suspect.trips)) for suspect in found(*trips)] == [(5, 20)]


@pytest.mark.parametrize("threshold", [2, 5])
def test_the_threshold_is_where_it_begins(threshold: int) -> None:
    trips = [trip(at, "GET user:{}") for at in range(threshold)]
    assert len(found(*trips, threshold=threshold)) == 1
    assert found(*trips[1:], threshold=threshold) == []


def test_a_threshold_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold 1: expected 2 or more"):
        n_plus_one(Trace(), 1)


# --- what is none: the release gate


def test_retries_after_a_failure_are_none() -> None:
    trips = [trip(at, "GET user:{}", failed=at < 4, arguments=1, key=1) for at in range(5)]
    assert found(*trips) == []


def test_retries_whose_arguments_were_not_seen_are_none() -> None:
    assert (
        found(*(trip(at, "UPDATE t SET a = ?", store="postgres", failed=True, arguments=None) for at in range(5))) == []
    )


def test_requests_that_were_lost_are_none() -> None:
    assert redis("GET user:{}", answer="lost") == []


@pytest.mark.parametrize(
    "shape", ["GET job:{}", "EXISTS lock", "LPOP queue", "HGETALL job:{}", "EVALSHA abcdef01... q"]
)
def test_polling_and_taking_from_a_queue_are_none(shape: str) -> None:
    assert redis(shape, arguments=1, key=1) == []


def test_waiting_for_a_lock_with_new_tokens_is_none() -> None:
    assert redis("SET lock:{}", key=1) == []


def test_showing_progress_under_one_key_is_none() -> None:
    assert redis("SET progress", key=1) == []


@pytest.mark.parametrize("shape", ["BLPOP queue", "XREAD events", "XREADGROUP events", "WAIT"])
def test_blocking_reads_are_none(shape: str) -> None:
    assert redis(shape, waited=True) == []


@pytest.mark.parametrize("shape", ["SCAN", "HSCAN user:{}", "SSCAN set", "ZSCAN board", "XAUTOCLAIM events"])
def test_cursors_of_redis_are_none(shape: str) -> None:
    assert redis(shape) == []


@pytest.mark.parametrize("shape", ["FETCH FORWARD ? FROM ?", "MOVE ? FROM ?"])
def test_cursors_of_postgres_are_none(shape: str) -> None:
    assert postgres(shape) == []


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT a FROM t ORDER BY id LIMIT ? OFFSET ?",
        "SELECT a FROM t WHERE id > ? ORDER BY id LIMIT ?",
        "SELECT a FROM t WHERE room = ? AND id < ? ORDER BY id DESC LIMIT ?",
        "SELECT a FROM t WHERE id > ? ORDER BY id FETCH FIRST ? ROWS ONLY",
    ],
)
def test_pages_of_postgres_are_none(shape: str) -> None:
    assert postgres(shape) == []


@pytest.mark.parametrize("shape", ["LRANGE list", "ZRANGE board", "XRANGE events", "GETRANGE blob"])
def test_pages_of_one_key_are_none(shape: str) -> None:
    assert redis(shape, key=1) == []


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT a FROM t WHERE id = ANY(?)",
        "SELECT a FROM t WHERE id IN (...)",
        "INSERT INTO t SELECT FROM unnest(...)",
        "DELETE FROM t WHERE id = ANY(?)",
    ],
)
def test_chunks_of_ids_are_none(shape: str) -> None:
    assert postgres(shape) == []


def test_chunks_of_rows_in_one_insert_are_none() -> None:
    assert postgres("INSERT INTO t ... VALUES (...)", sent_bytes=4096) == []


@pytest.mark.parametrize("shape", ["MGET user:{} ...", "DEL user:{} ...", "SADD set"])
def test_chunks_of_keys_or_members_are_none(shape: str) -> None:
    assert redis(shape, sent_bytes=4096) == []


def test_executemany_in_chunks_is_none() -> None:
    assert found(*(trip(at, *["INSERT INTO t VALUES (...)"] * 50, store="postgres") for at in range(5))) == []


def test_pipelines_of_equal_size_are_none() -> None:
    assert found(*(trip(at, *["GET user:{}"] * 50) for at in range(5))) == []


def test_multi_blocks_are_none() -> None:
    assert found(*(trip(at, "MULTI", "INCR a:{}", "EXPIRE a:{}", "EXEC") for at in range(5))) == []


@pytest.mark.parametrize("shape", ["WATCH a:{}", "MULTI", "EXEC", "UNWATCH"])
def test_transactions_step_by_step_are_none(shape: str) -> None:
    assert redis(shape) == []


@pytest.mark.parametrize("shape", ["SUBSCRIBE news:{}", "PSUBSCRIBE news:*", "UNSUBSCRIBE news:{}"])
def test_subscriptions_are_none(shape: str) -> None:
    assert redis(shape) == []


def test_gathered_requests_are_none() -> None:
    trips = [replace(trip(at, "GET user:{}"), started_ns=at, ended_ns=100 + at) for at in range(10)]
    assert found(*trips) == []


def test_gathered_requests_in_tasks_of_their_own_are_none() -> None:
    assert found(*(trip(at, "GET user:{}", lane=f"Task-{at}") for at in range(10))) == []


def test_gathered_batches_below_the_threshold_are_none() -> None:
    """Two at once, again and again."""
    trips = [
        replace(trip(at, "GET user:{}"), started_ns=10 * (at // 2) + at % 2, ended_ns=10 * (at // 2) + 5)
        for at in range(4)
    ]
    assert found(*trips) == []


@pytest.mark.parametrize("shape", ["BEGIN", "COMMIT", "SAVEPOINT ?"])
def test_transaction_control_is_none(shape: str) -> None:
    assert postgres(shape, purpose="transaction") == []


def test_setup_is_none() -> None:
    assert redis("HELLO", purpose="setup") == []


@pytest.mark.parametrize("shape", ["SET search_path = ?", "LISTEN ?", "CREATE TABLE t", "SHOW ?", "COPY t FROM stdin"])
def test_what_is_no_question_is_none(shape: str) -> None:
    assert postgres(shape) == []


@pytest.mark.parametrize("shape", ["SELECT pg_advisory_lock(?)", "SELECT set_config(?, ?, ?)"])
def test_the_servers_own_switches_are_none(shape: str) -> None:
    assert postgres(shape) == []


def test_numbers_of_a_sequence_are_none() -> None:
    assert postgres("SELECT nextval(?)", arguments=1) == []


def test_two_are_no_loop() -> None:
    assert redis("GET user:{}", times=2) == []


def test_three_calls_of_one_helper_are_none() -> None:
    ways = [PATH._replace(key=key, loop=None) for key in range(3)]
    assert found(*(trip(at, "GET user:{}", path=way) for at, way in enumerate(ways))) == []


def test_statements_that_only_prepared_are_none() -> None:
    assert found(*(trip(at, store="postgres", arguments=None) for at in range(5))) == []


def test_what_no_line_is_known_of_is_none() -> None:
    assert redis("GET user:{}", site=None, path=None) == []


def test_two_servers_are_not_counted_together() -> None:
    trips = [replace(trip(at, "GET user:{}"), server=f"h:{at % 2}") for at in range(4)]
    assert found(*trips) == []


def test_a_row_at_many_threads_is_none() -> None:
    assert found(*(trip(at, "GET user:{}", lane=f"Thread-{at % 4}") for at in range(8))) == []
