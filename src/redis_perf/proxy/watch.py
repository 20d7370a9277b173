"""Reads a connection as its bytes pass, to know which of its round trips a fault befalls.

Counting reads in quiet moments; a fault must be known of before its request or reply is passed on. So while a fault
lies in wait each connection to that server is read a second time, at once, by a copy of what counting knows of it.
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Final, NamedTuple

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.proxy.armed import Ambush, Armed
from redis_perf.proxy.faults.fault import Instead, Outcome, Request
from redis_perf.proxy.forwarding import ForwardingMeter
from redis_perf.trace import RoundTrip
from redis_perf.wire import ARRIVED, LOOKED, SENT

PENDING_BYTES: Final = 1 << 20
"""A request that is longer before anything in it is owed an answer is passed on unjudged."""
_FLUSH: Final = b"H\0\0\0\4"


class Passed(NamedTuple):
    """What of a request the server gets now, or what happens instead."""

    to_server: bytes = b""
    instead: Instead | None = None


class Watch:
    """One connection. `conversation` and `meter` have read all that has passed so far; they are copied."""

    def __init__(self, conversation: Conversation, meter: ForwardingMeter, ambush: Ambush) -> None:
        self._conversation, self._meter = deepcopy((conversation, meter))
        self._conversation._emit = _forget
        self._ambush = ambush
        self._times = itertools.count(1)  # tells round trips apart: no clock was ever so early
        self._readable = True
        trip = self._trip()
        self._judged = trip.started_ns if trip else 0
        self._unjudged = b""
        self._answered = 0  # operations of this round trip that were answered in place of the server
        self._promised = 0  # answers the server will give in place of those it was asked for
        self._reply = b""
        self.reading: Armed | None = None
        """It befalls a reply, which is being collected."""
        self._replacing: Armed | None = None  # it befalls a request, and what joins that

    @property
    def keeps(self) -> bool:
        """There is something the client has not got, or the server."""
        return self.reading is not None or bool(self._unjudged)

    def sent(self, data: bytes) -> Passed:
        """The client's next bytes."""
        self._feed(SENT, data)
        trip = self._trip()
        if not self._readable or trip is None:
            data, self._unjudged = self._unjudged + data, b""
            return Passed(data)
        if trip.started_ns == self._judged:
            return self._replaced(trip, data) if self._replacing else Passed(data)
        self._unjudged += data
        owed = self._conversation.owed
        whole = owed or (self._conversation.store == "redis" and trip.operations)
        if not whole and len(self._unjudged) < PENDING_BYTES:
            return Passed()
        data, self._unjudged = self._unjudged, b""
        self._judged = trip.started_ns
        return self._judge(trip, data) if owed else Passed(data)

    def _judge(self, trip: RoundTrip, data: bytes) -> Passed:
        armed = self._ambush.befalls(trip.purpose, trip.operations)
        self._replacing, self._answered, self._promised = armed, 0, 0
        passed = self._replaced(trip, data) if armed else Passed(data)
        if passed.instead is None:
            self.reading, self._replacing = armed, None
        return passed

    def _replaced(self, trip: RoundTrip, data: bytes) -> Passed:
        """A request, or more of one, in the place of which something else may happen."""
        assert self._replacing is not None
        answers = self._conversation.owed - self._promised
        if self._conversation.store == "redis":  # SUBSCRIBE owes several, but only one error
            answers = min(answers, len(trip.operations) - self._answered)
        self._answered = len(trip.operations)
        request = Request(self._conversation.store, answers, self._meter.in_transaction, data.endswith(_FLUSH))
        instead = self._replacing.fault.instead(request)
        if instead is not None and instead.to_server:
            self._promised = self._conversation.owed
        return Passed(data if instead is None else b"", instead)

    def arrived(self, data: bytes) -> None:
        """The server's next bytes, to be kept back."""
        self._feed(ARRIVED, data)

    def release(self, data: bytes) -> bytes:
        """They are due: what of them the client gets now."""
        if self.reading is None:
            return data
        self._reply += data
        return b""

    def outcome(self) -> Outcome | None:
        """What becomes of the reply that was collected, once it is whole and nothing is kept back."""
        if self.reading is None or (self._conversation.owed and self._readable):
            return None
        return self.reading.fault.outcome(self.collected())

    def collected(self) -> bytes:
        """What was kept of a reply, to be kept no longer."""
        reply, self._reply = self._reply, b""
        self.reading = None
        return reply

    def looked(self) -> None:
        """The client has got everything."""
        self._feed(LOOKED, b"")

    def _feed(self, direction: int, data: bytes) -> None:
        if not self._readable:
            return
        try:
            self._meter.feed(next(self._times), direction, data)
        except ProtocolError:  # counting will say so
            self._readable = False

    def _trip(self) -> RoundTrip | None:
        trips = list(self._conversation.unfinished())
        return trips[-1] if trips else None


def _forget(trip: RoundTrip) -> None:
    """Counting has it already."""
