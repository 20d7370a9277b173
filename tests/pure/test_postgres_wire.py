"""Postgres on the wire: who owes what, and what round trips, statements and commits come of it."""

import struct
import tracemalloc

import pytest

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, SENT, SETTLED
from redis_perf.wire.postgres import PostgresMeter


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def startup(code=196608, body=b"user\0ada\0\0"):
    return struct.pack("!II", len(body) + 8, code) + body


SSL, GSS, CANCEL = startup(80877103, b""), startup(80877104, b""), startup(80877102, b"12345678")
SYNC, FLUSH, TERMINATE = message("S"), message("H"), message("X")
PARSED, BOUND, CLOSE_COMPLETE, NO_DATA = message("1"), message("2"), message("3"), message("n")
ROW_DESCRIPTION, ROW = message("T", b"\0\0"), message("D", b"\0\0")
ERROR, NOTICE, COPY_IN, SUSPENDED = (
    message("E", b"SERROR\0\0"),
    message("N", b"\0"),
    message("G", b"\0\0\0"),
    message("s"),
)
EMPTY = message("I")


def query(sql):
    return message("Q", sql.encode() + b"\0")


def parse(sql, name=""):
    return message("P", f"{name}\0{sql}\0".encode() + b"\0\0")


def bind(statement="", portal=""):
    return message("B", f"{portal}\0{statement}\0".encode() + bytes(6))


def execute(portal=""):
    return message("E", portal.encode() + bytes(5))


def describe(what="P", name=""):
    return message("D", f"{what}{name}\0".encode())


def tag(text):
    return message("C", text.encode() + b"\0")


def ready(status="I"):
    return message("Z", status.encode())


def authentication(code):
    return message("R", struct.pack("!I", code))


class Wire:
    """A connection whose clock ticks with each event; past its start-up unless told otherwise."""

    def __init__(self, *, start=False):
        self.finished = []
        self.conversation = Conversation("postgres", 7, self.finished.append)
        self.meter = PostgresMeter(self.conversation, startup=start)
        self.now = 0

    def event(self, direction, data=b""):
        self.now += 1
        self.meter.feed(self.now, direction, data)

    def send(self, *messages):
        self.event(SENT, b"".join(messages))

    def get(self, *messages):
        self.event(RECEIVED, b"".join(messages))

    def ask(self, sql, *answer):
        self.send(query(sql))
        self.get(*answer)

    def events(self, direction, data, size):
        for start in range(0, len(data), size):
            self.event(direction, data[start : start + size])

    @property
    def trips(self):
        both = [*self.finished, *self.conversation.unfinished()]
        return sorted(both, key=lambda trip: trip.started_ns)

    @property
    def names(self):
        return [[operation.name for operation in trip.operations] for trip in self.trips]

    @property
    def answers(self):
        return [trip.answer for trip in self.trips]

    @property
    def purposes(self):
        return [trip.purpose for trip in self.trips]

    @property
    def commits(self):
        return [trip.commits for trip in self.trips]

    @property
    def failed(self):
        return [operation.failed for trip in self.trips for operation in trip.operations]


@pytest.fixture
def wire():
    return Wire()


# --- simple queries


def test_a_query_is_one_round_trip_one_statement_one_commit(wire):
    wire.ask("select 1", ROW_DESCRIPTION, ROW, tag("SELECT 1"), ready())
    (trip,) = wire.trips
    assert (trip.started_ns, trip.ended_ns, trip.sent_bytes, trip.received_bytes) == (1, 2, 14, 34)
    assert (trip.answer, trip.purpose, trip.commits) == ("complete", "work", 1)
    assert [(operation.name, operation.shape) for operation in trip.operations] == [("SELECT", "SELECT ?")]


def test_a_query_of_several_statements_is_one_round_trip(wire):
    wire.ask("select ';'; insert into t values (1)", tag("SELECT 1"), tag("INSERT 0 1"), ready())
    assert wire.names == [["SELECT", "INSERT"]]
    assert wire.commits == [1]


