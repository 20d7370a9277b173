"""psycopg 3, blocking. libpq takes an answer from the socket when it is asked for one, on asyncio too.

Only in pipeline mode it also reads while it still sends (so that neither side blocks): there system calls would
split a round trip wherever an answer happens to lie ready, and the witness is the delay pipe.
"""

from __future__ import annotations

from typing import Any

from case import SLOPE, TURNS, At, case

PSYCOPG = "psycopg"
INSERT = "INSERT INTO message (body) VALUES (%s)"
BULK_MS = (100, 500)


def connect(at: At, **options: Any) -> Any:
    import psycopg

    return psycopg.connect(**address(at, **options))


def address(at: At, **options: Any) -> dict[str, Any]:
    return {
        "host": at.postgres_host,
        "port": at.postgres_port,
        "user": at.postgres_user,
        "dbname": at.postgres_database,
        "sslmode": "disable",
        "autocommit": True,
        **options,
    }


def table(at: At) -> None:
    with connect(at, host=at.postgres_unix) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS message (id bigserial PRIMARY KEY, body text)")
        connection.execute("TRUNCATE message")


def filled(at: At) -> None:
    table(at)
    with connect(at, host=at.postgres_unix) as connection:
        connection.execute("INSERT INTO message (body) SELECT 'body ' || n FROM generate_series(1, 20000) n")


@case("postgres", PSYCOPG, "connect, trusted")
def psycopg_connect(at: At) -> None:
    connect(at).close()


@case("postgres", PSYCOPG, "connect, SCRAM")
def psycopg_connect_scram(at: At) -> None:
    connect(at, user=at.scram_user, password=at.scram_password).close()


@case("postgres", PSYCOPG, "connect, sslmode=prefer, server without TLS")
def psycopg_connect_prefer(at: At) -> None:
    connect(at, sslmode="prefer").close()


@case("postgres", PSYCOPG, "connect, Unix socket, 3 statements")
def psycopg_unix(at: At) -> None:
    with connect(at, host=at.postgres_unix) as connection:
        for _ in range(3):
            connection.execute("SELECT 1")


@case("postgres", PSYCOPG, "one statement, autocommit")
def psycopg_autocommit(at: At) -> None:
    with connect(at) as connection:
        connection.execute("SELECT 1").fetchone()


@case("postgres", PSYCOPG, "one statement in a new transaction, committed")
def psycopg_transaction(at: At) -> None:
    with connect(at, autocommit=False) as connection:
        connection.execute("SELECT 1")


@case(
    "postgres",
    PSYCOPG,
    "8 executions of one statement, autocommit",
    own_commits=1,
    note="the server also commits the transaction in which the statement was only prepared",
)
def psycopg_eight(at: At) -> None:
    with connect(at) as connection:
        for number in range(8):
            connection.execute("SELECT %s::int", (number,))


@case("postgres", PSYCOPG, "8 executions, prepare_threshold=None")
def psycopg_eight_unprepared(at: At) -> None:
    with connect(at, prepare_threshold=None) as connection:
        for number in range(8):
            connection.execute("SELECT %s::int", (number,))


@case(
    "postgres",
    PSYCOPG,
    "3 executions, prepare=True",
    own_commits=1,
    note="the server also commits the transaction in which the statement was only prepared",
)
def psycopg_prepared(at: At) -> None:
    with connect(at) as connection:
        for number in range(3):
            connection.execute("SELECT %s::int", (number,), prepare=True)


@case("postgres", PSYCOPG, "executemany(50) in its own transaction", before=table, witness=TURNS)
def psycopg_executemany(at: At) -> None:
    with connect(at, autocommit=False) as connection:
        connection.cursor().executemany(INSERT, [(f"body {number}",) for number in range(50)])


@case("postgres", PSYCOPG, "executemany(50), autocommit", before=table, witness=TURNS)
def psycopg_executemany_autocommit(at: At) -> None:
    with connect(at) as connection:
        connection.cursor().executemany(INSERT, [(f"body {number}",) for number in range(50)])


@case("postgres", PSYCOPG, "executemany(50, returning=True)", before=table, witness=TURNS)
def psycopg_executemany_returning(at: At) -> None:
    with connect(at, autocommit=False) as connection:
        rows = [(f"body {number}",) for number in range(50)]
        connection.cursor().executemany(f"{INSERT} RETURNING id", rows, returning=True)


@case("postgres", PSYCOPG, "pipeline of 50, autocommit", witness=TURNS)
def psycopg_pipeline(at: At) -> None:
    with connect(at) as connection, connection.pipeline():
        for number in range(50):
            connection.execute("SELECT %s::int", (number,))


@case("postgres", PSYCOPG, "pipeline of 10 in a transaction", before=table, witness=TURNS)
def psycopg_pipeline_transaction(at: At) -> None:
    with connect(at, autocommit=False) as connection, connection.pipeline():
        for number in range(10):
            connection.execute(INSERT, (f"body {number}",))


@case("postgres", PSYCOPG, "pipeline with two fetches inside", witness=TURNS)
def psycopg_pipeline_fetch(at: At) -> None:
    with connect(at) as connection, connection.pipeline():
        connection.execute("SELECT 1").fetchone()
        connection.execute("SELECT 2").fetchone()
        connection.execute("SELECT 3")


