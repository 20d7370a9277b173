"""SQLAlchemy 2 on each of its drivers, blocking and asyncio. It is the driver that is listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from case import TURNS, At, case
from postgres_cases import table

MANY = [{"body": f"body {number}"} for number in range(20)]
NEEDS = ("sqlalchemy",)
Use = Callable[[Any], object]


def url(at: At, driver: str, **query: str) -> Any:
    import sqlalchemy

    return sqlalchemy.URL.create(
        f"postgresql+{driver}",
        username=at.postgres_user,
        host=at.postgres_host,
        port=at.postgres_port,
        database=at.postgres_database,
        query=query,
    )


def on_engine(at: At, driver: str, use: Use) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url(at, driver, sslmode="disable"))
    use(engine)
    engine.dispose()


def on_async_engine(at: At, driver: str, use: Use) -> None:
    """The same code as for a blocking engine, run by SQLAlchemy's own bridge to asyncio."""
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main() -> None:
        query = {"ssl": "disable"} if driver == "asyncpg" else {"sslmode": "disable"}
        engine = create_async_engine(url(at, driver, **query))
        async with engine.connect() as connection:
            await connection.run_sync(lambda bridged: use(Bridged(bridged)))
        await engine.dispose()

    asyncio.run(main())


class Bridged:
    """One connection in place of an engine."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def connect(self) -> Bridged:
        return self

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.rollback()


def selects(engine: Any) -> None:
    import sqlalchemy

    for _ in range(3):
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))


def core(engine: Any) -> None:
    import sqlalchemy

    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO message (body) VALUES (:body)"), MANY)
        connection.commit()


def orm(engine: Any) -> None:
    from sqlalchemy import BigInteger, Text
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Message(Base):
        __tablename__ = "message"
        id = mapped_column(BigInteger, primary_key=True)
        body = mapped_column(Text)

    with engine.connect() as connection, Session(connection) as session:
        session.add_all([Message(**row) for row in MANY])
        session.commit()


@case("postgres", "SQLAlchemy, psycopg", "SELECT 1, 3 times", needs=NEEDS)
def sqlalchemy_psycopg(at: At) -> None:
    on_engine(at, "psycopg", selects)


@case("postgres", "SQLAlchemy, psycopg", "20 rows by Core", needs=NEEDS, before=table, witness=TURNS)
def sqlalchemy_psycopg_core(at: At) -> None:
    on_engine(at, "psycopg", core)


@case("postgres", "SQLAlchemy, psycopg", "20 objects by the ORM", needs=NEEDS, before=table)
def sqlalchemy_psycopg_orm(at: At) -> None:
    on_engine(at, "psycopg", orm)


@case("postgres", "SQLAlchemy, psycopg2", "SELECT 1, 3 times", needs=(*NEEDS, "psycopg2"), unseen=1)
def sqlalchemy_psycopg2(at: At) -> None:
    on_engine(at, "psycopg2", selects)


@case("postgres", "SQLAlchemy, psycopg2", "20 rows by Core", needs=(*NEEDS, "psycopg2"), before=table, unseen=1)
def sqlalchemy_psycopg2_core(at: At) -> None:
    on_engine(at, "psycopg2", core)


@case("postgres", "SQLAlchemy, psycopg2", "20 objects by the ORM", needs=(*NEEDS, "psycopg2"), before=table, unseen=1)
def sqlalchemy_psycopg2_orm(at: At) -> None:
    on_engine(at, "psycopg2", orm)


@case("postgres", "SQLAlchemy, psycopg asyncio", "SELECT 1, 3 times", needs=NEEDS)
def sqlalchemy_psycopg_asyncio(at: At) -> None:
    on_async_engine(at, "psycopg", selects)


@case("postgres", "SQLAlchemy, asyncpg", "SELECT 1, 3 times", needs=(*NEEDS, "asyncpg"))
def sqlalchemy_asyncpg(at: At) -> None:
    on_async_engine(at, "asyncpg", selects)


@case("postgres", "SQLAlchemy, asyncpg", "20 rows by Core", needs=(*NEEDS, "asyncpg"), before=table)
def sqlalchemy_asyncpg_core(at: At) -> None:
    on_async_engine(at, "asyncpg", core)


@case("postgres", "SQLAlchemy, asyncpg", "20 objects by the ORM", needs=(*NEEDS, "asyncpg"), before=table)
def sqlalchemy_asyncpg_orm(at: At) -> None:
    on_async_engine(at, "asyncpg", orm)


@case("postgres", "SQLAlchemy, psycopg asyncio", "20 rows by Core", needs=NEEDS, before=table, witness=TURNS)
def sqlalchemy_psycopg_asyncio_core(at: At) -> None:
    on_async_engine(at, "psycopg", core)


@case("postgres", "SQLAlchemy, psycopg asyncio", "20 objects by the ORM", needs=NEEDS, before=table)
def sqlalchemy_psycopg_asyncio_orm(at: At) -> None:
    on_async_engine(at, "psycopg", orm)


def on_pg8000(at: At, use: Use) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url(at, "pg8000"), connect_args={"ssl_context": False})
    use(engine)
    engine.dispose()


@case("postgres", "SQLAlchemy, pg8000", "SELECT 1, 3 times", needs=(*NEEDS, "pg8000"), tap=False)
def sqlalchemy_pg8000(at: At) -> None:
    on_pg8000(at, selects)


@case("postgres", "SQLAlchemy, pg8000", "20 objects by the ORM", needs=(*NEEDS, "pg8000"), before=table, tap=False)
def sqlalchemy_pg8000_orm(at: At) -> None:
    on_pg8000(at, orm)
