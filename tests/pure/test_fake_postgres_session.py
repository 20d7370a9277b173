"""One session of the stand-in Postgres, bytes in and bytes out: nothing is started here."""

from __future__ import annotations

import re
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf.servers.fake_postgres.mail import Post
from redis_perf.servers.fake_postgres.replies import result_set
from redis_perf.servers.fake_postgres.script import Script
from redis_perf.servers.fake_postgres.session import Session
from redis_perf.servers.fake_postgres.types import TYPES, encoded

STARTUP_3_0 = 0x30000
SSL, GSS, CANCEL = 80877103, 80877104, 80877102


def wire(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def unlettered(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!II", len(body) + 8, code) + body


def query(sql: str) -> bytes:
    return wire("Q", sql.encode() + b"\0")


def parse(sql: str, name: str = "", oids: tuple[int, ...] = ()) -> bytes:
    return wire("P", f"{name}\0{sql}\0".encode() + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def bind(*values: bytes | None, name: str = "", portal: str = "", results: tuple[int, ...] = ()) -> bytes:
    sent = b"".join(b"\xff\xff\xff\xff" if each is None else struct.pack("!I", len(each)) + each for each in values)
    body = f"{portal}\0{name}\0".encode() + struct.pack("!HH", 0, len(values)) + sent
    return wire("B", body + struct.pack(f"!H{len(results)}H", len(results), *results))


def describe(kind: str = "P", name: str = "") -> bytes:
    return wire("D", f"{kind}{name}\0".encode())


def execute(portal: str = "", most: int = 0) -> bytes:
    return wire("E", portal.encode() + b"\0" + struct.pack("!I", most))


SYNC, FLUSH, TERMINATE = wire("S"), wire("H"), wire("X")
HELLO = unlettered(STARTUP_3_0, b"user\0ada\0database\0app\0client_encoding\0utf-8\0\0")


def messages(data: bytes) -> list[tuple[str, bytes]]:
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("!I", data, at + 1)
        found.append((chr(data[at]), data[at + 5 : at + 1 + length]))
        at += 1 + length
    return found


def told(data: bytes) -> str:
    """Letters of the messages; of a tag, an error and a status what they say."""
    words = []
    for kind, body in messages(data):
        if kind == "C":
            words.append(body[:-1].decode())
        elif kind == "E":
            words.append(next(field[1:] for field in body.split(b"\0") if field[:1] == b"C").decode())
        elif kind == "Z":
            words.append("Z" + body.decode())
        else:
            words.append(kind)
    return " ".join(words)


def column_names(description: bytes) -> list[str]:
    names, at = [], 2
    while at < len(description):
        end = description.index(0, at)
        names.append(description[at:end].decode())
        at = end + 19
    return names


@pytest.fixture
def script() -> Script:
    return Script()


def begun(script: Script, post: Post | None = None, process: int = 1) -> Session:
    session = Session(script, post, process=process)
    session.receive(HELLO)
    return session


def on(script: Script, statement: object, times: int | None = None):
    return script.on(statement, times, None)


# --- the beginning


def test_a_session_begins_with_trust_the_settings_and_a_key(script: Script) -> None:
    answer = Session(script).receive(HELLO)
    assert told(answer) == "R " + "S " * 14 + "K ZI"
    settings = dict(body[:-1].decode().split("\0") for kind, body in messages(answer) if kind == "S")
    assert (settings["server_version"], settings["client_encoding"]) == ("16.0", "UTF8")
    assert (settings["session_authorization"], settings["standard_conforming_strings"]) == ("ada", "on")


def test_encryption_is_declined_and_the_session_goes_on(script: Script) -> None:
    session = Session(script)
    assert session.receive(unlettered(SSL)) == b"N"
    assert session.receive(unlettered(GSS)) == b"N"
    assert told(session.receive(HELLO)).endswith("ZI")


def test_a_newer_minor_protocol_is_negotiated_down(script: Script) -> None:
    answer = Session(script).receive(unlettered(STARTUP_3_0 + 2, b"user\0ada\0_pq_.x\0y\0\0"))
    assert messages(answer)[0] == ("v", struct.pack("!II", STARTUP_3_0, 1) + b"_pq_.x\0")


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (unlettered(0x20000, b"\0"), "0A000"),
        (unlettered(STARTUP_3_0, b"\0"), "28000"),
        (unlettered(STARTUP_3_0, b"user"), "08P01"),
        (b"GET / HTTP/1.1\r\n\r\n", "08P01"),
    ],
)
def test_a_start_that_is_none_is_refused_and_ends_the_session(script: Script, start: bytes, code: str) -> None:
    session = Session(script)
    assert (told(session.receive(start)), session.closed) == (code, True)
    assert session.receive(HELLO) == b""


def test_a_cancel_request_is_taken_without_an_answer(script: Script) -> None:
    session = Session(script)
    assert (session.receive(unlettered(CANCEL, bytes(8))), session.closed) == (b"", True)


def test_terminate_ends_the_session_without_an_answer(script: Script) -> None:
    session = begun(script)
    assert (session.receive(TERMINATE), session.closed) == (b"", True)


# --- what nobody scripted


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("", "I ZI"),
        ("select 1", "T D SELECT 1 ZI"),
        ("select 'it''s', -2, null as n, true", "T D SELECT 1 ZI"),
        ("select * from t", "T SELECT 0 ZI"),
        ("insert into t values (1)", "INSERT 0 1 ZI"),
        ("insert into t (a, b) values (1, (2)), (3, f(4)), ($1, $2) on conflict (a) do nothing", "INSERT 0 3 ZI"),
        ("insert into t select * from s", "INSERT 0 1 ZI"),
        ("insert into t values (1) returning id", "T INSERT 0 0 ZI"),
        ("update t set a = 1", "UPDATE 1 ZI"),
        ("with gone as (delete from t returning 1) select count(*) from gone", "T SELECT 0 ZI"),
        ("delete from t", "DELETE 1 ZI"),
        ("create unlogged table if not exists t (i int)", "CREATE TABLE ZI"),
        ("create unique index on t (i)", "CREATE INDEX ZI"),
        ("drop materialized view v", "DROP MATERIALIZED VIEW ZI"),
        ("truncate t", "TRUNCATE TABLE ZI"),
        ("show standard_conforming_strings", "T D SHOW ZI"),
        ("show nonsense", "42704 ZI"),
        ("set application_name to 'x'", "SET S ZI"),
        ("set local time zone 'CET'", "SET S ZI"),
        ("set client_encoding to latin1", "0A000 ZI"),
        ("set transaction isolation level serializable", "SET ZI"),
        ("select pg_catalog.version()", "T D SELECT 1 ZI"),
        ("frobnicate the database", "FROBNICATE ZI"),
        ("select 1; update t set a = 1;", "T D SELECT 1 UPDATE 1 ZI"),
        ("copy t to stdout", "H c COPY 0 ZI"),
        ("prepare p as select 1; execute p; deallocate p; execute p", "PREPARE T D SELECT 1 DEALLOCATE 26000 ZI"),
    ],
)
def test_a_statement_nobody_scripted_goes_well(script: Script, sql: str, answer: str) -> None:
    assert told(begun(script).receive(query(sql))) == answer


