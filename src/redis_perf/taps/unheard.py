"""A connection that is used but cannot be listened to: never silently uncounted, it is a problem of the trace.

Budgets fail on problems, so this is loud; and it is one only where such a connection was used while recording.
"""

from __future__ import annotations

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.recorder import Log, Recorder, now_ns
from redis_perf.trace import Store
from redis_perf.wire import CLOSED, SENT, Caller


class Unheard(ProtocolError):
    """Not what was sent is wrong, but that nobody could hear it."""

    def __init__(self, why: str, connection: int) -> None:
        super().__init__(why, connection=connection, sender="client", offset=0)
        self.args = (f"connection {connection}: {why}",)


class UnheardMeter:
    """Any use is the problem."""

    def __init__(self, conversation: Conversation, why: str) -> None:
        self._connection = conversation.connection
        self._why = why

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Raises ProtocolError."""
        if direction != CLOSED:
            raise Unheard(self._why, self._connection)


def unheard(
    recorder: Recorder, tap: str, server: str | None, owner: object, why: str, *, store: Store = "postgres"
) -> Log:
    """The log of such a connection; `used` notes each use of it."""
    return recorder.log(tap, store, lambda conversation: UnheardMeter(conversation, why), server=server, owner=owner)


def used(log: Log) -> None:
    log.append((now_ns(), SENT, b"", None))
