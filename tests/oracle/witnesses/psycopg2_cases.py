"""psycopg2, blocking and asynchronous: see `postgres_cases`. The handshake of a blocking connection is not seen."""

from __future__ import annotations

import io
import select
from typing import Any

from case import At, case
from postgres_cases import INSERT, filled, table

PSYCOPG2 = "psycopg2"
NEEDS = ("psycopg2",)


def connect(at: At, *, autocommit: bool = True, **options: Any) -> Any:
    import psycopg2

    connection = psycopg2.connect(**address(at, **options))
    if not options.get("async_"):
        connection.autocommit = autocommit
    return connection


def address(at: At, **options: Any) -> dict[str, Any]:
    return {
        "host": at.postgres_host,
        "port": at.postgres_port,
        "user": at.postgres_user,
        "dbname": at.postgres_database,
        "sslmode": "disable",
        **options,
    }


@case("postgres", PSYCOPG2, "connect, trusted", needs=NEEDS, unseen=1)
def psycopg2_connect(at: At) -> None:
    connect(at).close()


@case("postgres", PSYCOPG2, "connect, SCRAM", needs=NEEDS, unseen=3)
def psycopg2_connect_scram(at: At) -> None:
    connect(at, user=at.scram_user, password=at.scram_password).close()


@case("postgres", PSYCOPG2, "connect, Unix socket, 3 statements", needs=NEEDS, unseen=1)
def psycopg2_unix(at: At) -> None:
    connection = connect(at, host=at.postgres_unix)
    for _ in range(3):
        connection.cursor().execute("SELECT 1")
    connection.close()


@case("postgres", PSYCOPG2, "3 statements, autocommit", needs=NEEDS, unseen=1)
def psycopg2_autocommit(at: At) -> None:
    connection = connect(at)
    for number in range(3):
        connection.cursor().execute("SELECT %s", (number,))
    connection.close()


@case("postgres", PSYCOPG2, "3 statements in a transaction, committed", needs=NEEDS, unseen=1)
def psycopg2_transaction(at: At) -> None:
    with connect(at, autocommit=False) as connection:
        for number in range(3):
            connection.cursor().execute("SELECT %s", (number,))
    connection.close()


@case("postgres", PSYCOPG2, "executemany(50) in its own transaction", needs=NEEDS, before=table, unseen=1)
def psycopg2_executemany(at: At) -> None:
    with connect(at, autocommit=False) as connection:
        connection.cursor().executemany(INSERT, [(f"body {number}",) for number in range(50)])
    connection.close()


@case("postgres", PSYCOPG2, "execute_batch(50), 10 a page", needs=NEEDS, before=table, counters=False, unseen=1)
def psycopg2_batch(at: At) -> None:
    from psycopg2.extras import execute_batch

    connection = connect(at)
    execute_batch(connection.cursor(), INSERT, [(f"body {number}",) for number in range(50)], page_size=10)
    connection.close()


@case("postgres", PSYCOPG2, "execute_values(50)", needs=NEEDS, before=table, unseen=1)
def psycopg2_values(at: At) -> None:
    from psycopg2.extras import execute_values

    connection = connect(at)
    execute_values(connection.cursor(), "INSERT INTO message (body) VALUES %s", [(str(n),) for n in range(50)])
    connection.close()


@case("postgres", PSYCOPG2, "named cursor, 1,000 rows, 200 at a time", needs=NEEDS, unseen=1)
def psycopg2_named_cursor(at: At) -> None:
    with connect(at, autocommit=False) as connection, connection.cursor("rows") as cursor:
        cursor.itersize = 200
        cursor.execute("SELECT generate_series(1, 1000)")
        assert sum(1 for _ in cursor) == 1000
    connection.close()


@case("postgres", PSYCOPG2, "COPY in, then COPY out, 1,000 rows", needs=NEEDS, before=table, unseen=1)
def psycopg2_copy(at: At) -> None:
    connection = connect(at)
    cursor = connection.cursor()
    cursor.copy_from(io.StringIO("".join(f"body {number}\n" for number in range(1000))), "message", columns=["body"])
    cursor.copy_to(io.StringIO(), "message")
    connection.close()


@case("postgres", PSYCOPG2, "an error, then a statement", needs=NEEDS, unseen=1)
def psycopg2_error(at: At) -> None:
    import psycopg2

    connection = connect(at)
    try:
        connection.cursor().execute("SELECT 1/0")
    except psycopg2.errors.DivisionByZero:
        connection.cursor().execute("SELECT 1")
    connection.close()


@case("postgres", PSYCOPG2, "20,000 rows", needs=NEEDS, before=filled, unseen=1)
def psycopg2_many_rows(at: At) -> None:
    connection = connect(at)
    cursor = connection.cursor()
    cursor.execute("SELECT id, body FROM message")
    assert len(cursor.fetchall()) == 20000
    connection.close()


@case("postgres", PSYCOPG2, "pool of 2, 3 uses", needs=NEEDS, unseen=2)
def psycopg2_pool(at: At) -> None:
    from psycopg2.pool import ThreadedConnectionPool

    pool = ThreadedConnectionPool(2, 2, **address(at))
    for _ in range(3):
        connection = pool.getconn()
        connection.cursor().execute("SELECT 1")
        pool.putconn(connection)
    pool.closeall()


@case("postgres", PSYCOPG2, "asynchronous connection, 2 statements", needs=NEEDS)
def psycopg2_asynchronous(at: At) -> None:
    connection = connect(at, async_=True)
    wait(connection)
    cursor = connection.cursor()
    for number in range(2):
        cursor.execute("SELECT %s", (number,))
        wait(connection)
    connection.close()


def wait(connection: Any) -> None:
    from psycopg2.extensions import POLL_OK, POLL_WRITE

    while (state := connection.poll()) != POLL_OK:
        ends = ([], [connection]) if state == POLL_WRITE else ([connection], [])
        select.select(*ends, [], 10)
