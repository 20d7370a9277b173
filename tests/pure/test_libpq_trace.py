"""libpq's message trace, as libpq 15 and 18 write it, read into round trips."""

import tracemalloc

import pytest

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import CLOSED, LOOKED, RECEIVED, SENT, SETTLED, Caller
from redis_perf.wire.libpq_trace import LibpqTraceMeter

SELECT = b'F\t13\tQuery\t "select 1"\n'
ROWS = b"B\t33\tRowDescription\t 1 \"?column?\" 0 0 23 4 -1 0\nB\t11\tDataRow\t 1 1 '1'\n"
ANSWER = ROWS + b'B\t13\tCommandComplete\t "SELECT 1"\nB\t5\tReadyForQuery\t I\n'
EXTENDED = (
    b'F\t28\tParse\t "" "select $1::int2" 1 21\nF\t20\tBind\t "" "" 1 1 1 2 \'\\x00\\x01\' 1 0\n'
    b'F\t6\tDescribe\t P ""\nF\t9\tExecute\t "" 0\nF\t4\tSync\n'
)
ACCEPTED = b"B\t4\tParseComplete\nB\t4\tBindComplete\n"


class Trace:
    """A connection whose clock ticks with each event."""

    def __init__(self, *, startup=False):
        self.finished = []
        self.conversation = Conversation("postgres", 7, self.finished.append)
        self.meter = LibpqTraceMeter(self.conversation, startup=startup)
        self.now = 0

    def event(self, direction, data=b"", caller=None):
        self.now += 1
        self.meter.feed(self.now, direction, data, caller)

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
    def shapes(self):
        return [operation.shape for trip in self.trips for operation in trip.operations]

    @property
    def answers(self):
        return [trip.answer for trip in self.trips]

    @property
    def bytes(self):
        return [(trip.sent_bytes, trip.received_bytes) for trip in self.trips]


@pytest.fixture
def trace():
    return Trace()


def test_a_query_is_one_round_trip_with_the_bytes_of_the_wire(trace):
    trace.event(SENT, SELECT)
    trace.event(RECEIVED, ANSWER)
    (trip,) = trace.trips
    assert (trip.started_ns, trip.ended_ns, trip.sent_bytes, trip.received_bytes) == (1, 2, 14, 66)
    assert (trip.answer, trip.commits, trace.shapes) == ("complete", 1, ["SELECT ?"])


def test_the_answer_to_one_wait_may_come_with_the_text_of_the_next(trace):
    trace.event(SENT, SELECT)
    trace.event(SENT, ANSWER + SELECT)
    trace.event(SENT, ANSWER + EXTENDED)
    trace.event(RECEIVED, ACCEPTED + ANSWER)
    assert trace.names == [["SELECT"]] * 3
    assert trace.answers == ["complete"] * 3
    assert [trip.started_ns for trip in trace.trips] == [1, 2, 3]


def test_several_round_trips_in_one_text_have_one_caller(trace):
    caller = Caller(Trace.event.__code__, 7, "main")
    trace.event(SENT, SELECT, caller)
    trace.event(RECEIVED, ANSWER + SELECT + ANSWER)
    assert [(trip.site.line, trip.lane) for trip in trace.trips] == [(7, "main")] * 2


def test_sql_of_several_lines_is_stepped_over_by_its_length(trace):
    sql = b"select '\nB\t5\tReadyForQuery\t I\nF\t13\tQuery\t \"select 9\"\n'"
    trace.event(SENT, b'F\t%d\tQuery\t "%s"\n' % (len(sql) + 5, sql))
    assert trace.conversation.owed == 1
    assert trace.shapes == ["SELECT ?"]
    trace.event(RECEIVED, ANSWER)
    assert trace.answers == ["complete"]


def parse(sql, name=b"", types=()):
    length = 8 + len(name) + len(sql) + 4 * len(types)
    return b'F\t%d\tParse\t "%s" "%s" %d%s\n' % (
        length, name, sql, len(types), b"".join(b" %d" % oid for oid in types)
    )  # fmt: skip


@pytest.mark.parametrize("types", [(), (25,), (0,) * 5, (23, 1043, 16_409), (2950,) * 40])
@pytest.mark.parametrize("sql", [b"select 1", b"select '\nF\t4\tSync\nB\t5\tReadyForQuery\t I\n', \"a\" 1 21\n"])
def test_parse_ends_where_its_length_and_parameter_types_say(trace, sql, types):
    rest = b'F\t20\tBind\t "" "s" 0 0 1 0\nF\t9\tExecute\t "" 0\nF\t4\tSync\n'
    trace.event(SENT, parse(sql, b"s", types) + rest)
    assert (trace.conversation.owed, trace.names) == (1, [["SELECT"]])
    assert trace.trips[0].sent_bytes == 9 + 1 + len(sql) + 4 * len(types) + 21 + 10 + 5


def fields(name, **values):
    """An error or a notice; on the wire it has neither the blanks nor the quotes."""
    length = 4 + sum(2 + len(value) for value in values.values()) + 1
    text = "".join(f' {letter} "{value}"' for letter, value in values.items())
    return f"B\t{length}\t{name}\t{text} \\x00\n".encode()


