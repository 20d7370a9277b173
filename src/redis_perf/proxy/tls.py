"""One socket of a relay on which TLS is spoken: an `End` as any other once the handshake is done.

OpenSSL works in memory, between what the socket gave and what it is given, so whatever has arrived is read at once and
nothing is pending that epoll does not show. A `close_notify` is the peer's end, and ours says it too.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns
from typing import Final, TypeAlias

from redis_perf.proxy.end import CHUNK_BYTES, End
from redis_perf.proxy.loop import READ, WRITE, Handler

Outcome: TypeAlias = "str | None"
"""Of a handshake: None, or why it failed."""

_GOES_ON: Final = ""
_LEFT: Final = "the connection ended within the handshake"
_SILENT: Final = "it does not answer: does this port speak TLS?"
ANSWER_NS = 4_000_000_000
"""A server without TLS may wait for the rest of what it takes for a request; clients wait little longer."""


class TlsEnd(End):
    """Takes the place of `end`. What is written before the handshake is done goes out after it.

    `done` is called with the outcome; after a failure, which may follow on what seemed a success, the owner closes
    this. A server answers the client's first words only after `hold_ns`, as the handshake is a round trip like any
    other.
    """

    __slots__ = (
        "_awaited", "_done", "_early", "_ended", "_first", "_gone", "_handler", "_heard", "_hold_ns", "_incoming",
        "_notified", "_outgoing", "_tls", "began_ns",
    )  # fmt: skip

    def __init__(
        self,
        end: End,
        context: ssl.SSLContext,
        handler: Handler,
        done: Callable[[Outcome], None],
        *,
        host: str | None = None,
        hold_ns: int = 0,
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = host is None
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=host)
        self._handler, self._done, self._first, self._hold_ns = handler, done, server, hold_ns
        self._awaited: bool = True
        """The handshake is not done."""
        self._heard = False  # TLS 1.3: until the peer says something it may still refuse our certificate
        self._gone = self._notified = False
        self._ended: OSError | bool = False  # what the peer's last words were followed by
        self._early: list[bytes] = []
        self.began_ns = monotonic_ns()
        super().__init__(end._sock, end._loop, self._shake, first=server)

    # --- the handshake

    def open(self) -> None:
        """A client's: speak first."""
        self._loop.wake(monotonic_ns() + ANSWER_NS, self)
        self.begin()

    def begin(self, heard: bytes = b"") -> None:
        """`heard` is what the peer has said already."""
        self._incoming.write(heard)
        if self._hold_ns:
            self._loop.wake(monotonic_ns() + self._hold_ns, self)
        else:
            self._step()

    def release(self, _now_ns: int) -> None:
        """The loop's: the time has come to answer, or is over; or there is something to read no event will tell of."""
        if self._gone:
            return
        if not self._awaited:
            self._handler(READ)
        elif self._hold_ns:
            self._hold_ns = 0
            self._step()
        else:
            self._done(_SILENT)

    def _shake(self, events: int) -> None:
        try:
            if events & WRITE:
                self.flush()
            heard = super().read() if events != WRITE else None
        except OSError as error:
            self._done(error.strerror or str(error))
            return
        if heard == b"":
            self._done(_LEFT)
        elif heard:
            self._hear(heard)
        if self._awaited and not self._gone:
            super().watch(reading=True)

    def _hear(self, heard: bytes) -> None:
        self._incoming.write(heard)
        if not self._hold_ns:
            self._step()

    def _step(self) -> None:
        why: str | None = None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            why = _GOES_ON
        except ssl.SSLError as error:
            why = reason(error)
        try:
            self._send_sealed()
        except OSError as error:
            why = why or error.strerror or str(error)
        if why is None:
            self._ready()
        elif why:
            self._done(why)
        else:
            super().watch(reading=True)

    def _ready(self) -> None:
        self._awaited = False
        self._loop.watch(self._fd, self._mask, self._handler, first=self._first)
        self._done(None)
        for data in self._early:
            self.later(data)
        self._early.clear()
        if not self._gone:
            self._handler(READ | WRITE)

    # --- reading

    def read(self) -> bytes | None:
        if self._ended:
            return self._last()
        try:
            heard = super().read()
        except OSError as error:
            self._ended = error
            return self._last()
        if heard is None and not self._incoming.pending:
            return None
        if heard:
            self._incoming.write(heard)
        elif heard is not None:
            self._incoming.write_eof()
        data = self._opened()
        if self._outgoing.pending:
            self._answer_alert()
        if data:
            self._heard = True
            if self._ended:
                self._loop.wake(monotonic_ns(), self)
            return data
        return self._last() if self._ended else None

    def _answer_alert(self) -> None:
        """A peer that has gone takes no answer; why it went, which it said before, is what counts."""
        try:
            self._send_sealed()
        except OSError as error:
            self._ended = self._ended or error
        else:
            super().watch(reading=bool(self._mask & READ))

    def _opened(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(CHUNK_BYTES):
                pieces.append(piece)
            self._ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLEOFError as error:
            self._ended = True if self._heard or self._first or pieces else error
        except ssl.SSLError as error:
            self._ended = error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _last(self) -> bytes | None:
        """How it ended. Broken off before a word was said, the handshake is what failed."""
        if not isinstance(self._ended, OSError):
            return b""
        if self._heard or (self._first and not isinstance(self._ended, ssl.SSLError)):
            raise self._ended
        self._done(reason(self._ended))
        return None

    # --- writing

    def write(self, data: bytes) -> None:
        if self._awaited:
            self._early.append(data)
        else:
            super().write(self._sealed(data))

    def later(self, data: bytes) -> None:
        super().later(self._sealed(data))

    def drop(self) -> None:
        self._early.clear()
        super().drop()

    def close(self, *, reset: bool = False) -> None:
        self._gone = True
        super().close(reset=reset)

    def _shut(self) -> None:
        """All is written."""
        if self._awaited:
            return
        if not self._notified:
            self._notified = True
            self._say_goodbye()
            if self.blocked:
                return
        super()._shut()

    def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError):  # the peer has not said it yet, or never will
            self._tls.unwrap()
        self._send_sealed()

    def _sealed(self, data: bytes) -> bytes:
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return self._outgoing.read()

    def _send_sealed(self) -> None:
        """What OpenSSL says on its own account."""
        sealed = self._outgoing.read()
        if sealed:
            super().write(sealed)


def reason(error: OSError) -> str:
    """In words: `certificate verify failed: certificate has expired`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return _LEFT
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    return (error.reason or str(error)).lower().replace("_", " ")
