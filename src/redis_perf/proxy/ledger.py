"""What the proxy has seen: one tape for each connection, read when there is nothing more urgent to do.

A connection's bytes are noted as they pass and parsed afterwards, for parsing costs more than passing on. What is
not read yet is bounded: beyond `UNREAD_BYTES` or `UNREAD_EVENTS` reading has its share of every turn.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from time import monotonic_ns

from redis_perf.conversation import Conversation
from redis_perf.proxy.armed import Ambush
from redis_perf.proxy.forwarding import ForwardingMeter
from redis_perf.proxy.sayings import advice, looks_like
from redis_perf.proxy.tape import Tape
from redis_perf.proxy.upstream import Upstream
from redis_perf.proxy.watch import Watch
from redis_perf.recorder import Log
from redis_perf.trace import Opened, Operation, Problem, RoundTrip, Tapped, Trace
from redis_perf.wire import CLOSED
from redis_perf.wire.postgres import PostgresMeter
from redis_perf.wire.resp import RespMeter

UNREAD_BYTES = 8 << 20
UNREAD_EVENTS = 200_000
SLICE_EVENTS = 8
_UNHELD = (
    "round trips are an upper bound while the latency is 0: a client that is still sending cannot be told from one "
    "that goes on; 1 ms is enough"
)
_METERS = {"redis": RespMeter, "postgres": PostgresMeter}


class Ledger:
    """All connections, and the trace of what they did."""

    def __init__(self) -> None:
        self._taps: list[Tapped] = []
        self._unheld: list[tuple[int, int | None]] = []  # from when to when nothing was kept back
        self._ids = itertools.count(1)
        self._tapes: dict[Tape, None] = {}
        self._unread: deque[Tape] = deque()
        self._unread_bytes = 0
        self._unread_events = 0
        self._finished: deque[RoundTrip] = deque()
        self._opened: list[Opened] = []
        self._notes: dict[str, None] = {}

    def add(self, upstream: Upstream) -> None:
        """One more server."""
        self._taps.append(Tapped(f"proxy of {upstream.name}", upstream.store))

    def holds(self, hold_ns: int) -> None:
        """From now on replies are kept back for so long."""
        if self._unheld and self._unheld[-1][1] is None:
            self._unheld[-1] = self._unheld[-1][0], monotonic_ns()
        if not hold_ns:
            self._unheld.append((monotonic_ns(), None))

    def note(self, text: str) -> None:
        """To be known when reading the numbers."""
        self._notes[text] = None

    def count(self, tape: Tape) -> None:
        """This connection speaks the store's protocol, as far as can be told, and is counted from its beginning."""
        upstream = tape.upstream
        conversation = Conversation(
            upstream.store,
            next(self._ids),
            self._finished.append,
            server=upstream.shown,
            name=upstream.label,
            client=tape.client,
        )
        meter = ForwardingMeter(conversation, _METERS[upstream.store](conversation))
        tape.meter = meter
        tape.log = Log("proxy", conversation, meter)
        tape.log.events = tape.events
        self._tapes[tape] = None
        self._opened.append(
            Opened(upstream.store, conversation.connection, tape.opened_ns, upstream.shown, upstream.label)
        )
        if isinstance(upstream.address, tuple) or tape.client is not None:
            self._finished.append(_opening("CONNECT", conversation, tape.opened_ns, tape.opened_ns, 0))
        if tape.secured_ns is not None:
            self._finished.append(_opening("TLS", conversation, *tape.secured_ns, None))
        for event in tape.events:
            self.grew(tape, len(event[2]))

    def secured(self, tape: Tape, began_ns: int) -> None:
        """The client's TLS handshake is done: a round trip whose bytes are not looked at."""
        tape.secured_ns = (began_ns, monotonic_ns())
        if tape.log is not None:
            self._finished.append(_opening("TLS", tape.log.conversation, *tape.secured_ns, None))

    def unknown(self, tape: Tape, beginning: bytes) -> None:
        """This connection does not begin as one of the store's does: it is passed on, and nothing of it counted."""
        self.count(tape)
        upstream = tape.upstream
        guess = looks_like(upstream.store, beginning)
        what = f"looks like {guess}" if guess else f"begins with {beginning[:8]!r}"
        hint = advice(guess) if guess else ""
        if tape.log is not None:
            connection = tape.log.conversation.connection
            tape.log.give_up(
                f"connection {connection}: what the client sent {what}, not {upstream.store}{hint}", tape.opened_ns
            )

    def grew(self, tape: Tape, size_bytes: int) -> None:
        """An event of a connection that is counted was appended."""
        self._unread_bytes += size_bytes
        self._unread_events += 1
        if not tape.queued:
            tape.queued = True
            self._unread.append(tape)

    def close(self, tape: Tape) -> None:
        tape.append((monotonic_ns(), CLOSED, b"", None))
        self.grew(tape, 0)

    @property
    def unread(self) -> bool:
        return bool(self._unread)

    @property
    def pressing(self) -> bool:
        """So much is unread that reading cannot wait for a quiet moment."""
        return self._unread_bytes > UNREAD_BYTES or self._unread_events > UNREAD_EVENTS

    def read_some(self) -> None:
        """A slice of what is unread."""
        tape = self._unread[0]
        assert tape.log is not None
        events = [tape.events[index] for index in range(min(SLICE_EVENTS, len(tape.events)))]
        tape.log.read(SLICE_EVENTS)
        self._unread_bytes -= sum(len(event[2]) for event in events)
        self._unread_events -= len(events)
        if not tape.events:
            self._unread.popleft()
            tape.queued = False
            if tape.log.closed and tape.log.problem is None:
                del self._tapes[tape]

    def watched(self, tape: Tape, ambush: Ambush) -> Watch | None:
        """A reader of its own for this connection from now on; None if it is not counted, or cannot be read."""
        self._read_all()
        if tape.log is None or tape.meter is None or tape.log.problem is not None:
            return None
        return Watch(tape.log.conversation, tape.meter, ambush)

    def trace(self, since_ns: int, until_ns: int) -> Trace:
        """Everything that started in the window, in order."""
        self._read_all()
        conversations = (tape.log.conversation for tape in self._tapes if tape.log)
        trips = [*self._finished, *(trip for each in conversations for trip in each.unfinished())]
        inside = [trip for trip in trips if since_ns <= trip.started_ns < until_ns]
        return Trace(
            round_trips=tuple(sorted(inside, key=lambda trip: trip.started_ns)),
            opened=tuple(opened for opened in self._opened if since_ns <= opened.at_ns < until_ns),
            taps=tuple(self._taps),
            problems=tuple(_problems(self._tapes, since_ns, until_ns)),
            notes=(*self._notes, *([_UNHELD] if self._was_unheld(since_ns, until_ns) else [])),
        )

    def _was_unheld(self, since_ns: int, until_ns: int) -> bool:
        return any(began_ns < until_ns and since_ns <= (ended_ns or until_ns) for began_ns, ended_ns in self._unheld)

    def forget(self, before_ns: int) -> None:
        """Nobody will ask for what started earlier."""
        self._unheld = [
            (began_ns, ended_ns) for began_ns, ended_ns in self._unheld if (ended_ns or before_ns) >= before_ns
        ]
        self._read_all()
        kept = [trip for trip in self._finished if trip.started_ns >= before_ns]
        self._finished.clear()
        self._finished.extend(kept)
        self._opened = [opened for opened in self._opened if opened.at_ns >= before_ns]
        self._tapes = {tape: None for tape in self._tapes if tape.log is None or not tape.log.closed}

    def _read_all(self) -> None:
        while self._unread:
            self.read_some()


def _problems(tapes: Iterable[Tape], since_ns: int, until_ns: int) -> Iterator[Problem]:
    """Of the connections that were used in the window without being understood."""
    for log in (tape.log for tape in tapes if tape.log):
        first_ns, last_ns = log.unseen_ns
        if log.problem is not None and first_ns < until_ns and since_ns <= last_ns:
            log.problem.name = log.conversation.name
            yield log.problem


def _opening(
    name: str, conversation: Conversation, started_ns: int, ended_ns: int, size_bytes: int | None
) -> RoundTrip:
    """TLS, or TCP: a connection that was accepted, which is over before the proxy hears of it."""
    return RoundTrip(
        store=conversation.store,
        connection=conversation.connection,
        operations=(Operation(name, name),),
        started_ns=started_ns,
        ended_ns=ended_ns,
        sent_bytes=size_bytes,
        received_bytes=size_bytes,
        purpose="setup",
        server=conversation.server,
        name=conversation.name,
        client=conversation.client,
    )
