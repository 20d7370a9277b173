"""What psycopg operations cost in round trips and statements, counted against a real PostgreSQL.

The figures are what a capture of the packets, strace of the client's reads and the slope of time over latency say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest

from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as psycopg_tap
from redis_perf.trace import StoreTrace, Trace

Connection = psycopg.Connection[Any]
BIG = "select g, repeat('x', 40) from generate_series(1, 1000) g"


@contextlib.contextmanager
def recorded() -> Iterator[Callable[[], Trace]]:
    recorder = Recorder()
    since_ns = recorder.open_window()
    with psycopg_tap(recorder):
        yield lambda: recorder.trace(since_ns)


def counted(dsn: str, work: Callable[[Connection], object], **options: Any) -> StoreTrace:
    """The traffic of some work on a connection that was opened before."""
    with recorded() as trace, psycopg.connect(dsn, **options) as connection:
        connection.execute("create temp table t (id int primary key, body text)")
        connection.commit()
        already = trace().every.postgres
        work(connection)
        seen = trace()
    assert seen.problems == ()
    assert all(trip.answer == "complete" for trip in seen.every.postgres)
    return StoreTrace(seen.every.postgres.everything[len(already.everything) :], ())


def cost(dsn: str, work: Callable[[Connection], object], **options: Any) -> tuple[int, int]:
    trace = counted(dsn, work, **options)
    return trace.round_trips, trace.statements


# --- statements and transactions


def test_a_statement_in_autocommit_is_one_round_trip(postgres_dsn: str) -> None:
    assert cost(postgres_dsn, lambda c: c.execute("select 1"), autocommit=True) == (1, 1)


def test_the_first_statement_of_a_transaction_is_two_round_trips_and_the_commit_another(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute("select 1")
        connection.commit()

    trace = counted(postgres_dsn, work)
    assert [trip.purpose for trip in trace] == ["transaction", "work", "transaction"]
    assert (trace.round_trips, trace.statements, trace.commits) == (3, 3, 1)


def test_eight_executions_of_one_statement_are_nine_round_trips(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        for each in range(8):
            connection.execute("select %s::int", (each,))

    assert cost(postgres_dsn, work, autocommit=True) == (9, 8)
    assert cost(postgres_dsn, work, autocommit=True, prepare_threshold=None) == (8, 8)


def test_rolling_back_after_a_prepared_statement_deallocates_it(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute("select 1", prepare=True)
        connection.rollback()

    trace = counted(postgres_dsn, work)
    assert trace.shapes == ["BEGIN", "SELECT ?", "ROLLBACK", "DEALLOCATE ALL"]
    assert trace.round_trips == 5


def test_each_savepoint_statement_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.transaction(), connection.transaction():
            pass

    trace = counted(postgres_dsn, work)
    assert [trip.operations[0].name for trip in trace] == ["BEGIN", "SAVEPOINT", "RELEASE", "COMMIT"]


def test_several_statements_in_one_string_are_one_round_trip(postgres_dsn: str) -> None:
    assert cost(postgres_dsn, lambda c: c.execute("select 1; select 2; select 3"), autocommit=True) == (1, 3)


def test_a_failed_statement_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("select * from missing")

    (trip,) = counted(postgres_dsn, work, autocommit=True)
    assert [operation.failed for operation in trip.operations] == [True]


def test_statement_text_that_looks_like_a_trace_is_no_message(postgres_dsn: str) -> None:
    sql = "select 'a\nB\t5\tReadyForQuery\t I\nF\t13\tQuery\t \"select 1\"\n'"
    assert cost(postgres_dsn, lambda c: c.execute(sql), autocommit=True) == (1, 1)
    assert cost(postgres_dsn, lambda c: c.execute(sql, prepare=True), autocommit=True) == (2, 1)


def test_notifications_cost_nothing(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with psycopg.Connection.connect(postgres_dsn, autocommit=True) as other:
            other.execute("notify news, 'something'")
        notifications = connection.notifies()
        assert next(notifications).payload == "something"
        notifications.close()

    with recorded() as trace, psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("listen news")
        mine = trace().postgres.everything[0].connection
        work(connection)
        assert [trip.operations[0].name for trip in trace().postgres if trip.connection == mine] == ["LISTEN"]


# --- many at once


def test_executemany_in_its_own_transaction_is_three_round_trips(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        rows = [(each, "x") for each in range(50)]
        connection.cursor().executemany("insert into t values (%s, %s)", rows)
        connection.commit()

    assert cost(postgres_dsn, work) == (3, 52)


def test_executemany_that_returns_rows_waits_once_more(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        rows = [(each, "x") for each in range(50)]
        connection.cursor().executemany("insert into t values (%s, %s) returning id", rows, returning=True)
        connection.commit()

    assert cost(postgres_dsn, work) == (4, 52)


def test_a_pipeline_of_fifty_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.pipeline():
            for _ in range(50):
                connection.execute("select 1")

    assert cost(postgres_dsn, work, autocommit=True) == (1, 50)


def test_a_transaction_in_a_pipeline_is_one_round_trip_and_its_begin_and_commit(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.pipeline():
            for _ in range(50):
                connection.execute("select 1")
        connection.commit()

    assert cost(postgres_dsn, work) == (3, 52)


def test_each_fetch_inside_a_pipeline_is_one_more_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.pipeline():
            first, second = connection.execute("select 1"), connection.execute("select 2")
            first.fetchone()
            second.fetchone()
            connection.execute("select 3").fetchone()

    assert cost(postgres_dsn, work, autocommit=True) == (3, 3)


def test_a_pipeline_of_two_megabytes_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.pipeline():
            for each in range(2000):
                connection.execute("insert into t values (%s, %s)", (each, "x" * 1024))

    assert cost(postgres_dsn, work, autocommit=True) == (1, 2000)


# --- COPY, cursors, streams, large results


def test_copy_in_is_two_round_trips_however_much_is_sent(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.cursor().copy("copy t from stdin") as copy:
            for each in range(5000):
                copy.write_row((each, "x" * 100))

    assert cost(postgres_dsn, work, autocommit=True) == (2, 1)


def test_copy_out_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.cursor().copy(f"copy ({BIG}) to stdout") as copy:
            assert sum(1 for _ in copy.rows()) == 1000

    assert cost(postgres_dsn, work, autocommit=True) == (1, 1)


def test_a_server_cursor_declares_describes_fetches_and_closes(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.cursor("c") as cursor:
            cursor.execute(BIG)
            assert len(cursor.fetchmany(600)) + len(cursor.fetchmany(600)) == 1000

    trace = counted(postgres_dsn, work)
    names = [trip.operations[0].name if trip.operations else None for trip in trace]
    assert names == ["BEGIN", "DECLARE", None, "FETCH", "FETCH", "CLOSE"]


@pytest.mark.parametrize("rows", [3, 3000])
def test_streaming_rows_is_one_round_trip(postgres_dsn: str, rows: int) -> None:
    def work(connection: Connection) -> None:
        with connection.cursor() as cursor:
            assert sum(1 for _ in cursor.stream("select generate_series(1, %s)", (rows,))) == rows
        connection.execute("select 1")

    assert cost(postgres_dsn, work, autocommit=True) == (2, 2)


def test_a_stream_left_early_is_one_round_trip(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.cursor() as cursor:
            rows = cursor.stream("select generate_series(1, 100000)")
            next(rows)
            rows.close()
        connection.execute("select 1")

    assert cost(postgres_dsn, work, autocommit=True) == (2, 2)


def test_a_large_result_is_one_round_trip_and_what_follows_it_in_the_same_wait_is_counted(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        connection.prepared_max = 1
        for limit in (1000, 999):
            assert len(connection.execute(f"{BIG} limit {limit}", prepare=True).fetchall()) == limit
        connection.commit()

    trace = counted(postgres_dsn, work)
    names = [trip.operations[0].name if trip.operations else None for trip in trace]
    assert names.pop(5) in ("DEALLOCATE", None)  # libpq 17 closes the statement by message
    assert names == ["BEGIN", None, "SELECT", None, "SELECT", "COMMIT"]


def test_statements_after_a_large_result_in_one_string_are_counted(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute(f"{BIG}; select 1")

    assert cost(postgres_dsn, work, autocommit=True) == (1, 2)


def test_a_statement_that_fails_after_many_rows_is_marked_failed(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select repeat('x', 100), 1 / (900 - g) from generate_series(1, 1000) g")

    trace = counted(postgres_dsn, work, autocommit=True)
    assert [[operation.failed for operation in trip.operations] for trip in trace] == [[True]]
    assert trace.commits == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a socket's bytes")
def test_the_bytes_of_large_and_small_results_are_what_the_kernel_received(postgres_dsn: str) -> None:
    from redis_perf.taps.libpq import CMemory, TcpBytes

    kernel = TcpBytes(CMemory())
    with recorded() as trace, psycopg.connect(postgres_dsn, autocommit=True) as connection:
        before = kernel.arrived(connection.pgconn.socket)
        for _ in range(3):
            connection.execute(BIG)
            connection.execute("select 1")
        for _ in connection.cursor().stream(BIG):
            pass
        after = kernel.arrived(connection.pgconn.socket)
        assert before is not None
        assert after is not None
        assert trace().postgres.received_bytes == after - before


def test_the_bytes_of_a_large_result_on_a_unix_socket_are_not_seen(postgres_server: Any, postgres_dsn: str) -> None:
    trace = counted(unix_socket(postgres_dsn), lambda c: c.execute(BIG), autocommit=True)
    assert trace.round_trips == 1
    assert trace.received_bytes is None


def unix_socket(dsn: str) -> str:
    """The same database through the server's socket, if we may enter its directory."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("select setting from pg_settings where name = 'unix_socket_directories'").fetchone()
    directory = row[0] if row else ""
    if not directory or not os.access(directory, os.X_OK):
        pytest.skip("the server has no Unix socket for us")
    return psycopg.conninfo.make_conninfo(dsn, host=directory)


