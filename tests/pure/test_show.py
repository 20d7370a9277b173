"""What `redisperf show` prints of a trace: numbers, lines of code, shapes, JSON."""

from redis_perf.report import numbers
from redis_perf.report.overview import WIDTH, overview, shape_lines, site_lines
from redis_perf.trace import Opened, Operation, Problem, RoundTrip, Site, Tapped, Trace

BADGE, PUSH = Site("/app/shop/memory.py", 64, "badge"), Site("/app/shop/memory.py", 80, "push")


def trip(at, operation, shape, **changes):
    given = {
        "store": "redis",
        "connection": 1,
        "operations": (Operation(operation, shape),),
        "started_ns": at,
        "ended_ns": at + 1,
        "sent_bytes": 100,
        "received_bytes": 1000,
        "server": "127.0.0.1:6379",
    }
    return RoundTrip(**given | changes)


def get(at, **changes):
    return trip(at, "GET", "GET user:{}", **{"site": BADGE} | changes)


def insert(at, times=1, **changes):
    operation = Operation("INSERT", "INSERT INTO messages VALUES (...)")
    changes = {"store": "postgres", "server": "db:5432", "site": PUSH, "operations": (operation,) * times} | changes
    return trip(at, "", "", **changes)


TRACE = Trace(
    (
        trip(0, "CONNECT", "CONNECT", purpose="setup", sent_bytes=0, received_bytes=0),
        trip(1, "HELLO", "HELLO", purpose="setup"),
        get(2),
        get(3),
        trip(4, "SET", "SET user:{}", site=BADGE),
        trip(5, "BEGIN", "BEGIN", store="postgres", purpose="transaction", server="db:5432", site=PUSH),
        insert(6, times=20, received_bytes=None),
        trip(7, "COMMIT", "COMMIT", store="postgres", purpose="transaction", server="db:5432", commits=1),
    ),
    opened=(Opened("redis", 1, 0, "127.0.0.1:6379"),),
    taps=(Tapped("redis-py", "redis", version="8.1.0"), Tapped("asyncpg", "postgres", problem="not installed")),
)


def test_the_overview_has_the_numbers_by_store_and_purpose_and_what_they_cost():
    assert list(overview(TRACE, "trace.jsonl")) == [
        "trace.jsonl: redis 3 round trips (3 commands), postgres 3 (22 statements), depth 6, setup 2",
        "                        round trips  operations  commits  depth  opened        sent    received",
        "redis                             3           3        0      3       1   300 bytes     2.9 KiB",
        "  work                            3           3        0      3           300 bytes     2.9 KiB",
        "  setup (not charged)             2           1        0      2           100 bytes  1000 bytes",
        "postgres                          3          22        1      3       0   300 bytes    not seen",
        "  work                            1          20        0      1           100 bytes    not seen",
        "  transaction                     2           2        1      2           200 bytes     2.0 KiB",
        "at depth 6 it waits at least 12 ms at 2 ms a trip, 180 ms at 30 ms",
        "redis-py 8.1.0: 5 round trips seen",
    ]


def test_the_overview_tells_two_servers_of_one_store_apart():
    trace = Trace((get(0), get(1, server="b:1", name="cache"), get(2, server="b:1", name="cache")))
    lines = list(overview(trace, "t"))
    assert lines[4:6] == [
        "  at 127.0.0.1:6379               1           1        0      1       0   100 bytes  1000 bytes",
        "  at cache                        2           2        0      2       0   200 bytes     2.0 KiB",
    ]


def test_the_overview_of_an_empty_trace_says_who_was_listened_to():
    assert list(overview(Trace(taps=TRACE.taps), "-")) == [
        "-: nothing seen",
        "redis-py 8.1.0: listening, never seen",
        "asyncpg: not installed",
    ]


def test_the_overview_says_what_was_not_counted():
    trace = Trace(
        (get(0), get(1, answer="lost"), get(2, answer="in flight", purpose="setup")),
        children=1,
        problems=(Problem("connection 1: no RESP at byte 7 of what the server sent", "redis"),),
        notes=("2 connections passed through uncounted",),
    )
    assert list(overview(trace, "t"))[-5:] == [
        "1 redis request got no reply before the connection ended: not counted as round trips",
        "1 redis request still waited for a reply at the end: not counted as round trips",
        "1 process was started: what it sent is not counted",
        "t: not everything was seen: connection 1: no RESP at byte 7 of what the server sent",
        "t: note: 2 connections passed through uncounted",
    ]


