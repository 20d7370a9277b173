"""What `redisperf diff` says of two traces."""

from redis_perf.analysis.difference import changes, rises
from redis_perf.report import numbers
from redis_perf.report.changed import change_lines, rise_text
from redis_perf.trace import Opened, Operation, Problem, RoundTrip, Trace

GET, LTRIM = Operation("GET", "GET user:{}"), Operation("LTRIM", "LTRIM log 0 {}")
SELECT, COMMIT = Operation("SELECT", "SELECT ?"), Operation("COMMIT", "COMMIT")
NAMES = ("base.jsonl", "head.jsonl")


def trip(at, *operations, **changes):
    given = {"store": "redis", "connection": 1, "ended_ns": at + 1, "sent_bytes": 10, "received_bytes": 20}
    return RoundTrip(operations=operations, started_ns=at, **given | changes)


LOOP = Trace((*(trip(at, GET) for at in range(5)), trip(5, LTRIM), trip(6, SELECT, store="postgres")))
PIPELINE = Trace((trip(0, *[GET] * 5), trip(1, SELECT, store="postgres"), trip(2, COMMIT, store="postgres", commits=1)))


def test_shapes_are_sorted_from_the_greatest_rise_in_round_trips_to_the_greatest_fall():
    found = [
        (change.kind, change.base.shape, change.round_trips, change.operations) for change in changes(LOOP, PIPELINE)
    ]
    assert found == [
        ("added", "COMMIT", 1, 1),
        ("removed", "LTRIM log 0 {}", -1, -1),
        ("fewer", "GET user:{}", -4, 0),
    ]
    assert [change.kind for change in changes(PIPELINE, LOOP)] == ["more", "added", "removed"]


def test_with_as_many_round_trips_the_operations_say_whether_it_is_more():
    (more,) = changes(Trace((trip(0, GET),)), Trace((trip(0, GET, GET),)))
    assert (more.kind, more.round_trips, more.operations) == ("more", 0, 1)
    (fewer,) = changes(Trace((trip(0, GET, GET),)), Trace((trip(0, GET),)))
    assert fewer.kind == "fewer"


def test_the_numbers_that_changed_come_first_then_the_shapes():
    assert list(change_lines(LOOP, PIPELINE, NAMES)) == [
        "base.jsonl: redis 6 round trips (6 commands), postgres 1 (1 statement), depth 7",
        "head.jsonl: redis 1 round trip (5 commands), postgres 2 (2 statements), depth 3",
        "                                      base        head      change",
        "redis round trips                        6           1          -5",
        "redis operations                         6           5          -1",
        "redis depth                              6           1          -5",
        "redis bytes sent                        60          10         -50",
        "redis bytes received                   120          20        -100",
        "postgres round trips                     1           2          +1",
        "postgres operations                      1           2          +1",
        "postgres commits                         0           1          +1",
        "postgres depth                           1           2          +1",
        "postgres bytes sent                     10          20         +10",
        "postgres bytes received                 20          40         +20",
        "depth across both                        7           3          -4",
        "by what was asked:",
        "         round trips            operations",
        "         0 -> 1 (+1)           0 -> 1 (+1)  added   postgres  COMMIT",
        "         1 -> 0 (-1)           1 -> 0 (-1)  removed redis     LTRIM log 0 {}",
        "         5 -> 1 (-4)           5 as before  fewer   redis     GET user:{}",
    ]


def test_more_shapes_than_asked_for_are_counted():
    assert list(change_lines(LOOP, PIPELINE, NAMES, top=2))[-1] == "  ... and 1 more shape; --top 0 shows all"


def test_two_equal_traces_have_no_changes():
    assert list(change_lines(LOOP, LOOP, NAMES))[2:] == ["nothing changed"]


def test_bytes_not_seen_have_no_change():
    base, head = Trace((trip(0, GET),)), Trace((trip(0, GET, received_bytes=None),))
    assert list(change_lines(base, head, NAMES))[3:] == ["redis bytes received                    20    not seen"]


def test_setup_and_connections_are_shown_but_not_held_against_the_code():
    base = Trace((trip(0, GET),))
    head = Trace((trip(0, GET), trip(1, Operation("HELLO", "HELLO"), purpose="setup")), (Opened("redis", 1, 0),))
    assert list(change_lines(base, head, NAMES))[3:] == [
        "redis connections opened                 0           1          +1",
        "redis setup round trips                  0           1          +1",
    ]
    assert rise_text(base, head) == ""


def test_bytes_are_not_held_against_the_code():
    assert rises(Trace((trip(0, GET),)), Trace((trip(0, GET, sent_bytes=99),))) == []


def test_each_number_that_rose_is_named():
    assert rise_text(LOOP, PIPELINE) == (
        "postgres round trips 1 -> 2, postgres operations 1 -> 2, postgres commits 0 -> 1, postgres depth 1 -> 2"
    )
    assert rise_text(PIPELINE, LOOP) == (
        "redis round trips 1 -> 6, redis operations 5 -> 6, redis depth 1 -> 6, overall depth 3 -> 7"
    )


def test_what_either_trace_did_not_see_is_said():
    base, head = Trace(problems=(Problem("cut off", None),)), Trace(problems=("connection 2: no RESP",))
    assert list(change_lines(base, head, NAMES))[2:] == [
        "nothing changed",
        "base.jsonl: not everything was seen: cut off",
        "head.jsonl: not everything was seen: connection 2: no RESP",
    ]


def test_the_difference_as_plain_data_has_both_sides_of_every_number():
    found = numbers.difference(LOOP, PIPELINE)
    assert found["redis"]["round_trips"] == {"base": 6, "head": 1, "change": -5}
    assert found["work"]["postgres"]["statements"] == {"base": 1, "head": 2, "change": 1}
    assert found["depth"] == {"base": 7, "head": 3, "change": -4}
    assert found["shapes"][0] == {
        "store": "postgres",
        "shape": "COMMIT",
        "kind": "added",
        "round_trips": {"base": 0, "head": 1, "change": 1},
        "operations": {"base": 0, "head": 1, "change": 1},
    }
    assert found["increased"] == ["postgres.round_trips", "postgres.operations", "postgres.commits", "postgres.depth"]
    assert numbers.difference(PIPELINE, LOOP)["increased"][-1] == "depth"
    assert found["problems"] == {"base": [], "head": []}