FAKE = b"p\nB\t5\tReadyForQuery\t I\nF\t5\tSync\n"
TRICKY = [
    b'B\t%d\tNotificationResponse\t 20852 "ch" "%s"\n' % (len(FAKE) + 12, FAKE),
    fields("NoticeResponse", S="NOTICE", C="00000", M="x\nB\t5\tReadyForQuery\t I\n", F="a.c", L="1", R="f"),
    b'B\t%d\tParameterStatus\t "a" "%s"\n' % (len(FAKE) + 7, FAKE),
    b'B\t73\tRowDescription\t 2 "a\nB\t5\tReadyForQuery\t I\nB\t5\tx" 0 0 23 4 -1 0 "b" 0 0 23 4 -1 0\n',
    b"B\t30\tDataRow\t 1 20 '\\x0aB\\x095\\x09ReadyForQuery'\n",
    b"B\t6\tRowDescription\t 0\n",
]


@pytest.mark.parametrize("text", TRICKY)
@pytest.mark.parametrize("size", [1, 1000])
def test_text_that_looks_like_further_lines_settles_nothing(trace, text, size):
    trace.event(SENT, SELECT)
    trace.events(RECEIVED, text, size)
    assert trace.conversation.owed == 1
    trace.event(RECEIVED, ANSWER)
    assert trace.answers == ["complete"]
    assert trace.trips[0].received_bytes == int(text.split(b"\t")[1]) + 1 + 66


def test_an_error_marks_the_statement(trace):
    trace.event(SENT, b'F\t16\tQuery\t "select nope"\n')
    trace.event(RECEIVED, fields("ErrorResponse", S="ERROR", M="no\nB\t5") + b"B\t5\tReadyForQuery\t I\n")
    assert trace.trips[0].operations[0].failed
    assert (trace.answers, trace.trips[0].commits) == (["complete"], 0)


def test_a_prepared_statement_is_known_by_its_name(trace):
    bind = b'F\t24\tBind\t "" "_pg3_0" 0 0 1 0\nF\t9\tExecute\t "" 0\nF\t4\tSync\n'
    trace.event(SENT, parse(b"select 1", b"_pg3_0") + b"F\t4\tSync\n")
    trace.event(SENT, b"B\t4\tParseComplete\nB\t5\tReadyForQuery\t I\n" + bind)
    trace.event(SENT, b"B\t4\tBindComplete\n" + ANSWER + b'F\t12\tClose\t S "_pg3_0"\n' + bind)
    assert [trip.operations[0].shape if trip.operations else "" for trip in trace.trips] == [
        "", "SELECT ?", "prepared statement not seen",
    ]  # fmt: skip


def test_rows_and_copy_data_are_counted_in_bytes_only(trace):
    trace.event(SENT, b'F\t21\tQuery\t "copy t to stdout"\n')
    trace.event(RECEIVED, b"B\t9\tCopyOutResponse\t \\x00 1 0\n" + b"B\t6\tCopyData\t '1\\x0a'\n" * 100)
    trace.event(RECEIVED, b'B\t4\tCopyDone\nB\t13\tCommandComplete\t "COPY 100"\nB\t5\tReadyForQuery\t I\n')
    assert trace.bytes == [(22, 10 + 700 + 5 + 14 + 6)]


def test_copy_data_that_libpq_did_not_trace_were_not_seen(trace):
    trace.event(SENT, b'F\t21\tQuery\t "copy t to stdout"\n')
    trace.event(RECEIVED, b"B\t9\tCopyOutResponse\t \\x00 1 0\nB\t4\tCopyDone\n")
    trace.event(RECEIVED, b'B\t13\tCommandComplete\t "COPY 100"\nB\t5\tReadyForQuery\t I\n')
    assert trace.bytes == [(22, None)]


@pytest.mark.parametrize(
    "data",
    [b"F\t10\tCopyData\t '0\\x0a1\\x0a2\\x0a'\n", b"F\t10\t\nmismatched message length: consumed 4, expected 10\n"],
    ids=["libpq 17", "libpq 15"],
)
def test_copy_in_is_two_round_trips(trace, data):
    trace.event(SENT, b'F\t22\tQuery\t "copy t from stdin"\n')
    trace.event(SENT, b"B\t9\tCopyInResponse\t \\x00 1 0\n" + data + b"F\t4\tCopyDone\n")
    trace.event(RECEIVED, b'B\t11\tCommandComplete\t "COPY 3"\nB\t5\tReadyForQuery\t I\n')
    assert trace.answers == ["complete"] * 2
    assert trace.bytes == [(23, 10), (16, 18)]


