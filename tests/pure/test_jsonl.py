"""The lines of a trace file, and what is said of those that cannot be read."""

import json
import re
from pathlib import Path

import pytest

from redis_perf.report.file_kind import TraceFileError
from redis_perf.report.jsonl import (
    dumps,
    end_line,
    header_line,
    loads,
    note_line,
    opened_line,
    problem_line,
    read,
    round_trip_line,
)
from redis_perf.trace import Opened, Operation, Problem, RoundTrip, Site, Tapped, Trace

GET, SET = Operation("GET", "GET user:{}"), Operation("SET", "SET user:{}", failed=True)
HEADER = header_line(Trace())
RECORD = "record one with `redisperf run --out FILE -- COMMAND` or `pytest --redisperf-trace=FILE`"


def trip(*operations, started_ns=5, **changes):
    given = {"store": "redis", "connection": 1, "ended_ns": 9, "sent_bytes": 10, "received_bytes": None}
    return RoundTrip(operations=operations, started_ns=started_ns, **given | changes)


def attributes(line):
    return json.loads(line)


def refusal(*lines):
    with pytest.raises(TraceFileError) as refused:
        loads(lines)
    return str(refused.value)


def test_a_round_trip_is_named_by_the_conventions_and_what_was_not_seen_is_absent():
    site = Site("app/memory.py", 64, "badge")
    line = round_trip_line(trip(GET, site=site, server="127.0.0.1:6379", name="cache", lane="MainThread"))
    assert attributes(line) == {
        "redisperf.kind": "round_trip",
        "db.system.name": "redis",
        "db.operation.name": "GET",
        "db.query.summary": "GET user:{}",
        "redisperf.connection": 1,
        "redisperf.started_ns": 5,
        "redisperf.ended_ns": 9,
        "redisperf.sent_bytes": 10,
        "redisperf.purpose": "work",
        "redisperf.answer": "complete",
        "redisperf.commits": 0,
        "redisperf.waited": False,
        "redisperf.lane": "MainThread",
        "code.file.path": "app/memory.py",
        "code.line.number": 64,
        "code.function.name": "badge",
        "server.address": "127.0.0.1",
        "server.port": 6379,
        "network.transport": "tcp",
        "redisperf.server.name": "cache",
    }


def test_several_operations_are_a_batch_with_equal_neighbours_written_once():
    found = attributes(round_trip_line(trip(GET, GET, GET, SET)))
    assert (found["db.operation.name"], found["db.query.summary"]) == ("BATCH", "BATCH")
    assert found["db.operation.batch.size"] == 4
    assert found["redisperf.operations"] == [
        {"db.operation.name": "GET", "db.query.summary": "GET user:{}", "times": 3},
        {"db.operation.name": "SET", "db.query.summary": "SET user:{}", "error.type": "_OTHER", "times": 1},
    ]


def test_a_batch_of_one_shape_carries_its_name():
    found = attributes(round_trip_line(trip(GET, GET)))
    assert (found["db.operation.name"], found["db.query.summary"]) == ("BATCH GET", "BATCH GET user:{}")


def test_a_round_trip_that_executed_nothing_has_no_operation():
    line = round_trip_line(trip(store="postgres"))
    assert not {name for name in attributes(line) if name.startswith(("db.operation", "db.query"))}
    assert attributes(line)["db.system.name"] == "postgresql"


@pytest.mark.parametrize(
    ("server", "address", "port", "transport"),
    [
        ("127.0.0.1:6379", "127.0.0.1", 6379, "tcp"),
        ("[::1]:5432", "::1", 5432, "tcp"),
        ("/run/postgresql/.s.PGSQL.5432", "/run/postgresql/.s.PGSQL.5432", None, "unix"),
        ("fake", "fake", None, None),
    ],
)
def test_a_server_is_an_address_and_a_port_where_it_has_one(server, address, port, transport):
    found = attributes(opened_line(Opened("redis", 1, 3, server)))
    names = ("server.address", "server.port", "network.transport")
    assert tuple(found.get(name) for name in names) == (address, port, transport)