def test_sites_are_the_lines_that_spent_most_with_what_they_asked():
    assert list(site_lines(TRACE, root="/app")) == [
        "by line of code:",
        "  round trips  operations",
        "            3           3  shop/memory.py:64 in badge",
        "                                2  GET user:{}",
        "                                1  SET user:{}",
        "            2          21  shop/memory.py:80 in push",
        "                                1  BEGIN",
        "                                1  20 x INSERT INTO messages VALUES (...)",
        "            1           1  line not seen",
        "                                1  COMMIT",
    ]


def test_only_the_first_lines_and_shapes_are_shown_and_the_rest_is_counted():
    assert list(site_lines(TRACE, top=1))[-1] == "               ... and 2 more lines; --top 0 shows all"
    assert list(shape_lines(TRACE, top=4))[-1] == "               ... and 1 more shape; --top 0 shows all"
    many = Trace(tuple(trip(at, "GET", f"GET {at}", site=BADGE) for at in range(6)))
    assert list(site_lines(many))[-1] == "                                   ... and 2 more shapes"


def test_shapes_are_counted_in_each_round_trip_that_carried_them():
    both = (Operation("GET", "GET user:{}"), Operation("GET", "GET user:{}"), Operation("INCR", "INCR hits"))
    trace = Trace((get(0), trip(1, "", "", operations=both), insert(2, operations=()), get(3, answer="lost")))
    assert list(shape_lines(trace)) == [
        "by what was asked:",
        "  round trips  operations",
        "            2           4  redis     GET user:{}",
        "            1           1  redis     INCR hits",
        "            1           0  postgres  (no statement executed)",
    ]


def test_a_trace_that_charges_nothing_has_no_lists():
    setup = Trace(TRACE.round_trips[:2])
    assert list(site_lines(setup)) == ["by line of code: nothing was charged"]
    assert list(shape_lines(setup)) == ["by what was asked: nothing was charged"]


def test_long_shapes_are_cut_to_a_terminal():
    wide = " ".join(f"column_{number}" for number in range(40))
    pipeline = tuple(Operation("SELECT", f"SELECT {wide} FROM t{number}") for number in range(3))
    trace = Trace((insert(0, operations=pipeline),))
    lines = [*overview(trace, "t"), *site_lines(trace), *shape_lines(trace)]
    assert max(map(len, lines)) == WIDTH


def test_the_numbers_have_the_paths_of_the_trace():
    found = numbers.numbers(TRACE)
    assert found["redis"] == {
        "round_trips": 3,
        "operations": 3,
        "statements": 3,
        "commands": 3,
        "commits": 0,
        "connections": 1,
        "depth": 3,
        "sent_bytes": 300,
        "received_bytes": 3000,
        "bytes": 3300,
        "lost": 0,
    }
    assert found["depth"] == 6
    for purpose in ("setup", "transaction", "work"):
        for store in ("redis", "postgres"):
            share = getattr(getattr(TRACE, purpose), store)
            assert found[purpose][store] == {measure: getattr(share, measure) for measure in numbers.MEASURES}
    assert found["postgres"]["received_bytes"] is None
    assert found["servers"]["db:5432"]["statements"] == 22
    assert (found["children"], found["problems"], found["notes"]) == (0, [], [])


def test_sites_and_shapes_are_lists_of_plain_data():
    assert numbers.sites(TRACE)[1:] == [
        {
            "file": "/app/shop/memory.py",
            "line": 80,
            "function": "push",
            "round_trips": 2,
            "operations": 21,
            "shapes": ["BEGIN", "INSERT INTO messages VALUES (...)"],
        },
        {"file": None, "line": None, "function": None, "round_trips": 1, "operations": 1, "shapes": ["COMMIT"]},
    ]
    assert numbers.shapes(TRACE)[0] == {"store": "redis", "shape": "GET user:{}", "round_trips": 2, "operations": 2}
