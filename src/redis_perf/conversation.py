"""One connection's requests and replies -> round trips. This file is the definition of a round trip, as code.

A round trip is one wait. It opens with a send that may depend on an answer: the first send on a connection, or the
first send after the client *looked at* a reply since its previous send. Everything sent before the client looks at
another reply joins it. It closes when the last reply owed has arrived.

Arrival is not consumption. At zero latency a reply may lie in the client's kernel while the client is still
sending; on any real network it would not be there yet, so it must not split the round trip. Hence `settled` (a reply
has arrived) and `looked` (the client has taken notice) are told apart; where reading is noticing, as in a blocking
`recv`, the meter calls one right after the other.

Who owes what is the protocol's business: a meter calls `asked` for each command or statement, `owe` for each reply
that will be waited for, `settled` when the oldest debt is paid. Replies nobody asked for (pushes, notices) owe
nothing and open nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from redis_perf.open_trip import Asked, OpenTrip, Wait
from redis_perf.round_trip import Loose, round_trip
from redis_perf.sources import Sources
from redis_perf.trace import Answer, Operation, Purpose, RoundTrip, Store
from redis_perf.wire import Caller

Emit: TypeAlias = Callable[[RoundTrip], None]


class Exchanged(NamedTuple):
    """One operation that is a round trip of its own."""

    answered: tuple[Operation, ...]
    failed: tuple[Operation, ...]
    sets_up: bool
    """Of a connection on which nothing was asked yet that does not."""
    waited: bool
    arguments: int | None
    key: int | None


class Conversation:
    """The state of one connection. What it turns out to be named is for `called`."""

    def __init__(
        self,
        store: Store,
        connection: int,
        emit: Emit,
        *,
        server: str | None = None,
        name: str | None = None,
        client: str | None = None,
    ) -> None:
        self.store = store
        self.connection = connection
        self.server = server
        self.name = name
        self.client = client
        self._emit = emit
        self._open: list[OpenTrip] = []
        self._last: RoundTrip | None = None  # exchanged, and nothing else is open; bytes may still be added to it
        self._debts: deque[tuple[OpenTrip, Wait]] = deque()
        self._news = False  # a reply was settled that the client has not looked at
        self._may_depend = True  # the client looked at one since it last sent
        self._sources = Sources()
        self._source = self._sources.of(None)  # of what was exchanged last
        self._apart_ns: int | None = None  # what is sent next is a wait of its own, from then on

    def sent(self, at_ns: int, size_bytes: int | None, caller: Caller | None = None) -> None:
        """The client sent something; decides whether that opens a round trip or joins the last one."""
        if self._may_depend or not self._open:
            self._begin(at_ns, caller)
        elif self._apart_ns is not None:
            self._open[-1].waits.append(Wait(self._apart_ns))
        self._may_depend, self._apart_ns = False, None
        self.continued(size_bytes)

    def continued(self, size_bytes: int | None) -> None:
        """More of a message already begun was sent: whatever came meanwhile, it belongs to where it began."""
        trip = self._open[-1]
        trip.sent_bytes = _plus(trip.sent_bytes, size_bytes)

    def asked(
        self,
        name: str,
        shape: str,
        purpose: Purpose = "work",
        *,
        waits: bool = False,
        arguments: int | None = None,
        key: int | None = None,
    ) -> Asked:
        """An operation is part of what was sent. `waits`: a blocking command. Returns it, to mark a failure on.

        `arguments` and `key` are hashes of what it was asked with, None where that was not seen whole.
        """
        asked = Asked(name, shape, purpose, arguments, key)
        trip = self._open[-1]
        trip.asked.append(asked)
        trip.serves(purpose)
        trip.waited = trip.waited or waits
        return asked

    def serves(self, purpose: Purpose) -> None:
        """What was sent last is no operation but has a purpose all the same (a start-up message, a password)."""
        self._open[-1].serves(purpose)

    def owe(self) -> None:
        """A reply to what was sent last will be waited for."""
        trip = self._open[-1]
        trip.owed += 1
        self._debts.append((trip, trip.waits[-1]))

    @property
    def owed(self) -> int:
        """How many replies are still out."""
        return len(self._debts)

    def received(self, size_bytes: int | None) -> None:
        """Bytes of a reply came in, for the oldest round trip still owed one; None: some, but not seen."""
        trip = self._debts[0][0] if self._debts else self._open[-1] if self._open else None
        if self._last is not None:
            self._last = replace(self._last, received_bytes=_plus(self._last.received_bytes, size_bytes))
        elif trip is not None:
            trip.received_bytes = _plus(trip.received_bytes, size_bytes)

    def settled(self, at_ns: int) -> None:
        """The oldest reply owed has arrived whole."""
        trip, wait = self._debts[0]
        trip.settled += 1
        trip.ended_ns = wait.ended_ns = at_ns
        self._news = True
        self.forgiven()

    def forgiven(self) -> None:
        """The oldest reply owed will not come, and the client does not wait for it."""
        trip, _ = self._debts.popleft()
        trip.owed -= 1
        if not trip.owed and trip is not self._open[-1]:
            self._open.remove(trip)
            self._emit(self._finish(trip, "complete"))

    def committed(self) -> None:
        """The oldest round trip still owed a reply committed a transaction. Call before `settled`."""
        trip = self._debts[0][0] if self._debts else self._open[-1]
        trip.commits += 1

    def looked(self) -> None:
        """The client looked at what has arrived: its next send may depend on it."""
        self._may_depend = self._may_depend or self._news
        self._news = False

    def apart(self, began_ns: int | None) -> None:
        """What is sent next waits by itself from then on, even if it joins the round trip of others that share the
        connection; None: with what was sent last."""
        self._apart_ns = began_ns

    def closed(self, at_ns: int) -> None:
        """The connection ended: what is still owed is lost. A later send would open a new conversation."""
        for trip in self._open:
            if trip.owed:
                trip.ended_ns = at_ns
            self._emit(self._finish(trip, "lost"))
        self._open.clear()
        self._debts.clear()
        self._emit_last()
        self._news, self._may_depend = False, True

    def unfinished(self, since_ns: int = 0) -> Iterable[RoundTrip]:
        """What began since then and has not been emitted yet, as it stands: the last may still be joined, or wait."""
        if self._last is not None:  # then nothing else is open
            return [self._last] if self._last.started_ns >= since_ns else []
        return [self._finish(trip, "in flight") for trip in self._open if trip.started_ns >= since_ns]

    def called(self, name: str) -> None:
        """It has another name, and so has what is unfinished."""
        self.name = name
        self._sources = Sources()
        self._source = self._sources.of(None)
        if self._last is not None:
            self._last = replace(self._last, name=name)

    @property
    def begins_anew(self) -> bool:
        """What is sent next opens a round trip of one wait, and nothing is owed."""
        return self._may_depend and not self._debts and self._apart_ns is None

    def exchanged(
        self,
        asked: Exchanged,
        purpose: Purpose,
        caller: Caller | None,
        started_ns: int,
        ended_ns: int,
        sent_bytes: int,
        received_bytes: int,
        failed: bool,
    ) -> None:
        """It was sent and its reply looked at. Only if it `begins_anew`."""
        if self._last is not None:
            self._emit(self._last)
        elif self._open:
            self._begin_next()
        source = self._source
        if caller is not source.caller:
            source = self._source = self._sources.of(caller)
        operations, waited = asked.failed if failed else asked.answered, asked.waited
        same = operations, purpose, waited
        mark = source.marks.get(same) or source.mark(same)
        trip: Any = Loose(
            self.store, self.connection, operations, started_ns, ended_ns, sent_bytes, received_bytes, source.site,
            purpose, source.lane, self.server, self.name, 0, "complete", waited, self.client, (), source.path,
            asked.arguments, asked.key, mark,
        )  # fmt: skip
        trip.__class__ = RoundTrip
        self._last, self._news = trip, False

    def _begin(self, at_ns: int, caller: Caller | None) -> None:
        self._begin_next()
        self._open.append(OpenTrip(at_ns, caller))

    def _begin_next(self) -> None:
        self._emit_last()
        if self._open and not self._open[-1].owed:
            self._emit(self._finish(self._open.pop(), "complete"))

    def _emit_last(self) -> None:
        if self._last is not None:
            self._emit(self._last)
            self._last = None

    def _finish(self, trip: OpenTrip, unanswered: Answer) -> RoundTrip:
        source = self._sources.of(trip.caller)
        operations, purpose, waits = trip.operations, trip.purpose or "work", trip.answered_waits
        answer = unanswered if trip.owed else "complete" if trip.settled else "none owed"
        same = operations, purpose, trip.commits, answer, trip.waited
        return round_trip(
            self.store, self.connection, operations, trip.started_ns, trip.ended_ns, trip.sent_bytes,
            trip.received_bytes, source.site, purpose, source.lane, self.server, self.name, trip.commits, answer,
            trip.waited, self.client, waits, source.path, trip.arguments, trip.key,
            None if waits else source.mark(same),
        )  # fmt: skip


def _plus(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more
