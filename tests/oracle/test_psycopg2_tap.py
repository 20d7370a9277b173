"""What psycopg2 operations cost in round trips and statements, counted against a real PostgreSQL; and its patches."""

from __future__ import annotations

import contextlib
import gc
import io
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_perf import TapError
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg2 import psycopg2 as psycopg2_tap
from redis_perf.trace import StoreTrace, Trace

psycopg2 = pytest.importorskip("psycopg2")
extensions = psycopg2.extensions
extras = pytest.importorskip("psycopg2.extras")
INSERT = "insert into t values (%s, %s)"
ROWS = [(each, "x") for each in range(50)]


@contextlib.contextmanager
def recorded() -> Iterator[Callable[[], Trace]]:
    recorder = Recorder()
    since_ns = recorder.open_window()
    with psycopg2_tap(recorder):
        yield lambda: recorder.trace(since_ns)


@contextlib.contextmanager
def connected(dsn: str, **options: Any) -> Iterator[Any]:
    with contextlib.closing(psycopg2.connect(dsn, **options)) as connection:
        yield connection


def counted(dsn: str, work: Callable[[Any], object], **options: Any) -> StoreTrace:
    """The traffic of some work on a connection that was opened before."""
    with recorded() as trace, connected(dsn, **options) as connection:
        connection.cursor().execute("create temp table t (id int, body text)")
        connection.commit()
        already = len(trace().every.postgres.everything)
        work(connection)
        seen = trace()
    assert seen.problems == ()
    assert all(trip.answer == "complete" for trip in seen.every.postgres)
    return StoreTrace(seen.every.postgres.everything[already:], ())


def cost(dsn: str, work: Callable[[Any], object]) -> tuple[int, int]:
    trace = counted(dsn, work)
    return trace.round_trips, trace.statements


# --- statements


