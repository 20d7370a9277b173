"""The one mutable collector: taps log into it, recordings read from it.

While the user's code runs a tap only appends to a connection's `Log`. `Recorder.trace` reads what has been logged
(through that connection's meter) and returns the part that lies in one window of time, so any number of recordings
may overlap. A log that grows large is read early, so memory stays bounded.

Any thread may log, read and open windows at any time. One lock for all logs makes a trace a single moment: no round
trip can be between "unfinished" and "finished" while it is taken. It is re-entrant, for a finalizer may run inside.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableSequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from operator import attrgetter
from time import monotonic_ns
from typing import Final, TypeAlias, TypeVar

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.pace import Pace
from redis_perf.trace import Opened, Problem, RoundTrip, Store, Tapped, Trace
from redis_perf.wire import CLOSED, SENT, Event, Meter

_Named = TypeVar("_Named", RoundTrip, Opened)
Tap: TypeAlias = "Callable[[Recorder], AbstractContextManager[None]]"

_started_ns = attrgetter("started_ns")
now_ns: Final = partial(monotonic_ns)
"""The one clock of windows and logs. Libraries that freeze time in tests replace the clock's functions wherever a
module holds them; what is made of one they leave alone."""

READ_EARLY_BYTES = 4 << 20
READ_EARLY_EVENTS = 20_000
TIDY_LOGS = 64


class Log:
    """What one connection sent and received, in order, not yet read.

    The hot path is `log.append((at_ns, direction, data, caller))`: a deque's own method, bound once.
    Call `log.grew(size)` now and then (on replies, say) so that a long log is read early.
    """

    __slots__ = (
        "_lock", "_meter", "_reading", "_skim", "_unread_bytes", "append", "closed", "conversation", "events", "owner",
        "problem", "tap", "unseen_ns",
    )  # fmt: skip

    def __init__(
        self,
        tap: str,
        conversation: Conversation,
        meter: Meter,
        owner: object | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        self.tap = tap
        self.owner = None if owner is None else weakref.ref(owner)
        self.conversation = conversation
        self.events: deque[Event] = deque()
        self.append = self.events.append
        self.problem: Problem | None = None
        self.unseen_ns: tuple[int, int] = (0, 0)
        """From when until when (so far) the connection was used without being understood, if there is a problem."""
        self.closed = False
        self._meter = meter
        self._skim: Callable[[deque[Event]], None] | None = getattr(meter, "skim", None)
        self._lock = lock or threading.RLock()
        self._reading = False
        self._unread_bytes = 0

    def grew(self, size_bytes: int) -> None:
        """So many bytes were appended. The user's call never waits here for another thread that reads."""
        self._unread_bytes += size_bytes
        if self._unread_bytes <= READ_EARLY_BYTES and len(self.events) <= READ_EARLY_EVENTS:
            return
        if self._lock.acquire(blocking=False):
            try:
                self.read()
            finally:
                self._lock.release()

    def close(self) -> None:
        """The connection ended."""
        self.append((now_ns(), CLOSED, b"", None))

    def read(self, most: int | None = None) -> None:
        """Feed the meter what was logged, or so many events of it.

        A stream that cannot be read becomes this log's `problem`, and so does a bug of ours: this may run inside
        the user's call to their client, which must not fail for it. Budgets fail on problems, so it stays loud.
        """
        with self._lock:
            if self._reading or not self.events:  # reading: a finalizer that closes a client, run in the middle of this
                return
            self._reading = True
            self._unread_bytes = 0
            try:
                self._feed_next(most)
            finally:
                self._reading = False

    def _feed_next(self, most: int | None) -> None:
        while self.events and most != 0:
            most = None if most is None else most - 1
            event = self.events[0]
            try:
                if self._skim is not None and event[1] == SENT and most is None and self.problem is None:
                    self._skim(self.events)
                    if not self.events:
                        return
                event = self.events.popleft()
                if self.problem is None:
                    self._meter.feed(*event)
                elif event[1] != CLOSED:
                    self.unseen_ns = self.unseen_ns[0], event[0]
            except ProtocolError as problem:
                self.give_up(str(problem), event[0])
            except Exception as bug:
                found = f"internal error {bug!r} while reading {event!r:.200}"
                self.give_up(f"connection {self.conversation.connection}: {found}", event[0])
            if event[1] == CLOSED:
                self.closed = True

    def give_up(self, text: str, at_ns: int) -> None:
        """This connection cannot be read from here on; budgets on what it serves fail with this sentence."""
        self.problem = Problem(text, self.conversation.store, self.conversation.server)
        self.unseen_ns = at_ns, at_ns