def test_the_header_has_the_version_the_clients_and_the_problems():
    trace = Trace(
        children=2,
        taps=(
            Tapped("redis-py", "redis", version="8.1.0", seen=5),
            Tapped("psycopg", "postgres", problem="not installed"),
        ),
        problems=(Problem("connection 3: lost", "redis", "db:1", "cache"), "unknown"),
        notes=("2 connections passed through uncounted",),
    )
    assert attributes(header_line(trace)) == {
        "redisperf.format": "redisperf-trace",
        "redisperf.format.version": 1,
        "redisperf.purposes": ["transaction", "work"],
        "redisperf.children": 2,
        "redisperf.taps": [
            {"name": "redis-py", "db.system.name": "redis", "version": "8.1.0", "seen": 5},
            {"name": "psycopg", "db.system.name": "postgresql", "problem": "not installed"},
        ],
        "redisperf.problems": [
            {
                "redisperf.problem": "connection 3: lost",
                "db.system.name": "redis",
                "server.address": "db",
                "server.port": 1,
                "network.transport": "tcp",
                "redisperf.server.name": "cache",
            },
            {"redisperf.problem": "unknown"},
        ],
        "redisperf.notes": ["2 connections passed through uncounted"],
    }


def test_lines_are_in_the_order_of_time():
    trace = Trace((trip(GET, started_ns=5), trip(started_ns=8)), (Opened("redis", 1, 4), Opened("redis", 2, 7)))
    kinds = [attributes(line).get("redisperf.kind") for line in dumps(trace)]
    assert kinds == [None, "opened", "round_trip", "opened", "round_trip", "end"]
    assert loads(dumps(trace)) == trace


def test_a_writer_may_stream_and_add_problems_as_they_come():
    problem = Problem("connection 1: no RESP", "redis")
    lines = [HEADER, round_trip_line(trip(GET)), problem_line(problem), note_line("slow"), end_line()]
    assert loads(lines) == Trace((trip(GET),), problems=(problem,), notes=("slow",))


def test_a_reader_may_take_the_parts_as_they_come():
    parts = read(iter([HEADER, opened_line(Opened("redis", 1, 4)), "no JSON\n"]))
    assert next(parts) == Trace()
    assert next(parts) == Opened("redis", 1, 4)
    with pytest.raises(TraceFileError):
        next(parts)


def test_attributes_and_kinds_of_others_are_passed_over():
    line = json.dumps(attributes(round_trip_line(trip(GET))) | {"app.user": "ada"}) + "\n"
    assert loads([HEADER, line, '{"redisperf.kind":"span"}\n', end_line()]) == Trace((trip(GET),))


def test_an_error_of_a_known_kind_is_a_failure_too():
    line = round_trip_line(trip(SET)).replace("_OTHER", "WRONGTYPE")
    assert loads([HEADER, line, end_line()]).round_trips[0].operations == (SET,)


# --- files that are not whole


def test_a_last_line_that_is_cut_off_is_left_out_and_said():
    line = round_trip_line(trip(GET))
    assert loads([HEADER, line, line[:40]]) == Trace(
        (trip(GET),), problems=("the trace file is cut off within line 3: what came after is lost",)
    )


def test_a_file_without_its_end_line_says_so():
    assert loads([HEADER, round_trip_line(trip(GET))]) == Trace(
        (trip(GET),), problems=("the trace file is cut off after line 2: what came after, if anything, is lost",)
    )


def test_an_empty_file_is_refused():
    assert refusal() == f"empty, expected a redisperf trace; {RECORD}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("hello\n", "'hello'"),
        ("[1, 2]\n", "'[1, 2]'"),
        ('{"name": "GET"}\n', '\'{"name": "GET"}\''),
        ("\x1f\x8b\udcff\n", "'\\x1f\\x8b\\udcff'"),
        (f"{'x' * 99}\n", f"'{'x' * 56}..."),
    ],
)
def test_a_file_of_another_kind_is_refused(line, found):
    assert refusal(line, "more\n") == (f"line 1: not a redisperf trace: expected its header, found {found}; {RECORD}")


