"""What SQLAlchemy 2 costs on each of its drivers: it needs no tap, for it is the driver that is listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import redis_perf
from redis_perf.recording import tapped
from redis_perf.trace import StoreTrace

sqlalchemy = pytest.importorskip("sqlalchemy")
orm = pytest.importorskip("sqlalchemy.orm")
asyncio_extension = pytest.importorskip("sqlalchemy.ext.asyncio")

BLOCKING = ["psycopg", "psycopg2"]
ASYNCIO = ["psycopg", "asyncpg"]
BODIES = [{"body": f"body {number}"} for number in range(20)]
SELECT = sqlalchemy.text("select 1")
INSERT = sqlalchemy.text("insert into message (body) values (:body)")


class Base(orm.DeclarativeBase):  # type: ignore[misc, name-defined]
    pass


class Message(Base):
    __tablename__ = "message"
    id = orm.mapped_column(sqlalchemy.BigInteger, primary_key=True)
    body = orm.mapped_column(sqlalchemy.Text)


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """An engine keeps its connections, so the taps are in place before it has any."""
    with tapped():
        yield


def url(dsn: str, driver: str) -> str:
    pytest.importorskip(driver)
    return dsn.replace("postgresql://", f"postgresql+{driver}://")


def counted(dsn: str, driver: str, work: Callable[[Any], object]) -> StoreTrace:
    """The traffic of some work on a connection from the pool, the second time it is done."""
    engine = sqlalchemy.create_engine(url(dsn, driver))
    Base.metadata.create_all(engine)
    for _ in range(2):
        with redis_perf.record() as recording, engine.connect() as connection:
            work(connection)
    engine.dispose()
    assert recording.trace.problems == ()
    return recording.postgres


def counted_async(dsn: str, driver: str, work: Callable[[Any], object], times: int = 2) -> StoreTrace:
    """The same on asyncio, by SQLAlchemy's own bridge."""

    async def main() -> redis_perf.Trace:
        engine = asyncio_extension.create_async_engine(url(dsn, driver))
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        for _ in range(times):
            with redis_perf.record() as recording:
                async with engine.connect() as connection:
                    await connection.run_sync(work)
        await engine.dispose()
        return recording.trace

    trace = asyncio.run(main())
    assert trace.problems == ()
    return trace.postgres


def select_one(connection: Any) -> None:
    connection.execute(SELECT)


def insert_twenty(connection: Any) -> None:
    connection.execute(INSERT, BODIES)
    connection.commit()


def add_twenty(connection: Any) -> None:
    with orm.Session(connection) as session:
        session.add_all([Message(**row) for row in BODIES])
        session.commit()


@pytest.mark.parametrize("driver", BLOCKING)
def test_select_and_the_return_to_the_pool_are_three_round_trips(postgres_dsn: str, driver: str) -> None:
    trace = counted(postgres_dsn, driver, select_one)
    assert (trace.shapes, trace.round_trips) == (["BEGIN", "SELECT ?", "ROLLBACK"], 3)


@pytest.mark.parametrize("driver", ASYNCIO)
def test_on_asyncio_too(postgres_dsn: str, driver: str) -> None:
    trace = counted_async(postgres_dsn, driver, select_one)
    assert (trace.round_trips, trace.statements) == (3, 3)


@pytest.mark.parametrize(("driver", "round_trips"), [("psycopg", 3), ("psycopg2", 22)])
def test_twenty_rows_by_core_depend_on_the_driver(postgres_dsn: str, driver: str, round_trips: int) -> None:
    trace = counted(postgres_dsn, driver, insert_twenty)
    assert (trace.round_trips, trace.statements, trace.commits) == (round_trips, 22, 1)


@pytest.mark.parametrize(("driver", "first", "later"), [("psycopg", 3, 3), ("asyncpg", 4, 3)])
def test_asyncpg_prepares_a_statement_once(postgres_dsn: str, driver: str, first: int, later: int) -> None:
    assert counted_async(postgres_dsn, driver, insert_twenty, times=1).round_trips == first
    assert counted_async(postgres_dsn, driver, insert_twenty, times=2).round_trips == later


@pytest.mark.parametrize("driver", BLOCKING)
def test_twenty_objects_are_one_statement_by_the_orm(postgres_dsn: str, driver: str) -> None:
    trace = counted(postgres_dsn, driver, add_twenty)
    assert (trace.round_trips, trace.statements, trace.commits) == (3, 3, 1)


@pytest.mark.parametrize("driver", ASYNCIO)
def test_twenty_objects_on_asyncio_too(postgres_dsn: str, driver: str) -> None:
    trace = counted_async(postgres_dsn, driver, add_twenty)
    assert (trace.round_trips, trace.statements, trace.commits) == (3, 3, 1)


@pytest.mark.parametrize("driver", BLOCKING)
def test_the_users_line_is_found_beyond_sqlalchemy(postgres_dsn: str, driver: str) -> None:
    sites = {trip.site for trip in counted(postgres_dsn, driver, select_one)}
    assert {site.file for site in sites if site} == {__file__}


@pytest.mark.parametrize("driver", ASYNCIO)
def test_on_asyncio_it_is_the_line_that_awaits(postgres_dsn: str, driver: str) -> None:
    work = [trip for trip in counted_async(postgres_dsn, driver, select_one) if trip.purpose == "work"]
    assert [(trip.site.file, trip.site.function) for trip in work if trip.site] == [(__file__, "main")]
