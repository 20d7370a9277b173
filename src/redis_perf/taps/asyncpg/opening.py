"""A connection on its way: TCP connect, request for TLS, TLS handshake, each a round trip of its own.

asyncpg makes its protocol object when the socket is connected already, and for TLS another one before that, so what
is known of a connection is kept in the context of the task that opens it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol

from redis_perf.conversation import Conversation
from redis_perf.recorder import Log, Recorder, now_ns
from redis_perf.trace import Operation, RoundTrip, Site
from redis_perf.wire import RECEIVED, SENT, Caller

SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
NO_CONNECTION: Final = 0


class Opener(Protocol):
    """Who listens to connections: see `redis_perf.taps.asyncpg.listening`."""

    recorder: Recorder

    def open_log(self, transport: Any, opened_ns: int | None, owner: Any = None) -> Log: ...


class Opening:
    """From the call that opens a connection until it is there, second attempts included."""

    def __init__(self, opener: Opener, tcp: bool, who: Caller, listen: Callable[[Any, Log, Caller], None]) -> None:
        self._opener = opener
        self._tcp = tcp
        self._who = who
        self._listen = listen
        self._mark_ns = now_ns()
        self._socket: Any = None
        self._log: Log | None = None
        self.over = False

    def connected(self, transport: Any) -> Log:
        """The socket of this transport is connected; its log, new if nothing was said on it yet."""
        name = transport.get_extra_info("sockname") or id(transport)
        if self._log is None or name != self._socket:
            self._socket = name
            self._log = self._opener.open_log(transport, self._mark_ns)
            if self._tcp:
                self._emit(self._log.conversation, "CONNECT", 0)
        return self._log

    def asks_for_tls(self, transport: Any) -> None:
        self.connected(transport).append((now_ns(), SENT, SSL_REQUEST, self._who))

    def answered(self, data: bytes) -> None:
        """Whether there will be TLS."""
        if self._log is not None:
            self._mark_ns = now_ns()
            self._log.append((self._mark_ns, RECEIVED, data, None))

    def gone(self) -> None:
        """The connection ended before asyncpg had its protocol."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def met(self, protocol: Any, transport: Any) -> None:
        """asyncpg has its protocol; from here on that is listened to."""
        log = self.connected(transport)
        if self._tcp and transport.get_extra_info("ssl_object") is not None:
            self._emit(log.conversation, "TLS", None)
        self._listen(protocol, log, self._who)

    def refused(self) -> None:
        """That was a round trip too, of no connection."""
        if self._tcp and self._log is None:
            nowhere = Conversation("postgres", NO_CONNECTION, self._opener.recorder.emit)
            self._emit(nowhere, "CONNECT", 0, failed=True)

    def _emit(self, conversation: Conversation, name: str, size_bytes: int | None, *, failed: bool = False) -> None:
        """A round trip of TCP (no bytes of its own) or TLS (bytes not seen)."""
        code, line, lane, _ = self._who
        started_ns, self._mark_ns = self._mark_ns, now_ns()
        self._opener.recorder.emit(
            RoundTrip(
                store="postgres",
                connection=conversation.connection,
                operations=(Operation(name, name, failed),),
                started_ns=started_ns,
                ended_ns=self._mark_ns,
                sent_bytes=size_bytes,
                received_bytes=size_bytes,
                site=Site(code.co_filename, line, code.co_name) if code else None,
                purpose="setup",
                lane=lane,
                server=conversation.server,
                client=conversation.client,
            )
        )


OPENING: ContextVar[Opening | None] = ContextVar("redis_perf_opening", default=None)


def opening() -> Opening | None:
    """That of this context. What was scheduled meanwhile keeps its context, so one that is over is none."""
    found = OPENING.get()
    return None if found is None or found.over else found


def address(transport: Any) -> str | None:
    """`127.0.0.1:5432`, `[::1]:5432` or the path of a Unix socket."""
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(peer) if peer else None