def test_columns_of_an_empty_result_are_called_as_the_statement_calls_them(script: Script) -> None:
    sql = 'select u.id, "u"."Name", count(*), a || b as both, x::text, 1 + 1 from u where i in (select 1)'
    (_, body), *_ = messages(begun(script).receive(query(sql)))
    assert column_names(body) == ["id", "Name", "count", "both", "x", "?column?"]


# --- transactions


@pytest.mark.parametrize(
    ("statements", "answers"),
    [
        (["begin", "select 1", "commit"], ["BEGIN ZT", "T D SELECT 1 ZT", "COMMIT ZI"]),
        (["start transaction", "abort"], ["START TRANSACTION ZT", "ROLLBACK ZI"]),
        (["begin", "bad", "select 1", "commit"], ["BEGIN ZT", "40001 ZE", "25P02 ZE", "ROLLBACK ZI"]),
        (
            ["begin", 'savepoint "S"', "bad", "select 1", 'rollback to savepoint "S"', 'release "S"', "end"],
            ["BEGIN ZT", "SAVEPOINT ZT", "40001 ZE", "25P02 ZE", "ROLLBACK ZT", "RELEASE ZT", "COMMIT ZI"],
        ),
        (["begin", "rollback to nowhere", "rollback"], ["BEGIN ZT", "3B001 ZE", "ROLLBACK ZI"]),
        (["savepoint s"], ["25P01 ZI"]),
        (["begin; select 1; bad; select 2", "rollback and chain"], ["BEGIN T D SELECT 1 40001 ZE", "ROLLBACK ZT"]),
        (
            ["begin", "prepare transaction 'x'", "commit prepared 'x'"],
            ["BEGIN ZT", "PREPARE TRANSACTION ZI", "COMMIT PREPARED ZI"],
        ),
        (["bad; select 1"], ["40001 ZI"]),
    ],
)
def test_the_status_is_that_of_the_transaction_block(script: Script, statements: list[str], answers: list[str]) -> None:
    on(script, "bad").error("40001")
    session = begun(script)
    assert [told(session.receive(query(sql))) for sql in statements] == answers