class Recorder:
    """Collects round trips of all connections of this process. `forgets`: whatever lies in no window is not kept.

    `pace` is what taps that can slow their client down are to keep to; `names` are what servers are called, by their
    address (`127.0.0.1:6379`).
    """

    def __init__(
        self, *, forgets: bool = False, pace: Pace | None = None, names: Mapping[str, str] | None = None
    ) -> None:
        self.pace = pace or Pace()
        self._names = {} if names is None else names
        self._forgets = forgets
        self._lock = threading.RLock()
        self._tidy_at = TIDY_LOGS
        self._ids = itertools.count(1)
        self._logs: list[Log] = []
        self._finished: list[RoundTrip] = []
        self._finished_before: dict[int, int] = {}
        """By the time a window was opened: how many round trips were finished then, none of which it can contain."""
        self._opened: list[Opened] = []
        self._children: list[int] = []
        self._taps: dict[str, Tapped] = {}
        self._tap_of: dict[int, str] = {}
        self._windows: list[int] = []

    def tapped(self, tap: Tapped) -> None:
        """A tap says what it found; shown when a budget measured nothing."""
        self._taps[tap.name] = replace(tap, seen=0)

    def log(
        self,
        tap: str,
        store: Store,
        meter: Callable[[Conversation], Meter],
        *,
        server: str | None = None,
        name: str | None = None,
        client: str | None = None,
        opened_ns: int | None = None,
        owner: object | None = None,
    ) -> Log:
        """A connection is seen for the first time. `opened_ns` is None if it was open before the tap was.

        `owner` is the client's own connection object, by which `name` finds this log.
        """
        name = name or self._names.get(server or "")
        conversation = Conversation(store, next(self._ids), self.emit, server=server, name=name, client=client)
        log = Log(tap, conversation, meter(conversation), owner, self._lock)
        with self._lock:
            if opened_ns is not None and self._keeps:
                self._opened.append(Opened(store, conversation.connection, opened_ns, server, name))
            self._logs.append(log)
            self._tap_of[conversation.connection] = tap
            if len(self._logs) > self._tidy_at:
                self._tidy()
        return log

    def name(self, owner: object, name: str) -> None:
        """What this client's connection object does, and did since it was opened, is called so."""
        with self._lock:
            for log in list(self._logs):
                if log.owner is not None and log.owner() is owner:
                    log.conversation.called(name)
                    _rename(self._finished, log.conversation.connection, name)
                    _rename(self._opened, log.conversation.connection, name)

    def emit(self, trip: RoundTrip) -> None:
        """A whole round trip; taps use it for what has no log (a TCP connect, a TLS handshake)."""
        if self._windows or not self._forgets:
            self._finished.append(trip)

    def child_started(self) -> None:
        if self._keeps:
            self._children.append(now_ns())

    def read(self) -> None:
        """Read all logs up to now."""
        with self._lock:
            for log in list(self._logs):
                log.read()

    def open_window(self) -> int:
        """From now on nothing is forgotten until `close_window` of the returned time."""
        with self._lock:
            finished = len(self._finished)
            since_ns = now_ns()
            self._windows.append(since_ns)
            self._finished_before.setdefault(since_ns, finished)
        return since_ns

    def close_window(self, since_ns: int) -> None:
        with self._lock:
            self._windows.remove(since_ns)
            if since_ns not in self._windows:
                self._finished_before.pop(since_ns, None)
            if not self._windows:
                self._forget()

    @property
    def _keeps(self) -> bool:
        return bool(self._windows) or not self._forgets

    def trace(self, since_ns: int, until_ns: int | None = None) -> Trace:
        """Everything that started in the window, in order."""
        with self._lock:
            until_ns = now_ns() if until_ns is None else until_ns
            self.read()
            trips = self._finished[self._finished_before.get(since_ns, 0) :]
            for log in self._logs:
                trips.extend(log.conversation.unfinished(since_ns))
            inside = [trip for trip in trips if since_ns <= trip.started_ns < until_ns]
            inside.sort(key=_started_ns)
            return Trace(
                round_trips=tuple(inside),
                opened=tuple([opened for opened in self._opened if since_ns <= opened.at_ns < until_ns]),
                children=sum([since_ns <= at_ns < until_ns for at_ns in self._children]),
                taps=self._seen(inside),
                problems=tuple(self._problems(since_ns, until_ns)),
            )

    def _seen(self, trips: list[RoundTrip]) -> tuple[Tapped, ...]:
        """The taps, those that saw any of these with how many."""
        seen: dict[str | None, int] = {}
        for connection in [trip.connection for trip in trips if trip.answer == "complete"]:
            tap = self._tap_of.get(connection)
            seen[tap] = seen.get(tap, 0) + 1
        return tuple([replace(tap, seen=seen[tap.name]) if tap.name in seen else tap for tap in self._taps.values()])

    def _problems(self, since_ns: int, until_ns: int) -> Iterator[Problem]:
        """Of the connections that were used in the window without being understood."""
        for log in self._logs:
            first_ns, last_ns = log.unseen_ns
            if log.problem is not None and first_ns < until_ns and since_ns <= last_ns:
                log.problem.name = log.conversation.name
                yield log.problem

    def _forget(self) -> None:
        """No recording looks back: drop what is finished and the logs of connections that are gone."""
        self.read()
        self._finished.clear()
        self._opened.clear()
        self._children.clear()
        if len(self._tap_of) > len(self._logs) or any(log.closed for log in self._logs):
            self._tidy()
            self._tap_of = {log.conversation.connection: log.tap for log in self._logs}

    def _tidy(self) -> None:
        """Drop the logs of connections that are gone, unless a recording still has to hear of a problem of theirs."""
        self.read()
        self._logs = [log for log in self._logs if not log.closed or (log.problem is not None and self._keeps)]
        self._tidy_at = 2 * len(self._logs) + TIDY_LOGS


def _rename(seen: MutableSequence[_Named], connection: int, name: str) -> None:
    for index in range(len(seen)):
        if seen[index].connection == connection:
            seen[index] = replace(seen[index], name=name)
