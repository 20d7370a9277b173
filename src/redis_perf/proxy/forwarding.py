"""When a client that is seen from outside has looked at a reply. No I/O.

Nobody outside sees a client read. But it cannot have read what was not handed to it: so it has looked at a reply
once that was forwarded, nothing else is owed to it, and nothing that came for it is still kept back. Each reply is
kept back for a while (the hold), as a network would. What the client sends in the meantime cannot depend on it and
joins the round trip; without a hold (0) a client that is still sending may be taken for one that goes on, so counts
are upper bounds.

Tasks that share one Redis connection overlap, so their requests merge into one round trip for as long as any reply is
out. From when to when each waited is known all the same, and so which may have been sent because of which reply.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.proxy.sayings import advice, looks_like
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED, SENT, Caller, Meter
from redis_perf.wire.postgres import PostgresMeter

REACTION_NS: Final = 20_000
"""No client reads a reply and sends the next request faster."""
PAUSE_NS: Final = 100_000
"""What follows sooner is still the same sending: a client that writes piece by piece."""
LARGE_BYTES: Final = 1_400
LARGE_PAUSE_NS: Final = 1_000_000
"""So much at once may be a part of something larger, which takes longer to send."""


class Apart:
    """Tells requests that were sent together from such as wait by themselves."""

    def __init__(self) -> None:
        self._handed_over: deque[int] = deque()  # when, of replies that somebody may yet react to
        self._sent_ns = 0
        self._pause_ns = 0

    def replied(self, at_ns: int) -> None:
        """A whole reply is handed over then."""
        self._handed_over.append(at_ns)

    def sent(self, at_ns: int, size_bytes: int) -> int | None:
        """The client sends. From when on that is a wait of its own; None: it belongs to what was sent before."""
        while self._handed_over and self._handed_over[0] <= at_ns - REACTION_NS:
            self._handed_over.popleft()
        together = at_ns - self._sent_ns < self._pause_ns
        self._sent_ns = at_ns
        self._pause_ns = LARGE_PAUSE_NS if size_bytes >= LARGE_BYTES else PAUSE_NS
        if together:
            return None
        return min(at_ns, self._handed_over[0] - 1) if self._handed_over else at_ns  # it is no answer to that one


class ForwardingMeter:
    """Reads what a proxy logged with a meter of the store.

    ARRIVED: from the server, kept back. LOOKED: all that was kept back has been forwarded. RECEIVED: both at once.
    """

    def __init__(self, conversation: Conversation, meter: Meter) -> None:
        self._conversation = conversation
        self._meter = meter
        self._apart = Apart() if conversation.store == "redis" else None
        self._unheard = {SENT: "client", RECEIVED: "server", ARRIVED: "server"}

    @property
    def in_transaction(self) -> bool:
        """Postgres: a transaction block is open, as far as the server has said."""
        return isinstance(self._meter, PostgresMeter) and self._meter.in_block

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again."""
        if direction in self._unheard:
            self._hear(self._unheard[direction], data)
        if direction == SENT and self._apart is not None:
            self._conversation.apart(self._apart.sent(at_ns, len(data)))
        owed = self._conversation.owed
        if direction != LOOKED:
            self._meter.feed(at_ns, ARRIVED if direction == RECEIVED else direction, data, caller)
        if direction == ARRIVED and self._apart is not None and self._conversation.owed < owed:
            self._apart.replied(at_ns)
        if direction in (LOOKED, RECEIVED) and not self._conversation.owed:
            self._conversation.looked()

    def _hear(self, sender: str, beginning: bytes) -> None:
        """The first of what one side says."""
        self._unheard = {direction: who for direction, who in self._unheard.items() if who != sender}
        guess = looks_like(self._conversation.store, beginning)
        if guess:
            raise ProtocolError(
                f"what looks like {guess}, not {self._conversation.store}{advice(guess)},",
                connection=self._conversation.connection,
                sender=sender,
                offset=0,
            )
