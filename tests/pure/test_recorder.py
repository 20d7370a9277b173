"""Logs are read late, windows overlap, and nothing a connection sent is shown in the wrong one."""

import threading
import time
from collections.abc import Callable

import pytest

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.recorder import READ_EARLY_BYTES, Log, Recorder, now_ns
from redis_perf.trace import CHARGED, Problem, Tapped, Trace
from redis_perf.wire import CLOSED, RECEIVED, SENT, Caller


class OneForOne:
    """A meter for a protocol in which every send is one command and every receive its reply."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        if data == b"garbage":
            raise ProtocolError("garbage", connection=1, sender="client", offset=0)
        if data == b"bug":
            raise KeyError("bug")
        if direction == SENT:
            self.conversation.sent(at_ns, len(data), caller)
            self.conversation.asked("GET", "GET k")
            self.conversation.owe()
        elif direction == RECEIVED:
            self.conversation.received(len(data))
            self.conversation.settled(at_ns)
            self.conversation.looked()
        elif direction == CLOSED:
            self.conversation.closed(at_ns)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def log(recorder: Recorder) -> Log:
    return recorder.log("tap", "redis", OneForOne, server="127.0.0.1:6379", opened_ns=5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [0]
    monkeypatch.setattr("redis_perf.recorder.now_ns", lambda: now[0])
    return now


def get(log: Log, at_ns: int) -> None:
    log.append((at_ns, SENT, b"GET k", None))
    log.append((at_ns + 1, RECEIVED, b"v", None))


def test_a_window_holds_what_started_in_it(recorder: Recorder, log: Log) -> None:
    for at_ns in (10, 20, 30):
        get(log, at_ns)
    assert [trip.started_ns for trip in recorder.trace(15, 30).redis] == [20]


def test_overlapping_windows_each_see_their_own(recorder: Recorder, log: Log) -> None:
    for at_ns in (10, 20, 30):
        get(log, at_ns)
    assert recorder.trace(5, 25).redis.round_trips == 2
    assert recorder.trace(15, 35).redis.round_trips == 2


def test_a_request_without_an_answer_yet_is_in_flight_and_not_counted(recorder: Recorder, log: Log) -> None:
    log.append((10, SENT, b"GET k", None))
    trace = recorder.trace(0, 20)
    assert [trip.answer for trip in trace.redis] == ["in flight"]
    assert trace.redis.round_trips == 0
    assert trace.redis.operations == 1


def test_a_request_whose_connection_ended_is_lost(recorder: Recorder, log: Log) -> None:
    log.append((10, SENT, b"GET k", None))
    log.append((11, CLOSED, b"", None))
    trace = recorder.trace(0, 20)
    assert (trace.redis.lost, trace.redis.round_trips) == (1, 0)


def test_a_connection_opened_before_the_tap_is_not_counted_as_opened(recorder: Recorder, log: Log) -> None:
    recorder.log("tap", "redis", OneForOne)
    assert recorder.trace(0, 20).redis.connections == 1


def test_traffic_of_one_server_is_found_by_address_and_by_name(recorder: Recorder) -> None:
    streams = recorder.log("tap", "redis", OneForOne, server="127.0.0.1:6380", name="streams", opened_ns=1)
    get(streams, 10)
    get(recorder.log("tap", "redis", OneForOne, server="127.0.0.1:6379"), 20)
    trace = recorder.trace(0, 99)
    assert trace.redis.round_trips == 2
    assert trace.redis.at("streams").round_trips == trace.redis.at("127.0.0.1:6380").round_trips == 1
    assert trace.named("streams").connections == 1


def test_a_stream_that_cannot_be_read_is_a_problem_of_the_trace(recorder: Recorder, log: Log) -> None:
    get(log, 10)
    log.append((20, SENT, b"garbage", None))
    get(log, 30)
    trace = recorder.trace(0, 99)
    assert trace.redis.round_trips == 1
    assert trace.problems == ("connection 1: garbage at byte 0 of what the client sent",)


def test_a_bug_in_a_meter_never_reaches_the_users_call(recorder: Recorder, log: Log) -> None:
    log.append((20, SENT, b"bug", None))
    log.grew(READ_EARLY_BYTES + 1)
    (problem,) = recorder.trace(0, 99).problems
    assert problem == "connection 1: internal error KeyError('bug') while reading (20, 0, b'bug', None)"


def test_a_long_log_is_read_early(log: Log) -> None:
    get(log, 10)
    log.grew(READ_EARLY_BYTES + 1)
    assert not log.events


def test_nothing_is_forgotten_while_a_window_is_open(recorder: Recorder, log: Log, clock: list[int]) -> None:
    outer = recorder.open_window()
    clock[0] = 20
    inner = recorder.open_window()
    get(log, 10)
    recorder.close_window(inner)
    assert recorder.trace(0, 99).redis.round_trips == 1
    get(log, 30)
    clock[0] = 40
    recorder.close_window(outer)
    assert [trip.started_ns for trip in recorder.trace(0, 99).redis] == [30], "the last one may still be joined"


def test_logs_of_ended_connections_are_dropped_when_nobody_looks_back(recorder: Recorder, log: Log) -> None:
    log.close()
    recorder.close_window(recorder.open_window())
    get(log, 10)
    assert recorder.trace(0, 99).redis.round_trips == 0


def test_a_trace_says_who_was_listened_to_and_what_was_not_seen(recorder: Recorder, clock: list[int]) -> None:
    recorder.tapped(Tapped("redis-py", "redis", version="8.1.0"))
    clock[0] = 7
    recorder.child_started()
    assert recorder.trace(0, 99) == Trace(
        children=1, taps=(Tapped("redis-py", "redis", version="8.1.0", seen=0),), purposes=CHARGED
    )


def test_a_problem_says_whose_it_is(recorder: Recorder, log: Log) -> None:
    log.append((20, SENT, b"garbage", None))
    log.conversation.name = "streams"
    (problem,) = recorder.trace(0, 99).problems
    assert isinstance(problem, Problem)
    assert (problem.store, problem.server, problem.name) == ("redis", "127.0.0.1:6379", "streams")


def test_a_problem_is_told_wherever_its_connection_was_used_and_nowhere_else(recorder: Recorder, log: Log) -> None:
    log.append((20, SENT, b"garbage", None))
    get(log, 30)
    log.append((90, CLOSED, b"", None))
    assert [len(recorder.trace(*window).problems) for window in ((0, 20), (15, 25), (25, 35), (40, 99))] == [0, 1, 1, 0]


def test_what_lies_in_no_window_is_not_kept_by_a_recorder_that_forgets(clock: list[int]) -> None:
    recorder = Recorder(forgets=True)
    log = recorder.log("tap", "redis", OneForOne, opened_ns=5)
    recorder.child_started()
    for at_ns in (10, 20, 30):
        get(log, at_ns)
    recorder.read()
    since_ns = recorder.open_window()
    get(log, 40)
    trace = recorder.trace(0, 99)
    assert [trip.started_ns for trip in trace.redis] == [30, 40], "the last one could still have been joined"
    assert (trace.children, trace.redis.connections) == (0, 0)
    recorder.close_window(since_ns)


def test_logs_of_ended_connections_are_dropped_though_a_window_stays_open(recorder: Recorder) -> None:
    recorder.open_window()
    for at_ns in range(1000):
        log = recorder.log("tap", "redis", OneForOne, opened_ns=at_ns)
        get(log, at_ns)
        log.close()
    assert len(recorder._logs) < 200
    assert recorder.trace(0, 1000).redis.round_trips == recorder.trace(0, 1000).redis.connections == 1000


def test_a_users_call_does_not_wait_for_a_thread_that_reads(recorder: Recorder, log: Log) -> None:
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        reading.set()
        assert done.wait(10)

    held = recorder.log("tap", "redis", lambda conversation: Slow(conversation, read))
    get(held, 10)
    thread = threading.Thread(target=recorder.read)
    thread.start()
    assert reading.wait(10)
    get(log, 20)
    log.grew(READ_EARLY_BYTES + 1)
    assert len(log.events) == 2, "left for whoever reads next"
    done.set()
    thread.join()
    assert recorder.trace(0, 99).redis.round_trips == 2


class Slow(OneForOne):
    """Does something before it reads."""

    def __init__(self, conversation: Conversation, before: Callable[[], None]) -> None:
        super().__init__(conversation)
        self.before = before

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        self.before()
        super().feed(at_ns, direction, data, caller)


def test_the_clock_is_not_one_that_time_freezing_libraries_find() -> None:
    assert now_ns is not time.monotonic_ns
    before_ns = time.monotonic_ns()
    assert before_ns <= now_ns() <= time.monotonic_ns()


def test_each_tap_is_told_how_much_was_its_own(recorder: Recorder) -> None:
    for name in ("redis-py", "valkey-py"):
        recorder.tapped(Tapped(name, "redis"))
    log = recorder.log("valkey-py", "redis", OneForOne)
    get(log, 10)
    get(log, 20)
    log.append((30, SENT, b"GET k", None))
    assert [(tap.name, tap.seen) for tap in recorder.trace(0, 99).taps] == [("redis-py", 0), ("valkey-py", 2)]
    assert [tap.seen for tap in recorder.trace(15, 99).taps] == [0, 1]