def test_a_commit_that_is_refused_leaves_no_transaction_behind(script: Script) -> None:
    on(script, "commit").error("40001")
    session = begun(script)
    session.receive(query("begin"))
    assert told(session.receive(query("commit"))) == "40001 ZI"


# --- the extended protocol


def test_a_statement_is_prepared_described_bound_and_executed(script: Script) -> None:
    on(script, "select id from t where id = $1").rows([(7,)], ["id"])
    session = begun(script)
    sql = "select id from t where id = $1::bigint"
    on(script, sql).rows([(7,)], ["id"])
    prepared = messages(session.receive(parse(sql, "s") + describe("S", "s") + SYNC))
    assert [kind for kind, _ in prepared] == ["1", "t", "T", "Z"]
    assert prepared[1][1] == struct.pack("!HI", 1, TYPES["int8"].oid)
    answer = messages(session.receive(bind(b"7", name="s", results=(1,)) + describe() + execute() + SYNC))
    assert [kind for kind, _ in answer] == ["2", "T", "D", "C", "Z"]
    assert answer[2][1] == struct.pack("!HIi", 1, 4, 7)


def test_nothing_is_sent_before_sync_or_flush(script: Script) -> None:
    session = begun(script)
    assert session.receive(parse("select 1") + describe("S")) == b""
    assert told(session.receive(FLUSH)) == "1 t T"
    assert session.receive(bind() + execute()) == b""
    assert told(session.receive(SYNC)) == "2 D SELECT 1 ZI"


def test_an_error_skips_everything_up_to_sync(script: Script) -> None:
    on(script, "bad").error("23505")
    sent = parse("bad") + bind() + execute() + parse("select 1") + bind() + execute() + query("select 1") + SYNC
    session = begun(script)
    assert told(session.receive(sent)) == "1 2 23505 ZI"
    assert told(session.receive(parse("select 1") + bind() + execute() + SYNC)) == "1 2 D SELECT 1 ZI"
    assert [asked.sql for asked in script.asked] == ["bad", "select 1"]


def test_an_error_in_the_text_is_found_when_it_is_parsed(script: Script) -> None:
    on(script, "select from nowhere").error("42P01")
    assert told(begun(script).receive(parse("select from nowhere") + describe("S") + SYNC)) == "42P01 ZI"
    assert [asked.sql for asked in script.asked] == ["select from nowhere"]


def test_a_portal_is_read_in_pieces(script: Script) -> None:
    on(script, "select n").rows([(1,), (2,), (3,)])
    session = begun(script)
    sent = parse("select n") + bind(portal="p") + execute("p", 2) + execute("p", 2) + SYNC
    assert told(session.receive(query("begin") + sent)) == "BEGIN ZT 1 2 D D s D SELECT 1 ZT"
    assert told(session.receive(query("commit") + execute("p") + SYNC)) == "COMMIT ZI 34000 ZI"


def test_a_cursor_is_declared_described_fetched_and_closed(script: Script) -> None:
    on(script, "select n from t").rows([(1,), (2,), (3,)])
    session = begun(script)
    session.receive(query('begin; declare "c" no scroll cursor for select n from t'))
    assert told(session.receive(describe("P", "c") + SYNC)) == "T ZT"
    assert told(session.receive(query('fetch forward 2 from "c"'))) == "T D D FETCH 2 ZT"
    assert told(session.receive(query('fetch all from "c"; close "c"; fetch next in c'))) == (
        "T D FETCH 1 CLOSE CURSOR 34000 ZE"
    )


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (bind(name="nothing"), "26000 ZI"),
        (describe("S", "nothing"), "26000 ZI"),
        (describe("P", "nothing"), "34000 ZI"),
        (execute("nothing"), "34000 ZI"),
        (wire("C", b"Snothing\0"), "3 ZI"),
        (parse("select 1", "s") + parse("select 1", "s"), "1 42P05 ZI"),
        (parse("select 1; select 2"), "42601 ZI"),
        (parse("select $2"), "1 ZI"),
        (parse("select $2") + bind(b"one"), "1 08P01 ZI"),
        (parse("select 1") + bind(results=(0, 0)) + execute(), "1 2 08P01 ZI"),
        (parse("update t") + bind() + execute() + execute(), "1 2 UPDATE 1 55000 ZI"),
        (parse("") + bind() + describe() + execute(), "1 2 n I ZI"),
        (wire("F", bytes(4)), "0A000 ZI ZI"),
    ],
)
def test_what_is_wrong_with_a_message_is_said_as_the_server_says_it(script: Script, sent: bytes, answer: str) -> None:
    assert told(begun(script).receive(sent + SYNC)) == answer


