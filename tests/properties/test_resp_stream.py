"""RESP: what is encoded is read back, however it is cut; garbage ends in a ProtocolError or in nothing worse."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import RECEIVED, SENT
from redis_perf.wire.resp import RespMeter
from redis_perf.wire.resp_command_frames import Commands
from redis_perf.wire.resp_reply_frames import Replies
from redis_perf.wire.resp_values import KEPT_ARGUMENTS, KEPT_BYTES

WORDS = st.lists(st.binary(max_size=400), min_size=1, max_size=6) | st.lists(st.just(b"x"), min_size=60, max_size=70)


def command(words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


LINES = st.text("abc -\t1", max_size=30).map(str.encode)


def simple(kind):
    return LINES.map(lambda line: kind + line + b"\r\n")


def string(kind):
    return st.binary(max_size=50).map(lambda body: kind + b"%d\r\n%s\r\n" % (len(body), body))


SCALARS = st.one_of(
    *map(simple, [b"+", b"-", b":", b"#", b",", b"(", b"_"]),
    *map(string, [b"$", b"!", b"="]),
    st.sampled_from([b"$-1\r\n", b"*-1\r\n"]),
)


def containers(values):
    lists = st.lists(values, max_size=4)
    plain = st.tuples(st.sampled_from([b"*", b"~", b">"]), lists).map(
        lambda made: made[0] + b"%d\r\n" % len(made[1]) + b"".join(made[1])
    )
    pairs = st.lists(st.tuples(values, values).map(b"".join), max_size=3)
    maps = pairs.map(lambda made: b"%%%d\r\n" % len(made) + b"".join(made))
    attributed = st.tuples(pairs, values).map(lambda made: b"|%d\r\n" % len(made[0]) + b"".join(made[0]) + made[1])
    return plain | maps | attributed


VALUES = st.recursive(SCALARS, containers, max_leaves=12)


def pieces(data, sizes):
    """The data cut after each of the sizes in turn."""
    cut, position = [], 0
    for size in sizes:
        cut.append(data[position : position + size])
        position += size
    return [piece for piece in [*cut, data[position:]] if piece]


SIZES = st.lists(st.integers(1, 40), max_size=30)


@given(st.lists(WORDS, max_size=4), SIZES)
def test_commands_are_read_back_however_they_are_cut(commands, sizes):
    reader = Commands(1)
    data = b"".join(map(command, commands))
    seen = [each for piece in pieces(data, sizes) for each in reader.feed(piece)]
    assert [each.argv for each in seen] == [
        [word[:KEPT_BYTES] for word in words[:KEPT_ARGUMENTS]] for words in commands
    ]
    assert [each.arguments for each in seen] == list(map(len, commands))


@given(st.lists(VALUES, max_size=5), SIZES)
def test_replies_are_read_back_one_by_one_however_they_are_cut(values, sizes):
    reader = Replies(1)
    seen = []
    sizes_seen = 0
    for piece in pieces(b"".join(values), sizes):
        for reply in reader.feed(piece):
            seen.append(reply)
            sizes_seen += reply.size_bytes
        sizes_seen += reader.unfinished_bytes
    whole = [next(Replies(1).feed(value)) for value in values]
    assert [reply._replace(size_bytes=0) for reply in seen] == [reply._replace(size_bytes=0) for reply in whole]
    assert sizes_seen == sum(map(len, values))


KNOWN = st.sampled_from(
    [
        [b"GET", b"a"], [b"MULTI"], [b"EXEC"], [b"SUBSCRIBE", b"a", b"b"], [b"UNSUBSCRIBE"], [b"PING"], [b"MONITOR"],
        [b"CLIENT", b"REPLY", b"SKIP"], [b"CLIENT", b"REPLY", b"OFF"], [b"CLIENT", b"REPLY", b"ON"], [b"HELLO", b"3"],
    ]
)  # fmt: skip
ANSWERS = VALUES | st.sampled_from(
    [
        b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", b">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n", b"+OK\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n", b"*2\r\n+OK\r\n-ERR\r\n", b"+1700.1 [0 h:1]\r\n",
    ]
)  # fmt: skip
TURNS = st.lists(st.tuples(st.lists(KNOWN, max_size=4), st.lists(ANSWERS, max_size=4)), max_size=5)


def trips(turns, cut):
    finished = []
    conversation = Conversation("redis", 1, finished.append)
    meter = RespMeter(conversation)
    for turn, (commands, answers) in enumerate(turns):
        for piece in cut(b"".join(map(command, commands))):
            meter.feed(2 * turn, SENT, piece)
        for piece in cut(b"".join(answers)):
            meter.feed(2 * turn + 1, RECEIVED, piece)
    return [*finished, *conversation.unfinished()]


@given(TURNS, SIZES)
def test_any_cutting_gives_the_same_trace(turns, sizes):
    assert trips(turns, lambda data: pieces(data, sizes)) == trips(turns, lambda data: pieces(data, []))


@settings(max_examples=200)
@given(
    st.sampled_from([SENT, RECEIVED]),
    st.binary(max_size=200) | st.text("*$+-:>|%\r\n0123", max_size=200).map(str.encode),
)
def test_garbage_ends_in_a_protocol_error_at_worst(direction, data):
    finished = []
    conversation = Conversation("redis", 1, finished.append)
    meter = RespMeter(conversation)
    with contextlib.suppress(ProtocolError):
        meter.feed(1, direction, data)


@given(st.sampled_from([SENT, RECEIVED]), st.text("*$+-:>|%\r\n0123", max_size=100).map(str.encode), SIZES)
def test_garbage_is_refused_at_the_same_place_however_it_is_cut(direction, data, sizes):
    assert refusal(direction, pieces(data, sizes)) == refusal(direction, pieces(data, []))


def refusal(direction, chunks):
    meter = RespMeter(Conversation("redis", 1, [].append))
    try:
        for chunk in chunks:
            meter.feed(1, direction, chunk)
    except ProtocolError as error:
        return str(error)
    return None