KEYS = b"B\t12\tBackendKeyData\t 22183 ';\\x95?\\xc7'\nB\t5\tReadyForQuery\t I\n"
HANDSHAKE_18 = (
    b"F\t8\tSSLRequest\t 1234 5679\n",
    b'B\t1\tSSLResponse\t N\nF\t35\tStartupMessage\t 3 0 "user" "sc" "database" "postgres"\n',
    b'B\t23\tAuthenticationSASL\t "SCRAM-SHA-256" ""\n'
    b"F\t54\tSASLInitialResponse\t \"SCRAM-SHA-256\" 32 'n,,n=,r=s3cret'\n",
    b"B\t92\tAuthenticationSASLContinue\t 'r=s3cret'\nF\t108\tSASLResponse\t 'c=biws,r=s3cret'\n",
    b"B\t54\tAuthenticationSASLFinal\t 'v=s3cret'\nB\t8\tAuthenticationOk\n" + KEYS,
)
HANDSHAKE_15 = (
    b"F\t8\tUnknown message: length is 8\n",
    b"F\t35\tUnknown message: length is 35\n",
    b"F\t54\tUnknown message: 70\nmismatched message length: consumed 4, expected 54\n",
    b"F\t108\tUnknown message: 70\nmismatched message length: consumed 4, expected 108\n",
    KEYS,
)


@pytest.mark.parametrize(
    ("texts", "received"),
    [(HANDSHAKE_18, [1, 24, 93, 55 + 9 + 19, 66]), (HANDSHAKE_15, [None, None, None, 19, 66])],
    ids=["libpq 18", "libpq 15"],
)
def test_a_handshake_with_encryption_refused_and_scram_is_four_round_trips(texts, received):
    trace = Trace(startup=True)
    for text in texts:
        trace.event(SENT, text)
    trace.event(SENT, SELECT)
    trace.event(RECEIVED, ANSWER)
    assert [trip.purpose for trip in trace.trips] == ["setup"] * 4 + ["work"]
    assert trace.answers == ["complete"] * 5
    assert trace.bytes == list(zip([8, 35, 55, 109, 14], received, strict=True))
    assert "s3cret" not in repr(trace.trips)


def test_rows_that_passed_untraced_are_settled_with_what_is_known(trace):
    trace.event(SENT, SELECT)
    trace.event(RECEIVED, b'B\t33\tRowDescription\t 1 "?column?" 0 0 23 4 -1 0\n')
    trace.event(SETTLED, b"")
    trace.event(SENT, SELECT)
    trace.event(SETTLED, b"48210 I")
    assert trace.answers == ["complete", "complete"]
    assert trace.bytes == [(14, None), (14, 48210)]
    assert trace.trips[1].commits == 1


def test_a_look_and_the_end_of_the_connection_need_no_text(trace):
    trace.event(SENT, SELECT)
    trace.event(LOOKED)
    trace.event(CLOSED)
    assert trace.answers == ["lost"]


def test_a_killed_session_was_answered_by_its_error(trace):
    trace.event(SENT, SELECT)
    trace.event(RECEIVED, fields("ErrorResponse", S="FATAL", C="57P01"))
    trace.event(CLOSED)
    assert trace.answers == ["complete"]


WRONG = [
    (
        b"10:00:00.000000\tF\t13\tQuery\n",
        "b'10:00:00.000000\\tF\\t13\\tQuery', which is no line of a message trace as libpq 14 to 18 write it",
        0,
    ),
    (SELECT + b"F\t0\tQuery\t \n", "a message 'Query' of length 0", 23),
    (SELECT + b"B\t4294967295\tDataRow\t 1\n", "a message 'DataRow' of length 4294967295", 23),
    (SELECT + b"F\t4\tUnheard\n", "a message 'Unheard', which no client is known to send", 23),
]


@pytest.mark.parametrize(("text", "problem", "offset"), WRONG)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_trace_is_refused_with_connection_and_offset(trace, text, problem, offset, size):
    with pytest.raises(ProtocolError) as caught:
        trace.events(SENT, text, size)
    assert str(caught.value) == f"connection 7: {problem} at byte {offset} of what the message trace sent"


HUGE = [
    b'F\t1073741823\tQuery\t "',
    b'F\t1073741823\tParse\t "" "',
    b'F\t1073741823\tBind\t "" "',
    b"B\t1073741823\tDataRow\t 1 1073741800 '",
    b'B\t1073741823\tErrorResponse\t M "',
    b'B\t1073741823\tRowDescription\t 9 "',
    SELECT + b"no line at all ",
]


@pytest.mark.parametrize("beginning", HUGE)
def test_a_line_that_never_ends_is_read_in_bounded_memory(trace, beginning):
    trace.event(SENT, SELECT)
    tracemalloc.start()
    try:
        trace.event(RECEIVED, beginning)
        for _ in range(40):
            trace.event(RECEIVED, b"x" * 65536)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize("name", [b"Query", b"Parse"])
def test_a_very_long_statement_counts_like_any_other(trace, name):
    sql = b"select '" + b"x" * 1_500_000 + b"\n'"
    end = b'F\t20\tBind\t "" "" 0 0 1 0\nF\t9\tExecute\t "" 0\nF\t4\tSync\n'
    trace.event(SENT, b'F\t%d\tQuery\t "%s"\n' % (len(sql) + 5, sql) if name == b"Query" else parse(sql) + end)
    trace.event(RECEIVED, ANSWER)
    assert (trace.names, trace.answers) == ([["SELECT"]], ["complete"])