def test_an_empty_query_is_a_round_trip_without_a_statement(wire):
    wire.ask(" ; -- nothing", EMPTY, ready())
    assert (wire.names, wire.answers, wire.commits) == ([[]], ["complete"], [0])


def test_the_statement_that_failed_and_those_after_it_are_marked(wire):
    wire.ask("select 1; select nope; select 2", tag("SELECT 1"), ERROR, ready())
    assert wire.failed == [False, True, True]
    assert (wire.answers, wire.commits) == (["complete"], [0])


def test_notices_notifications_and_settings_owe_nothing(wire):
    wire.get(NOTICE, message("A", bytes(6)), message("S", b"a\0b\0"))
    wire.send(query("select 1"))
    wire.get(NOTICE, message("A", bytes(6)))
    assert wire.conversation.owed == 1
    wire.get(ready())
    assert wire.answers == ["complete"]


def test_a_function_call_owes_ready_for_query(wire):
    wire.send(message("F", bytes(10)))
    wire.get(message("V", bytes(4)), ready())
    assert (wire.names, wire.answers) == ([["FUNCTION CALL"]], ["complete"])


def test_terminate_and_cancel_are_no_round_trip():
    wire = Wire(start=True)
    wire.event(SENT, CANCEL)
    wire.event(CLOSED)
    wire.event(SENT, startup())
    wire.get(authentication(0), ready())
    wire.send(TERMINATE)
    assert len(wire.trips) == 1


# --- purposes


@pytest.mark.parametrize(
    ("sql", "purpose"),
    [
        ("BEGIN", "transaction"), ("start transaction read only", "transaction"), ("commit", "transaction"),
        ("END", "transaction"), ("ROLLBACK", "transaction"), ("abort", "transaction"),
        ("savepoint a", "transaction"), ("release a", "transaction"), ("ROLLBACK TO a", "transaction"),
        ("PREPARE TRANSACTION 'x'", "transaction"), ("set transaction read only", "transaction"),
        ("DEALLOCATE ALL", "setup"), ("DISCARD ALL", "setup"), ("reset all;", "setup"), ("UNLISTEN *", "setup"),
        ("set x = 1", "work"), ("PREPARE a AS SELECT 1", "work"), ("DEALLOCATE a", "work"), ("select 1", "work"),
        ("BEGIN; select 1", "work"),
    ],
)  # fmt: skip
def test_a_statement_tells_its_purpose(wire, sql, purpose):
    wire.ask(sql, ready())
    assert wire.purposes == [purpose]


# --- the extended protocol


def test_an_extended_query_up_to_sync_is_one_round_trip(wire):
    wire.send(parse("select $1::int"), bind(), describe(), execute(), SYNC)
    wire.get(PARSED, BOUND, ROW_DESCRIPTION, ROW, tag("SELECT 1"), ready())
    assert (wire.names, wire.answers, wire.commits) == ([["SELECT"]], ["complete"], [1])


def test_the_sixth_execution_prepares_in_a_round_trip_of_its_own(wire):
    for _ in range(5):
        wire.send(parse("select 1"), bind(), describe(), execute(), SYNC)
        wire.get(PARSED, BOUND, ROW_DESCRIPTION, ROW, tag("SELECT 1"), ready())
    wire.send(parse("select 1", "_pg3_0"), SYNC)
    wire.get(PARSED, ready())
    for _ in range(3):
        wire.send(bind("_pg3_0"), describe(), execute(), SYNC)
        wire.get(BOUND, ROW_DESCRIPTION, ROW, tag("SELECT 1"), ready())
    assert wire.names == [["SELECT"]] * 5 + [[]] + [["SELECT"]] * 3
    assert sum(wire.commits) == 8


def test_executemany_in_its_own_transaction_is_three_round_trips_and_52_statements(wire):
    wire.ask("BEGIN", tag("BEGIN"), ready("T"))
    wire.send(parse("insert into t values ($1)", "s"), *[bind("s"), describe(), execute()] * 50, SYNC, FLUSH)
    wire.get(PARSED, *[BOUND, NO_DATA, tag("INSERT 0 1")] * 50, ready("T"))
    wire.ask("COMMIT", tag("COMMIT"), ready())
    assert [len(names) for names in wire.names] == [1, 50, 1]
    assert wire.commits == [0, 0, 1]
    assert wire.answers == ["complete"] * 3


