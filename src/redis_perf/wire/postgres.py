"""Postgres, byte by byte: frames cut from both directions and told to the dialogue, which knows what is owed."""

from __future__ import annotations

from collections.abc import Container

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, SENT, SETTLED, Caller
from redis_perf.wire.postgres_dialogue import PostgresDialogue
from redis_perf.wire.postgres_frames import FROM_CLIENT, FROM_SERVER, Messages, Startup
from redis_perf.wire.postgres_kinds import SILENT
from redis_perf.wire.settled import Settled

__all__ = ["PostgresDialogue", "PostgresMeter"]


class PostgresMeter:
    """Reads one Postgres connection's bytes. `startup`: they are seen from the connection's first one on.

    `housekeeping`: the texts a driver sends on its own account, which are setup.
    """

    def __init__(
        self, conversation: Conversation, *, startup: bool = True, housekeeping: Container[str] = frozenset()
    ) -> None:
        self._conversation = conversation
        self._housekeeping = housekeeping
        self._begin(startup=startup)

    def _begin(self, *, startup: bool) -> None:
        connection = self._conversation.connection
        self._dialogue = PostgresDialogue(self._conversation, self._housekeeping)
        self._waiting = False
        self._client = Messages(connection, "client", FROM_CLIENT, runs=b"d")
        self._server = Messages(connection, "server", FROM_SERVER, runs=b"Dd")
        self._startup = Startup(connection) if startup else None
        self._startup_began_ns: int | None = None

    @property
    def in_block(self) -> bool:
        """A transaction block is open, as far as the server has said."""
        return self._dialogue.in_block

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again."""
        if direction == SENT:
            self._waiting = False
            self._sent(at_ns, self._started(at_ns, data, caller), caller)
        elif direction in (RECEIVED, ARRIVED):
            self._received(at_ns, data)
            if direction == RECEIVED or self._waiting:
                self._conversation.looked()
        elif direction == LOOKED:
            self._waiting = True
            self._conversation.looked()
        elif direction == SETTLED:
            self._dialogue.settle(at_ns, Settled.read(data))
            self._conversation.looked()
        elif direction == CLOSED:
            self._dialogue.closed(at_ns)
            self._begin(startup=True)

    def _started(self, at_ns: int, data: bytes, caller: Caller | None) -> bytes:
        """Takes the messages without a letter off the beginning."""
        if self._startup is None:
            return data
        if self._startup_began_ns is None:
            self._startup_began_ns = at_ns
        end = 0
        for kind, size_bytes, end in self._startup.feed(data):
            if kind not in SILENT:
                self._conversation.sent(self._startup_began_ns or at_ns, size_bytes, caller)
                self._dialogue.client(kind, b"")
            self._client.skipped(size_bytes)
            self._startup_began_ns = None if end == len(data) else at_ns
        if not self._startup.over:
            return b""
        self._startup = None
        return data[end:]

    def _sent(self, at_ns: int, data: bytes, caller: Caller | None) -> None:
        for kind, size_bytes, begins, body in self._client.feed(data):
            if kind in SILENT:
                continue
            if begins:
                self._conversation.sent(at_ns, size_bytes, caller)
            else:
                self._conversation.continued(size_bytes)
            if body is not None:
                self._dialogue.client(kind, body)

    def _received(self, at_ns: int, data: bytes) -> None:
        start = 0
        while start < len(data) and self._dialogue.expects_byte:
            answer = data[start : start + 1]
            if answer == b"E" or self._server.unfinished:
                self._message(at_ns, answer)
            else:
                self._take_byte(at_ns, answer)
            start += 1
        self._message(at_ns, data[start:] if start else data)

    def _message(self, at_ns: int, data: bytes) -> None:
        for kind, size_bytes, _, body in self._server.feed(data):
            self._conversation.received(size_bytes)
            if body is not None:
                self._dialogue.server(at_ns, kind, body)

    def _take_byte(self, at_ns: int, answer: bytes) -> None:
        if answer not in (b"S", b"N", b"G"):
            raise ProtocolError(
                f"{answer!r} where an SSL or GSS request should be answered",
                connection=self._conversation.connection,
                sender="server",
                offset=self._server.offset,
            )
        self._server.skipped(1)
        self._conversation.received(1)
        self._dialogue.byte(at_ns)
