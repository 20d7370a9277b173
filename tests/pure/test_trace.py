"""The values: sums, views, and the longest chain."""

from redis_perf.trace import Opened, Operation, RoundTrip, Trace, longest_chain


def trip(started_ns=0, ended_ns=1, **changes):
    given = {
        "store": "redis",
        "connection": 1,
        "operations": (Operation("GET", "GET a"),),
        "started_ns": started_ns,
        "ended_ns": ended_ns,
        "sent_bytes": 10,
        "received_bytes": 20,
    }
    return RoundTrip(**given | changes)


def test_a_store_sums_what_a_budget_charges():
    trace = Trace((trip(0, 1), trip(1, 2, commits=1), trip(2, 3, purpose="setup"), trip(4, 5, store="postgres")))
    assert trace.redis.round_trips == 2
    assert trace.redis.operations == trace.redis.commands == 2
    assert trace.redis.commits == 1
    assert (trace.redis.sent_bytes, trace.redis.received_bytes, trace.redis.bytes) == (20, 40, 60)
    assert trace.redis.shapes == ["GET a", "GET a"]
    assert trace.setup.redis.round_trips == 1
    assert trace.every.redis.round_trips == 3
    assert trace.postgres.statements == 1
    assert trace.depth == 3


def test_only_answered_waits_are_round_trips_but_all_operations_count():
    trace = Trace((trip(), trip(answer="lost"), trip(answer="in flight"), trip(answer="none owed")))
    assert trace.redis.round_trips == 1
    assert trace.redis.operations == 4
    assert trace.redis.lost == 1


def test_bytes_not_seen_are_none_and_never_zero():
    trace = Trace((trip(), trip(received_bytes=None)))
    assert trace.redis.sent_bytes == 20
    assert trace.redis.received_bytes is None
    assert trace.redis.bytes is None


def test_servers_are_told_apart_by_address_and_by_name():
    opened = (Opened("redis", 1, 0, "a:1", None), Opened("redis", 2, 0, "b:1", "cache"))
    trace = Trace((trip(server="a:1"), trip(server="b:1", name="cache"), trip(server="b:1", name="cache")), opened)
    assert trace.redis.at("a:1").round_trips == 1
    assert trace.redis.at("cache").round_trips == 2
    assert trace.named("cache").connections == 1
    assert trace.redis.connections == 2


def test_overlapping_round_trips_are_one_deep_and_touching_ones_two():
    assert longest_chain([]) == 0
    assert longest_chain([(0, 10), (1, 9), (2, 11)]) == 1
    assert longest_chain([(0, 5), (5, 9)]) == 2
    assert longest_chain([(0, 100), (0, 10), (10, 20), (20, 30)]) == 3


def test_round_trips_without_length_follow_one_another():
    assert longest_chain([(0, 5), (5, 5), (5, 5)]) == 3