def test_replies_that_trickle_in_while_a_pipeline_is_sent_do_not_split_it(wire):
    for _ in range(50):
        wire.send(parse("select 1"), bind(), describe(), execute())
        wire.get(PARSED, BOUND, ROW_DESCRIPTION, ROW, tag("SELECT 1"))
    wire.send(SYNC)
    wire.get(ready())
    assert [len(names) for names in wire.names] == [50]
    assert wire.answers == ["complete"]


def test_a_flush_is_answered_when_all_that_was_due_has_come(wire):
    wire.send(parse("select 1"), bind(), describe(), execute(), FLUSH)
    wire.get(PARSED, BOUND, ROW_DESCRIPTION)
    assert wire.conversation.owed == 1
    wire.get(ROW, tag("SELECT 1"))
    assert wire.conversation.owed == 0
    wire.send(parse("select 2"), bind(), describe(), execute(), FLUSH)
    wire.get(PARSED, BOUND, ROW_DESCRIPTION, ROW, tag("SELECT 1"))
    wire.send(SYNC)
    wire.get(ready())
    assert wire.names == [["SELECT"], ["SELECT"], []]
    assert wire.answers == ["complete"] * 3
    assert wire.commits == [0, 0, 1]


def test_a_flush_after_nothing_owes_nothing(wire):
    wire.send(FLUSH)
    assert wire.conversation.owed == 0


def test_preparing_alone_is_a_round_trip_without_a_statement(wire):
    wire.send(parse("select 1", "a"), describe("S", "a"), SYNC)
    wire.get(PARSED, message("t", b"\0\0"), ROW_DESCRIPTION, ready())
    assert (wire.names, wire.answers, wire.commits) == ([[]], ["complete"], [0])


def test_a_statement_prepared_out_of_sight_is_said_to_be(wire):
    wire.send(bind("gone"), execute(), SYNC)
    wire.get(BOUND, tag("SELECT 1"), ready())
    assert wire.trips[0].operations[0].shape == "prepared statement not seen"


def test_a_closed_statement_is_forgotten(wire):
    wire.send(parse("select 1", "a"), message("C", b"Sa\0"), bind("a"), execute(), SYNC)
    wire.get(PARSED, CLOSE_COMPLETE, ERROR, ready())
    assert wire.trips[0].operations[0].shape == "prepared statement not seen"
    assert wire.answers == ["complete"]


def test_each_execute_of_a_portal_is_a_statement(wire):
    wire.send(parse("select 1"), bind(portal="p"), execute("p"), FLUSH)
    wire.get(PARSED, BOUND, ROW, SUSPENDED)
    wire.send(execute("p"), SYNC)
    wire.get(ROW, tag("SELECT 1"), ready())
    assert wire.names == [["SELECT"], ["SELECT"]]
    assert wire.commits == [0, 1]


def test_an_error_forgives_all_up_to_sync_and_marks_what_was_not_executed(wire):
    wire.send(*[parse("select 1"), bind(), execute()] * 3, SYNC)
    wire.get(PARSED, BOUND, tag("SELECT 1"), PARSED, ERROR)
    assert wire.conversation.owed == 1
    wire.get(ready())
    assert wire.failed == [False, True, True]
    assert (wire.answers, wire.commits) == (["complete"], [0])


def test_an_error_answers_a_flush_and_what_follows_up_to_sync_is_ignored(wire):
    wire.send(parse("nonsense"), FLUSH)
    wire.get(ERROR)
    assert wire.conversation.owed == 0
    wire.send(bind(), execute(), FLUSH)
    assert wire.conversation.owed == 0
    wire.send(SYNC)
    wire.get(ready())
    assert wire.failed == [True]
    assert wire.answers == ["complete", "complete"]


