"""PostgreSQL as it is deployed: the usual SCRAM, TLS, another version, and what PgBouncer does to round trips."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("psycopg")

import psycopg

import redis_perf
from redis_perf import ServerUnavailable, servers
from redis_perf.servers import embedded, pgbouncer, system
from redis_perf.servers.pgbouncer import PgBouncer
from redis_perf.servers.postgres_options import USUAL_ITERATIONS, PostgresOptions
from redis_perf.servers.postgres_topologies import postgres_with


@contextmanager
def running(options: PostgresOptions, version: str = "") -> Iterator[servers.PostgresServer]:
    server = postgres_with("embedded", options, version=version)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def bouncer(postgres_server: servers.PostgresServer) -> Iterator[PgBouncer]:
    if not any(shutil.which("pgbouncer", path=path) for path in (None, *pgbouncer.PLACES)):
        pytest.skip("no pgbouncer here")
    before = pgbouncer.before(postgres_server)
    yield before
    before.stop()


@pytest.fixture
def bounced(bouncer: PgBouncer, postgres_dsn: str) -> str:
    """The DSN of a fresh, empty database of this test, through PgBouncer."""
    bouncer.reset()
    return bouncer.dsn(postgres_dsn)


# --- one server


def test_pg8000_logs_in_with_the_usual_iterations(postgres_server: object) -> None:
    with running(PostgresOptions(scram_iterations=USUAL_ITERATIONS)) as server:
        with psycopg.connect(server.dsn) as connection:
            stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'").fetchone()
        assert stored is not None
        assert stored[0].startswith("SCRAM-SHA-256$4096:")
        other = pg8000_connected(server.dsn)
        cursor = other.cursor()
        cursor.execute("SELECT 1")
        assert [*cursor.fetchone()] == [1]
        other.close()


def test_pg8000_refuses_fewer(postgres_server: servers.PostgresServer) -> None:
    pytest.importorskip("pg8000.dbapi")
    with pytest.raises(Exception, match="must not be < 4096") as refused:
        pg8000_connected(postgres_server.dsn)
    assert type(refused.value).__module__.partition(".")[0] in ("pg8000", "scramp")


def pg8000_connected(dsn: str) -> Any:
    dbapi = pytest.importorskip("pg8000.dbapi")
    parts = urlsplit(dsn)
    return dbapi.connect(
        user=parts.username, password=parts.password, host=parts.hostname, port=parts.port, database="postgres"
    )


def test_tls_is_demanded_and_the_certificate_is_checked(postgres_server: object) -> None:
    pytest.importorskip("trustme")
    try:
        server: Any = postgres_with("embedded", PostgresOptions(tls=True))
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    try:
        assert "?sslmode=verify-full&sslrootcert=" in server.dsn
        with redis_perf.record() as trace, psycopg.connect(server.dsn, autocommit=True) as connection:
            assert connection.pgconn.ssl_in_use
            connection.execute("SELECT 1")
        assert trace.postgres.round_trips == 1
        assert trace.setup.postgres.shapes[:2] == ["CONNECT", "TLS"]
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(server.dsn.replace("verify-full", "disable"))
        server.restart()
        with server.database() as dsn, psycopg.connect(dsn) as connection:
            assert connection.pgconn.ssl_in_use
    finally:
        server.stop()


def test_asyncpg_takes_the_dsn_of_a_server_with_tls(postgres_server: object) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    pytest.importorskip("trustme")

    async def speaks_tls(dsn: str) -> bool:
        connection = await asyncpg.connect(dsn)
        try:
            return bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        finally:
            await connection.close()

    try:
        with running(PostgresOptions(tls=True)) as server:
            assert asyncio.run(speaks_tls(server.dsn))
    except ServerUnavailable as missing:
        pytest.skip(str(missing))


def test_a_program_without_tls_says_what_to_install(
    postgres_server: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("trustme")
    monkeypatch.setattr(system, "DEBIAN", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name == "postgres" else _which(name, path=path))
    with pytest.raises(ServerUnavailable) as caught:
        postgres_with("embedded", PostgresOptions(tls=True))
    assert str(caught.value).startswith(f"embedded: {embedded.postgres_binary()} was built without TLS. Other ways: ")


_which = shutil.which


@pytest.mark.parametrize("version", ["15", "16", "18"])
def test_another_version_is_found_in_the_wheel_or_on_this_machine(postgres_server: object, version: str) -> None:
    try:
        server = postgres_with("embedded", version=version)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    try:
        with psycopg.connect(server.dsn) as connection:
            assert connection.info.server_version // 10000 == int(version)
    finally:
        server.stop()


def test_a_version_that_is_nowhere_names_those_that_are(postgres_server: object) -> None:
    with pytest.raises(ServerUnavailable, match=r"postgres=embedded: no version 9 here; there are 16\.\d+ and 18\.\d+"):
        postgres_with("embedded", version="9")


def test_further_settings_win_over_ours(postgres_server: object) -> None:
    settings = {"autovacuum": "on", "work_mem": "1MB"}
    with running(PostgresOptions(settings=settings)) as server, psycopg.connect(server.dsn) as connection:
        for name, value in settings.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)


def test_a_setting_the_server_does_not_know_is_shown_with_the_end_of_its_log(postgres_server: object) -> None:
    with pytest.raises(ServerUnavailable, match=r"ended while starting(.|\n)*no_such_thing"):
        postgres_with("embedded", PostgresOptions(settings={"no_such_thing": "1"}))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"scram_iterations": 0}, "scram_iterations=0: expected 1 or more"),
        ({"settings": {"port": "1", "autovacuum": "on"}}, "settings: port say where the server is"),
    ],
)
def test_options_that_are_none_are_a_value_error(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PostgresOptions(**options)


@pytest.mark.parametrize("choice", ["fake", "postgresql://127.0.0.1:1/x", "docker"])
def test_what_names_no_program_has_no_settings(choice: str) -> None:
    with pytest.raises(ServerUnavailable, match="started from a program: --redisperf-postgres=embedded or system"):
        postgres_with(choice, PostgresOptions(tls=True))


# --- PgBouncer


def test_pgbouncer_adds_no_round_trip(bounced: str, postgres_dsn: str) -> None:
    def spent(dsn: str) -> list[str]:
        with psycopg.connect(dsn) as connection, redis_perf.record() as trace:
            connection.execute("SELECT 1")
            connection.execute("SELECT 1")
            connection.commit()
        assert trace.postgres.round_trips == 4
        return trace.postgres.shapes

    assert spent(bounced) == spent(postgres_dsn) == ["BEGIN", "SELECT ?", "SELECT ?", "COMMIT"]


def test_a_session_is_lent_for_a_transaction_only(bounced: str) -> None:
    with psycopg.connect(bounced, autocommit=True) as one, psycopg.connect(bounced, autocommit=True) as other:
        one.execute("SET search_path = nowhere")
        assert other.execute("SHOW search_path").fetchone() == ("nowhere",)


@pytest.mark.parametrize(("threshold", "spent"), [(5, 11), (None, 10)])
def test_psycopg_prepares_once_where_nobody_else_is_connected(bounced: str, threshold: int | None, spent: int) -> None:
    with (
        psycopg.connect(bounced, autocommit=True, prepare_threshold=threshold) as connection,
        redis_perf.record() as trace,
    ):
        for number in range(10):
            connection.execute("SELECT %s::int", [number])
    assert trace.postgres.round_trips == spent


@pytest.mark.parametrize(("threshold", "fails"), [(5, True), (None, False)])
def test_two_clients_of_psycopg_prepare_under_the_same_name(bounced: str, threshold: int | None, fails: bool) -> None:
    clients = [psycopg.connect(bounced, autocommit=True, prepare_threshold=threshold) for _ in range(2)]
    failures = []
    for number in range(6):
        for client in clients:
            try:
                client.execute("SELECT %s::int", [number])
            except psycopg.errors.DuplicatePreparedStatement:
                failures.append((number, clients.index(client)))
    for client in clients:
        client.close()
    assert failures == ([(5, 1)] if fails else [])


@pytest.mark.parametrize(("cached", "spent"), [(100, 11), (0, 20)])
def test_asyncpg_without_a_statement_cache_spends_two_round_trips_a_query(
    bounced: str, cached: int, spent: int
) -> None:
    asyncpg = pytest.importorskip("asyncpg")

    async def queries() -> int:
        connection = await asyncpg.connect(bounced, statement_cache_size=cached)
        try:
            with redis_perf.record() as trace:
                for number in range(10):
                    await connection.fetchval("SELECT $1::int", number)
        finally:
            await connection.close()
        return trace.postgres.round_trips

    assert asyncio.run(queries()) == spent


@pytest.mark.parametrize("cached", [100, 0])
def test_a_cached_statement_of_asyncpg_is_not_there_in_another_session(bounced: str, cached: int) -> None:
    asyncpg = pytest.importorskip("asyncpg")

    async def query() -> None:
        one, other = [await asyncpg.connect(bounced, statement_cache_size=cached) for _ in range(2)]
        try:
            async with one.transaction():
                await other.fetchval("SELECT 1")
            await other.fetchval("SELECT 1")  # in the session that `one` has just given back
        finally:
            await one.close()
            await other.close()

    if cached:
        with pytest.raises(asyncpg.InvalidSQLStatementNameError):
            asyncio.run(query())
    else:
        asyncio.run(query())


def test_clients_must_log_in_to_pgbouncer_too(bounced: str) -> None:
    parts = urlsplit(bounced)
    wrong = parts._replace(netloc=f"postgres:wrong@127.0.0.1:{parts.port}").geturl()
    with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        psycopg.connect(wrong)


def test_pgbouncer_is_killed_and_restarted_at_its_address(bounced: str, bouncer: PgBouncer) -> None:
    for restart in (bouncer.restart, lambda: (bouncer.kill(), bouncer.reset())):
        with psycopg.connect(bounced, autocommit=True) as connection:
            restart()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(bounced) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_stopping_pgbouncer_leaves_nothing(postgres_server: servers.PostgresServer, bouncer: PgBouncer) -> None:
    another = pgbouncer.before(postgres_server)
    directory = another._watched.directory
    another.stop()
    another.stop()
    assert not directory.exists()
    assert not another.alive


def test_a_setting_pgbouncer_does_not_know_is_shown_with_the_end_of_its_log(
    bouncer: PgBouncer, postgres_dsn: str
) -> None:
    with pytest.raises(ServerUnavailable, match=r"ended while starting(.|\n)*no_such_thing"):
        PgBouncer(postgres_dsn, {"no_such_thing": "1"})


def test_without_pgbouncer_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(ServerUnavailable, match=r"no pgbouncer on PATH or in .*: install it"):
        PgBouncer("postgresql://postgres:x@127.0.0.1:1/postgres")


def test_pgbouncer_is_put_before_servers_of_ours_only() -> None:
    with pytest.raises(ServerUnavailable, match="before a server of ours, which fake is not"):
        pgbouncer.before(servers.postgres("fake"))
