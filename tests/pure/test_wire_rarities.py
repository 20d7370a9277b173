"""What clients and servers seldom say, byte for byte: each is counted, or is known to be nobody's round trip."""

from __future__ import annotations

import pytest

from redis_perf.conversation import Conversation
from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, SENT
from redis_perf.wire.postgres import PostgresMeter
from redis_perf.wire.resp import RespMeter


def seen(meter_of, *events, startup=False):
    """The round trips of these events: names of operations, answer, commits."""
    finished = []
    conversation = Conversation("redis" if meter_of is RespMeter else "postgres", 1, finished.append)
    meter = meter_of(conversation, startup=startup)
    for at_ns, (direction, data) in enumerate(events):
        meter.feed(at_ns, direction, data)
    trips = sorted([*finished, *conversation.unfinished()], key=lambda trip: trip.started_ns)
    return [([operation.name for operation in trip.operations], trip.answer, trip.commits) for trip in trips]


# --- Redis


def test_reset_ends_a_silence_and_is_answered_itself():
    told = seen(
        RespMeter, (SENT, b"CLIENT REPLY OFF\r\nSET a 1\r\nRESET\r\nGET a\r\n"), (RECEIVED, b"+RESET\r\n$1\r\n1\r\n")
    )
    assert told == [(["CLIENT REPLY", "SET", "RESET", "GET"], "complete", 0)]