def test_two_syncs_in_a_row_owe_two(wire):
    wire.send(parse("select 1"), bind(), execute(), SYNC, parse("select 1"), bind(), execute(), SYNC)
    wire.get(PARSED, BOUND, ERROR, ready())
    assert wire.conversation.owed == 1
    wire.get(PARSED, BOUND, tag("SELECT 1"), ready())
    assert wire.failed == [True, False]
    assert wire.commits == [1]


# --- commits


@pytest.mark.parametrize(
    ("sql", "answer", "commits"),
    [
        ("insert", [tag("INSERT 0 1"), ready("T")], 0),
        ("insert", [tag("INSERT 0 1"), ready("I")], 1),
        ("commit", [tag("COMMIT"), ready("I")], 1),
        ("commit", [tag("ROLLBACK"), ready("I")], 0),
        ("rollback", [tag("ROLLBACK"), ready("I")], 0),
        ("begin", [tag("BEGIN"), ready("T")], 0),
        ("a; begin; b; commit", [tag("A"), tag("BEGIN"), tag("B"), tag("COMMIT"), ready("I")], 1),
        ("commit; a", [tag("COMMIT"), tag("A"), ready("I")], 2),
        ("a; begin; b", [tag("A"), tag("BEGIN"), tag("B"), ready("T")], 0),
        ("commit and chain", [tag("COMMIT"), ready("T")], 1),
        ("prepare transaction 'x'", [tag("PREPARE TRANSACTION"), ready("I")], 0),
        ("commit; a", [tag("COMMIT"), ERROR, ready("I")], 1),
        ("a; b", [tag("A"), ERROR, ready("I")], 0),
    ],
)
def test_commits_are_counted_as_the_server_counts_them(wire, sql, answer, commits):
    wire.ask(sql, *answer)
    assert wire.commits == [commits]


# --- COPY


def test_copy_in_is_two_round_trips(wire):
    wire.ask("copy t from stdin", COPY_IN)
    for _ in range(20):
        wire.send(message("d", b"1\n"))
    wire.send(message("c"))
    wire.get(tag("COPY 20"), ready())
    assert (wire.names, wire.answers, wire.commits) == ([["COPY"], []], ["complete"] * 2, [0, 1])


def test_copy_in_whose_data_are_sent_at_once_is_one_round_trip(wire):
    wire.send(query("copy t from stdin"), message("d", b"1\n"))
    wire.get(COPY_IN)
    wire.send(message("d", b"2\n"), message("c"))
    wire.get(tag("COPY 2"), ready())
    assert (wire.names, wire.answers, wire.commits) == ([["COPY"]], ["complete"], [1])


def test_copy_in_of_the_extended_protocol_drops_the_sync_sent_before_it(wire):
    wire.send(parse("copy t from stdin"), bind(), execute(), SYNC)
    wire.get(PARSED, BOUND, COPY_IN)
    assert wire.conversation.owed == 0
    wire.send(message("d", b"1\n"), message("c"), SYNC)
    wire.get(tag("COPY 1"), ready())
    assert (wire.names, wire.answers, wire.commits) == ([["COPY"], []], ["complete"] * 2, [0, 1])


def test_so_does_one_whose_data_are_sent_at_once(wire):
    wire.send(parse("copy t from stdin"), bind(), execute(), SYNC, message("d", b"1\n"), message("c"), SYNC)
    wire.get(PARSED, BOUND, COPY_IN)
    assert wire.conversation.owed == 1
    wire.get(tag("COPY 1"), ready())
    assert (wire.names, wire.answers, wire.commits) == ([["COPY"]], ["complete"], [1])


def test_a_copy_given_up_commits_nothing(wire):
    wire.ask("copy t from stdin", COPY_IN)
    wire.send(message("f", b"no\0"))
    wire.get(ERROR, ready())
    assert (wire.answers, wire.commits) == (["complete"] * 2, [0, 0])


def test_a_copy_refused_while_data_are_sent_is_waited_for_all_the_same(wire):
    wire.ask("copy t from stdin", COPY_IN)
    wire.send(message("d", b"x\n"))
    wire.get(ERROR, ready())
    wire.send(message("c"))
    wire.ask("select 1", tag("SELECT 1"), ready())
    assert (wire.answers, wire.commits) == (["complete"] * 3, [0, 0, 1])


