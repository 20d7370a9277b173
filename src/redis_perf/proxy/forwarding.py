"""When a client that is seen from outside has looked at a reply. No I/O.

Nobody outside sees a client read. But it cannot have read what was not handed to it: so it has looked at a reply
once that was forwarded, nothing else is owed to it, and nothing that came for it is still kept back. Each reply is
kept back for a while (the hold), as a network would. What the client sends in the meantime cannot depend on it and
joins the round trip; without a hold (0) a client that is still sending may be taken for one that goes on, so counts
are upper bounds.
"""

from __future__ import annotations

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.proxy.sayings import looks_like
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED, SENT, Caller, Meter
from redis_perf.wire.postgres import PostgresMeter


class ForwardingMeter:
    """Reads what a proxy logged with a meter of the store.

    ARRIVED: from the server, kept back. LOOKED: all that was kept back has been forwarded. RECEIVED: both at once.
    """

    def __init__(self, conversation: Conversation, meter: Meter) -> None:
        self._conversation = conversation
        self._meter = meter
        self._unheard = {SENT: "client", RECEIVED: "server", ARRIVED: "server"}

    @property
    def in_transaction(self) -> bool:
        """Postgres: a transaction block is open, as far as the server has said."""
        return isinstance(self._meter, PostgresMeter) and self._meter.in_block

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again."""
        if direction in self._unheard:
            self._hear(self._unheard[direction], data)
        if direction != LOOKED:
            self._meter.feed(at_ns, ARRIVED if direction == RECEIVED else direction, data, caller)
        if direction in (LOOKED, RECEIVED) and not self._conversation.owed:
            self._conversation.looked()

    def _hear(self, sender: str, beginning: bytes) -> None:
        """The first of what one side says."""
        self._unheard = {direction: who for direction, who in self._unheard.items() if who != sender}
        guess = looks_like(self._conversation.store, beginning)
        if guess:
            raise ProtocolError(
                f"what looks like {guess}, not {self._conversation.store},",
                connection=self._conversation.connection,
                sender=sender,
                offset=0,
            )