# --- connecting


def setup(trace: Trace) -> list[str | None]:
    return [trip.operations[0].name if trip.operations else None for trip in trace.setup.postgres]


def test_connecting_is_a_tcp_connect_an_ssl_request_a_startup_message_and_two_of_scram(postgres_dsn: str) -> None:
    with recorded() as trace, psycopg.connect(postgres_dsn) as connection:
        seen = trace()
        server = f"{connection.info.host}:{connection.info.port}"
    assert setup(seen) == ["CONNECT", None, None, None, None]
    assert seen.postgres.connections == 1
    assert [opened.server for opened in seen.opened] == [server]
    assert {trip.server for trip in seen.every.postgres} == {server}
    assert {trip.site.function for trip in seen.every.postgres if trip.site} == {sys._getframe().f_code.co_name}
    assert seen.postgres.round_trips == 0


def test_without_the_question_for_tls_it_is_one_less(postgres_dsn: str) -> None:
    with recorded() as trace, psycopg.connect(postgres_dsn, sslmode="disable"):
        assert setup(trace()) == ["CONNECT", None, None, None]


def test_a_unix_socket_connects_without_a_round_trip(postgres_dsn: str) -> None:
    dsn = unix_socket(postgres_dsn)
    with recorded() as trace, psycopg.connect(dsn) as connection:
        seen = trace()
        assert setup(seen) == [None]
        assert [opened.server for opened in seen.opened] == [f"{connection.info.host}/.s.PGSQL.{connection.info.port}"]