def test_the_first_statement_of_a_transaction_is_two_round_trips_and_the_commit_another(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.cursor().execute("select 1")
        connection.commit()

    trace = counted(postgres_dsn, work)
    assert [trip.purpose for trip in trace] == ["transaction", "work", "transaction"]
    assert (trace.round_trips, trace.statements, trace.commits, trace.depth) == (3, 3, 1, 3)


def test_in_autocommit_a_statement_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.autocommit = True
        connection.cursor().execute("select 1")

    assert cost(postgres_dsn, work) == (1, 1)


def test_executemany_is_a_round_trip_a_row_after_begin(postgres_dsn: str) -> None:
    trace = counted(postgres_dsn, lambda connection: connection.cursor().executemany(INSERT, ROWS))
    assert (trace.round_trips, trace.statements, trace.depth) == (51, 51, 51)


def test_execute_batch_is_a_round_trip_a_page(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.autocommit = True
        extras.execute_batch(connection.cursor(), INSERT, ROWS, page_size=10)

    assert cost(postgres_dsn, work) == (5, 50)


def test_execute_values_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.autocommit = True
        extras.execute_values(connection.cursor(), "insert into t values %s", ROWS)

    assert cost(postgres_dsn, work) == (1, 1)


def test_copy_in_waits_for_leave_and_copy_out_does_not(postgres_dsn: str) -> None:
    def copy_in(connection: Any) -> None:
        connection.autocommit = True
        connection.cursor().copy_from(io.StringIO("1\tx\n" * 1000), "t")

    def copy_out(connection: Any) -> None:
        connection.autocommit = True
        connection.cursor().copy_expert("copy (select generate_series(1, 1000)) to stdout", io.StringIO())

    assert cost(postgres_dsn, copy_in) == (2, 1)
    assert cost(postgres_dsn, copy_out) == (1, 1)


def test_a_named_cursor_asks_once_more_than_there_are_rows(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        with connection.cursor("rows") as cursor:
            cursor.itersize = 500
            cursor.execute("select generate_series(1, 1000)")
            assert len(list(cursor)) == 1000

    names = [operation.name for trip in counted(postgres_dsn, work) for operation in trip.operations]
    assert names == ["BEGIN", "DECLARE", "FETCH", "FETCH", "FETCH", "CLOSE"]


def test_with_a_connection_commits_and_an_error_rolls_back(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        with connection:
            connection.cursor().execute("select 1")
        with pytest.raises(psycopg2.errors.DivisionByZero), connection:
            connection.cursor().execute("select 1/0")

    trace = counted(postgres_dsn, work)
    names = [operation.name for trip in trace for operation in trip.operations]
    assert names == ["BEGIN", "SELECT", "COMMIT", "BEGIN", "SELECT", "ROLLBACK"]
    assert [operation.failed for operation in trace.everything[4].operations] == [True]


def test_text_that_looks_like_a_trace_is_no_message(postgres_dsn: str) -> None:
    sql = "select 'a\nB\t5\tReadyForQuery\t I\nF\t13\tQuery\t \"select 1\"\n'"

    def work(connection: Any) -> None:
        connection.autocommit = True
        connection.cursor().execute(sql)

    assert cost(postgres_dsn, work) == (1, 1)


def test_a_connection_killed_by_the_server_got_its_last_answer(postgres_dsn: str) -> None:
    with recorded() as trace, connected(postgres_dsn) as connection, connected(postgres_dsn) as other:
        connection.autocommit = other.autocommit = True
        other.cursor().execute("select pg_terminate_backend(%s)", (connection.get_backend_pid(),))
        already = len(trace().every.postgres.everything)
        with pytest.raises(psycopg2.OperationalError):
            connection.cursor().execute("select 2")
        (trip,) = trace().every.postgres.everything[already:]
    assert (trip.answer, trip.operations[0].failed) == ("complete", True)


def test_threads_that_share_a_connection_are_counted_together(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.autocommit = True
        threads = [threading.Thread(target=ask, args=(connection,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ask(connection: Any) -> None:
        for _ in range(25):
            connection.cursor().execute("select repeat('x', 1000)")

    assert cost(postgres_dsn, work) == (100, 100)


# --- opening connections


def test_of_a_handshake_the_tcp_connect_is_counted_and_the_rest_said_to_be_unseen(postgres_dsn: str) -> None:
    with recorded() as trace, connected(postgres_dsn):
        (trip,) = trace().every.postgres
        (tap,) = trace().taps
    assert ([each.name for each in trip.operations], trip.purpose) == (["CONNECT"], "setup")
    assert (trip.sent_bytes, trip.received_bytes, trace().setup.postgres.bytes) == (None, None, None)
    assert trace().postgres.connections == 1
    assert tap.version is not None
    assert tap.version.endswith("handshake not seen)")


def test_of_an_asynchronous_connection_the_handshake_is_seen(postgres_dsn: str) -> None:
    with recorded() as trace, connected(f"{postgres_dsn}?sslmode=disable", async_=True) as connection:
        wait(connection)
        cursor = connection.cursor()
        cursor.execute("select 3")
        wait(connection)
        assert cursor.fetchall() == [(3,)]
        assert trace().setup.postgres.round_trips == 4  # TCP, start-up, two of SCRAM
        assert (trace().postgres.round_trips, trace().problems) == (1, ())


def wait(connection: Any) -> None:
    while (state := connection.poll()) != extensions.POLL_OK:
        ends: Any = ([], [connection]) if state == extensions.POLL_WRITE else ([connection], [])
        select.select(*ends, [], 10)


def test_a_refused_connect_is_a_failed_round_trip_of_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with recorded() as trace, pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host="127.0.0.1", port=port, user="x")
    (trip,) = trace().every.postgres
    assert (trip.connection, trip.operations[0].failed, trace().postgres.connections) == (0, True, 0)


def test_whoever_holds_connect_itself_is_seen_too(postgres_dsn: str) -> None:
    connect = psycopg2.connect
    with recorded() as trace, contextlib.closing(connect(postgres_dsn)):
        assert trace().postgres.connections == 1


# --- classes of the user's own


def test_the_users_connection_and_cursor_classes_stay_what_they_are(postgres_dsn: str) -> None:
    with (
        recorded() as trace,
        connected(postgres_dsn, connection_factory=extras.RealDictConnection) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select 1 as a")
        assert (cursor.fetchone(), isinstance(connection, extras.RealDictConnection)) == ({"a": 1}, True)
        assert isinstance(cursor, extras.RealDictCursor)
        assert trace().postgres.round_trips == 2


def test_a_cursor_factory_is_used_wherever_it_is_given(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.autocommit = True
        for cursor in (connection.cursor(cursor_factory=extras.DictCursor), connection.cursor("c", extras.DictCursor)):
            assert isinstance(cursor, extras.DictCursor)
        connection.cursor_factory = extras.NamedTupleCursor
        with connection.cursor() as cursor:
            cursor.execute("select 1 as a")
            assert cursor.fetchone().a == 1

    assert cost(postgres_dsn, work) == (1, 1)


def test_what_a_factory_function_makes_by_itself_is_a_problem(postgres_dsn: str) -> None:
    with (
        recorded() as trace,
        connected(postgres_dsn, connection_factory=lambda dsn, *_: extensions.connection(dsn)),
    ):
        (problem,) = trace().problems
    assert "psycopg2 opened it before anybody listened" in problem


# --- who called


def test_the_users_line_is_noted(postgres_dsn: str) -> None:
    def work(connection: Any) -> None:
        connection.cursor().execute("select 1")
        connection.commit()

    sites = [trip.site for trip in counted(postgres_dsn, work)]
    assert [(site.file, site.function) for site in sites if site] == [(__file__, "work")] * 3
    assert [site.line for site in sites if site] == [work.__code__.co_firstlineno + line for line in (1, 1, 2)]


# --- connections that are older or younger than a recording


def test_a_connection_opened_before_anybody_listened_is_a_problem_if_it_is_used(postgres_dsn: str) -> None:
    with connected(postgres_dsn) as connection, recorded() as trace:
        assert trace().problems == ()
        connection.cursor().execute("select 1")
        (problem,) = trace().problems
    assert problem == (
        "connection 1: psycopg2 opened it before anybody listened, and it cannot be listened to afterwards: "
        "open it while recording, or start recording earlier"
    )
    assert connection.cursor_factory is None


def test_a_connection_of_an_earlier_recording_is_taken_up_again(postgres_dsn: str) -> None:
    with recorded():
        connection = psycopg2.connect(postgres_dsn)
    connection.cursor().execute("select 1")
    with recorded() as trace:
        connection.commit()
        connection.cursor().execute("select 2")
        assert (trace().postgres.round_trips, trace().postgres.connections, trace().problems) == (3, 0, ())
    connection.close()


def test_a_connection_collected_without_being_closed_leaves_no_trace_behind(postgres_dsn: str) -> None:
    with recorded() as trace:
        for _ in range(5):
            psycopg2.connect(postgres_dsn).cursor().execute("select 1")
            gc.collect()
        assert (trace().postgres.round_trips, trace().problems) == (10, ())


def test_nothing_is_noted_when_the_recording_is_over(postgres_dsn: str) -> None:
    with recorded() as trace:
        connection = psycopg2.connect(postgres_dsn)
        seen = trace().every.postgres.round_trips
    connection.cursor().execute("select 1")
    connection.close()
    assert trace().every.postgres.round_trips == seen


# --- the patches


def test_connect_is_replaced_while_tapped_and_restored_after_an_exception() -> None:
    before = [dict(vars(owner)) for owner in (psycopg2, extensions, extras)]
    original, seen = psycopg2._connect, []
    with contextlib.suppress(KeyError), psycopg2_tap(Recorder()):
        seen.append(psycopg2._connect)
        raise KeyError
    assert seen[0] is not original
    assert psycopg2._connect is original
    assert [dict(vars(owner)) for owner in (psycopg2, extensions, extras)] == before


def test_a_missing_hook_is_named_and_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psycopg2, "_connect")
    with pytest.raises(TapError) as error, psycopg2_tap(Recorder()):
        pass
    assert str(error.value) == (
        f"psycopg2 {psycopg2.__version__.split()[0]} has no psycopg2._connect, where round trips are counted "
        "(tested with psycopg2 2.9); use that, or count this client through the proxy instead"
    )
    assert not hasattr(psycopg2, "_connect")


def test_a_libpq_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "libpq_version", lambda: 130011)
    with pytest.raises(TapError) as error, psycopg2_tap(Recorder()):
        pass
    assert str(error.value) == (
        "psycopg2: libpq's message trace is not available: found libpq 13.11, needed libpq 14.0 or newer; "
        "count this client through the proxy instead"
    )


def test_it_cannot_be_tapped_twice_at_once() -> None:
    with psycopg2_tap(Recorder()):
        with pytest.raises(TapError, match="psycopg2 is tapped already"), psycopg2_tap(Recorder()):
            pass
        original = psycopg2._connect
    assert psycopg2._connect is not original


def test_without_psycopg2_the_tap_says_so() -> None:
    program = """
import sys
sys.modules["psycopg2"] = None
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg2 import psycopg2 as tap
recorder = Recorder()
with tap(recorder):
    print([(tapped.name, tapped.problem) for tapped in recorder.trace(0).taps])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[('psycopg2', 'not installed')]\n", "")
