"""Redis on the wire: which command owes what, and what round trips come of it."""

import tracemalloc

import pytest

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, SENT, SETTLED
from redis_perf.wire.resp import RespMeter


def command(*words):
    encoded = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def bulks(kind, *words):
    return kind + b"%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


def ack(kind, what, channel, count):
    return kind + b"3\r\n" + bulks(b"*", what, channel)[4:] + b":%d\r\n" % count


class Wire:
    """A connection whose clock ticks with each event."""

    def __init__(self, **options):
        self.finished = []
        self.conversation = Conversation("redis", 7, self.finished.append)
        self.meter = RespMeter(self.conversation, **options)
        self.now = 0

    def event(self, direction, data=b""):
        self.now += 1
        self.meter.feed(self.now, direction, data)

    def send(self, *words):
        self.event(SENT, command(*words))

    def get(self, data):
        self.event(RECEIVED, data)

    def ask(self, *words, answer=b"+OK\r\n"):
        self.send(*words)
        self.get(answer)

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


@pytest.fixture
def wire():
    return Wire()


def test_a_get_is_one_round_trip(wire):
    wire.ask("GET", "user:1", answer=b"$3\r\nada\r\n")
    (trip,) = wire.trips
    assert (trip.started_ns, trip.ended_ns, trip.sent_bytes, trip.received_bytes) == (1, 2, 25, 9)
    assert trip.operations[0].shape == "GET user:{}"
    assert (trip.answer, trip.purpose) == ("complete", "work")


def test_a_pipeline_of_three_is_one_round_trip(wire):
    wire.event(SENT, command("SET", "a", "1") + command("GET", "a") + command("INCR", "a"))
    wire.get(b"+OK\r\n$1\r\n1\r\n:2\r\n")
    assert wire.names == [["SET", "GET", "INCR"]]
    assert wire.answers == ["complete"]


def test_a_pipeline_written_in_many_sends_is_one_round_trip(wire):
    for _ in range(50):
        wire.send("GET", "a")
    for _ in range(50):
        wire.get(b"$-1\r\n")
    assert wire.answers == ["complete"]
    assert len(wire.trips[0].operations) == 50


def test_a_command_spanning_chunks_opens_at_the_first_and_is_owed_from_the_last(wire):
    data = command("GET", "a")
    wire.event(SENT, data[:5])
    assert wire.answers == ["none owed"]
    wire.event(SENT, data[5:])
    assert wire.answers == ["in flight"]
    wire.get(b"$-1\r\n")
    assert [(trip.started_ns, trip.ended_ns, trip.sent_bytes) for trip in wire.trips] == [(1, 3, len(data))]


def test_a_reply_that_only_arrived_does_not_split(wire):
    wire.send("GET", "a")
    wire.event(ARRIVED, b"$-1\r\n")
    wire.send("GET", "b")
    wire.event(ARRIVED, b"$-1\r\n")
    wire.event(LOOKED)
    wire.send("GET", "c")
    assert wire.names == [["GET", "GET"], ["GET"]]


def test_what_arrives_while_the_client_waits_is_looked_at(wire):
    wire.send("GET", "a")
    wire.event(LOOKED)
    wire.event(ARRIVED, b"$-1\r\n")
    wire.send("GET", "b")
    assert wire.names == [["GET"], ["GET"]]


def test_waiting_ends_with_the_next_send(wire):
    wire.send("GET", "a")
    wire.event(LOOKED)
    wire.send("GET", "b")
    wire.event(ARRIVED, b"$-1\r\n")
    wire.send("GET", "c")
    assert wire.names == [["GET", "GET", "GET"]]


@pytest.mark.parametrize(
    "value",
    [
        b"+OK\r\n", b":-7\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"*-1\r\n", b"*0\r\n", b"_\r\n", b"#t\r\n", b",3.14\r\n",
        b"(3492890328409238509324850943850943825024385\r\n", b"=15\r\ntxt:Some string\r\n", b"%0\r\n", b"~0\r\n",
        b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n~1\r\n#f\r\n", b"%1\r\n+k\r\n%1\r\n+k\r\n*0\r\n",
        b"|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", b"*2\r\n|1\r\n+ttl\r\n*1\r\n:1\r\n$1\r\na\r\n:2\r\n",
        b"|0\r\n+OK\r\n", b"$6\r\n+OK\r\n.\r\n",
    ],
)  # fmt: skip
def test_every_kind_of_value_settles_one_reply(wire, value):
    wire.send("GET", "a")
    wire.send("GET", "b")
    wire.get(value)
    assert wire.conversation.owed == 1
    wire.get(value)
    assert wire.answers == ["complete"]
    assert wire.trips[0].received_bytes == 2 * len(value)


