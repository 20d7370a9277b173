"""The stand-in Postgres with the clients it is for, and its round trips against a real server's."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

import redis_perf
from redis_perf import servers
from redis_perf.servers.fake_postgres import FakePostgres

psycopg = pytest.importorskip("psycopg")
redis_perf_reference = pytest.importorskip("redis_perf_reference")

ROW = (
    1, 2**40, True, 1.5, "é", b"\0\xff", Decimal("-12345.067"), datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
    date(1999, 12, 31), UUID(int=5), None,
)  # fmt: skip


@pytest.fixture
def fake() -> Iterator[FakePostgres]:
    server = servers.postgres("fake")
    assert isinstance(server, FakePostgres)
    yield server
    server.stop()


def port_of(server: FakePostgres) -> int:
    port = urlsplit(server.dsn).port
    assert port is not None
    return port


# --- the same round trips as a real server's


def one_select(connection: Any) -> None:
    connection.execute("select 1")


def eight_executions(connection: Any) -> None:
    for number in range(8):
        connection.execute("select %s::int", (number,))


def executemany_in_a_transaction(connection: Any) -> None:
    with connection.transaction():
        connection.cursor().executemany("insert into t (i) values (%s)", [(number,) for number in range(50)])


def a_pipeline(connection: Any) -> None:
    with connection.pipeline():
        for number in range(5):
            connection.execute("insert into t (i) values (%s)", (number,))


def copy_in(connection: Any) -> None:
    with connection.cursor().copy("copy t (i) from stdin") as copy:
        for number in range(3):
            copy.write_row((number,))


def copy_binary(connection: Any) -> None:
    with connection.cursor().copy("copy t (i) from stdin (format binary)") as copy:
        copy.set_types(["int4"])
        copy.write_row((1,))


def copy_out(connection: Any) -> None:
    with connection.cursor().copy("copy t (i) to stdout") as copy:
        assert list(copy) == []


def an_error(connection: Any) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select * from nowhere")


def an_error_in_a_transaction(connection: Any) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction():
        connection.execute("select * from nowhere")


def an_error_in_a_pipeline(connection: Any) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        _pipeline_with_an_error(connection)


def _pipeline_with_an_error(connection: Any) -> None:
    with connection.pipeline():
        connection.execute("insert into t (i) values (1)")
        connection.execute("insert into t (i) values (2)")
        connection.execute("select * from nowhere")  # the last: an error comes at once, and psycopg sends no more then


def nested_transactions(connection: Any) -> None:
    with connection.transaction():
        connection.execute("insert into t (i) values (1)")
        with connection.transaction():
            connection.execute("insert into t (i) values (2)")


def several_statements_at_once(connection: Any) -> None:
    connection.execute("insert into t (i) values (1); insert into t (i) values (2); select 1")


def a_cursor_of_the_server(connection: Any) -> None:
    with connection.transaction(), connection.cursor("named") as cursor:
        cursor.execute("select i from t")
        assert cursor.fetchall() == []


def a_two_phase_commit_is_begun_and_rolled_back(connection: Any) -> None:
    connection.execute("begin")
    connection.execute("insert into t (i) values (1)")
    connection.execute("rollback")


FIGURES: dict[Callable[[Any], None], tuple[int, int, int]] = {
    one_select: (1, 1, 1),
    eight_executions: (9, 8, 8),
    executemany_in_a_transaction: (3, 52, 1),
    a_pipeline: (1, 5, 1),
    copy_in: (2, 1, 1),
    copy_binary: (2, 1, 1),
    copy_out: (1, 1, 1),
    an_error: (1, 1, 0),
    an_error_in_a_transaction: (3, 3, 0),
    an_error_in_a_pipeline: (1, 3, 0),
    nested_transactions: (6, 6, 1),
    several_statements_at_once: (1, 3, 1),
    a_cursor_of_the_server: (6, 5, 1),
    a_two_phase_commit_is_begun_and_rolled_back: (3, 3, 0),
}


def counted(dsn: str, steps: Callable[[Any], None]) -> tuple[int, int, int, list[str]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table t (i int)")
        with redis_perf.record() as trace:
            steps(connection)
    return trace.postgres.round_trips, trace.postgres.statements, trace.postgres.commits, trace.postgres.shapes


@pytest.mark.parametrize("steps", FIGURES, ids=lambda steps: steps.__name__)
def test_psycopg_counts_the_same_as_on_a_real_server(
    fake: FakePostgres, postgres_dsn: str, steps: Callable[[Any], None]
) -> None:
    fake.on("select * from nowhere").error("42P01", 'relation "nowhere" does not exist')
    on_fake = counted(fake.dsn, steps)
    assert on_fake == counted(postgres_dsn, steps)
    assert on_fake[:3] == FIGURES[steps]


def test_connecting_costs_the_same_as_to_a_real_server_that_trusts(fake: FakePostgres) -> None:
    with redis_perf.record() as trace, psycopg.connect(fake.dsn):
        pass
    operations = [operation.name for trip in trace.setup.postgres for operation in trip.operations]
    assert (trace.postgres.round_trips, trace.postgres.connections) == (0, 1)
    assert operations.count("CONNECT") == 1


# --- psycopg


def test_psycopg_reads_every_type_as_text_and_as_binary(fake: FakePostgres) -> None:
    fake.on("SELECT everything").rows([ROW])
    with psycopg.connect(fake.dsn) as connection:
        assert connection.execute("SELECT everything").fetchone() == ROW
        assert connection.cursor(binary=True).execute("SELECT everything").fetchone() == ROW


def test_a_scripted_error_is_the_clients_own_exception(fake: FakePostgres) -> None:
    fake.on("update t set a = %s", times=1).error("40001", "could not serialize access")
    with psycopg.connect(fake.dsn) as connection:
        with pytest.raises(psycopg.errors.SerializationFailure, match=r"^could not serialize access$"):
            connection.execute("update t set a = %s", (1,))
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        assert connection.execute("update t set a = %s", (1,)).rowcount == 1


def test_rows_may_be_mappings_and_an_insert_may_return_some(fake: FakePostgres) -> None:
    fake.on("insert into t (a) values (%s) returning id, at").rows([{"id": 7, "at": None}], tag="INSERT 0 1")
    with psycopg.connect(fake.dsn) as connection:
        cursor = connection.execute("insert into t (a) values (%s) returning id, at", ("x",))
        assert (cursor.statusmessage, cursor.fetchall()) == ("INSERT 0 1", [(7, None)])
    assert [(asked.sql, asked.parameters) for asked in fake.asked] == [
        ("BEGIN", 0), ("insert into t (a) values ($1) returning id, at", 1), ("COMMIT", 0),
    ]  # fmt: skip


def test_psycopg_async_and_its_pools_work(fake: FakePostgres) -> None:
    pools = pytest.importorskip("psycopg_pool")

    async def use() -> list[Any]:
        async with pools.AsyncConnectionPool(fake.dsn, min_size=1, max_size=2) as pool, pool.connection() as connection:
            async with connection.transaction(), connection.pipeline():
                await connection.execute("insert into t values (%s)", (1,))
            return await (await connection.execute("select 1")).fetchall()

    assert asyncio.run(use()) == [(1,)]
    with pools.ConnectionPool(fake.dsn, min_size=2, max_size=2) as pool, pool.connection() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_notification_reaches_another_connection(fake: FakePostgres) -> None:
    with psycopg.connect(fake.dsn, autocommit=True) as one, psycopg.connect(fake.dsn, autocommit=True) as other:
        other.execute("listen news")
        one.execute("notify news, 'here'")
        note = next(other.notifies())
        assert (note.channel, note.payload) == ("news", "here")


def test_working_memory_is_told_of_what_nobody_scripted_and_does_not_hang(fake: FakePostgres, redis_url: str) -> None:
    """Its INSERT returns nothing here, which it takes for a turn that is already there with other content."""
    with (
        psycopg.connect(fake.dsn, autocommit=True) as connection,
        redis_perf_reference.connect_redis(redis_url, timeout_seconds=10) as client,
    ):
        postgres = redis_perf_reference.OneConnection(connection)
        redis_perf_reference.create_schema(postgres)
        memory = redis_perf_reference.WorkingMemory(client, postgres)
        with pytest.raises(redis_perf_reference.TurnConflict):
            memory.push_turn("ada", "s", redis_perf_reference.Turn("user", "hello"))
        assert memory.flush("ada") == redis_perf_reference.Flushed()
        assert memory.history("ada") == []


# --- other clients


def test_asyncpg_works(fake: FakePostgres) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    fake.on("SELECT everything").rows([ROW])
    fake.on("select name from users where id = $1", parameters=["int"]).rows([("Ada",)], ["name"])

    async def use() -> list[Any]:
        connection = await asyncpg.connect(fake.dsn)
        seen: list[Any] = [tuple(await connection.fetchrow("SELECT everything"))]
        seen.append(await connection.fetchval("select name from users where id = $1", 5))
        async with connection.transaction(), connection.transaction():
            seen.append(await connection.execute("update t set a = $1::bigint", 5))
            seen.append([len(row) async for row in connection.cursor("SELECT everything")])
        await connection.executemany("insert into t values ($1)", [("a",), ("b",)])
        seen.append(await connection.copy_records_to_table("t", records=[("1", "b")] * 7, columns=["a", "b"]))
        await connection.close()
        async with asyncpg.create_pool(fake.dsn, min_size=1, max_size=1) as pool:
            seen.append(await pool.fetchval("select 1"))
            seen.append(await pool.fetchval("select 2"))
        return seen

    assert asyncio.run(use()) == [ROW, "Ada", "UPDATE 1", [len(ROW)], "COPY 7", 1, 2]


def test_psycopg2_works(fake: FakePostgres) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    fake.on("select a from t").rows([(1,), (2,)], ["a"])
    connection = psycopg2.connect(fake.dsn)
    cursor = connection.cursor()
    cursor.execute("select a from t")
    assert cursor.fetchall() == [(1,), (2,)]
    cursor.execute("insert into t values (%s), (%s)", (1, 2))
    assert cursor.rowcount == 2
    named = connection.cursor("named")
    named.execute("select a from t")
    assert named.fetchall() == [(1,), (2,)]
    connection.commit()
    connection.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_sqlalchemy_works(fake: FakePostgres, driver: str) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip(driver)
    fake.on(re.compile(r"^SELECT users\.id.*FROM users$", re.DOTALL)).rows([(1, "Ada")], ["id", "name"])
    users, User = mapped(sqlalchemy)
    engine = sqlalchemy.create_engine(fake.dsn.replace("postgresql", f"postgresql+{driver}"))
    with engine.begin() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
        assert connection.execute(sqlalchemy.select(users)).all() == [(1, "Ada")]
        users.create(connection, checkfirst=False)
    with sqlalchemy.orm.Session(engine) as session:
        session.add(User(id=1, name="Ada"))
        session.flush()
        session.query(User).filter(User.id == 3).update({"name": "Eve"})
        assert session.query(User).filter(User.id == 3).all() == []
        session.commit()
    engine.dispose()
    texts = [asked.sql.split()[0].upper() for asked in fake.asked]
    assert texts.count("INSERT") == 1
    assert texts[-1] == "COMMIT"


def test_sqlalchemy_works_on_asyncpg(fake: FakePostgres) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("asyncpg")
    from sqlalchemy.ext.asyncio import create_async_engine

    users, _ = mapped(sqlalchemy)

    async def use() -> object:
        engine = create_async_engine(fake.dsn.replace("postgresql", "postgresql+asyncpg"))
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.insert(users).values(id=1, name="Ada"))
            found = (await connection.execute(sqlalchemy.text("select 1"))).scalar()
        await engine.dispose()
        return found

    assert asyncio.run(use()) == 1


def mapped(sqlalchemy: Any) -> tuple[Any, Any]:
    import sqlalchemy.orm

    class User(sqlalchemy.orm.declarative_base()):
        __tablename__ = "users"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        name = sqlalchemy.Column(sqlalchemy.String)

    return User.__table__, User


NODE = """
const { Client, Pool } = require('pg');
(async () => {
  const client = new Client({ connectionString: process.argv[1] });
  await client.connect();
  const seen = [(await client.query('select 1 as one')).rows];
  seen.push((await client.query('select name from users where id = $1', [5])).rows);
  seen.push((await client.query({ name: 'saved', text: 'insert into t values ($1)', values: ['a'] })).rowCount);
  await client.query('begin'); await client.query('commit');
  await client.query('update t set a = 1').catch(error => seen.push(error.code));
  await client.end();
  const pool = new Pool({ connectionString: process.argv[1] });
  seen.push((await pool.query('select 1 as one')).rowCount);
  await pool.end();
  console.log(JSON.stringify(seen));
})();
"""


def test_node_pg_works(fake: FakePostgres) -> None:
    spec = importlib.util.spec_from_file_location("npm", Path(__file__).parent / "witnesses/npm.py")
    assert spec is not None
    assert spec.loader is not None
    npm: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(npm)
    if refusal := npm.refusal():
        pytest.skip(refusal)
    fake.on("select name from users where id = $1").rows([("Ada",)], ["name"])
    fake.on("update t set a = 1").error("40001")
    environment = {**os.environ, "NODE_PATH": str(npm.ROOT / "node_modules")}
    command = ["node", "-e", NODE, fake.dsn]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == [[{"one": 1}], [{"name": "Ada"}], 1, "40001", 1]


# --- the server itself


def test_it_says_what_it_is(fake: FakePostgres) -> None:
    assert re.fullmatch(r"postgresql://postgres@127\.0\.0\.1:\d+/postgres", fake.dsn)
    assert (fake.choice, fake.owned, fake.version) == ("fake", True, "PostgreSQL 16.0 (stand-in without SQL)")


def test_each_database_has_a_name_of_its_own(fake: FakePostgres) -> None:
    with fake.database() as one, fake.database() as other:
        assert one != other
        with psycopg.connect(one) as connection:
            connection.execute("select 1")
    assert {asked.database for asked in fake.asked} == {urlsplit(one).path[1:]}


@pytest.mark.parametrize(
    "bytes_sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", bytes(range(255, 191, -1)) + bytes(8)]
)
def test_hostile_bytes_end_their_connection_and_no_other(fake: FakePostgres, bytes_sent: bytes) -> None:
    with psycopg.connect(fake.dsn) as connection:
        with socket.create_connection(("127.0.0.1", port_of(fake))) as hostile:
            hostile.settimeout(10)
            hostile.sendall(bytes_sent)
            hostile.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: hostile.recv(4096), b""))
        assert answer == b"" or b"C08P01\0" in answer or b"C0A000\0" in answer
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_client_that_reads_nothing_holds_up_nobody(fake: FakePostgres) -> None:
    fake.on("select much").rows([("x" * 1_000_000,)] * 20, ["much"])
    hello, query = b"\0\x03\0\0user\0ada\0\0", b"select much\0"
    with socket.create_connection(("127.0.0.1", port_of(fake))) as slow, psycopg.connect(fake.dsn) as other:
        slow.settimeout(30)
        slow.sendall(struct.pack("!I", len(hello) + 4) + hello + b"Q" + struct.pack("!I", len(query) + 4) + query)
        assert other.execute("select 1").fetchone() == (1,)
        slow.shutdown(socket.SHUT_WR)
        assert len(b"".join(iter(lambda: slow.recv(1 << 20), b""))) > 20_000_000


def test_stopping_ends_sessions_and_thread_and_may_be_repeated() -> None:
    server = servers.postgres("fake")
    connection = psycopg.connect(server.dsn)
    server.stop()
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    connection.close()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(server.dsn)


def test_one_that_is_forgotten_ends_itself() -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        servers.postgres("fake")
        gc.collect()
    assert set(threading.enumerate()) <= before


def test_the_process_ends_though_it_was_not_stopped_and_says_nothing() -> None:
    script = "from redis_perf import servers; server = servers.postgres('fake'); print(server.dsn)"
    ran = subprocess.run([sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(ran.stdout.rpartition(":")[2].partition("/")[0])))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_keeps_no_socket_of_it(fake: FakePostgres) -> None:
    connection = psycopg.connect(fake.dsn, autocommit=True)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.write(writing, b"x")
        signal.pause()
    try:
        assert os.read(reading, 1) == b"x"
        assert connection.execute("select 1").fetchone() == (1,)
        connection.close()
        fake.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(fake)))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
