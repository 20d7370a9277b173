"""What asyncpg operations cost in round trips and statements, counted against a real PostgreSQL; and its patches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from redis_perf import TapError
from redis_perf.recorder import Recorder
from redis_perf.taps.asyncpg import asyncpg as asyncpg_tap
from redis_perf.trace import StoreTrace, Trace

asyncpg = pytest.importorskip("asyncpg")
connect_utils, protocol = asyncpg.connect_utils, asyncpg.protocol
Work = Callable[[Any], Awaitable[object]]


@contextlib.contextmanager
def recorded() -> Iterator[Callable[[], Trace]]:
    recorder = Recorder()
    since_ns = recorder.open_window()
    with asyncpg_tap(recorder):
        yield lambda: recorder.trace(since_ns)


def counted(dsn: str, work: Work, run: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run) -> StoreTrace:
    """The traffic of some work on a connection that was opened before, setup included."""

    async def main() -> StoreTrace:
        connection = await asyncpg.connect(dsn)
        await connection.execute("create temp table t (id int, body text)")
        already = len(trace().every.postgres.everything)
        await work(connection)
        seen = trace()
        await connection.close()
        assert seen.problems == ()
        assert all(trip.answer == "complete" for trip in seen.every.postgres)
        return StoreTrace(seen.every.postgres.everything[already:], ())

    with recorded() as trace:
        found: StoreTrace = run(main())
    return found


def cost(dsn: str, work: Work) -> tuple[int, int]:
    trace = counted(dsn, work)
    return trace.round_trips, trace.statements


def purposes(trace: StoreTrace) -> list[str]:
    return [trip.purpose for trip in trace]


# --- statements


def test_the_first_fetch_of_a_statement_is_two_round_trips_and_the_next_is_one(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        await connection.fetchval("select $1::int", 1)

    async def twice(connection: Any) -> None:
        await work(connection)
        await work(connection)

    assert cost(postgres_dsn, work) == (2, 1)
    assert cost(postgres_dsn, twice) == (3, 2)


def test_a_statement_without_arguments_is_one_round_trip_by_execute(postgres_dsn: str) -> None:
    assert cost(postgres_dsn, lambda connection: connection.execute("select 1; select 2")) == (1, 2)


def test_begin_and_commit_are_round_trips_of_their_own(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("insert into t values (1, 'x')")

    trace = counted(postgres_dsn, work)
    assert purposes(trace) == ["transaction", "work", "transaction"]
    assert (trace.commits, trace.depth) == (1, 3)


def test_executemany_is_two_round_trips_however_many_rows(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        await connection.executemany("insert into t values ($1, $2)", [(each, "x" * 1000) for each in range(1000)])

    assert cost(postgres_dsn, work) == (2, 1000)


def test_a_cursor_fetches_in_round_trips_of_fifty_rows(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        async with connection.transaction():
            assert len([row async for row in connection.cursor("select generate_series(1, 120)")]) == 120

    trace = counted(postgres_dsn, work)
    assert trace.shapes.count("SELECT generate_series(?, ?)") == 3
    assert trace.round_trips == 7  # BEGIN, Parse, Bind and Execute, Execute twice, Close, COMMIT


def test_a_failed_statement_is_one_round_trip(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.execute("select 1/0")

    (trip,) = counted(postgres_dsn, work)
    assert [operation.failed for operation in trip.operations] == [True]


def test_uvloop_costs_the_same(postgres_dsn: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)

    async def work(connection: Any) -> None:
        await connection.fetchval("select $1::int", 1)

    assert counted(postgres_dsn, work, run).round_trips == 2


# --- COPY


def test_copy_in_is_one_round_trip_for_asyncpg_waits_for_no_leave(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        await connection.copy_to_table("t", source=slowly())

    async def slowly() -> AsyncIterator[bytes]:
        for each in range(3):
            await asyncio.sleep(0.01)  # long enough for the leave to arrive, which changes nothing
            yield f"{each}\tx\n".encode()

    assert cost(postgres_dsn, work) == (1, 1)


def test_copying_records_prepares_a_statement_for_their_types_first(postgres_dsn: str) -> None:
    records = [(each, "x" * 100) for each in range(5000)]
    assert cost(postgres_dsn, lambda connection: connection.copy_records_to_table("t", records=records)) == (2, 1)


def test_copy_out_is_one_round_trip(postgres_dsn: str) -> None:
    async def sink(_: bytes) -> None:
        pass

    assert cost(postgres_dsn, lambda c: c.copy_from_query("select generate_series(1, 1000)", output=sink)) == (1, 1)


def test_a_copy_in_that_is_refused_at_the_end_failed(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        with pytest.raises(asyncpg.DataError):
            await connection.copy_to_table("t", source=rows())
        await connection.execute("select 1")

    async def rows() -> AsyncIterator[bytes]:
        yield b"no number\tx\n"

    trace = counted(postgres_dsn, work)
    assert (trace.round_trips, trace.commits) == (2, 1)


# --- what it asks on its own account


def test_looking_up_a_type_is_setup_and_the_statement_that_needs_it_work(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("create type mood as enum ('good', 'bad')")
        await connection.fetchval("select array['bad'::mood]")

    found = purposes(counted(postgres_dsn, work))
    assert (found.count("work"), set(found)) == (3, {"work", "setup"})


def test_looking_up_a_type_by_name_is_setup(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("create type mood as enum ('good', 'bad')")
        await connection.set_type_codec("mood", encoder=str, decoder=str)

    assert purposes(counted(postgres_dsn, work)) == ["work", "setup", "setup"]


def test_a_pool_resets_a_connection_that_comes_back_which_is_setup(postgres_dsn: str) -> None:
    async def main() -> list[str]:
        async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as pool:
            await pool.fetchval("select 1")
            already = len(trace().every.postgres.everything)
            async with pool.acquire() as connection:
                await connection.fetchval("select 1")
            return purposes(StoreTrace(trace().every.postgres.everything[already:], ()))

    with recorded() as trace:
        assert asyncio.run(main()) == ["work", "setup"]


def test_a_statement_of_the_users_own_that_reads_like_a_look_up_is_work(postgres_dsn: str) -> None:
    assert purposes(counted(postgres_dsn, lambda c: c.execute("select oid from pg_catalog.pg_type"))) == ["work"]


# --- opening and losing connections


def opening(dsn: str, **options: Any) -> Trace:
    async def main() -> None:
        await (await asyncpg.connect(dsn, **options)).close()

    with recorded() as trace:
        asyncio.run(main())
        return trace()


def names(trace: Trace) -> list[list[str]]:
    return [[operation.name for operation in trip.operations] for trip in trace.every.postgres]


def test_connecting_is_a_tcp_connect_an_ssl_request_a_start_up_message_and_two_of_scram(postgres_dsn: str) -> None:
    trace = opening(postgres_dsn)
    assert names(trace) == [["CONNECT"], [], [], [], []]
    assert (trace.setup.postgres.round_trips, trace.postgres.connections) == (5, 1)
    assert all(trip.site and trip.site.function == "main" for trip in trace.every.postgres)


def test_without_the_question_for_tls_it_is_one_less(postgres_dsn: str) -> None:
    assert names(opening(postgres_dsn, ssl=False)) == [["CONNECT"], [], [], []]


def test_a_tls_handshake_is_a_round_trip_of_unknown_size(postgres_dsn: str, tmp_path: Path) -> None:
    server = urlsplit(postgres_dsn)
    with tls_front(tmp_path, server.port or 0) as port:
        trace = opening(postgres_dsn, port=port, host="127.0.0.1", ssl="require")
    assert names(trace) == [["CONNECT"], [], ["TLS"], [], [], []]
    tls = trace.every.postgres.everything[2]
    assert (tls.sent_bytes, tls.received_bytes, tls.purpose) == (None, None, "setup")
    assert {trip.connection for trip in trace.every.postgres} == {tls.connection}


@contextlib.contextmanager
def tls_front(directory: Path, target: int) -> Iterator[int]:
    """Answers SSLRequest with TLS and passes the rest on, for one connection."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(["openssl", *words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer() -> None:
        plain, _ = door.accept()
        assert len(plain.recv(8)) == 8
        plain.sendall(b"S")
        client = context.wrap_socket(plain, server_side=True)
        with client, socket.create_connection(("127.0.0.1", target)) as server:
            while data := client.recv(1 << 16):
                server.sendall(data)
                if data[:1] == b"X":
                    return
                client.sendall(server.recv(1 << 16))

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=answer)
        thread.start()
        yield door.getsockname()[1]
        thread.join()