def test_copy_out_is_one_round_trip(wire):
    wire.ask("copy t to stdout", message("H", bytes(3)), *[message("d", b"1\n")] * 30, message("c"), tag("COPY 30"))
    wire.get(ready())
    assert (wire.names, wire.answers) == ([["COPY"]], ["complete"])
    assert wire.trips[0].received_bytes == 8 + 30 * 7 + 5 + 13 + 6


# --- the beginning and the end


def test_connecting_with_trust_is_one_round_trip():
    wire = Wire(start=True)
    wire.send(startup())
    wire.get(authentication(0), message("S", b"a\0b\0"), message("K", bytes(8)))
    assert wire.conversation.owed == 1
    wire.get(ready())
    assert (wire.names, wire.answers, wire.purposes) == ([[]], ["complete"], ["setup"])


@pytest.mark.parametrize(("request_", "answer"), [(SSL, b"N"), (SSL, b"S"), (GSS, b"N"), (GSS, b"G")])
def test_asking_for_encryption_and_a_password_exchange_are_a_round_trip_each(request_, answer):
    wire = Wire(start=True)
    wire.send(request_)
    wire.get(answer)
    wire.send(startup())
    wire.get(authentication(10))
    wire.send(message("p", b"SCRAM-SHA-256\0s3cret"))
    wire.get(authentication(11))
    wire.send(message("p", b"s3cret"))
    wire.get(authentication(12), authentication(0), message("K", bytes(8)), ready())
    wire.ask("select 1", tag("SELECT 1"), ready())
    assert wire.purposes == ["setup"] * 4 + ["work"]
    assert wire.answers == ["complete"] * 5
    assert "s3cret" not in repr(wire.trips)


def test_a_refused_connection_was_answered():
    wire = Wire(start=True)
    wire.send(startup())
    wire.get(ERROR)
    wire.event(CLOSED)
    assert (wire.answers, wire.purposes) == (["complete"], ["setup"])


def test_a_killed_session_ends_with_an_error_and_that_was_the_answer(wire):
    wire.ask("select pg_sleep(9)", ERROR)
    wire.event(CLOSED)
    assert (wire.answers, wire.failed) == (["complete"], [True])
    assert wire.trips[0].ended_ns == 2


def test_without_even_that_the_request_is_lost(wire):
    wire.send(query("select 1"))
    wire.event(CLOSED)
    assert wire.answers == ["lost"]


def test_a_connection_met_in_the_middle_ignores_what_it_cannot_place(wire):
    wire.get(PARSED, BOUND, tag("SELECT 1"), ready())
    wire.ask("select 1", tag("SELECT 1"), ready())
    assert (wire.answers, wire.commits) == (["complete"], [1])


def test_a_message_spanning_chunks_opens_at_the_first(wire):
    data = query("select 1")
    wire.send(data[:3])
    wire.send(data[3:])
    wire.get(ready())
    (trip,) = wire.trips
    assert (trip.started_ns, trip.ended_ns, trip.sent_bytes) == (1, 3, len(data))


def test_so_does_a_startup_message():
    wire = Wire(start=True)
    data = startup()
    wire.send(data[:3])
    wire.send(data[3:])
    (trip,) = wire.trips
    assert (trip.started_ns, trip.sent_bytes) == (1, len(data))


def test_an_answer_that_only_arrived_does_not_split(wire):
    wire.send(query("select 1"))
    wire.event(ARRIVED, ready())
    wire.send(query("select 2"))
    wire.event(LOOKED)
    wire.event(ARRIVED, ready())
    wire.send(query("select 3"))
    assert [len(names) for names in wire.names] == [2, 1]


# --- answers that passed unseen


def test_what_was_answered_unseen_is_settled_with_the_status_and_bytes_there_are(wire):
    wire.send(query("insert into t values (1)"))
    wire.event(SETTLED, b"48210 I")
    wire.send(query("select 1"))
    wire.event(SETTLED, b"T")
    assert wire.answers == ["complete", "complete"]
    assert wire.commits == [1, 0]
    assert [trip.received_bytes for trip in wire.trips] == [48210, None]


