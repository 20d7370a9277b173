"""The definition of a round trip, by examples."""

import pytest

from redis_perf.conversation import Conversation
from redis_perf.trace import Operation, RoundTrip, Site
from redis_perf.wire import Caller


class Talk:
    """A conversation whose clock ticks with each step."""

    def __init__(self):
        self.finished = []
        self.conversation = Conversation("redis", 3, self.finished.append, server="h:1", name="cache")
        self.now = 0

    def send(self, size=10, caller=None, owes=1, **asked):
        self.now += 1
        self.conversation.sent(self.now, size, caller)
        operation = self.conversation.asked("GET", "GET a", **asked)
        for _ in range(owes):
            self.conversation.owe()
        return operation

    def arrives(self, size=5):
        self.now += 1
        self.conversation.received(size)
        self.conversation.settled(self.now)

    def answer(self, size=5):
        self.arrives(size)
        self.conversation.looked()

    @property
    def trips(self):
        both = [*self.finished, *self.conversation.unfinished()]
        return sorted(both, key=lambda trip: trip.started_ns)

    @property
    def sizes(self):
        return [len(trip.operations) for trip in self.trips]


@pytest.fixture
def talk():
    return Talk()


def test_request_and_answer_are_one_round_trip(talk):
    talk.send()
    talk.answer()
    (trip,) = talk.trips
    assert (trip.store, trip.connection, trip.server, trip.name) == ("redis", 3, "h:1", "cache")
    assert (trip.started_ns, trip.ended_ns, trip.sent_bytes, trip.received_bytes) == (1, 2, 10, 5)
    assert trip.answer == "complete"
    assert trip.operations == (Operation("GET", "GET a"),)


def test_a_send_after_looking_at_the_answer_is_another(talk):
    for _ in range(3):
        talk.send()
        talk.answer()
    assert talk.sizes == [1, 1, 1]


def test_everything_sent_before_looking_joins(talk):
    talk.send()
    talk.send()
    talk.send()
    for _ in range(3):
        talk.answer()
    assert talk.sizes == [3]


def test_an_answer_that_arrived_unseen_does_not_split(talk):
    talk.send()
    talk.arrives()
    talk.send()
    talk.answer()
    assert talk.sizes == [2]


def test_an_answer_from_before_the_last_send_splits_when_it_is_looked_at_after_it(talk):
    talk.send()
    talk.arrives()
    talk.send()
    talk.conversation.looked()
    talk.send()
    talk.answer()
    talk.answer()
    assert talk.sizes == [2, 1]


def test_looking_in_vain_does_not_split(talk):
    talk.send()
    talk.conversation.looked()
    talk.send()
    assert talk.sizes == [2]


def test_a_send_after_one_of_two_answers_overlaps_the_first_round_trip(talk):
    talk.send()
    talk.send()
    talk.answer()
    talk.send()
    talk.answer()
    talk.answer()
    assert talk.sizes == [2, 1]
    first, second = talk.trips
    assert first.ended_ns == 5
    assert second.started_ns == 4
    assert [trip.answer for trip in talk.trips] == ["complete", "complete"]


def test_a_message_begun_before_the_look_is_continued_where_it_began(talk):
    talk.send()
    talk.answer()
    talk.conversation.continued(7)
    assert [trip.sent_bytes for trip in talk.trips] == [17]


def test_what_is_still_owed_at_the_end_of_the_connection_is_lost(talk):
    talk.send()
    talk.conversation.closed(9)
    assert [(trip.answer, trip.ended_ns) for trip in talk.trips] == [("lost", 9)]
    talk.send()
    assert talk.sizes == [1, 1]


def test_what_is_still_owed_at_the_end_of_the_recording_is_in_flight(talk):
    talk.send()
    assert [trip.answer for trip in talk.trips] == ["in flight"]


def test_a_send_that_asks_for_no_reply_is_not_waited_for(talk):
    talk.send(owes=0)
    talk.conversation.closed(9)
    assert [trip.answer for trip in talk.trips] == ["none owed"]


def test_a_reply_forgiven_is_not_waited_for_and_no_news(talk):
    talk.send(owes=2)
    talk.conversation.forgiven()
    talk.conversation.looked()
    talk.send(owes=0)
    talk.answer()
    assert talk.sizes == [2]
    assert [trip.answer for trip in talk.trips] == ["complete"]


def test_bytes_not_seen_make_the_sum_unknown(talk):
    talk.send(size=None)
    talk.answer(size=None)
    assert [(trip.sent_bytes, trip.received_bytes) for trip in talk.trips] == [(None, None)]


def test_bytes_before_any_request_belong_to_no_round_trip(talk):
    talk.conversation.received(100)
    assert talk.trips == []


def test_the_first_caller_is_the_site(talk):
    code = Talk.send.__code__
    talk.send(caller=Caller(code, 7, "task-1"))
    talk.send(caller=Caller(code, 9, "task-2"))
    (trip,) = talk.trips
    assert trip.site == Site(code.co_filename, 7, "send")
    assert trip.lane == "task-1"


def test_no_caller_is_no_site(talk):
    talk.send(caller=Caller(None, 0, "main"))
    (trip,) = talk.trips
    assert (trip.site, trip.lane) == (None, "main")


@pytest.mark.parametrize(
    ("purposes", "whole"),
    [
        (["setup"], "setup"),
        (["transaction"], "transaction"),
        (["setup", "transaction"], "transaction"),
        (["setup", "work"], "work"),
        (["transaction", "work"], "work"),
    ],
)
def test_a_round_trip_is_work_if_any_of_it_is(talk, purposes, whole):
    for purpose in purposes:
        talk.send(purpose=purpose)
    assert [trip.purpose for trip in talk.trips] == [whole]


def test_what_is_no_operation_has_a_purpose_all_the_same(talk):
    talk.conversation.sent(1, 8)
    talk.conversation.serves("setup")
    (trip,) = talk.trips
    assert (trip.purpose, trip.operations) == ("setup", ())


def test_failure_commit_and_waiting_are_noted(talk):
    operation = talk.send(waits=True)
    operation.failed = True
    talk.conversation.committed()
    talk.answer()
    (trip,) = talk.trips
    assert trip.operations[0].failed
    assert (trip.commits, trip.waited) == (1, True)


def test_a_commit_belongs_to_the_round_trip_whose_answer_is_due(talk):
    talk.send()
    talk.send()
    talk.answer()
    talk.send()
    talk.conversation.committed()
    assert [trip.commits for trip in talk.trips] == [1, 0]


def test_owed_counts_what_is_still_out(talk):
    talk.send(owes=3)
    talk.answer()
    assert talk.conversation.owed == 2


def test_a_comprehension_is_named_with_the_function_it_stands_in() -> None:
    code = compile("def push_turns():\n    return [0 for _ in ()], lambda: 0", "memory.py", "exec").co_consts[0]
    inner = next(const for const in code.co_consts if hasattr(const, "co_name") and const.co_name == "<lambda>")
    trips: list[RoundTrip] = []
    conversation = Conversation("redis", 1, trips.append)
    conversation.sent(0, 1, Caller(inner, 2, None))
    (trip,) = conversation.unfinished()
    assert trip.site == Site("memory.py", 2, "push_turns.<lambda>")