def test_reset_gives_up_all_subscriptions_without_a_word():
    told = seen(
        RespMeter,
        (SENT, b"SUBSCRIBE a b\r\n"),
        (RECEIVED, b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"),
        (SENT, b"RESET\r\n"),
        (RECEIVED, b"+RESET\r\n"),
        (SENT, b"UNSUBSCRIBE\r\n"),
        (RECEIVED, b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
    )
    assert told == [(["SUBSCRIBE"], "complete", 0), (["RESET"], "complete", 0), (["UNSUBSCRIBE"], "complete", 0)]


def test_reset_ends_monitoring_so_that_a_line_of_digits_is_a_reply_again():
    told = seen(
        RespMeter,
        (SENT, b"MONITOR\r\n"),
        (RECEIVED, b'+OK\r\n+1700000000.1 [0 h:1] "GET" "a"\r\n'),
        (SENT, b"RESET\r\n"),
        (RECEIVED, b"+RESET\r\n"),
        (SENT, b"ECHO 7\r\n"),
        (RECEIVED, b"+7\r\n"),
    )
    assert [answer for _, answer, _ in told] == ["complete"] * 3


def test_two_unsubscriptions_of_everything_are_answered_one_after_the_other():
    told = seen(
        RespMeter,
        (SENT, b"SUBSCRIBE a b\r\nUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nPING\r\n"),
        (RECEIVED, b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"),
        (RECEIVED, b">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"),
        (RECEIVED, b">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"),
    )
    assert told == [(["SUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE", "PING"], "in flight", 0)]


def test_an_attribute_belongs_to_the_reply_it_precedes():
    told = seen(
        RespMeter,
        (SENT, b"GET a\r\nGET b\r\n"),
        (RECEIVED, b"|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.19\r\n"),
        (RECEIVED, b"$1\r\nx\r\n"),
    )
    assert told == [(["GET", "GET"], "in flight", 0)]


def test_an_attribute_before_a_push_leaves_it_a_push():
    told = seen(
        RespMeter,
        (SENT, b"GET a\r\n"),
        (RECEIVED, b"|1\r\n+a\r\n:1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"),
    )
    assert told == [(["GET"], "in flight", 0)]


def test_an_inline_command_is_one_however_its_line_ends_and_is_cut():
    whole = [(SENT, b"PING\n"), (RECEIVED, b"+PONG\r\n"), (SENT, b"  get   user:7 \r\n"), (RECEIVED, b"$-1\r\n")]
    cut = [(direction, data[at : at + 1]) for direction, data in whole for at in range(len(data))]
    told = [(["PING"], "complete", 0), (["GET"], "complete", 0)]
    assert seen(RespMeter, *whole) == seen(RespMeter, *cut) == told


def test_what_follows_the_rest_of_a_command_in_one_piece_is_a_round_trip_of_its_own():
    told = seen(
        RespMeter,
        (SENT, b"GET a\r\n*2\r\n$3\r\nGET\r\n$1\r\n"),
        (RECEIVED, b"$-1\r\n"),
        (SENT, b"b\r\nGET c\r\n"),
        (RECEIVED, b"$-1\r\n$-1\r\n"),
    )
    assert told == [(["GET", "GET"], "complete", 0), (["GET"], "complete", 0)]


def test_more_subscriptions_than_are_remembered_are_given_up_all_the_same():
    many = 66_000
    subscribed = b"".join(b"*3\r\n$9\r\nsubscribe\r\n$5\r\n%05d\r\n:1\r\n" % number for number in range(many))
    given_up = b"".join(b"*3\r\n$11\r\nunsubscribe\r\n$5\r\n%05d\r\n:1\r\n" % number for number in range(many))
    subscribe = b"*%d\r\n$9\r\nSUBSCRIBE\r\n" % (many + 1) + b"".join(b"$5\r\n%05d\r\n" % each for each in range(many))
    told = seen(
        RespMeter, (SENT, subscribe), (RECEIVED, subscribed), (SENT, b"UNSUBSCRIBE\r\n"), (RECEIVED, given_up),
        (SENT, b"GET a\r\n"), (RECEIVED, b"$-1\r\n"),
    )  # fmt: skip
    assert [answer for _, answer, _ in told] == ["complete"] * 3


# --- Postgres

READY = b"Z\0\0\0\5I"


def test_a_flush_without_sync_is_answered_by_what_was_due_and_the_sync_by_itself():
    told = seen(
        PostgresMeter,
        (SENT, b"P\0\0\0\x10\0select 1\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0H\0\0\0\4"),
        (RECEIVED, b"1\0\0\0\0042\0\0\0\4"),
        (SENT, b"E\0\0\0\x09\0\0\0\0\0H\0\0\0\4"),
        (RECEIVED, b"C\0\0\0\x0dSELECT 1\0"),
        (SENT, b"S\0\0\0\4"),
        (RECEIVED, READY),
    )
    assert told == [([], "complete", 0), (["SELECT"], "complete", 0), ([], "complete", 1)]


def test_a_copy_both_ways_waits_for_its_leave_and_its_end_only():
    told = seen(
        PostgresMeter,
        (SENT, b"Q\0\0\0\x16START_REPLICATION\0"),
        (RECEIVED, b"W\0\0\0\7\0\0\0"),
        (RECEIVED, b"d\0\0\0\x09wal..d\0\0\0\x09wal.."),
        (SENT, b"d\0\0\0\x08seen"),
        (RECEIVED, b"d\0\0\0\x09wal.."),
        (SENT, b"c\0\0\0\4"),
        (RECEIVED, b"c\0\0\0\4C\0\0\0\x09COPY\0" + READY),
    )
    assert [answer for _, answer, _ in told] == ["complete", "complete"]


def test_a_function_call_that_fails_is_one_round_trip_and_commits_nothing():
    call = b"F\0\0\0\x0e\0\0\x04\xd2\0\0\0\0\0\0"
    told = seen(PostgresMeter, (SENT, call), (RECEIVED, b"E\0\0\0\x09SERR\0" + READY))
    assert told == [(["FUNCTION CALL"], "complete", 0)]


def test_an_error_in_the_extended_protocol_takes_with_it_what_follows_up_to_sync():
    parse, bind, execute = b"P\0\0\0\x0e\0select\0\0\0", b"B\0\0\0\x0c\0\0\0\0\0\0\0\0", b"E\0\0\0\x09\0\0\0\0\0"
    told = seen(
        PostgresMeter,
        (SENT, parse + bind + execute + execute + b"S\0\0\0\4" + b"Q\0\0\0\x0dselect 2\0"),
        (RECEIVED, b"1\0\0\0\4E\0\0\0\5\0" + READY),
        (RECEIVED, b"C\0\0\0\x0dSELECT 1\0" + READY),
    )
    assert told == [(["SELECT", "SELECT", "SELECT"], "complete", 1)]


@pytest.mark.parametrize(
    "unasked",
    [
        b"A\0\0\0\x10\0\0\0\1news\0hi\0", b"S\0\0\0\x11TimeZone\0UTC\0", b"N\0\0\0\5\0",
        b"v\0\0\0\x0c\0\3\0\0\0\0\0\0", b"K\0\0\0\x0c\0\0\0\1\0\0\0\2",
    ],
    ids=["NotificationResponse", "ParameterStatus", "NoticeResponse", "NegotiateProtocolVersion", "BackendKeyData"],
)  # fmt: skip
def test_what_postgres_says_unasked_settles_nothing(unasked):
    query = b"Q\0\0\0\x0dselect 1\0"
    assert seen(PostgresMeter, (RECEIVED, unasked), (SENT, query), (RECEIVED, unasked)) == [
        (["SELECT"], "in flight", 0)
    ]


def test_a_cancel_request_is_nobodys_round_trip():
    cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"
    assert seen(PostgresMeter, (SENT, cancel), (CLOSED, b""), startup=True) == []


@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_error_in_answer_to_a_request_for_tls_is_the_answer_however_it_is_cut(size):
    error = b"E\0\0\0\x12SFATAL\0Mno!!\0\0"
    pieces = [(RECEIVED, error[at : at + size]) for at in range(0, len(error), size)]
    told = seen(PostgresMeter, (SENT, b"\0\0\0\x08\x04\xd2\x16\x2f"), *pieces, (CLOSED, b""), startup=True)
    assert told == [([], "complete", 0)]


def test_a_statement_after_the_one_that_failed_was_not_executed():
    told = seen(
        PostgresMeter,
        (SENT, b"Q\0\0\0\x0ca;b;c;d\0"),
        (ARRIVED, b"C\0\0\0\x06x\0E\0\0\0\5\0" + READY),
        (LOOKED, b""),
    )
    assert told == [(["A", "B", "C", "D"], "complete", 0)]