def test_a_result_that_changed_its_type_is_refused_as_a_stale_plan(script: Script) -> None:
    session = begun(script)
    session.receive(parse("select n from t", "s") + describe("S", "s") + SYNC)
    on(script, "select n from t").rows([(1,)], ["n"])
    assert told(session.receive(bind(name="s") + execute() + SYNC)) == "2 0A000 ZI"


# --- COPY


@pytest.mark.parametrize(
    ("sql", "data", "rows"),
    [
        ("copy t from stdin", [b"1\n2", b"\n3"], 3),
        ("copy t (a, b) from stdin csv", [b"1,2\r\n\\.\r\n"], 1),
        (
            "copy t from stdin (format binary)",
            [b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\0\x01\0\0\0\x02hi\0", b"\x01\xff\xff\xff\xff\xff\xff"],
            2,
        ),
    ],
)
def test_copied_rows_are_swallowed_and_counted(script: Script, sql: str, data: list[bytes], rows: int) -> None:
    session = begun(script)
    assert told(session.receive(query(f"{sql}; select 1"))) == "G"
    sent = b"".join(wire("d", piece) for piece in data) + SYNC + FLUSH + wire("c")
    assert told(session.receive(sent)) == f"COPY {rows} T D SELECT 1 ZI"


def test_a_copy_that_the_client_gives_up_fails(script: Script) -> None:
    session = begun(script)
    session.receive(query("begin; copy t from stdin; select 1"))
    assert told(session.receive(wire("d", b"1\n") + wire("f", b"enough\0"))) == "57014 ZE"


def test_a_copy_in_the_extended_protocol_ends_with_sync(script: Script) -> None:
    session = begun(script)
    assert told(session.receive(parse("copy t from stdin") + bind() + execute() + SYNC)) == "1 2 G"
    assert told(session.receive(wire("d", b"1\n") + wire("c") + SYNC)) == "COPY 1 ZI"


def test_copied_data_come_from_the_script(script: Script) -> None:
    on(script, "copy t to stdout").copy(["1\ta\n", b"2\tb\n"], columns=2)
    assert told(begun(script).receive(query("copy t to stdout"))) == "H d d c COPY 2 ZI"


# --- the script


def test_the_rule_that_was_added_last_wins_and_may_end(script: Script) -> None:
    on(script, "update t set a = %s").tag("UPDATE 5")
    on(script, re.compile("^update"), times=1).error("40001")
    session = begun(script)
    assert [told(session.receive(query("update t set a = 1"))) for _ in range(2)] == ["40001 ZI", "UPDATE 5 ZI"]


def test_a_rule_may_be_any_function_of_the_text(script: Script) -> None:
    on(script, lambda sql: sql.endswith("!")).tag("SHOUTED")
    assert told(begun(script).receive(query("do it!"))) == "SHOUTED ZI"


def test_a_rule_that_raises_ends_its_session_with_what_it_raised(script: Script) -> None:
    on(script, lambda sql: bool(1 / 0)).tag("NEVER")
    session = begun(script)
    answer = session.receive(query("select 1"))
    assert (told(answer), session.closed) == ("XX000", True)
    assert b"ZeroDivisionError" in answer


def test_a_fatal_error_ends_the_session(script: Script) -> None:
    on(script, "select 1").error("57P01", "terminating connection due to administrator command", fatal=True)
    session = begun(script)
    assert (told(session.receive(query("select 1"))), session.closed) == ("57P01", True)


def test_what_was_asked_is_remembered_with_values_only_if_wanted(script: Script) -> None:
    session = begun(script)
    session.receive(parse("select $1, $2") + bind(b"secret", None) + execute() + SYNC)
    script.keeps_values = True
    session.receive(bind(b"known", None) + execute() + SYNC)
    first, second = script.asked
    assert (first.sql, first.parameters, first.database, first.values) == ("select $1, $2", 2, "app", None)
    assert second.values == (b"known", None)
    script.clear()
    assert script.asked == []


def test_a_notification_reaches_those_who_listen_when_its_transaction_commits(script: Script) -> None:
    post = Post()
    one, other = begun(script, post, 1), begun(script, post, 2)
    other.receive(query("listen news"))
    one.receive(query("begin; notify news, 'it''s here'"))
    assert other.mail() == b""
    one.receive(query("commit"))
    assert messages(other.mail()) == [("A", struct.pack("!I", 1) + b"news\0it's here\0")]


# --- values


@pytest.mark.parametrize(
    ("value", "name", "text", "binary"),
    [
        (None, "text", None, None),
        (True, "bool", b"t", b"\x01"),
        (-2, "int2", b"-2", b"\xff\xfe"),
        (3, "int8", b"3", bytes(7) + b"\x03"),
        (0.1, "float8", b"0.1", struct.pack("!d", 0.1)),
        ("é", "text", b"\xc3\xa9", b"\xc3\xa9"),
        (b"\0\xff", "bytea", b"\\x00ff", b"\0\xff"),
        (Decimal("-12345.067"), "numeric", b"-12345.067", struct.pack("!hhHh3h", 3, 1, 0x4000, 3, 1, 2345, 670)),
        (Decimal("0.00010"), "numeric", b"0.00010", struct.pack("!hhHh2h", 2, -1, 0, 5, 1, 0)),
        ({"a": 1}, "jsonb", b'{"a": 1}', b'\x01{"a": 1}'),
    ],
)
def test_a_value_is_written_as_the_server_writes_it(value: object, name: str, text: bytes, binary: bytes) -> None:
    assert encoded(value, TYPES[name], binary=False) == text
    assert encoded(value, TYPES[name], binary=True) == binary


@pytest.mark.parametrize(
    ("rows", "columns", "problem"),
    [
        ([({1},)], ["a"], r"^column 'a': there is no type here for \{1\}; there are bool, "),
        ([(1,), ("x",)], [("a", "int4")], r"^column 'a', row 2: 'x' is no int4; give the column as \(name, type\)$"),
        ([(2**40,)], [("a", "int4")], r"^column 'a', row 1: 1099511627776 does not fit into int4 \("),
        ([(1, 2)], ["a"], r"^row 1 has 2 values for 1 columns: \(1, 2\)$"),
        ([{"b": 1}], ["a"], r"^row 1 has the columns \['b'\], not \['a'\]$"),
        (["abc"], None, r"^row 1 is 'abc'; a row is a tuple, a list or a mapping, so \('abc',\)$"),
        ([], [("a", "money")], r"there is no type 'money' here; there are bool, "),
    ],
)
def test_what_cannot_be_sent_is_refused_where_it_is_scripted(rows: list, columns: list, problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        result_set(rows, columns)


# --- any bytes

SQL = st.sampled_from(
    [
        "select 1",
        "begin",
        "commit",
        "bad",
        "select 1; bad; select 2",
        "copy t from stdin",
        "insert into t values (1)",
        "",
    ]
)
NAMES = st.sampled_from(["", "a"])
SENT = st.one_of(
    SQL.map(query),
    st.builds(parse, SQL, NAMES),
    st.builds(lambda name, portal: bind(name=name, portal=portal), NAMES, NAMES),
    st.builds(describe, st.sampled_from("SP"), NAMES),
    st.builds(execute, NAMES),
    st.sampled_from([SYNC, FLUSH, TERMINATE, wire("c"), wire("d", b"1\n"), wire("f", b"no\0"), wire("C", b"Sa\0")]),
)
STARTS = st.sampled_from([HELLO, unlettered(SSL) + HELLO, unlettered(CANCEL, bytes(8)), b""])
GARBAGE = st.binary(max_size=30) | st.text("QPBDES\0\x04\x05", max_size=60).map(str.encode)


def answers(chunks: list[bytes]) -> tuple[bytes, bool, list[str]]:
    script = Script()
    on(script, "bad").error("40001")
    session = Session(script)
    out = b"".join(session.receive(chunk) for chunk in chunks)
    return out, session.closed, [asked.sql for asked in script.asked]


@given(STARTS, st.lists(SENT, max_size=12), GARBAGE, st.lists(st.integers(1, 40), max_size=30))
def test_any_cutting_of_the_bytes_gives_the_same_answers(start, sent, garbage, sizes):
    data = start + b"".join(sent) + garbage
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    assert answers([*pieces, data[at:]]) == answers([data])


@given(st.lists(SENT, max_size=6), GARBAGE)
def test_hostile_bytes_end_in_a_protocol_error_at_worst(sent, garbage):
    session = begun(Script())
    answer = session.receive(b"".join(sent) + garbage)
    assert b"CXX000" not in answer
    fatal = b"SFATAL\0" in answer
    assert fatal <= (b"C08P01\0" in answer)
    assert fatal <= session.closed
