"""A Postgres database that is clean when the test begins, and plain clients on it: see `fixtures`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_redisperf.access import client_library, seen
from pytest_redisperf.options import Settings

if TYPE_CHECKING:
    import psycopg

    from pytest_redisperf.async_clients import AsyncPostgres
    from pytest_redisperf.isolation import Lent, Source
    from pytest_redisperf.postgres_factory import PostgresFactory
    from pytest_redisperf.servers import Servers
    from redis_perf.servers import PostgresServer
    from redis_perf.servers.fake_postgres import FakePostgres


@pytest.fixture(scope="session")
def redisperf_postgres_schema(request: pytest.FixtureRequest) -> Source:
    """What every database of this run has in it: what `redisperf_schema` says. Override it to say it in Python.

    It may return the same words, a path, or a function that is called once with the DSN of a template database.
    """
    return Settings.of(request.config).schema


@pytest.fixture
def redisperf_postgres_factory(
    request: pytest.FixtureRequest,
    _redisperf_postgres_servers: Servers[PostgresServer],
    redisperf_postgres_schema: Source,
) -> Iterator[PostgresFactory]:
    """A function: each call in a test gives the DSN of one more new database, with options of another server.

    `redisperf_postgres_factory("reports", version="15", tls=True)`: see `postgres_factory.PostgresFactory`.
    """
    from pytest_redisperf.postgres_factory import PostgresFactory

    through = partial(seen, request.config, "postgres")
    factory = PostgresFactory(request.config, _redisperf_postgres_servers, redisperf_postgres_schema, through)
    yield factory
    factory.close()


@pytest.fixture
def _redisperf_database(
    request: pytest.FixtureRequest,
    _redisperf_postgres_servers: Servers[PostgresServer],
    redisperf_postgres_schema: Source,
) -> Iterator[Lent]:
    from pytest_redisperf.isolation import isolation_of

    isolation, server = isolation_of(request.config), _redisperf_postgres_servers[0]
    with isolation.lent(request.node, server, redisperf_postgres_schema) as lent:
        yield lent


@pytest.fixture
def _redisperf_direct_postgres_dsn(_redisperf_database: Lent) -> str:
    return _redisperf_database.dsn


@pytest.fixture
def redisperf_postgres_dsn(request: pytest.FixtureRequest, _redisperf_database: Lent) -> str:
    """DSN (`postgresql://...`) of a Postgres database that is clean when the test begins: see `redisperf_isolation`."""
    return seen(request.config, "postgres", _redisperf_database.dsn)


@pytest.fixture
def redisperf_postgres(
    request: pytest.FixtureRequest, redisperf_postgres_dsn: str, _redisperf_database: Lent
) -> Iterator[psycopg.Connection[Any]]:
    """A `psycopg.Connection` to a clean database, as `psycopg.connect(dsn)` makes it: not in autocommit mode.

    With the isolation `rollback` it is one that earlier tests had, made new again: nothing connects.
    """
    psycopg: Any = client_library("psycopg", "psycopg 3", "postgres")
    kept = _redisperf_database.connection
    connection = psycopg.connect(redisperf_postgres_dsn) if kept is None else kept.lend(redisperf_postgres_dsn)
    yield connection
    if _stays(request.node) and connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
        connection.commit()  # what the test saw is to be seen
    if kept is None:
        connection.close()
    else:
        kept.give_back()


@pytest.fixture
def redisperf_async_postgres(redisperf_postgres_dsn: str) -> Iterator[AsyncPostgres]:
    """Opens `psycopg.AsyncConnection`s to a clean database, in the running loop.

    `async with redisperf_async_postgres() as connection:` or `connection = await redisperf_async_postgres()`;
    arguments go to `AsyncConnection.connect`. What is still open when the test ends is closed.
    """
    from pytest_redisperf.async_clients import AsyncPostgres

    opened = AsyncPostgres(client_library("psycopg", "psycopg 3", "postgres"), redisperf_postgres_dsn)
    yield opened
    opened.close()


@pytest.fixture
def redisperf_fake_postgres(
    request: pytest.FixtureRequest, _redisperf_postgres_servers: Servers[PostgresServer]
) -> Iterator[FakePostgres]:
    """The stand-in that is this run's Postgres with `--redisperf-postgres=fake`, its script and memory empty.

    `redisperf_fake_postgres.on("SELECT ...").rows([...])`; `.asked` is what it was asked. The other fixtures use it.
    """
    choice = Settings.of(request.config).postgres
    if choice != "fake":
        pytest.fail(
            "redisperf: this test scripts the stand-in for Postgres, which is there with --redisperf-postgres=fake; "
            f"this run has {choice.partition('://')[0]}",
            pytrace=False,
        )
    fake: Any = _redisperf_postgres_servers[0]
    fake.clear()
    yield fake
    fake.clear()


def _stays(node: pytest.Item) -> bool:
    from pytest_redisperf.isolation import KEEP

    return node.stash.get(KEEP, False)
