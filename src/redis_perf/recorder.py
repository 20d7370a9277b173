"""The one mutable collector: taps log into it, recordings read from it.

While the user's code runs a tap only appends to a connection's `Log`. `Recorder.trace` reads what has been logged
(through that connection's meter) and returns the part that lies in one window of time, so any number of recordings
may overlap. A log that grows large is read early, so memory stays bounded.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable, MutableSequence
from contextlib import AbstractContextManager
from dataclasses import replace
from time import monotonic_ns
from typing import TypeAlias, TypeVar

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.trace import Opened, RoundTrip, Store, Tapped, Trace
from redis_perf.wire import CLOSED, Event, Meter

_Named = TypeVar("_Named", RoundTrip, Opened)
Tap: TypeAlias = "Callable[[Recorder], AbstractContextManager[None]]"

READ_EARLY_BYTES = 4 << 20
READ_EARLY_EVENTS = 20_000


class Log:
    """What one connection sent and received, in order, not yet read.

    The hot path is `log.append((at_ns, direction, data, caller))`: a deque's own method, bound once.
    Call `log.grew(size)` now and then (on replies, say) so that a long log is read early.
    """

    __slots__ = (
        "_lock", "_meter", "_reading", "_unread_bytes", "append", "closed", "conversation", "events", "owner",
        "problem", "tap",
    )  # fmt: skip

    def __init__(self, tap: str, conversation: Conversation, meter: Meter, owner: object | None = None) -> None:
        self.tap = tap
        self.owner = None if owner is None else weakref.ref(owner)
        self.conversation = conversation
        self.events: deque[Event] = deque()
        self.append = self.events.append
        self.problem: str | None = None
        self.closed = False
        self._meter = meter
        self._lock = threading.RLock()
        self._reading = False
        self._unread_bytes = 0

    def grew(self, size_bytes: int) -> None:
        """So many bytes were appended."""
        self._unread_bytes += size_bytes
        if self._unread_bytes > READ_EARLY_BYTES or len(self.events) > READ_EARLY_EVENTS:
            self.read()

    def close(self) -> None:
        """The connection ended."""
        self.append((monotonic_ns(), CLOSED, b"", None))

    def read(self) -> None:
        """Feed the meter what was logged.

        A stream that cannot be read becomes this log's `problem`, and so does a bug of ours: this may run inside
        the user's call to their client, which must not fail for it. Budgets fail on problems, so it stays loud.
        """
        with self._lock:
            if self._reading:  # a finalizer that closes a client, run in the middle of this
                return
            self._reading = True
            self._unread_bytes = 0
            try:
                self._feed_all()
            finally:
                self._reading = False

    def _feed_all(self) -> None:
        while self.events:
            event = self.events.popleft()
            if event[1] == CLOSED:
                self.closed = True
            if self.problem is None:
                self._feed(event)

    def _feed(self, event: Event) -> None:
        try:
            self._meter.feed(*event)
        except ProtocolError as problem:
            self.problem = str(problem)
        except Exception as bug:
            connection = self.conversation.connection
            self.problem = f"connection {connection}: internal error {bug!r} while reading {event!r:.200}"


class Recorder:
    """Collects round trips of all connections of this process."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._logs: list[Log] = []
        self._finished: deque[RoundTrip] = deque()
        self._opened: list[Opened] = []
        self._children: list[int] = []
        self._taps: dict[str, Tapped] = {}
        self._windows: list[int] = []

    def tapped(self, tap: Tapped) -> None:
        """A tap says what it found; shown when a budget measured nothing."""
        self._taps[tap.name] = tap

    def log(
        self,
        tap: str,
        store: Store,
        meter: Callable[[Conversation], Meter],
        *,
        server: str | None = None,
        name: str | None = None,
        opened_ns: int | None = None,
        owner: object | None = None,
    ) -> Log:
        """A connection is seen for the first time. `opened_ns` is None if it was open before the tap was.

        `owner` is the client's own connection object, by which `name` finds this log.
        """
        conversation = Conversation(store, next(self._ids), self._finished.append, server=server, name=name)
        if opened_ns is not None:
            self._opened.append(Opened(store, conversation.connection, opened_ns, server, name))
        log = Log(tap, conversation, meter(conversation), owner)
        self._logs.append(log)
        return log

    def name(self, owner: object, name: str) -> None:
        """What this client's connection object does, and did since it was opened, is called so."""
        for log in list(self._logs):
            if log.owner is not None and log.owner() is owner:
                log.conversation.name = name
                _rename(self._finished, log.conversation.connection, name)
                _rename(self._opened, log.conversation.connection, name)

    def emit(self, trip: RoundTrip) -> None:
        """A whole round trip, for what has no log (a TCP connect, a TLS handshake)."""
        self._finished.append(trip)

    def child_started(self) -> None:
        self._children.append(monotonic_ns())

    def read(self) -> None:
        """Read all logs up to now."""
        for log in list(self._logs):
            log.read()

    def open_window(self) -> int:
        """From now on nothing is forgotten until `close_window` of the returned time."""
        since_ns = monotonic_ns()
        self._windows.append(since_ns)
        return since_ns

    def close_window(self, since_ns: int) -> None:
        self._windows.remove(since_ns)
        if not self._windows:
            self._forget()

    def trace(self, since_ns: int, until_ns: int | None = None) -> Trace:
        """Everything that started in the window, in order."""
        until_ns = monotonic_ns() if until_ns is None else until_ns
        self.read()
        trips = list(self._finished)
        for log in list(self._logs):
            trips.extend(log.conversation.unfinished())
        inside = [trip for trip in trips if since_ns <= trip.started_ns < until_ns]
        return Trace(
            round_trips=tuple(sorted(inside, key=lambda trip: trip.started_ns)),
            opened=tuple(opened for opened in list(self._opened) if since_ns <= opened.at_ns < until_ns),
            children=sum(since_ns <= at_ns < until_ns for at_ns in self._children),
            taps=tuple(self._taps.values()),
            problems=tuple(log.problem for log in self._logs if log.problem is not None),
        )

    def _forget(self) -> None:
        """No recording looks back: drop what is finished and the logs of connections that are gone."""
        self.read()
        self._finished.clear()
        self._opened.clear()
        self._children.clear()
        self._logs = [log for log in self._logs if not log.closed]


def _rename(seen: MutableSequence[_Named], connection: int, name: str) -> None:
    for index in range(len(seen)):
        if seen[index].connection == connection:
            seen[index] = replace(seen[index], name=name)
