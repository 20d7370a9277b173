"""What a test leaves in Postgres is not there for the next one, whatever it is; what need not be made anew is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.servers.isolation.databases import Databases
from redis_perf.servers.isolation.lending import Lending
from redis_perf.servers.isolation.reset import Reset
from redis_perf.servers.isolation.rollback import KeptConnection
from redis_perf.servers.isolation.schema import Schema

psycopg = pytest.importorskip("psycopg")

SCHEMA = """
CREATE SCHEMA "Other schema";
CREATE TABLE users (id serial PRIMARY KEY, name text UNIQUE);
INSERT INTO users (name) VALUES ('ada'), ('grace');
CREATE TABLE posts (id bigint GENERATED ALWAYS AS IDENTITY, author int NOT NULL REFERENCES users ON DELETE RESTRICT);
CREATE TABLE one (id int PRIMARY KEY, other int);
CREATE TABLE two (id int PRIMARY KEY, other int REFERENCES one DEFERRABLE);
ALTER TABLE one ADD FOREIGN KEY (other) REFERENCES two DEFERRABLE;
CREATE TABLE "Other schema"."odd "" table" (i int);
CREATE UNLOGGED TABLE quick (i int);
CREATE TABLE events (at int, what text) PARTITION BY RANGE (at);
CREATE TABLE early PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE late PARTITION OF events FOR VALUES FROM (10) TO (20);
CREATE TABLE parent (i int);
CREATE TABLE child (j int) INHERITS (parent);
CREATE MATERIALIZED VIEW names AS SELECT name FROM users;
CREATE UNIQUE INDEX ON names (name);
CREATE TABLE audited (i int);
CREATE TABLE audit (was int);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO audit VALUES (OLD.i); RETURN NULL; END $$;
CREATE TRIGGER audit BEFORE DELETE ON audited FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TABLE kept_by_rule (i int);
CREATE RULE keep AS ON DELETE TO kept_by_rule DO INSTEAD NOTHING;
CREATE TABLE secured (i int);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE SEQUENCE tickets START 100;
CREATE UNLOGGED SEQUENCE loose CACHE 5;
"""

CLEANED = {
    "nothing": "SELECT 1",
    "reading": "SELECT * FROM users",
    "rows": "INSERT INTO one VALUES (1, NULL)",
    "rows_beside_seed_rows": "INSERT INTO users (name) VALUES ('joan')",
    "foreign_keys": "INSERT INTO users (name) VALUES ('joan'); INSERT INTO posts (author) VALUES (3), (1)",
    "circular_foreign_keys": "SET CONSTRAINTS ALL DEFERRED; INSERT INTO one VALUES (1, 1); "
    "INSERT INTO two VALUES (1, 1)",
    "a_schema_other_than_public": 'INSERT INTO "Other schema"."odd "" table" VALUES (1)',
    "unlogged_tables": "INSERT INTO quick VALUES (1)",
    "partitions": "INSERT INTO events VALUES (1, 'a'), (11, 'b')",
    "inheritance": "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 2)",
    "delete_triggers": "INSERT INTO audited VALUES (1)",
    "delete_rules": "INSERT INTO kept_by_rule VALUES (1)",
    "row_level_security": "INSERT INTO secured VALUES (1)",
    "temporary_tables": "CREATE TEMP TABLE scratch AS SELECT 1; INSERT INTO one VALUES (1, NULL)",
    "a_sequence": "SELECT nextval('tickets')",
    "an_unlogged_sequence": "SELECT nextval('loose')",
    "a_sequence_that_was_set": "SELECT setval('tickets', 7)",
    "a_rolled_back_insert_that_took_a_number": "INSERT INTO users (name) VALUES ('x'); ROLLBACK",
    "savepoints": "INSERT INTO one VALUES (1, NULL); SAVEPOINT s; INSERT INTO two VALUES (1, NULL); ROLLBACK TO s",
    "session_settings": "SET search_path = nowhere",
    "session_advisory_locks": "SELECT pg_advisory_lock(1)",
    "locked_seed_rows": "SELECT * FROM users FOR UPDATE",
    "cursors_with_hold": "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "prepared_statements": "PREPARE p AS SELECT 1",
    "notifications": "LISTEN n; NOTIFY n, 'x'",
    "rolled_back_ddl": "CREATE TABLE more (i int); DROP TABLE posts; ROLLBACK",
    "more_rows_than_fit_a_page": "INSERT INTO one SELECT i, NULL FROM generate_series(1, 2000) i",
}
NEW = {
    "an_updated_seed_row": "UPDATE users SET name = 'lovelace' WHERE name = 'ada'",
    "a_deleted_seed_row": "DELETE FROM users WHERE name = 'ada'",
    "a_seed_row_deleted_and_put_back": "DELETE FROM users WHERE id = 1; INSERT INTO users VALUES (1, 'ada')",
    "truncated_seed_rows": "TRUNCATE users CASCADE",
    "a_truncated_table": "TRUNCATE one CASCADE",
    "a_new_table": "CREATE TABLE more (i int)",
    "a_dropped_table": "DROP TABLE posts",
    "a_renamed_column": "ALTER TABLE one RENAME other TO another",
    "a_dropped_column": "ALTER TABLE posts DROP author",
    "a_disabled_trigger": "ALTER TABLE audited DISABLE TRIGGER audit",
    "a_new_index": "CREATE INDEX ON posts (author)",
    "a_new_schema": "CREATE SCHEMA more",
    "a_new_function": "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a_changed_function": "CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "a_changed_function_of_the_system": "REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC",
    "a_new_type": "CREATE TYPE mood AS ENUM ('sad')",
    "an_extension": "DROP EXTENSION plpgsql CASCADE",
    "a_comment": "COMMENT ON TABLE one IS 'x'",
    "a_comment_on_public": "COMMENT ON SCHEMA public IS 'x'",
    "a_grant": "GRANT SELECT ON one TO PUBLIC",
    "default_privileges": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "a_restarted_sequence": "ALTER SEQUENCE tickets RESTART WITH 5",
    "a_refreshed_materialised_view": "INSERT INTO users (name) VALUES ('x'); REFRESH MATERIALIZED VIEW names",
    "a_large_object": "SELECT lo_create(12345)",
    "a_publication": "CREATE PUBLICATION p",
    "statistics_objects": "CREATE STATISTICS s ON at, what FROM events",
    "settings_of_the_database": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 99', "
    "current_database()); END $$",
    "settings_of_a_role_in_the_database": "DO $$ BEGIN EXECUTE format('ALTER ROLE postgres IN DATABASE %I "
    "SET work_mem = 99', current_database()); END $$",
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    root = tmp_path_factory.mktemp("schema")
    (root / "schema.sql").write_text(SCHEMA)
    return Schema.of("schema.sql", root)


@pytest.fixture(scope="module")
def lending(postgres_server: servers.PostgresServer) -> Iterator[Lending]:
    lending = Lending(postgres_server)
    yield lending
    lending.close()


@pytest.fixture
def databases(postgres_server: servers.PostgresServer) -> Iterator[Databases]:
    databases = Databases(postgres_server)
    yield databases
    databases.close()


def ask(dsn: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


EVERYTHING = (
    "SELECT id, name FROM users ORDER BY 1",
    "SELECT name FROM names ORDER BY 1",
    "SELECT attrelid::regclass::text, attname, atttypid FROM pg_attribute WHERE attrelid >= 16384 ORDER BY 1, 2",
    "SELECT oid::regclass::text, relacl::text, relkind FROM pg_class WHERE oid >= 16384 ORDER BY 1",
    "SELECT proname, prosrc, proacl::text FROM pg_proc WHERE oid >= 16384 OR proname = 'pg_sleep' ORDER BY 1",
    "SELECT nspname FROM pg_namespace WHERE nspname !~ 'temp' ORDER BY 1",
    "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "SELECT description FROM pg_description WHERE objoid >= 16384 OR objoid = 2200 ORDER BY 1",
    "SELECT (SELECT count(*) FROM pg_default_acl), (SELECT count(*) FROM pg_publication)",
    "SELECT (SELECT count(*) FROM pg_statistic_ext), (SELECT count(*) FROM pg_largeobject_metadata)",
    "SELECT extname FROM pg_extension",
    "SELECT typname FROM pg_type WHERE oid >= 16384 ORDER BY 1",
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "SELECT current_setting('work_mem'), current_setting('search_path')",
)


def state(dsn: str) -> list[list[tuple[Any, ...]]]:
    """All a test could find: rows, sequences, objects, privileges, comments, settings, locks."""
    relations = (
        "SELECT oid::regclass::text, relkind FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'S') ORDER BY 1"
    )
    with psycopg.connect(dsn) as connection:
        found = [connection.execute(question).fetchall() for question in EVERYTHING]
        for name, kind in sorted(connection.execute(relations).fetchall()):
            of = "count(*)" if kind == "r" else "last_value, is_called"
            found.append([(name, *row) for row in connection.execute(f"SELECT {of} FROM {name}")])
    return found


@pytest.mark.parametrize("left", CLEANED.values(), ids=CLEANED)
def test_reset_takes_back(left: str, lending: Lending, schema: Schema) -> None:
    name = lending.cleaned(schema)
    fresh = state(lending.dsn(name))
    connection = psycopg.connect(lending.dsn(lending.cleaned(schema)))
    connection.execute(left)
    connection.commit()
    again = lending.cleaned(schema)
    assert again == lending.cleaned(schema)
    assert connection.closed or _ended(connection)
    connection.close()
    assert state(lending.dsn(again)) == fresh
    assert again == name


@pytest.mark.parametrize("left", NEW.values(), ids=NEW)
def test_reset_takes_a_new_database_after(left: str, lending: Lending, schema: Schema) -> None:
    name = lending.cleaned(schema)
    fresh = state(lending.dsn(name))
    ask(lending.dsn(lending.cleaned(schema)), left)
    again = lending.cleaned(schema)
    assert again != name
    assert state(lending.dsn(again)) == fresh


def _ended(connection: Any) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_a_table_is_cleaned_as_often_as_it_is_written(lending: Lending, schema: Schema) -> None:
    name = lending.cleaned(schema)
    for _ in range(5):
        dsn = lending.dsn(lending.cleaned(schema))
        assert ask(dsn, "INSERT INTO users (name) VALUES ('joan') RETURNING id") == [(3,)]
    assert lending.cleaned(schema) == name


def test_a_number_of_a_sequence_that_was_not_logged_is_noticed(lending: Lending, schema: Schema) -> None:
    """A sequence logs 32 values ahead: in a clone of a template whose schema took numbers, some are logged already."""
    dsn = lending.dsn(lending.cleaned(schema))
    ask(dsn, "SELECT nextval('users_id_seq')")
    assert ask(lending.dsn(lending.cleaned(schema)), "SELECT nextval('users_id_seq')") == [(3,)]


def test_an_open_transaction_of_the_last_test_locks_nothing(lending: Lending, schema: Schema) -> None:
    name = lending.cleaned(schema)
    with psycopg.connect(lending.dsn(name)) as left_open:
        left_open.execute("LOCK TABLE users")
        left_open.execute("INSERT INTO one VALUES (1, NULL)")
        assert lending.cleaned(schema) == name
        with pytest.raises(psycopg.OperationalError):
            left_open.execute("SELECT 1")
    assert ask(lending.dsn(name), "SELECT count(*) FROM one") == [(0,)]


def test_too_many_deleted_rows_make_room_for_a_new_database(
    lending: Lending, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_perf.servers.isolation.reset.MOST_DELETED", 100)
    name = lending.cleaned(schema)
    ask(lending.dsn(name), "INSERT INTO one SELECT i, NULL FROM generate_series(1, 101) i")
    assert lending.cleaned(schema) != name


def test_more_transactions_than_are_looked_into_make_a_new_database(
    lending: Lending, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_perf.servers.isolation.books.MOST_TRANSACTIONS", 1)
    name = lending.cleaned(schema)
    for i in range(3):
        ask(lending.dsn(name), f"INSERT INTO one VALUES ({i}, NULL)")
    assert lending.cleaned(schema) != name


@pytest.mark.parametrize(
    ("statement", "doubt"),
    [
        ("ALTER TABLE audited ENABLE ALWAYS TRIGGER audit", "trigger audit of audited fires always"),
        ("ALTER TABLE kept_by_rule ENABLE ALWAYS RULE keep", "rule keep of kept_by_rule fires always"),
    ],
)
def test_a_schema_that_forbids_cleaning_gets_a_new_database_each_time(
    statement: str, doubt: str, databases: Databases, schema: Schema
) -> None:
    name = databases.take(databases.template(schema))
    ask(databases.dsn(name), statement)
    reset = Reset(databases.session(name))
    assert not reset.clean()
    assert reset.doubt == doubt
    reset.close()


def test_alter_system_means_a_new_database(lending: Lending, schema: Schema) -> None:
    name = lending.cleaned(schema)
    with psycopg.connect(lending.dsn(name), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = 99")
        connection.execute("ALTER SYSTEM RESET work_mem")
    assert lending.cleaned(schema) != name


def test_a_prepared_transaction_is_rolled_back(
    postgres_server: servers.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis_perf.servers import local_postgres

    assert isinstance(postgres_server, local_postgres.LocalPostgres)
    monkeypatch.setitem(local_postgres.SETTINGS, "max_prepared_transactions", "2")
    server = local_postgres.LocalPostgres("embedded", postgres_server._installation)
    try:
        databases = Databases(server)
        name = databases.take()
        ask(databases.dsn(name), "CREATE TABLE t (i int)")
        reset = Reset(databases.session(name))
        prepare = ("INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'left'")
        with psycopg.connect(databases.dsn(name), autocommit=True) as connection:
            connection.execute(";".join(["BEGIN", *prepare]))
        assert reset.clean(), reset.doubt
        assert ask(databases.dsn(name), "SELECT count(*) FROM t") == [(0,)]
        with psycopg.connect(databases.dsn(name), autocommit=True) as connection:
            connection.execute(";".join(["BEGIN", *prepare]))
        reset.close()
        databases.drop(name)
        databases.drop(databases.take())
        assert ask(server.dsn, f"SELECT 1 FROM pg_database WHERE datname = '{name}'") == []
        databases.close()
    finally:
        server.stop()


def test_databases_are_empty_each_its_own_and_dropped_behind(databases: Databases) -> None:
    names = []
    for _ in range(6):
        names.append(databases.take())
        assert ask(databases.dsn(names[-1]), "SELECT to_regclass('t')") == [(None,)]
        ask(databases.dsn(names[-1]), "CREATE TABLE t (i int)")
        databases.drop(names[-1])
    databases.drop("nothing_of_this_name")
    found = ask(databases.dsn("postgres"), "SELECT datname FROM pg_database")
    assert not {(name,) for name in names} & set(found)


def test_what_failed_behind_is_told_once_and_then_it_goes_on(databases: Databases) -> None:
    databases.take()
    databases._maker.send("CREATE DATABASE nothing TEMPLATE nowhere")
    with pytest.raises(ServerUnavailable, match=r'refused .*: template database "nowhere" does not exist'):
        databases.take()
    assert ask(databases.dsn(databases.take()), "SELECT 1") == [(1,)]


def test_a_test_that_kills_the_server_is_followed_by_one_with_a_database(
    postgres_server: servers.PostgresServer,
) -> None:
    server: Any = type(postgres_server)("embedded", postgres_server._installation)  # type: ignore[attr-defined, call-arg]
    try:
        lending = Lending(server)
        lending.cleaned(None)
        lending.new(None)
        server.kill()
        server.start()
        assert ask(lending.dsn(lending.cleaned(None)), "SELECT 1") == [(1,)]
        assert ask(lending.dsn(lending.new(None)), "SELECT 1") == [(1,)]
        lending.close()
    finally:
        server.stop()


def test_a_server_that_is_gone_says_so(postgres_server: servers.PostgresServer) -> None:
    server: Any = type(postgres_server)("embedded", postgres_server._installation)  # type: ignore[attr-defined, call-arg]
    lending = Lending(server)
    lending.new(None)
    server.stop()
    with pytest.raises(ServerUnavailable, match=r"^postgres=embedded: the server does not answer any more"):
        lending.new(None)
    lending.close()


def test_a_template_is_made_once_sealed_and_takes_its_settings_along(databases: Databases, tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE a (i int)")
    (tmp_path / "b.sql").write_text(
        """DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET work_mem = ''99kB''', current_database());
            EXECUTE format('ALTER DATABASE %I SET search_path = "x y", public', current_database());
            EXECUTE format('ALTER ROLE postgres IN DATABASE %I SET extra.name = ''it''''s''', current_database());
            EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
        END $$"""
    )
    schema = Schema.of("[ab].sql", tmp_path)
    template = databases.template(schema)
    assert databases.template(Schema.of("a.sql b.sql", tmp_path)) == template
    assert databases.template(Schema.of("a.sql", tmp_path)) != template
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(databases.dsn(template))
    for name in (databases.take(template), databases.take(template)):
        (found,) = ask(
            databases.dsn(name),
            """SELECT to_regclass('a') IS NOT NULL, current_setting('work_mem'), current_setting('search_path'),
               current_setting('extra.name'), datacl::text
               FROM pg_database WHERE datname = current_database()""",
        )
        assert found[:4] == (True, "99kB", '"x y", public', "it's")
        assert sorted(found[4].strip("{}").split(",")) == ["=T/postgres", "postgres=CTc/postgres"]


def test_a_mistake_in_an_sql_file_names_file_line_and_reason(databases: Databases, tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_text("CREATE TABLE a (i int);\n\nCREATE TABLE b (i nothing);\n")
    schema = Schema.of("bad.sql", tmp_path)
    with pytest.raises(ServerUnavailable) as caught:
        databases.template(schema)
    assert str(caught.value) == (
        f'redisperf_schema: {tmp_path}/bad.sql, line 3: type "nothing" does not exist (42704)\n'
        "    CREATE TABLE b (i nothing);"
    )
    assert ask(databases.dsn("postgres"), f"SELECT 1 FROM pg_database WHERE datname ~ '{schema.digest}'") == []


def test_copy_from_stdin_is_refused_with_the_way_out(databases: Databases, tmp_path: Path) -> None:
    (tmp_path / "dump.sql").write_text("CREATE TABLE a (i int);\nCOPY a FROM stdin;\n1\n\\.\n")
    with pytest.raises(ServerUnavailable, match=r"(?s)dump\.sql.*syntax error|pg_dump --inserts"):
        databases.template(Schema.of("dump.sql", tmp_path))
    (tmp_path / "copy.sql").write_text("CREATE TABLE a (i int);\nCOPY a FROM stdin;\n")
    with pytest.raises(ServerUnavailable, match=r"pg_dump --inserts"):
        databases.template(Schema.of("copy.sql", tmp_path))


def test_a_connection_the_schema_left_open_does_not_keep_the_template(databases: Databases) -> None:
    left: list[Any] = []

    def make(dsn: str) -> None:
        left.append(psycopg.connect(dsn, autocommit=True))
        left[0].execute("CREATE TABLE a (i int)")

    name = databases.take(databases.template(Schema.by(make)))
    assert ask(databases.dsn(name), "SELECT count(*) FROM a") == [(0,)]
    left[0].close()


def test_a_function_of_a_module_runs_elsewhere_and_its_mistake_is_shown(databases: Databases, tmp_path: Path) -> None:
    (tmp_path / "tables.py").write_text(
        """
