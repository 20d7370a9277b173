"""Fingerprints: what differs only in values is one shape, what asks something else is another."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redis_perf.shape import key_pattern, redis_shape, split_statements, sql_shape, sql_verb

UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("command", "shape"),
    [
        ("GET user:42", "GET user:{}"),
        ("get user:42", "GET user:{}"),
        ("RPUSH working:42:turns hello", "RPUSH working:{}:turns"),
        ("GET working:ada:turns", "GET working:ada:turns"),
        ("MGET user:1", "MGET user:{}"),
        ("MGET user:1 user:2 user:3", "MGET user:{} ..."),
        ("DEL a:1 b:2 c:3 d:4", "DEL a:{} b:{} c:{} ..."),
        ("MSET a:1 x b:2 y", "MSET a:{} b:{}"),
        ("JSON.MSET a:1 $ x b:2 $ y", "JSON.MSET a:{} b:{}"),
        ("MSETEX 2 a:1 x b:2 y EX 5", "MSETEX a:{} b:{}"),
        ("RENAME old:1 new:1", "RENAME old:{} new:{}"),
        ("BLPOP q:1 q:2 0", "BLPOP q:{} ..."),
        ("BLMPOP 0 1 q:1 LEFT", "BLMPOP q:{}"),
        ("ZUNIONSTORE out:1 2 a:1 b:2", "ZUNIONSTORE out:{} a:{} b:{}"),
        ("BITOP AND out:1 a:1", "BITOP out:{} a:{}"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s:1 t:2 > >", "XREADGROUP s:{} t:{}"),
        ("XADD s:1 * field value", "XADD s:{}"),
        ("XGROUP CREATE s:1 g $", "XGROUP CREATE s:{}"),
        ("OBJECT ENCODING k:1", "OBJECT ENCODING k:{}"),
        ("MEMORY USAGE k:1", "MEMORY USAGE k:{}"),
        ("CLIENT SETINFO LIB-NAME redis-py", "CLIENT SETINFO"),
        ("MEMORY 123", "MEMORY ?"),
        ("PUBLISH room:1 hello", "PUBLISH room:{}"),
        ("KEYS user:*", "KEYS user:*"),
        ("FCALL push_turn 1 k:1 x", "FCALL push_turn k:{}"),
        ("EVALSHA 5f3a2b1c9999888877776666 1 k:1 x", "EVALSHA 5f3a2b1c... k:{}"),
        ("EVALSHA 5f3a2b1c9999888877776666 many k:1", "EVALSHA 5f3a2b1c..."),
        ("PING", "PING"),
        ("", ""),
    ],
)
def test_a_command_has_its_name_and_key_patterns_as_shape(command: str, shape: str) -> None:
    assert redis_shape(command.encode().split()) == shape


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("user:42", "user:{}"),
        ("user42", "user{}"),
        (f"session:{UUID}", "session:{}"),
        (f"session:{UUID.replace('-', '')}", "session:{}"),
        ("sha:9f86d081", "sha:{}"),
        ("etag:deadbeefdeadbeef", "etag:{}"),
        ("deadbeef:facade", "deadbeef:facade"),
        ("mail:ada.lovelace@example.org:inbox", "mail:{}:inbox"),
        ("day:2026-11-21", "day:{}-{}-{}"),
        ("id:01ARZ3NDEKTSV4RRFFQ69G5FAV", "id:{}"),
        ("s:Zx81-kd_Qw7pLm3RtY6uI0", "s:{}"),
        ("axel:working:{42}:turns", "axel:working:{}:turns"),
        ("{user:42}:turns", "user:{}:turns"),
        ("{ada}:turns", "ada:turns"),
        ("{}", "{}"),
        ("a b\nc", "a b\\nc"),
        ("ключ:7", "ключ:{}"),
        ("k" * 300, "k" * 77 + "..."),
    ],
)
def test_what_identifies_is_cut_out_of_a_key(key: str, pattern: str) -> None:
    assert key_pattern(key.encode()) == pattern


def test_a_key_that_is_not_utf8_is_shown_with_backslashes() -> None:
    assert key_pattern(b"k:\xff\xfe") == "k:\\xff\\xfe"


@pytest.mark.parametrize(
    "command",
    ["AUTH s3cret", "AUTH ada s3cret", "HELLO 3 AUTH ada s3cret", "CONFIG SET requirepass s3cret", "SET k s3cret",
     "ACL SETUSER ada >s3cret", "MIGRATE host 1 k 0 1 AUTH s3cret", "SENTINEL SET m auth-pass s3cret", "ECHO s3cret"],
)  # fmt: skip
def test_secrets_and_values_are_never_kept(command: str) -> None:
    assert "s3cret" not in redis_shape(command.encode().split())
    assert "ada" not in redis_shape(command.encode().split())


@pytest.mark.parametrize(
    ("script", "shape"),
    [
        ("-- push_turn\nreturn 1", 'EVAL "push_turn" k:{}'),
        ("\n\n  ---  push a turn, 2nd version ---\nreturn 1", 'EVAL "push a turn, 2nd version" k:{}'),
        ("#!lua name=working\n", 'EVAL "working" k:{}'),
        ("return redis.call('GET', KEYS[1])", "EVAL \"return redis.call('GET', KEYS[1])\" k:{}"),
        ("redis.call('SET', KEYS[1], 'secret', 'EX', 55)", "EVAL \"redis.call('SET', KEYS[1], {}, {}, {})\" k:{}"),
        ("", 'EVAL "" k:{}'),
        ("-- " + "x" * 100, 'EVAL "' + "x" * 57 + '..." k:{}'),
    ],
)
def test_a_script_is_named_by_its_first_line(script: str, shape: str) -> None:
    assert redis_shape([b"EVAL", script.encode(), b"1", b"k:1", b"value"]) == shape


def test_a_script_that_is_loaded_is_named_like_one_that_is_run() -> None:
    assert redis_shape([b"SCRIPT", b"LOAD", b"-- push_turn\nreturn 1"]) == 'SCRIPT LOAD "push_turn"'
    assert redis_shape([b"FUNCTION", b"LOAD", b"REPLACE", b"#!lua name=lib\n"]) == 'FUNCTION LOAD "lib"'


@given(st.lists(st.binary(max_size=80), max_size=10))
def test_any_command_has_a_printable_shape(argv: list[bytes]) -> None:
    assert redis_shape(argv).isprintable()


@given(st.sampled_from(["GET", "HSET", "ZADD"]), st.integers(min_value=0), st.integers(min_value=0))
def test_commands_that_differ_in_numbers_and_values_have_one_shape(name: str, one: int, other: int) -> None:
    shapes = {redis_shape([name.encode(), b"user:%d:x" % key, b"value%d" % key]) for key in (one, other)}
    assert shapes == {f"{name} user:{{}}:x"}


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        ("select 1", "SELECT ?"),
        ("create table if not exists t (a int)", "CREATE TABLE IF NOT EXISTS t(a int)"),
        (
            "SELECT  *\n FROM users -- all\n WHERE id = $1 /* a /* nested */ one */ AND x=-5",
            "SELECT * FROM users WHERE id = ? AND x = ?",
        ),
        ("SELECT * FROM t WHERE a = %s AND b = %(name)s", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT a-5, b - 5, -5, (-5)", "SELECT a - ?, b - ?, ?, (?)"),
        ("SELECT 'it''s', E'a\\'b', $$x;y$$, $t$x$y$t$, 1.5e-3, .5, 0xFF, U&'x'", "SELECT ?, ?, ?, ?, ?, ?, ?, ?"),
        ("SELECT id FROM t WHERE id IN (1, -2, $3, 'x', NULL)", "SELECT id FROM t WHERE id IN (...)"),
        ("SELECT id FROM t WHERE id IN ($1::int, $2::int)", "SELECT id FROM t WHERE id IN (...)"),
        ("SELECT id FROM t WHERE id IN (SELECT id FROM u)", "SELECT id FROM t WHERE id IN (SELECT id FROM u)"),
        ("SELECT id FROM t WHERE id = ANY ($1::int[])", "SELECT id FROM t WHERE id = ANY(?::int[])"),
        ("SELECT id FROM t WHERE id = ANY(ARRAY[1,2])", "SELECT id FROM t WHERE id = ANY(ARRAY[...])"),
        ("SELECT id, name, created_at, updated_at, deleted_at FROM t", "SELECT ... FROM t"),
        ("SELECT count(*) FROM public . t", "SELECT count(*) FROM public.t"),
        ('SELECT "User"."id" FROM "User"', 'SELECT "User"."id" FROM "User"'),
        ("INSERT INTO t VALUES (%s)", "INSERT INTO t VALUES (...)"),
        (
            "insert into t (a, b) values (1, f('x')), (2, 'y') returning id",
            "INSERT INTO t ... VALUES (...) RETURNING id",
        ),
        (
            "INSERT INTO messages (id, body) SELECT id, body FROM unnest($1::uuid[], $2::text[]) AS t (id, body)",
            "INSERT INTO messages ... SELECT FROM unnest(...)",
        ),
        (
            "INSERT INTO m (a) SELECT * FROM unnest(%s) WITH ORDINALITY AS t(a, n) ON CONFLICT DO NOTHING",
            "INSERT INTO m ... SELECT FROM unnest(...) ON CONFLICT DO NOTHING",
        ),
        ("UPDATE t SET a = 1, b = 'x' WHERE id = 7;", "UPDATE t SET a = ?, b = ? WHERE id = ?"),
        ("COPY t (a, b) FROM STDIN", "COPY t ... FROM STDIN"),
        ('SAVEPOINT "_pg3_1"', "SAVEPOINT ?"),
        ("ROLLBACK TO SAVEPOINT s1_x2", "ROLLBACK TO SAVEPOINT ?"),
        ("RELEASE s1", "RELEASE ?"),
        ("ROLLBACK", "ROLLBACK"),
        ("DEALLOCATE ALL", "DEALLOCATE ALL"),
        ("PREPARE p1 AS SELECT $1", "PREPARE ? AS SELECT ?"),
        ("EXECUTE p1(1, 2)", "EXECUTE ? (?, ?)"),
        ('DECLARE "c1" CURSOR FOR SELECT x FROM t', "DECLARE ? CURSOR FOR SELECT x FROM t"),
        ('FETCH FORWARD 100 FROM "c1"', "FETCH FORWARD ? FROM ?"),
        ("ALTER ROLE ada PASSWORD 's3cret'", "ALTER ROLE ada PASSWORD ?"),
        ("SELECT 'never closed", "SELECT ?"),
        ("", ""),
        (";;", ""),
    ],
)
def test_a_statement_is_stripped_to_its_shape(sql: str, shape: str) -> None:
    assert sql_shape(sql) == shape
    assert sql_shape(shape) == shape


def test_a_long_shape_is_cut_at_a_word() -> None:
    shape = sql_shape("UPDATE t SET " + ", ".join(f"column_{n} = {n}" for n in range(50)))
    assert shape.startswith("UPDATE t SET column_0 = ?, column_1 = ?")
    assert shape.endswith(" ...")
    assert len(shape) <= 200


def test_an_insert_has_one_shape_for_any_number_of_rows() -> None:
    shapes = {sql_shape("INSERT INTO t (a) VALUES " + ", ".join(["(1, 'x')"] * rows)) for rows in (1, 2, 5_000)}
    assert shapes == {"INSERT INTO t ... VALUES (...)"}


def test_an_in_list_has_one_shape_for_any_length() -> None:
    assert {sql_shape(f"SELECT a FROM t WHERE a IN ({', '.join('7' * n)})") for n in (1, 2, 9_000)} == {
        "SELECT a FROM t WHERE a IN (...)"
    }


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("select 1", "SELECT"),
        ("  -- hello\n BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN"),
        ("WITH x AS (SELECT 1), y AS (DELETE FROM t) INSERT INTO t SELECT * FROM x", "INSERT"),
        ("WITH x AS (SELECT 1)", "WITH"),
        ("(SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("vacuum", "VACUUM"),
        ("notaverb", "NOTAVERB"),
        ("", ""),
        ("7", ""),
    ],
)
def test_the_verb_is_what_the_statement_does(sql: str, verb: str) -> None:
    assert sql_verb(sql) == verb


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("BEGIN; SELECT 1 ; COMMIT;", ["BEGIN", "SELECT 1", "COMMIT"]),
        (
            "SELECT ';', \";\", $$;$$, $a$;$$;$a$ -- ;\n /* ; /* ; */ ; */; SELECT 2",
            ["SELECT ';', \";\", $$;$$, $a$;$$;$a$ -- ;\n /* ; /* ; */ ; */", "SELECT 2"],
        ),
        (
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
            ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"],
        ),
        (";; -- nothing\n;", []),
        ("", []),
        ("SELECT 1;; /* end */", ["SELECT 1"]),
    ],
)
def test_a_query_string_is_split_where_its_statements_end(sql: str, statements: list[str]) -> None:
    assert split_statements(sql) == statements


FRAGMENTS = st.sampled_from([
    "SELECT", "FROM", "INSERT INTO", "COPY", "IN", "VALUES", "unnest", "ARRAY", "WITH", "AS", "ORDINALITY", "NULL",
    "SAVEPOINT", "ROLLBACK", "DECLARE", "t", "a.b", "é", "_", "one_long_name, and_another_long_name", "'x'", "1",
    "1e-5", "$1", "%s", "?", "$q$", "$$", "'", '"', "e'", "U&'", "\\", "--", "/*", "*/", "\n", "\x00", ".", ",", ";",
    "(", ")", "[", "]", "::", ":", "=", "%", "%(", "...", "*", "|", "-", "+",
])  # fmt: skip
SQLISH = st.text() | st.lists(FRAGMENTS, max_size=40).map(" ".join) | st.lists(FRAGMENTS, max_size=40).map("".join)


@example("DECLARE-A")
@given(SQLISH)
def test_any_text_has_a_short_shape_that_is_its_own_shape(sql: str) -> None:
    shape = sql_shape(sql)
    assert sql_shape(shape) == shape
    assert len(shape) <= 200


@given(SQLISH)
def test_any_text_has_a_verb_and_can_be_split(sql: str) -> None:
    assert sql_verb(sql) == sql_verb(sql).upper()
    assert all(statement in sql for statement in split_statements(sql))


@given(st.text(alphabet=st.characters(exclude_characters="'\\")), st.integers(min_value=0))
def test_literals_do_not_show_in_a_shape(text: str, number: int) -> None:
    sql = f"SELECT a FROM t WHERE b = '{text}' AND c = {number} AND d = -{number}"
    assert sql_shape(sql) == "SELECT a FROM t WHERE b = ? AND c = ? AND d = ?"


@given(st.lists(st.sampled_from(["SELECT 1", "INSERT INTO t VALUES (';')", "SELECT $$;$$", 'SELECT ";"']), max_size=6))
def test_statements_that_were_joined_are_split_again(statements: list[str]) -> None:
    assert split_statements("; ".join(statements)) == statements
