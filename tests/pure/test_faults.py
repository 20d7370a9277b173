"""Faults are values: when they fire and what they make of a request or a reply, without any server."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from redis_perf.proxy.armed import Ambush
from redis_perf.proxy.faults import (
    ErrorReply,
    Fault,
    HalfReply,
    Nothing,
    Refuse,
    Reset,
    Restart,
    SlowDrip,
    Stall,
    When,
    command,
    every_round_trip,
    nth_connection,
    nth_round_trip,
    statement,
)
from redis_perf.proxy.faults.fault import Instead, Outcome, Request
from redis_perf.trace import Operation

GET = (Operation("GET", "GET user:{}"),)
INSERT = (Operation("INSERT", "INSERT INTO messages VALUES ($?)"),)
REDIS = Request("redis", answers=1, in_transaction=False, flushes=False)
POSTGRES = Request("postgres", answers=1, in_transaction=False, flushes=False)
REPLY = b"$10\r\n0123456789\r\n"
EVERY = [
    Nothing(), Refuse(), Reset("before"), Reset("during", at_byte=3), Reset("after", command("GET")), HalfReply(),
    Stall(on=statement("INSERT", nth=2)), SlowDrip(chunk_bytes=3), ErrorReply("40001", "again", nth_round_trip(2)),
]  # fmt: skip


@pytest.mark.parametrize("fault", EVERY, ids=repr)
def test_a_fault_is_a_frozen_value_that_can_be_sent_to_another_process(fault: Fault) -> None:
    again = pickle.loads(pickle.dumps(fault))
    assert (again, hash(again), again.on) == (fault, hash(fault), fault.on)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fault.on = every_round_trip()  # type: ignore[misc]


# --- when


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        (nth_round_trip(1), [True, True, False]),
        (command("get"), [True, False, True]),
        (command("GET user:{}"), [True, False, True]),
        (command("GE"), [False, False, False]),
        (statement("insert  into messages"), [False, True, False]),
        (statement("INSERT INTO message"), [False, False, False]),
    ],
)
def test_it_matches_by_the_whole_words_of_a_shape_and_setup_only_when_named(when: When, matches: list[bool]) -> None:
    assert [when.matches("work", GET), when.matches("transaction", INSERT), when.matches("setup", GET)] == matches


@pytest.mark.parametrize(
    ("on", "fires"),
    [(nth_round_trip(2), [0, 1, 0, 0]), (every_round_trip(), [1, 1, 1, 1]), (command("GET", nth=2), [0, 0, 1, 0])],
)
def test_a_fault_fires_at_the_round_trip_asked_and_counts_it(on: When, fires: list[int]) -> None:
    ambush = Ambush()
    ambush.add(7, Stall(on=on))
    assert [ambush.befalls("work", each) is not None for each in (GET, INSERT, GET, INSERT)] == [*map(bool, fires)]
    assert (ambush.fired(7), ambush.remove(7), bool(ambush)) == (sum(fires), sum(fires), False)


def test_of_two_faults_on_one_round_trip_the_first_one_fires_and_both_count_it() -> None:
    ambush = Ambush()
    ambush.add(1, Stall())
    ambush.add(2, Reset("after"))
    ambush.add(3, HalfReply(on=nth_round_trip(2)))
    found = [ambush.befalls("work", GET) for _ in range(3)]
    assert [each and type(each.fault) for each in found] == [Stall, HalfReply, None]


def test_refusing_counts_connections_and_nothing_else_does() -> None:
    ambush = Ambush()
    ambush.add(1, Refuse(on=nth_connection(2)))
    ambush.add(2, Stall())
    assert ambush.befalls("work", INSERT) is not None
    assert [ambush.refuses() for _ in range(3)] == [False, True, False]


# --- what


@pytest.mark.parametrize("fault", EVERY[:-1], ids=repr)
def test_only_a_reset_before_and_an_error_keep_the_request_from_the_server(fault: Fault) -> None:
    assert (fault.instead(REDIS) is not None) == (fault == Reset("before"))


@pytest.mark.parametrize(
    ("fault", "passed", "then"),
    [
        (Nothing(), REPLY, "go on"),
        (Reset("during"), REPLY[:8], "reset"),
        (Reset("during", at_byte=3), b"$10", "reset"),
        (Reset("during", at_byte=100), REPLY, "reset"),
        (Reset("after"), b"", "reset"),
        (HalfReply(), REPLY[:8], "hang"),
        (HalfReply(at_byte=0), b"", "hang"),
        (Stall(), b"", "hang"),
    ],
)
def test_what_becomes_of_a_reply(fault: Fault, passed: bytes, then: str) -> None:
    assert fault.outcome(REPLY)[:3] == (REPLY, passed, then)


def test_an_error_answers_each_command_of_a_pipeline() -> None:
    fault = ErrorReply("LOADING Redis is loading the dataset in memory")
    line = b"-LOADING Redis is loading the dataset in memory\r\n"
    assert fault.instead(REDIS._replace(answers=3)) == Instead(line * 3)
    assert ErrorReply("OOM", "no memory").instead(REDIS) == Instead(b"-OOM no memory\r\n")


ERROR = b"E\0\0\0\x25SERROR\0VERROR\0C40001\0Mtry again\0\0"


def test_an_error_of_postgres_is_followed_by_ready_unless_only_a_flush_was_sent() -> None:
    fault = ErrorReply("40001", "try again")
    assert fault.instead(POSTGRES) == Instead(ERROR + b"Z\0\0\0\5I")
    assert fault.instead(POSTGRES._replace(flushes=True)) == Instead(ERROR)


def test_inside_a_transaction_the_server_raises_the_error_itself_and_no_text_can_break_out() -> None:
    instead = ErrorReply("40001", "it's $redisperf$ \\").instead(POSTGRES._replace(in_transaction=True))
    assert instead.answer == b""
    assert instead.to_server[5:] == (
        b"DO $redisperf$BEGIN RAISE EXCEPTION USING ERRCODE = '40001', "
        rb"MESSAGE = E'it''s \x24redisperf\x24 \\'; END$redisperf$" + b"\0"
    )


def test_an_error_that_ends_a_session_is_fatal_and_ends_it() -> None:
    instead = ErrorReply("57P01", "bye").instead(POSTGRES._replace(in_transaction=True))
    assert (b"SFATAL\0" in instead.answer, instead.to_server, instead.then) == (True, b"", "end")


def test_a_slow_reply_is_cut_into_pieces() -> None:
    outcome = SlowDrip(chunk_bytes=4, pause_ns=5).outcome(REPLY)
    assert outcome == Outcome(REPLY, REPLY, "drip", chunk_bytes=4, pause_ns=5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nth_round_trip(0), "nth=0: expected 1 for the first"),
        (lambda: command(" "), "expected a command, as in"),
        (lambda: statement(""), "expected the beginning of a statement"),
        (lambda: Reset("later"), "when='later': expected 'before', 'during' or 'after'"),
        (lambda: Reset("after", at_byte=1), "only Reset.'during'. has"),
        (lambda: HalfReply(at_byte=-1), "at_byte=-1: expected how many bytes"),
        (lambda: SlowDrip(chunk_bytes=0), "chunk_bytes=0: expected"),
        (lambda: ErrorReply("LOADING\r\n"), "each on one line"),
        (lambda: ErrorReply("LOADING").check("postgres"), "'LOADING' is no SQLSTATE"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


# --- restart


class Server:
    """One that can be killed, as far as a fault asks."""

    def crashing(self) -> None:
        pass


def test_a_restart_before_keeps_the_request_from_the_server_and_resets_the_connection() -> None:
    server = Server()
    fault = Restart(server, "before")
    instead = fault.instead(Request("redis", 1, in_transaction=False, flushes=False))
    assert instead is not None
    assert (instead.answer, instead.to_server, instead.then, instead.crash) == (b"", b"", "reset", server.crashing)


def test_a_restart_after_loses_the_whole_reply() -> None:
    server = Server()
    fault = Restart(server, "after", on=nth_round_trip(2))
    assert fault.instead(Request("postgres", 1, in_transaction=True, flushes=False)) is None
    outcome = fault.outcome(b"+OK\r\n")
    assert (outcome.passed, outcome.then, outcome.crash) == (b"", "reset", server.crashing)
    assert fault.on == nth_round_trip(2)


def test_a_restart_happens_before_or_after() -> None:
    with pytest.raises(ValueError, match="expected 'before' or 'after'"):
        Restart(Server(), "during")  # type: ignore[arg-type]