import psycopg

class Tables:
    @staticmethod
    def make(dsn):
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE a (i int)")

def fail(dsn):
    raise RuntimeError("no luck")

def forget(dsn):
    pass
"""
    )
    name = databases.take(databases.template(Schema.of("tables:Tables.make", tmp_path)))
    assert ask(databases.dsn(name), "SELECT count(*) FROM a") == [(0,)]
    with pytest.raises(ServerUnavailable, match=r"(?s)^redisperf_schema: tables:fail \(function\) failed:.*no luck$"):
        databases.template(Schema.of("tables:fail", tmp_path))
    with pytest.raises(ServerUnavailable, match=r"tables:forget .* ran but made nothing in the database it was given"):
        databases.template(Schema.of("tables:forget", tmp_path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "redisperf_schema is empty"),
        ("nowhere.sql", "there is no file"),
        ("nowhere.ini", "there is no file"),
        ("schema.txt!", "is no step of a schema; give an SQL file"),
        ("a:b:c", "is no step of a schema"),
    ],
)
def test_a_bad_schema_says_what_would_be_one(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match=problem):
        Schema.of(text, tmp_path)


@pytest.fixture
def kept() -> Iterator[KeptConnection]:
    kept = KeptConnection()
    yield kept
    kept.close()


def test_a_kept_connection_looks_new_each_time(lending: Lending, schema: Schema, kept: KeptConnection) -> None:
    dsn = lending.dsn(lending.cleaned(schema))
    first = kept.lend(dsn)
    pid = first.info.backend_pid
    first.autocommit = True
    first.row_factory = psycopg.rows.dict_row
    first.prepare_threshold = 0
    first.execute("SET work_mem = 99")
    first.execute("CREATE TEMP TABLE scratch (i int)")
    first.execute("SELECT pg_advisory_lock(1)")
    kept.give_back()
    second = kept.lend(dsn)
    assert second.info.backend_pid == pid
    assert not second.autocommit
    found = """SELECT current_setting('work_mem'), to_regclass('scratch'),
               (SELECT count(*) FROM pg_prepared_statements),
               (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"""
    assert second.execute(found).fetchone() == ("4MB", None, 0, 0)
    kept.give_back()


@pytest.mark.parametrize("commits", [False, True])
def test_a_rolled_back_test_leaves_nothing_and_neither_does_one_that_committed(
    commits: bool, lending: Lending, schema: Schema, kept: KeptConnection
) -> None:
    name = lending.cleaned(schema, kept.pid)
    fresh = state(lending.dsn(name))
    connection = kept.lend(lending.dsn(lending.cleaned(schema, kept.pid)))
    connection.execute("INSERT INTO users (name) VALUES ('joan')")
    if commits:
        connection.commit()
    kept.give_back()
    assert lending.cleaned(schema, kept.pid) == name
    assert not connection.closed
    assert state(lending.dsn(name)) == fresh


@pytest.mark.parametrize("spoil", ["closed", "ended", "copying", "failed"])
def test_a_connection_that_cannot_be_made_new_is_replaced(
    spoil: str, lending: Lending, schema: Schema, kept: KeptConnection
) -> None:
    dsn = lending.dsn(lending.cleaned(schema))
    connection = kept.lend(dsn)
    if spoil == "closed":
        connection.close()
    elif spoil == "ended":
        ask(dsn, f"SELECT pg_terminate_backend({connection.info.backend_pid})")
    elif spoil == "copying":
        connection.pgconn.exec_(b"COPY users TO STDOUT")
    else:
        with pytest.raises(psycopg.Error):
            connection.execute("nonsense")
    kept.give_back()
    assert kept.lend(dsn).execute("SELECT 1").fetchone() == (1,)
    kept.give_back()