def test_a_header_that_is_cut_off_is_refused():
    assert refusal(HEADER[:40]) == (f"line 1: cut off within the header, so there is nothing to read; {RECORD}")


def test_a_newer_version_is_refused():
    newer = '{"redisperf.format": "redisperf-trace", "redisperf.format.version": 2}\n'
    assert refusal(newer) == (
        "line 1: trace file version 2, expected 1: upgrade pytest-redisperf, or record it again with this one"
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"redisperf.kind": "round_\n', 'expected a JSON object, found \'{"redisperf.kind": "round_\''),
        ("\n", "expected a JSON object, found ''"),
        ("7\n", "expected a JSON object, found '7'"),
        ("{}\n", "redisperf.kind: expected a string, found nothing"),
        (HEADER, "redisperf.kind: expected a string, found nothing"),
        (
            opened_line(Opened("redis", 1, 3)).replace('"redis"', '"mysql"'),
            "db.system.name: expected one of 'postgresql', 'redis', found 'mysql'",
        ),
        (
            opened_line(Opened("redis", 1, 3)).replace("3", "true"),
            "redisperf.at_ns: expected a whole number, found True",
        ),
        (round_trip_line(trip(GET)).replace("false", "0"), "redisperf.waited: expected true or false, found 0"),
        (
            round_trip_line(trip(GET)).replace('"complete"', '"answered"'),
            "redisperf.answer: expected one of 'complete', 'in flight', 'lost', 'none owed', found 'answered'",
        ),
        (
            round_trip_line(trip(GET, GET)).replace('"times":2', '"times":3'),
            "db.operation.batch.size: expected 3 as redisperf.operations has, found 2",
        ),
        (
            '{"redisperf.kind":"round_trip","db.system.name":"redis","redisperf.operations":[1]}\n',
            "redisperf.operations: expected a list of objects, found 1 in it",
        ),
    ],
)
def test_a_broken_line_in_the_middle_is_refused_by_its_number(line, problem):
    assert refusal(HEADER, line, end_line()) == f"line 2: {problem}; the file is damaged: record it again"


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"redisperf.children": None}, "redisperf.children: expected a whole number, found None"),
        ({"redisperf.notes": [1]}, "redisperf.notes: expected a list of strings, found [1]"),
        ({"redisperf.taps": {}}, "redisperf.taps: expected a list, found {}"),
        (
            {"redisperf.purposes": ["play"]},
            "redisperf.purposes: expected one of 'setup', 'transaction', 'work', found 'play'",
        ),
        ({"redisperf.format.version": "1"}, "redisperf.format.version: expected a whole number, found '1'"),
    ],
)
def test_a_broken_header_is_refused(broken, problem):
    line = json.dumps(attributes(HEADER) | broken) + "\n"
    assert refusal(line) == f"line 1: {problem}; the file is damaged: record it again"


def test_two_traces_in_one_file_are_refused():
    whole = list(dumps(Trace()))
    assert refusal(*whole, *whole) == (
        "line 3: expected nothing after the end line: one file holds one trace; the file is damaged: record it again"
    )


def test_every_attribute_is_documented():
    site = Site("a.py", 1, "f")
    lines = dumps(
        Trace(
            (
                trip(GET, SET, received_bytes=3, site=site, lane="m", server="a:1", name="b"),
                trip(store="postgres", server="/s"),
            ),
            (Opened("redis", 1, 3, "a:1", "cache"),),
            taps=(Tapped("redis-py", "redis", "8", "odd"),),
            problems=("odd",),
        )
    )
    names = set(re.findall(r'"((?:db|code|server|network|error|redisperf)\.[a-z_.]+)":', "".join(lines)))
    names |= {"redisperf.problem", "redisperf.note"}
    page = (Path(__file__).parents[2] / "docs" / "trace-file.md").read_text()
    assert not {name for name in names if f"`{name}`" not in page}