@pytest.mark.parametrize("reply", [b"-ERR no\r\n", b"!6\r\nERR no\r\n"])
def test_an_error_reply_marks_its_own_operation_failed(wire, reply):
    wire.event(SENT, command("GET", "a") + command("GET", "b"))
    wire.get(b"$-1\r\n" + reply)
    assert [operation.failed for operation in wire.trips[0].operations] == [False, True]


def test_inline_commands_count_and_empty_lines_do_not(wire):
    wire.event(SENT, b"PING\r\n\r\nget user:7\r\n")
    wire.get(b"+PONG\r\n$-1\r\n")
    assert wire.names == [["PING", "GET"]]
    assert wire.answers == ["complete"]


def test_a_command_of_no_arguments_owes_nothing(wire):
    wire.event(SENT, b"*0\r\n*-1\r\n" + command("GET", "a"))
    wire.get(b"$-1\r\n")
    assert wire.answers == ["complete"]


def test_pushes_owe_and_settle_nothing(wire):
    wire.send("GET", "a")
    wire.get(bulks(b">", "invalidate", "a"))
    assert wire.conversation.owed == 1
    wire.get(b"$-1\r\n")
    wire.get(bulks(b">", "message", "news", "x"))
    wire.send("GET", "b")
    assert wire.names == [["GET"], ["GET"]]
    assert wire.trips[0].ended_ns == 3


@pytest.mark.parametrize("kind", [b">", b"*"])
def test_subscribe_owes_an_acknowledgement_for_each_channel(wire, kind):
    wire.send("SUBSCRIBE", "a", "b")
    wire.send("PSUBSCRIBE", "c*")
    wire.get(ack(kind, "subscribe", "a", 1))
    wire.get(bulks(kind, "message", "a", "x"))
    assert wire.conversation.owed == 2
    wire.get(ack(kind, "subscribe", "b", 2) + ack(kind, "psubscribe", "c*", 3))
    wire.get(bulks(kind, "pmessage", "c*", "c1", "x"))
    assert wire.answers == ["complete"]
    assert wire.trips[0].ended_ns == 5


@pytest.mark.parametrize("kind", [b">", b"*"])
def test_unsubscribe_of_everything_is_answered_by_the_last_acknowledgement(wire, kind):
    wire.send("SUBSCRIBE", "a", "b")
    wire.get(ack(kind, "subscribe", "a", 1) + ack(kind, "subscribe", "b", 2))
    wire.send("UNSUBSCRIBE")
    wire.get(ack(kind, "unsubscribe", "a", 1))
    assert wire.answers == ["complete", "in flight"]
    wire.get(ack(kind, "unsubscribe", "b", 0))
    assert wire.answers == ["complete", "complete"]


@pytest.mark.parametrize("kind", [b">", b"*"])
def test_unsubscribe_without_subscriptions_owes_one(wire, kind):
    wire.send("UNSUBSCRIBE")
    wire.get(kind + b"3\r\n$11\r\nunsubscribe\r\n" + (b"_\r\n" if kind == b">" else b"$-1\r\n") + b":0\r\n")
    assert wire.answers == ["complete"]


def test_a_channel_subscribed_twice_is_given_up_once(wire):
    wire.send("SUBSCRIBE", "a")
    wire.send("SUBSCRIBE", "a")
    wire.send("UNSUBSCRIBE")
    wire.get(ack(b"*", "subscribe", "a", 1) * 2 + ack(b"*", "unsubscribe", "a", 0))
    assert wire.conversation.owed == 0