def test_round_trips_of_one_wait_follow_one_another(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute("select 1", prepare=True)

    begin, prepare, select = counted(postgres_dsn, work)
    assert begin.started_ns < begin.ended_ns <= prepare.started_ns < prepare.ended_ns <= select.started_ns
    assert {trip.site.function for trip in (begin, prepare, select) if trip.site} == {"work"}


def test_the_site_is_the_line_of_the_user(postgres_dsn: str) -> None:
    def work(connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        with connection.pipeline():
            connection.execute("select 2")

    first = work.__code__.co_firstlineno
    sites = [trip.site for trip in counted(postgres_dsn, work, autocommit=True)]
    assert [site and (site.function, site.line - first) for site in sites] == [("work", 2), ("work", 4)]


def test_a_connection_carries_the_name_given_to_it(postgres_dsn: str) -> None:
    with recorded() as trace, psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection._redis_perf_name = "orders"  # type: ignore[attr-defined]
        connection.execute("select 1")
        assert [trip.name for trip in trace().postgres] == ["orders"]


def test_a_connection_from_before_is_taken_up_at_its_next_wait(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("select 0")
        with recorded() as trace:
            connection.execute("select 1")
            seen = trace()
    assert (seen.postgres.round_trips, seen.postgres.connections, setup(seen)) == (1, 0, [])


def test_a_connection_from_before_in_a_pipeline_is_taken_up_after_it(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection, recorded_late() as (start, trace):
        with connection.pipeline():
            connection.execute("select 0")
            start()
            connection.execute("select 1").fetchone()
        connection.execute("select 2")
        seen = trace()
    assert (seen.postgres.round_trips, seen.problems) == (1, ())


@contextlib.contextmanager
def recorded_late() -> Iterator[tuple[Callable[[], None], Callable[[], Trace]]]:
    recorder = Recorder()
    since_ns = recorder.open_window()
    tap = psycopg_tap(recorder)
    entered: list[bool] = []

    def start() -> None:
        tap.__enter__()
        entered.append(True)

    yield start, lambda: recorder.trace(since_ns)
    if entered:
        tap.__exit__(None, None, None)


# --- how connections end


def test_a_killed_backend_ends_the_conversation(postgres_dsn: str) -> None:
    with recorded() as trace, psycopg.connect(postgres_dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select pg_terminate_backend(pg_backend_pid())")
        seen = trace()
    (trip,) = seen.postgres
    assert (trip.answer, trip.operations[0].failed, seen.problems) == ("complete", True, ())


def test_a_statement_whose_answer_never_came_is_lost(postgres_dsn: str) -> None:
    with recorded() as trace, psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.pgconn.send_query(b"select pg_sleep(100)")
        connection.close()
        (trip,) = trace().postgres
    assert trip.answer == "lost"


def test_refused_connections_are_a_failed_connect(postgres_dsn: str) -> None:
    import socket

    with socket.socket() as held, recorded() as trace:
        held.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={held.getsockname()[1]} user=x dbname=x")
    (trip,) = trace().setup.postgres
    assert (trip.operations[0].name, trip.operations[0].failed, trip.answer) == ("CONNECT", True, "complete")
    assert trace().postgres.connections == 0


def test_a_wrong_password_is_counted_as_far_as_it_went(postgres_dsn: str) -> None:
    with recorded() as trace, pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres_dsn, password="wrong", sslmode="disable")
    seen = trace()
    assert setup(seen) == ["CONNECT", None, None, None]
    assert {trip.answer for trip in seen.setup.postgres} == {"complete"}


def test_a_server_that_says_nothing_is_a_lost_handshake() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with recorded() as trace, pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={port} user=x dbname=x sslmode=disable", connect_timeout=2)
    connect, startup = trace().setup.postgres
    assert connect.answer == "complete"
    assert startup.answer in ("in flight", "lost")  # psycopg may drop the handshake later than the recording ends


# --- asyncio, threads, pools, other builds


def test_asyncio_costs_the_same(postgres_dsn: str) -> None:
    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as connection:
            await connection.execute("select 1")
            await connection.commit()
            rows = await (await connection.execute(BIG)).fetchall()
            assert len(rows) == 1000
            await connection.commit()
            await connection.cursor().executemany("select %s::int", [(each,) for each in range(50)])
            await connection.commit()
            async with connection.pipeline():
                for _ in range(50):
                    await connection.execute("select 1")
            await connection.commit()
            async with connection.cursor().copy("copy (select 1) to stdout") as copy:
                async for _ in copy:
                    pass
            await connection.commit()

    with recorded() as trace:
        asyncio.run(work())
    seen = trace()
    assert (seen.postgres.round_trips, seen.postgres.statements, seen.problems) == (15, 113, ())
    assert setup(seen) == ["CONNECT", None, None, None, None]
    assert {trip.site.function for trip in seen.every.postgres if trip.site} == {"work"}


def test_gathered_statements_on_several_connections_have_depth_one(postgres_dsn: str) -> None:
    async def work() -> None:
        connections = [await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) for _ in range(3)]
        await asyncio.gather(*(connection.execute("select pg_sleep(0.3)") for connection in connections))
        for connection in connections:
            await connection.close()

    with recorded() as trace:
        asyncio.run(work())
    assert (trace().postgres.round_trips, trace().postgres.depth) == (3, 1)


def test_threads_are_told_apart(postgres_dsn: str) -> None:
    def work() -> None:
        with psycopg.connect(postgres_dsn, autocommit=True, prepare_threshold=None) as connection:
            for _ in range(20):
                connection.execute("select 1")

    with recorded() as trace:
        threads = [threading.Thread(target=work, name=f"worker {each}") for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lanes = sorted(trip.lane or "" for trip in trace().postgres)
    assert lanes == sorted(20 * [thread.name for thread in threads])


def test_a_pool_is_counted_like_its_connections(postgres_dsn: str) -> None:
    with recorded() as trace, psycopg_pool.ConnectionPool(postgres_dsn, min_size=2, open=False) as pool:
        pool.wait()
        for _ in range(3):
            with pool.connection() as connection:
                connection.execute("select 1")
    seen = trace()
    assert (seen.postgres.round_trips, seen.postgres.connections, seen.problems) == (9, 2, ())
    assert len(setup(seen)) == 10


ONE_OF_EACH = """
import sys, psycopg
from redis_perf.recorder import Recorder
from redis_perf.taps.psycopg import psycopg as tap
recorder = Recorder()
with tap(recorder), psycopg.connect(sys.argv[1], sslmode="disable") as connection:
    connection.execute("select 1")
    connection.commit()
    connection.execute("select g, repeat('x', 40) from generate_series(1, 1000) g")
    connection.commit()
    connection.cursor().executemany("select %s::int", [(each,) for each in range(50)])
    connection.commit()
    trace = recorder.trace(0)
print(psycopg.pq.__impl__, trace.postgres.round_trips, trace.postgres.statements, len(trace.setup.postgres.counted))
print(*trace.problems)
"""


@pytest.mark.parametrize("build", ["binary", "c", "python"])
def test_every_build_of_psycopg_counts_the_same(postgres_dsn: str, build: str) -> None:
    environment = {**os.environ, "PSYCOPG_IMPL": build}
    probe = [sys.executable, "-c", "import psycopg"]
    if subprocess.run(probe, env=environment, capture_output=True, check=False).returncode:
        pytest.skip(f"psycopg cannot run as {build!r} here")
    ran = subprocess.run(
        [sys.executable, "-c", ONE_OF_EACH, postgres_dsn], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.stdout.split(), ran.stderr) == ([build, "9", "58", "4"], "")


def test_the_site_of_a_coroutine_that_is_a_task_is_the_line_that_made_it(postgres_dsn: str) -> None:
    async def main() -> list[int | None]:
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as connection:
            with recorded() as trace:
                first = sys._getframe().f_lineno
                await asyncio.gather(connection.execute("select 1"))
                await asyncio.create_task(connection.cursor().execute("select 2"))
                await asyncio.gather(connection.commit())
                sites = [trip.site for trip in trace().postgres]
        assert {site.function for site in sites if site} == {"main"}
        return [site and site.line - first for site in sites]

    assert asyncio.run(main()) == [1, 1, 2, 3]