def test_a_refused_connect_is_a_failed_round_trip_of_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]

    async def main() -> None:
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncpg.connect(host="127.0.0.1", port=port, user="x", database="x", ssl=False)

    with recorded() as trace:
        asyncio.run(main())
        (trip,) = trace().every.postgres
    assert (trip.connection, trip.operations[0].failed, trace().postgres.connections) == (0, True, 0)


def test_a_wrong_password_is_a_failed_handshake_of_setup(postgres_dsn: str) -> None:
    async def main() -> None:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres_dsn, password="wrong", ssl=False)

    with recorded() as trace:
        asyncio.run(main())
        assert {trip.purpose for trip in trace().every.postgres} == {"setup"}
        assert [trip.answer for trip in trace().every.postgres] == ["complete"] * 4


def test_a_connection_killed_while_it_waits_got_its_last_answer(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        other = await asyncpg.connect(postgres_dsn)
        pid = connection.get_server_pid()
        sleeping, _ = await asyncio.gather(
            connection.execute("select pg_sleep(30)"), kill(other, pid), return_exceptions=True
        )
        assert isinstance(sleeping, asyncpg.AdminShutdownError | asyncpg.ConnectionDoesNotExistError)

    async def kill(other: Any, pid: int) -> None:
        while not await other.fetchval("select 1 from pg_stat_activity where pid = $1 and state = 'active'", pid):
            pass
        await other.execute(f"select pg_terminate_backend({pid})")
        await other.close()

    trips = [trip for trip in counted(postgres_dsn, work) if any("sleep" in each.shape for each in trip.operations)]
    assert [(trip.answer, trip.operations[0].failed) for trip in trips] == [("complete", True)]


# --- who called


def test_the_users_line_is_noted(postgres_dsn: str) -> None:
    async def ask(connection: Any) -> None:
        await connection.fetchval("select 1")

    sites = {trip.site for trip in counted(postgres_dsn, ask)}
    assert {(site.file, site.function) for site in sites if site} == {(__file__, "ask")}
    assert None not in sites


def test_notifications_cost_nothing(postgres_dsn: str) -> None:
    async def work(connection: Any) -> None:
        heard = asyncio.Event()
        await connection.add_listener("news", lambda *_: heard.set())
        await connection.execute("notify news")
        await heard.wait()
        await connection.execute("select 1")

    assert counted(postgres_dsn, work).shapes == ['LISTEN "news"', "NOTIFY news", "SELECT ?"]


# --- connections that are older or younger than a recording


def test_a_connection_opened_before_is_taken_up_at_its_next_use(postgres_dsn: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.fetchval("select 1")
        for _ in range(2):
            with recorded() as trace:
                await connection.fetchval("select 1")
                await connection.execute("select 2")
                assert (trace().postgres.round_trips, trace().postgres.connections, trace().problems) == (2, 0, ())
                assert trace().postgres.shapes == ["prepared statement not seen", "SELECT ?"]
            await connection.execute("select 3")
        await connection.close()

    asyncio.run(main())


def test_a_connection_of_an_earlier_recording_is_taken_up_again_on_uvloop_too(postgres_dsn: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        with recorded():
            connection = await asyncpg.connect(postgres_dsn)
        await connection.execute("select 1")
        with recorded() as trace:
            await connection.execute("select 2")
            assert (trace().postgres.round_trips, trace().problems) == (1, ())
        await connection.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_one_that_cannot_be_taken_up_is_a_problem_if_it_is_used(postgres_dsn: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        with recorded() as trace:
            assert trace().problems == ()
            await connection.execute("select 2")
            (problem,) = trace().problems
            assert problem == (
                "connection 1: asyncpg opened it before anybody listened, and on uvloop.loop it cannot be listened "
                "to afterwards: open it while recording, or start recording earlier"
            )
        await connection.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_nothing_is_noted_when_the_recording_is_over(postgres_dsn: str) -> None:
    async def main() -> None:
        with recorded() as trace:
            connection = await asyncpg.connect(postgres_dsn)
            seen = trace().every.postgres.round_trips
        await connection.fetchval("select 1")
        await connection.close()
        assert trace().every.postgres.round_trips == seen

    asyncio.run(main())


# --- the patches

PATCHES = [
    (protocol, "Protocol"), (connect_utils, "_connect_addr"), (asyncpg.Connection, "_protocol"),
    (asyncpg.Connection, "reset"), (connect_utils.TLSUpgradeProto, "data_received"),
    (connect_utils.TLSUpgradeProto, "connection_made"), (connect_utils.TLSUpgradeProto, "connection_lost"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), PATCHES)
def test_it_is_replaced_while_tapped_and_restored_after_an_exception(owner: Any, name: str) -> None:
    original, seen = getattr(owner, name), []
    with contextlib.suppress(KeyError), asyncpg_tap(Recorder()):
        seen.append(getattr(owner, name))
        raise KeyError
    assert seen[0] is not original
    assert getattr(owner, name) is original


def test_nothing_else_is_left_changed() -> None:
    owners = [protocol, connect_utils, asyncpg.Connection, connect_utils.TLSUpgradeProto]
    before = [dict(vars(owner)) for owner in owners]
    with asyncpg_tap(Recorder()):
        pass
    assert [dict(vars(owner)) for owner in owners] == before


@pytest.mark.parametrize(
    ("owner", "name", "where"),
    [
        (protocol, "Protocol", "asyncpg.protocol.Protocol"),
        (connect_utils, "_connect_addr", "asyncpg.connect_utils._connect_addr"),
        (asyncpg.introspection, "TYPE_BY_NAME", "asyncpg.introspection.TYPE_BY_NAME"),
        (asyncpg.Connection, "_protocol", "asyncpg.connection.Connection._protocol"),
    ],
)
def test_a_missing_hook_is_named_and_nothing_is_replaced(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, where: str
) -> None:
    original = connect_utils.TLSUpgradeProto.data_received
    monkeypatch.delattr(owner, name)
    with pytest.raises(TapError) as error, asyncpg_tap(Recorder()):
        pass
    assert str(error.value) == (
        f"asyncpg {asyncpg.__version__} has no {where}, so its traffic cannot be counted (tested with asyncpg "
        "0.29 to 0.32). Install a tested version, or count it through the proxy instead"
    )
    assert connect_utils.TLSUpgradeProto.data_received is original


def test_it_cannot_be_tapped_twice_at_once() -> None:
    with asyncpg_tap(Recorder()), pytest.raises(TapError, match="asyncpg is tapped already"), asyncpg_tap(Recorder()):
        pass


def test_the_tap_says_what_it_found_and_without_asyncpg_says_so() -> None:
    recorder = Recorder()
    with asyncpg_tap(recorder):
        (tapped,) = recorder.trace(0).taps
    assert (tapped.name, tapped.store, tapped.version) == ("asyncpg", "postgres", asyncpg.__version__)
    program = """
import sys
sys.modules["asyncpg"] = None
from redis_perf.recorder import Recorder
from redis_perf.taps.asyncpg import asyncpg as tap
recorder = Recorder()
with tap(recorder):
    print([(tapped.name, tapped.problem) for tapped in recorder.trace(0).taps])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[('asyncpg', 'not installed')]\n", "")


def test_the_site_of_a_coroutine_that_is_a_task_is_the_line_that_made_it(postgres_dsn: str) -> None:
    async def ask(connection: Any) -> None:
        first = sys._getframe().f_lineno
        await asyncio.gather(connection.execute("select 1"))
        await asyncio.create_task(connection.execute("select 2"))
        statement = await asyncio.wait_for(connection.prepare("select 3"), 10)
        await asyncio.gather(statement.fetchval())
        lines.append(first)

    lines: list[int] = []
    sites = [trip.site for trip in counted(postgres_dsn, ask)]
    assert [site and (site.function, site.line - lines[-1]) for site in sites] == [("ask", n) for n in (1, 2, 3, 4)]


def test_so_it_is_through_a_pool(postgres_dsn: str) -> None:
    async def main() -> list[str | None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as pool:
            with recorded() as trace:
                await asyncio.gather(pool.execute("select 1"), pool.fetch("select 2"))
                work = [trip for trip in trace().postgres if trip.purpose == "work"]
        return [trip.site and trip.site.function for trip in work]

    assert set(asyncio.run(main())) == {"main"}
