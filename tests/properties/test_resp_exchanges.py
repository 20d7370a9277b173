"""A log that is skimmed says what it says event by event."""

from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from redis_perf.analysis.alike import alike
from redis_perf.conversation import Conversation
from redis_perf.recorder import Log
from redis_perf.round_trip import SAME
from redis_perf.wire import CLOSED, RECEIVED, SENT, Caller
from redis_perf.wire.redis_meaning import _remembered
from redis_perf.wire.resp import RespMeter

same = attrgetter(*SAME)
HERE = Caller(compile("pass", "app.py", "exec"), 3, "MainThread")
WORDS = st.sampled_from(
    [
        "GET a",
        "GET a",
        "GET a",
        "GET b",
        "SET a 1",
        "BLPOP q 0",
        "INFO",
        "HELLO 3",
        "CLIENT SETINFO LIB-NAME redis-py",
        "CLIENT SETNAME badge",
        "PING",
        "SELECT 2",
        "READONLY",
        "MULTI",
        "EXEC",
        "DISCARD",
        "RESET",
        "MONITOR",
        "SUBSCRIBE news",
        "UNSUBSCRIBE",
        "CLIENT REPLY OFF",
        "CLIENT REPLY SKIP",
        "CLIENT REPLY ON",
        "AUTH hunter2",
        "QUIT",
        "CONFIG SET requirepass hunter2",
        f"SET long {'x' * 400}",
    ]
)
REPLIES = st.sampled_from(
    [
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "$1\r\nv\r\n",
        "$3\r\nabc\r\n",
        "_\r\n",
        "#t\r\n",
        "-ERR no\r\n",
        "+QUEUED\r\n",
        "$0\r\n\r\n",
        "*1\r\n$1\r\na\r\n",
        "*-1\r\n",
        "+OK\r\n+OK\r\n",
        "$1\r\nv\r\n$1\r\nw\r\n",
        "$5\r\nhal",
        "+hal",
        "f\r\n",
        ">2\r\n+a\r\n+b\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
        "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nm\r\n",
    ]
)


def command(words):
    argv = words.split()
    return b"".join([b"*%d\r\n" % len(argv), *(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in argv)])


SENDS = st.lists(WORDS, min_size=1, max_size=2).map(lambda all_words: (SENT, b"".join(map(command, all_words))))
RECEIVES = REPLIES.map(lambda reply: (RECEIVED, reply.encode()))
EXCHANGES = st.tuples(SENDS, RECEIVES).map(list)
ODDITIES = st.sampled_from([[(CLOSED, b"")], [(SENT, b"*x\r\n")]])
PIECES = EXCHANGES | EXCHANGES | SENDS.map(lambda one: [one]) | RECEIVES.map(lambda one: [one]) | ODDITIES


class Heard:
    """What a log comes to if it is read at these events."""

    def __init__(self, events, *, startup, each_alone, stops):
        self.trips = []
        conversation = Conversation("redis", 1, self.trips.append, client="127.0.0.1:5")
        log = Log("tap", conversation, RespMeter(conversation, startup=startup))
        for at, (direction, data) in enumerate(events):
            log.append((10 * at, direction, data, HERE if direction == SENT else None))
            if each_alone:
                log.read(most=1)
            elif at in stops:
                log.read()
        log.read()
        self.trips += conversation.unfinished()
        self.hashes = [(trip.arguments, trip.key) for trip in self.trips]
        self.problem, self.unseen_ns = log.problem, log.unseen_ns


@given(st.lists(PIECES, max_size=12), st.booleans(), st.sets(st.integers(0, 30)))
def test_skimming_changes_nothing(pieces, startup, stops):
    events = [event for piece in pieces for event in piece]
    one_by_one = Heard(events, startup=startup, each_alone=True, stops=())
    skimmed = Heard(events, startup=startup, each_alone=False, stops=stops)
    assert (skimmed.trips, skimmed.hashes) == (one_by_one.trips, one_by_one.hashes)
    assert (skimmed.problem, skimmed.unseen_ns) == (one_by_one.problem, one_by_one.unseen_ns)
    for heard in (one_by_one, skimmed):
        assert all(len({same(trip) for trip in group}) == 1 for group in alike(heard.trips))


def test_a_problem_is_dated_by_what_could_not_be_read_and_not_by_what_was_skimmed_before():
    exchange = [(SENT, command("GET a")), (RECEIVED, b"$1\r\nv\r\n")]
    heard = Heard([*exchange * 3, (SENT, b"*x\r\n"), (CLOSED, b"")], startup=False, each_alone=False, stops=())
    assert heard.problem is not None
    assert heard.unseen_ns == (60, 60)


def test_commands_are_remembered_for_their_connection_alone_and_none_that_may_carry_a_password():
    remembered = []
    for words in ("GET a", "AUTH hunter2", "HELLO 3 AUTH ada hunter2", "ACL SETUSER ada >hunter2", "CONFIG SET a b"):
        conversation = Conversation("redis", 1, lambda _: None)
        meter = RespMeter(conversation, startup=False)
        log = Log("tap", conversation, meter)
        for at in range(4):
            log.append((20 * at, SENT, command(words), None))
            log.append((20 * at + 10, RECEIVED, b"+OK\r\n", None))
        before = _remembered.cache_info().currsize
        log.read()
        remembered.append(list(meter._known))
        assert words == "GET a" or _remembered.cache_info().currsize == before
    assert remembered == [[command("GET a")], [], [], [], []]


def test_a_row_of_exchanges_is_skimmed_to_the_last():
    trips = []
    conversation = Conversation("redis", 1, trips.append)
    log = Log("tap", conversation, RespMeter(conversation, startup=False))
    meter, fed = log._meter, []
    meter.feed, feed = lambda *event: fed.append(event[0]) or feed(*event), meter.feed
    for at in range(10):
        log.append((20 * at, SENT, command("GET a"), None))
        log.append((20 * at + 10, RECEIVED, b"$1\r\nv\r\n", None))
    log.read()
    assert fed == []
    assert [trip.started_ns for trip in [*trips, *conversation.unfinished()]] == [20 * at for at in range(10)]