def test_a_refused_subscription_owes_nothing_more(wire):
    wire.send("SUBSCRIBE", "a", "b")
    wire.get(b"-NOPERM no\r\n")
    wire.send("PING")
    wire.get(b"+PONG\r\n")
    assert wire.answers == ["complete", "complete"]
    assert wire.trips[0].operations[0].failed


def test_ping_among_messages_in_resp2_is_answered_with_an_array(wire):
    wire.send("SUBSCRIBE", "a")
    wire.get(ack(b"*", "subscribe", "a", 1))
    wire.send("PING")
    wire.get(bulks(b"*", "message", "a", "x"))
    assert wire.conversation.owed == 1
    wire.get(bulks(b"*", "pong", ""))
    assert wire.conversation.owed == 0


def test_in_resp3_an_array_is_a_reply_even_if_it_reads_like_a_message(wire):
    wire.send("SUBSCRIBE", "a")
    wire.get(ack(b">", "subscribe", "a", 1))
    wire.ask("LRANGE", "l", "0", "-1", answer=bulks(b"*", "message", "a", "x"))
    assert wire.answers == ["complete", "complete"]


def test_an_unsubscription_the_server_forces_settles_nothing(wire):
    wire.send("SSUBSCRIBE", "a")
    wire.get(ack(b">", "ssubscribe", "a", 1))
    wire.send("GET", "b")
    wire.get(ack(b">", "sunsubscribe", "a", 0))
    assert wire.conversation.owed == 1


def test_the_lines_of_monitor_are_owed_by_nobody(wire):
    wire.ask("MONITOR")
    wire.get(b'+1700000000.1 [0 127.0.0.1:5] "GET" "a"\r\n' * 3)
    wire.send("PING")
    wire.get(b'+1700000000.2 [0 127.0.0.1:5] "GET" "a"\r\n')
    assert wire.conversation.owed == 1
    wire.get(b"+PONG\r\n")
    assert wire.answers == ["complete", "complete"]


def test_with_replies_off_nothing_is_owed_until_on(wire):
    wire.send("CLIENT", "REPLY", "OFF")
    wire.send("SET", "a", "1")
    assert wire.answers == ["none owed"]
    wire.send("CLIENT", "REPLY", "ON")
    wire.get(b"+OK\r\n")
    assert wire.names == [["CLIENT REPLY", "SET", "CLIENT REPLY"]]
    assert wire.answers == ["complete"]


def test_skip_skips_its_own_reply_and_the_next(wire):
    wire.event(SENT, command("CLIENT", "REPLY", "SKIP") + command("SET", "a", "1") + command("GET", "a"))
    assert wire.conversation.owed == 1
    wire.get(b"$1\r\n1\r\n")
    assert wire.answers == ["complete"]