@case(
    "postgres",
    PSYCOPG,
    "pipeline of 2,000 statements of 1 KB",
    witness=SLOPE,
    latencies_ms=BULK_MS,
    note="sending takes longer than the pipe holds back, so only the slope can tell",
)
def psycopg_pipeline_huge(at: At) -> None:
    with connect(at) as connection, connection.pipeline():
        for _ in range(2000):
            connection.execute("SELECT length(%s)", ("x" * 1000,))


@case("postgres", PSYCOPG, "COPY in, 1,000 rows, in a transaction", before=table)
def psycopg_copy_in(at: At) -> None:
    with (
        connect(at, autocommit=False) as connection,
        connection.cursor().copy("COPY message (body) FROM STDIN") as copy,
    ):
        for number in range(1000):
            copy.write_row((f"body {number}",))


@case("postgres", PSYCOPG, "COPY in, autocommit", before=table)
def psycopg_copy_in_autocommit(at: At) -> None:
    with connect(at) as connection, connection.cursor().copy("COPY message (body) FROM STDIN") as copy:
        copy.write_row(("body",))


@case("postgres", PSYCOPG, "COPY out, 1,000 rows")
def psycopg_copy_out(at: At) -> None:
    with (
        connect(at) as connection,
        connection.cursor().copy("COPY (SELECT generate_series(1, 1000)) TO STDOUT") as copy,
    ):
        assert sum(1 for _ in copy.rows()) == 1000


@case("postgres", PSYCOPG, "server-side cursor, 1,000 rows, 200 at a time")
def psycopg_server_cursor(at: At) -> None:
    with connect(at, autocommit=False) as connection, connection.cursor(name="rows") as cursor:
        cursor.itersize = 200
        cursor.execute("SELECT generate_series(1, 1000)")
        assert sum(1 for _ in cursor) == 1000


@case("postgres", PSYCOPG, "stream, 1,000 rows")
def psycopg_stream(at: At) -> None:
    with connect(at) as connection:
        assert sum(1 for _ in connection.cursor().stream("SELECT generate_series(1, 1000)")) == 1000


@case("postgres", PSYCOPG, "several statements in one execute", counters=False)
def psycopg_multi_statement(at: At) -> None:
    with connect(at) as connection:
        connection.execute("SELECT 1; SELECT 2; SELECT 3")


@case("postgres", PSYCOPG, "an error, then a statement")
def psycopg_error(at: At) -> None:
    import psycopg

    with connect(at) as connection:
        try:
            connection.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            connection.execute("SELECT 1")


@case("postgres", PSYCOPG, "rollback after a prepared statement, then the next")
def psycopg_rollback_prepared(at: At) -> None:
    with connect(at, autocommit=False) as connection:
        connection.execute("SELECT %s::int", (1,), prepare=True)
        connection.rollback()
        connection.execute("SELECT 1")


@case("postgres", PSYCOPG, "savepoints", before=table)
def psycopg_savepoint(at: At) -> None:
    with connect(at) as connection, connection.transaction():
        connection.execute(INSERT, ("outer",))
        with connection.transaction():
            connection.execute(INSERT, ("inner",))


@case(
    "postgres",
    PSYCOPG,
    "LISTEN, NOTIFY by another connection, notification",
    own_commits=1,
    note="the listening session takes the notification in a transaction of its own",
)
def psycopg_notify(at: At) -> None:
    with connect(at) as listener, connect(at) as other:
        listener.execute("LISTEN news")
        other.execute("NOTIFY news, 'late'")
        notifications = listener.notifies()
        assert next(notifications).payload == "late"
        notifications.close()
        listener.execute("UNLISTEN news")


@case("postgres", PSYCOPG, "1,000 rows", before=filled)
def psycopg_thousand_rows(at: At) -> None:
    with connect(at) as connection:
        assert len(connection.execute("SELECT id, body FROM message LIMIT 1000").fetchall()) == 1000


@case("postgres", PSYCOPG, "20,000 rows", before=filled)
def psycopg_many_rows(at: At) -> None:
    with connect(at) as connection:
        assert len(connection.execute("SELECT id, body FROM message").fetchall()) == 20000


@case("postgres", PSYCOPG, "value of 1 MB, there and back")
def psycopg_large_value(at: At) -> None:
    with connect(at) as connection:
        assert len(connection.execute("SELECT %s::text", ("x" * 1_000_000,)).fetchone()[0]) == 1_000_000


@case("postgres", PSYCOPG, "binary parameters and results")
def psycopg_binary(at: At) -> None:
    with connect(at) as connection:
        connection.execute("SELECT %b::int", (1,), binary=True)


@case("postgres", PSYCOPG, "NOTICE on the way")
def psycopg_notice(at: At) -> None:
    with connect(at) as connection:
        connection.execute("DO $$ BEGIN RAISE NOTICE 'by the way'; END $$")


@case("postgres", PSYCOPG, "pool of 2, 3 uses", needs=("psycopg_pool",))
def psycopg_pool(at: At) -> None:
    from psycopg_pool import ConnectionPool

    with ConnectionPool(kwargs=address(at), min_size=2, open=True) as pool:
        pool.wait()
        for _ in range(3):
            with pool.connection() as connection:
                connection.execute("SELECT 1")


@case(
    "postgres",
    PSYCOPG,
    "10 statements, one after another",
    witness=SLOPE,
    own_commits=1,
    note="the server also commits the transaction in which the statement was only prepared",
)
def psycopg_slope(at: At) -> None:
    with connect(at) as connection:
        for _ in range(10):
            connection.execute("SELECT 1")
