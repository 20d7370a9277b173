"""The handshake of a psycopg connection: traced from its first byte, its TCP connect and TLS told apart.

The connecting generator that runs is psycopg's own in pure Python, which every build has; only the `pq` it sees
differs, in that the connection it starts is traced before it is polled. The compiled one cannot be entered there.

A TCP connect is one round trip (its refusal too), a TLS handshake another one besides the SSLRequest before it;
neither is in libpq's trace. A Unix socket connects without a round trip.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from types import FunctionType, ModuleType
from typing import Any, Final

from redis_perf.recorder import Recorder, now_ns
from redis_perf.site import caller
from redis_perf.taps.psycopg.stream import Stream, is_tcp, open_log, server_of
from redis_perf.trace import Answer, Operation, RoundTrip, Site
from redis_perf.wire import RECEIVED, SENT, SETTLED, Caller
from redis_perf.wire.settled import Settled

SSL_REQUEST: Final = b"F\t8\t"
"""How any libpq traces its request for TLS; nothing else it sends in a handshake is eight bytes long."""

Connecting = Generator[Any, Any, Any]


def traced(generators: ModuleType, recorder: Recorder, attach: Callable[[Any], Stream]) -> Callable[..., Connecting]:
    """A replacement for `psycopg.generators.connect`; `attach` begins the trace of a PGconn."""
    pure = generators._connect

    def connect(*args: Any, **options: Any) -> Connecting:
        handshake = Handshake(generators.pq, recorder, attach)
        connecting = FunctionType(
            pure.__code__, {**vars(generators), "pq": handshake}, pure.__name__, pure.__defaults__
        )
        connecting.__kwdefaults__ = pure.__kwdefaults__
        return (yield from handshake.drive(connecting(*args, **options)))

    connect.recorder = recorder  # type: ignore[attr-defined]
    return connect


class Handshake:
    """One connection while it is being opened. Stands in for `pq` and `pq.PGconn` in psycopg's generator."""

    def __init__(self, pq: ModuleType, recorder: Recorder, attach: Callable[[Any], Stream]) -> None:
        self._pq = pq
        self._recorder = recorder
        self._attach = attach
        self._caller: Caller = caller(2)
        self._started_ns = self._resumed_ns = now_ns()
        self._ready_ns: int | None = None  # first resumption after what was sent last
        self._waited = self._spoke = self._asks_tls = self._tls = False
        self._pgconn: Any = None
        self._server, self._tcp = "", False
        self._stream: Stream | None = None

    @property
    def PGconn(self) -> Handshake:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pq, name)

    def connect_start(self, conninfo: bytes) -> Any:
        self._pgconn = self._pq.PGconn.connect_start(conninfo)
        self._server, self._tcp = server_of(self._pgconn), is_tcp(self._pgconn)  # psycopg finishes one that fails
        self._stream = self._attach(self._pgconn)
        self._stream.enter()  # nobody else may let go of it while libpq shakes hands
        return self._pgconn

    def drive(self, connecting: Connecting) -> Connecting:
        try:
            wanted = next(connecting)
            while True:
                self._note()
                self._waited = True
                ready = yield wanted
                self._resumed(ready)
                wanted = connecting.send(ready)
        except StopIteration as end:
            self._note()
            if self._stream is not None:
                self._stream.leave(self._pgconn)
            return end.value
        except BaseException as error:
            self._failed(error)
            raise

    def _resumed(self, ready: Any) -> None:
        if ready:
            self._resumed_ns = now_ns()
            self._ready_ns = self._ready_ns or self._resumed_ns

    def _note(self) -> None:
        """Log what was said since the last step: libpq waits for the server now, or is done."""
        if self._stream is None or not (text := self._stream.text.all()):
            return
        ready_ns = self._ready_ns or now_ns()
        if not self._spoke:
            self._spoke = True
            self._open(self._stream, opened_ns=self._started_ns)
            self._emit(self._stream, "CONNECT", self._started_ns, ready_ns)
        if not self._tls and b"F\t" in text and not text.startswith(SSL_REQUEST) and self._pgconn.ssl_in_use:
            self._tls = True
            self._emit(self._stream, "TLS", ready_ns, self._resumed_ns, size_bytes=None)
        self._log(self._stream, text, ready_ns)

    def _log(self, stream: Stream, text: bytes, ready_ns: int) -> None:
        ours, at_ns = text.startswith(b"F"), now_ns()
        if self._asks_tls:  # the answer was there when the socket was ready, before the TLS handshake
            if ours:  # libpq before 17 does not trace the letter
                stream.log.append((ready_ns, SETTLED, Settled(received_bytes=1).data, None))
            else:
                at_ns = ready_ns
        self._asks_tls = text.startswith(SSL_REQUEST)
        stream.log.append((at_ns, SENT if ours else RECEIVED, text, self._caller))
        if ours:
            self._ready_ns = None

    def _failed(self, error: BaseException) -> None:
        """Count what was paid so far and leave nothing behind."""
        if self._stream is None:
            return
        self._note()
        if self._spoke and "FATAL:" in str(error):  # the server's answer, which libpq before 18 does not trace
            self._stream.log.append((now_ns(), SETTLED, Settled(failed=True).data, None))
        if not self._spoke:
            self._open(self._stream, opened_ns=None)
            refused = os.strerror(errno.ECONNREFUSED) in str(error)
            if refused or self._waited:
                answer: Answer = "complete" if refused else "lost"
                self._emit(self._stream, "CONNECT", self._started_ns, now_ns(), failed=True, answer=answer)
        self._stream.lock.release()
        self._stream.release()
        self._stream.hang_up()

    def _open(self, stream: Stream, opened_ns: int | None) -> None:
        stream.log = open_log(self._recorder, self._pgconn, self._server, startup=True, opened_ns=opened_ns)

    def _emit(
        self,
        stream: Stream,
        name: str,
        started_ns: int,
        ended_ns: int,
        *,
        size_bytes: int | None = 0,
        failed: bool = False,
        answer: Answer = "complete",
    ) -> None:
        """A round trip of TCP (no bytes of its own) or TLS (bytes not seen)."""
        if not self._tcp:
            return
        conversation, (code, line, lane, _) = stream.log.conversation, self._caller
        self._recorder.emit(
            RoundTrip(
                store="postgres",
                connection=conversation.connection,
                operations=(Operation(name, name, failed),),
                started_ns=started_ns,
                ended_ns=ended_ns,
                sent_bytes=size_bytes,
                received_bytes=size_bytes,
                site=Site(code.co_filename, line, code.co_name) if code else None,
                purpose="setup",
                lane=lane,
                server=conversation.server,
                client=conversation.client,
                answer=answer,
            )
        )