@pytest.mark.parametrize(
    "words",
    [
        ["BLPOP", "a", "1"], ["brpop", "a", "1"], ["BLMOVE", "a", "b", "LEFT", "LEFT", "0"], ["BZPOPMIN", "a", "0"],
        ["BRPOPLPUSH", "a", "b", "0"], ["WAIT", "1", "0"], ["XREAD", "BLOCK", "0", "STREAMS", "s", "$"],
        ["XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "BLOCK", "5", "STREAMS", "s", ">"],
    ],
)  # fmt: skip
def test_a_blocking_command_is_marked_as_waiting(wire, words):
    wire.ask(*words, answer=b"*-1\r\n")
    assert wire.trips[0].waited


@pytest.mark.parametrize("words", [["LPOP", "a"], ["XREAD", "COUNT", "1", "STREAMS", "block", "0"]])
def test_other_commands_are_not(wire, words):
    wire.ask(*words, answer=b"*-1\r\n")
    assert not wire.trips[0].waited


def test_in_a_transaction_nothing_blocks(wire):
    wire.event(SENT, command("MULTI") + command("BLPOP", "a", "0") + command("EXEC"))
    assert not wire.trips[0].waited


def transaction(wire, answer):
    wire.event(SENT, b"".join(map(command, ["MULTI"])) + command("SET", "a", "1") + command("INCR", "b"))
    wire.event(SENT, command("GET", "a") + command("EXEC"))
    wire.get(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n" + answer)
    return wire.trips[0]


def test_three_commands_in_a_transaction_are_five_operations_one_commit_one_round_trip(wire):
    trip = transaction(wire, b"*3\r\n+OK\r\n:1\r\n$1\r\n1\r\n")
    assert (len(wire.trips), len(trip.operations), trip.commits, trip.purpose) == (1, 5, 1, "work")


@pytest.mark.parametrize("answer", [b"*-1\r\n", b"_\r\n", b"$-1\r\n", b"-EXECABORT no\r\n"])
def test_a_transaction_that_did_not_happen_is_no_commit(wire, answer):
    trip = transaction(wire, answer)
    assert trip.commits == 0
    assert trip.operations[4].failed is (answer[:1] == b"-")


def test_an_error_inside_exec_marks_the_command_that_failed(wire):
    trip = transaction(wire, b"*3\r\n+OK\r\n-ERR not an integer\r\n$1\r\n1\r\n")
    assert [operation.failed for operation in trip.operations] == [False, False, True, False, False]
    assert trip.commits == 1


def test_watch_and_multi_alone_are_transaction_control(wire):
    wire.ask("WATCH", "a")
    wire.ask("MULTI")
    assert wire.purposes == ["transaction", "transaction"]


@pytest.mark.parametrize(
    "words",
    [
        ["HELLO", "3"], ["AUTH", "x"], ["CLIENT", "SETINFO", "LIB-NAME", "x"], ["CLIENT", "SETNAME", "x"],
        ["CLIENT", "MAINT_NOTIFICATIONS", "ON"], ["CLIENT", "TRACKING", "ON"], ["SELECT", "1"],
        ["READONLY"], ["READWRITE"], ["COMMAND"], ["COMMAND", "DOCS"], ["CLUSTER", "SLOTS"], ["CLUSTER", "SHARDS"],
        ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"], ["PING"],
    ],
)  # fmt: skip
def test_what_a_client_sends_first_is_setup(wire, words):
    wire.ask(*words)
    assert wire.purposes == ["setup"]


@pytest.mark.parametrize("words", [["PING"], ["INFO"], ["CLIENT", "ID"]])
def test_what_the_user_may_well_ask_first_is_work_once_the_client_has_introduced_itself(wire, words):
    wire.ask("CLIENT", "SETINFO", "LIB-NAME", "x")
    wire.ask(*words)
    assert wire.purposes == ["setup", "work"]


def test_later_the_same_is_work_but_authentication_never(wire):
    wire.ask("PING")
    wire.ask("HELLO", "3")
    wire.ask("GET", "a")
    wire.ask("PING")
    wire.ask("SELECT", "1")
    wire.ask("AUTH", "x")
    wire.ask("ASKING")
    assert wire.purposes == ["setup", "setup", "work", "work", "work", "setup", "setup"]


def test_a_connection_met_in_the_middle_has_its_setup_behind_it():
    wire = Wire(startup=False)
    wire.ask("PING")
    assert wire.purposes == ["work"]


def test_a_new_connection_starts_over(wire):
    wire.ask("GET", "a")
    wire.event(SENT, b"*2\r\n$3\r\nGE")
    wire.event(CLOSED)
    wire.ask("PING")
    assert wire.purposes[-1] == "setup"
    assert wire.answers == ["complete", "none owed", "complete"]


def test_a_request_the_connection_took_with_it_is_lost(wire):
    wire.send("GET", "a")
    wire.event(CLOSED)
    assert wire.answers == ["lost"]


def test_replies_to_requests_not_seen_are_ignored(wire):
    wire.get(b"$-1\r\n+OK\r\n")
    wire.ask("GET", "a", answer=b"$-1\r\n")
    assert wire.answers == ["complete"]


def test_answers_that_passed_unseen_settle_everything(wire):
    wire.send("GET", "a")
    wire.event(SETTLED, b"")
    wire.send("GET", "b")
    wire.event(SETTLED, b"120 failed")
    assert wire.answers == ["complete", "complete"]
    assert [trip.received_bytes for trip in wire.trips] == [None, 120]
    assert [trip.operations[0].failed for trip in wire.trips] == [False, True]


@pytest.mark.parametrize(
    "words",
    [
        ["AUTH", "s3cret"], ["AUTH", "s3cret", "s3cret"], ["HELLO", "3", "AUTH", "s3cret", "s3cret"],
        ["CONFIG", "SET", "requirepass", "s3cret"], ["config", "set", "maxmemory", "s3cret", "masterauth", "s3cret"],
        ["ACL", "SETUSER", "s3cret", ">s3cret"], ["MIGRATE", "h", "1", "", "0", "5", "AUTH", "s3cret", "KEYS", "a"],
    ],
)  # fmt: skip
def test_secrets_are_never_kept(wire, words):
    wire.ask(*words)
    assert "s3cret" not in repr(wire.trips)


def test_a_command_of_many_arguments_is_kept_in_part_only(wire):
    wire.ask("MGET", *[f"key:{number}" for number in range(500)], answer=b"*-1\r\n")
    assert len(wire.trips[0].operations) == 1
    assert len(wire.trips[0].operations[0].shape) < 2000


STREAMED = "a streamed RESP3 value, which no server is known to send and this does not read"
WRONG = [
    (SENT, b"\x16\x03", "b'\\x16' where a command should begin (is this TLS?) at byte 0 of what the client"),
    (SENT, b"*1\r\n+PING\r\n", "b'+' where an argument should begin ('$') at byte 4 of what the client"),
    (SENT, b"*1\r\n$-1\r\n", "an argument of length -1 at byte 4 of what the client"),
    (SENT, b"*abc\r\n", "b'abc' is no number of arguments at byte 1 of what the client"),
    (SENT, b"*1\r\n$x\r\n", "b'x' is no length of an argument at byte 5 of what the client"),
    (SENT, b"*" + b"1" * 40, "a length that does not end at byte 0 of what the client"),
    (SENT, b"A" * 65536, "an inline command longer than 65536 bytes at byte 0 of what the client"),
    (RECEIVED, b"+OK\r\nHTTP/1.1", "b'H' where a reply should begin at byte 5 of what the server"),
    (RECEIVED, b"$-2\r\n", "b'-2' is no length at byte 1 of what the server"),
    (RECEIVED, b"*?\r\n", f"{STREAMED} at byte 0 of what the server"),
    (RECEIVED, b"*1\r\n" * 200, "values nested deeper than 128 at byte 512 of what the server"),
    (RECEIVED, b"$" + b"9" * 40, "a length that does not end at byte 0 of what the server"),
]  # fmt: skip


@pytest.mark.parametrize(("direction", "data", "problem"), WRONG)
@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_what_is_not_the_protocol_is_refused_with_connection_and_offset(wire, direction, data, problem, size):
    with pytest.raises(ProtocolError) as caught:
        wire.events(direction, data, size)
    assert str(caught.value) == f"connection 7: {problem} sent"


HUGE = [
    (SENT, b"*2\r\n$3\r\nSET\r\n$1073741824\r\n", b"x" * 65536),
    (SENT, b"*1000000000\r\n$3\r\nDEL\r\n", b"$1\r\nx\r\n" * 8192),
    (RECEIVED, b"$1073741824\r\n", b"x" * 65536),
    (RECEIVED, b"*1000000000\r\n", b"*1\r\n:1\r\n" * 8192),
    (RECEIVED, b"+", b"x" * 65536),
    (RECEIVED, b"*1000000000\r\n", b"-ERR\r\n" * 8192),
]


@pytest.mark.parametrize(("direction", "beginning", "more"), HUGE)
def test_what_never_ends_is_read_in_bounded_memory(wire, direction, beginning, more):
    wire.send("GET", "a")
    tracemalloc.start()
    try:
        wire.event(direction, beginning)
        for _ in range(4):
            wire.event(direction, more)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_the_rest_of_a_command_joins_its_beginning_whatever_came_in_between(wire):
    wire.send("GET", "a")
    wire.event(SENT, b"*2\r\n$3\r\nGET\r\n$1\r")
    wire.event(RECEIVED, b"$-1\r\n")
    wire.event(SENT, b"\nb\r\n")
    wire.event(RECEIVED, b"$-1\r\n")
    assert wire.names == [["GET", "GET"]]
    assert wire.trips[0].sent_bytes == len(command("GET", "a") + command("GET", "b"))