def test_a_pipeline_answered_unseen_is_settled_whole(wire):
    wire.send(query("begin"))
    wire.send(parse("insert into t values (1)"), bind(), execute(), FLUSH, SYNC)
    wire.send(query("commit"))
    wire.event(SETTLED, b"I")
    assert (wire.conversation.owed, wire.answers, wire.commits) == (0, ["complete"], [1])


def test_what_failed_unseen_is_marked_and_commits_nothing(wire):
    wire.send(parse("insert into t values (1)"), bind(), execute(), SYNC)
    wire.event(SETTLED, b"I failed")
    assert (wire.answers, wire.failed, wire.commits) == (["complete"], [True], [0])


def test_nothing_owed_is_nothing_to_settle(wire):
    wire.ask("select 1", tag("SELECT 1"), ready())
    wire.event(SETTLED, b"")
    assert wire.trips[0].received_bytes == 20


# --- what is not the protocol


WRONG = [
    (
        SENT,
        b"\x16\x03\x01\x00\x00",
        "b'\\x16' where a message should begin (is this TLS?) at byte 0 of what the client",
    ),
    (SENT, SYNC + b"Q\0\0\0\x03", "a message 'Q' of length 3 at byte 5 of what the client"),
    (RECEIVED, ready() + b"D\xff\xff\xff\xff", "a message 'D' of length 4294967295 at byte 6 of what the server"),
    (RECEIVED, b"HTTP/", "a message 'H' of length 1414811695 at byte 0 of what the server"),
    (RECEIVED, ready() + b"!", "b'!' where a message should begin (is this TLS?) at byte 6 of what the server"),
]


@pytest.mark.parametrize(("direction", "data", "problem"), WRONG)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_not_the_protocol_is_refused_with_connection_and_offset(wire, direction, data, problem, size):
    with pytest.raises(ProtocolError) as caught:
        wire.events(direction, data, size)
    assert str(caught.value) == f"connection 7: {problem} sent"


def test_a_startup_message_of_a_wrong_length_is_refused():
    wire = Wire(start=True)
    wire.send(SSL)
    wire.get(b"N")
    with pytest.raises(ProtocolError) as caught:
        wire.send(b"GET / HTTP/1.1")
    assert str(caught.value) == (
        "connection 7: a start-up message of length 1195725856 at byte 8 of what the client sent"
    )


def test_a_wrong_answer_to_an_ssl_request_is_refused():
    wire = Wire(start=True)
    wire.send(SSL)
    with pytest.raises(ProtocolError) as caught:
        wire.get(b"H")
    assert str(caught.value) == (
        "connection 7: b'H' where an SSL or GSS request should be answered at byte 0 of what the server sent"
    )


HUGE = [
    (SENT, b"Q\x3f\xff\xff\xff", b"x" * 65536),
    (SENT, b"B\x3f\xff\xff\xff", b"x" * 65536),
    (SENT, b"", message("C", b"Sx\0") * 100),
    (RECEIVED, b"D\x3f\xff\xff\xff", b"x" * 65536),
    (RECEIVED, b"E\x3f\xff\xff\xff", b"x" * 65536),
    (RECEIVED, b"", ROW * 8192),
]


@pytest.mark.parametrize(("direction", "beginning", "more"), HUGE)
def test_what_never_ends_is_read_in_bounded_memory(wire, direction, beginning, more):
    wire.send(query("select 1"))
    tracemalloc.start()
    try:
        wire.event(direction, beginning)
        for _ in range(4):
            wire.event(direction, more)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_of_prepared_statements_without_end_only_the_last_are_remembered(wire):
    for number in range(5000):
        wire.send(parse(f"select {number}", f"s{number}"))
    wire.send(bind("s0"), execute(), bind("s4999"), execute())
    assert [operation.shape for operation in wire.trips[0].operations] == ["prepared statement not seen", "SELECT ?"]
