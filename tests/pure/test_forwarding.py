"""What a connection that is seen from outside tells of tasks that share it: who waited for whom, and what merges."""

from __future__ import annotations

from redis_perf.conversation import Conversation
from redis_perf.proxy.forwarding import ForwardingMeter
from redis_perf.trace import RoundTrip, Trace
from redis_perf.wire import ARRIVED, CLOSED, LOOKED, SENT
from redis_perf.wire.resp import RespMeter

US = 1_000
GET, VALUE = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"$1\r\nx\r\n"
LARGE = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2000\r\n%s\r\n" % bytes(2000)


def seen(*events: tuple[int, int, bytes]) -> Trace:
    """The trace of a connection: microseconds, what happened, bytes. A reply stands where it came from the server,
    with the time at which it is handed over."""
    trips: list[RoundTrip] = []
    conversation = Conversation("redis", 1, trips.append)
    meter = ForwardingMeter(conversation, RespMeter(conversation))
    for at_us, direction, data in events:
        meter.feed(at_us * US, direction, data)
    meter.feed(10**12, CLOSED, b"")
    return Trace(tuple(trips))


def test_two_tasks_that_ask_in_turn_merge_but_their_depth_is_that_of_the_longer() -> None:
    trace = seen(
        (0, SENT, GET), (1000, ARRIVED, VALUE), (500, SENT, GET), (1500, ARRIVED, VALUE),
        (1200, SENT, GET), (2200, ARRIVED, VALUE), (1700, SENT, GET), (2700, ARRIVED, VALUE),
        (2400, SENT, GET), (3400, ARRIVED, VALUE), (3400, LOOKED, b""),
    )  # fmt: skip
    assert (trace.redis.round_trips, trace.redis.operations, trace.redis.depth) == (1, 5, 3)
    assert trace.round_trips[0].waits == (
        (0, 1000 * US), (500 * US, 1500 * US), (1200 * US, 2200 * US), (1700 * US, 2700 * US), (2400 * US, 3400 * US),
    )  # fmt: skip


def test_what_is_sent_before_a_reply_is_handed_over_does_not_wait_for_that() -> None:
    trace = seen((0, SENT, GET), (1000, ARRIVED, VALUE), (900, SENT, GET), (1900, ARRIVED, VALUE), (1900, LOOKED, b""))
    assert (trace.redis.round_trips, trace.redis.depth) == (1, 1)


def test_a_request_that_follows_faster_than_anybody_reacts_is_no_answer() -> None:
    trace = seen((0, SENT, GET), (1000, ARRIVED, VALUE), (800, SENT, GET), (1800, ARRIVED, VALUE), (1010, SENT, GET),
                 (2010, ARRIVED, VALUE), (2010, LOOKED, b""))  # fmt: skip
    assert trace.redis.depth == 1


def test_a_pipeline_written_piece_by_piece_is_one_wait_however_long_it_takes() -> None:
    events = []
    for number in range(100):
        events += [(number * 50, SENT, GET), (number * 50 + 1000, ARRIVED, VALUE)]
    trace = seen(*events, (10_000, LOOKED, b""))
    assert (trace.redis.round_trips, trace.redis.operations, trace.redis.depth) == (1, 100, 1)


def test_a_pipeline_of_large_pieces_may_pause_between_them() -> None:
    events = []
    for number in range(20):
        events += [(number * 700, SENT, LARGE), (number * 700 + 1000, ARRIVED, b"+OK\r\n")]
    trace = seen(*events, (99_000, LOOKED, b""))
    assert (trace.redis.round_trips, trace.redis.depth) == (1, 1)


def test_a_request_begun_in_one_piece_and_ended_in_another_waits_where_it_began() -> None:
    trace = seen((0, SENT, GET), (1000, ARRIVED, VALUE), (500, SENT, GET + GET[:9]), (1500, ARRIVED, VALUE),
                 (1300, SENT, GET[9:]), (2300, ARRIVED, VALUE), (2300, LOOKED, b""))  # fmt: skip
    assert (trace.redis.round_trips, trace.redis.operations, trace.redis.depth) == (1, 3, 1)


def test_one_after_the_other_is_a_round_trip_each() -> None:
    trace = seen((0, SENT, GET), (1000, ARRIVED, VALUE), (1000, LOOKED, b""), (1100, SENT, GET), (2100, ARRIVED, VALUE),
                 (2100, LOOKED, b""))  # fmt: skip
    assert (trace.redis.round_trips, trace.redis.depth) == (2, 2)
    assert [trip.waits for trip in trace.round_trips] == [(), ()]
