"""TLS to a Postgres, which is asked for it first, and whose offer of channel binding ends here.

Channel binding ties a password to the certificate the client sees, which is not the server's where a proxy speaks TLS:
a client that took up the offer would be refused, and libpq without TLS takes it for an attack.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from struct import Struct
from time import monotonic_ns
from typing import Final

from redis_perf.proxy.end import End
from redis_perf.proxy.loop import Handler
from redis_perf.proxy.tls import ANSWER_NS, Outcome, TlsEnd
from redis_perf.proxy.upstream import Upstream

_SSL_REQUEST: Final = b"\0\0\0\x08\x04\xd2\x16\x2f"
_HEADER: Final = Struct("!cI")
_SASL: Final = b"\0\0\0\x0a"
_BINDING: Final = b"-PLUS"
_BEFORE: Final = b"Nv"
"""What a server may say before it asks for a password: a notice, which version it speaks."""


class Offer:
    """What the server says up to the mechanisms it offers, without those that bind. No I/O."""

    def __init__(self) -> None:
        self._begun = b""
        self.over = False
        """It was made, or there is none: all passes from now on."""

    def feed(self, data: bytes) -> bytes:
        self._begun += data
        passed = b""
        while not self.over and (message := self._message()):
            self._begun = self._begun[len(message) :]
            self.over = message[:1] not in _BEFORE
            passed += _unbound(message) if message[:1] == b"R" else message
        return passed + self.rest() if self.over else passed

    def rest(self) -> bytes:
        rest, self._begun = self._begun, b""
        return rest

    def _message(self) -> bytes:
        if len(self._begun) < _HEADER.size:
            return b""
        _, length = _HEADER.unpack_from(self._begun)
        return self._begun[: 1 + length] if len(self._begun) > length else b""


def _unbound(message: bytes) -> bytes:
    kind, body = message[:1], message[_HEADER.size :]
    if not body.startswith(_SASL):
        return message
    offered = body[len(_SASL) :].split(b"\0")
    body = _SASL + b"\0".join(name for name in offered if not name.endswith(_BINDING))
    return _HEADER.pack(kind, 4 + len(body)) + body


class PostgresTlsEnd(TlsEnd):
    """`direct`: the server expects TLS from the first byte."""

    __slots__ = ("_asks", "_offer")

    def __init__(
        self,
        end: End,
        context: ssl.SSLContext,
        handler: Handler,
        done: Callable[[Outcome], None],
        *,
        host: str,
        direct: bool,
    ) -> None:
        self._asks, self._offer = not direct, Offer()
        super().__init__(end, context, handler, done, host=host)

    def open(self) -> None:
        if not self._asks:
            super().open()
            return
        self._loop.wake(monotonic_ns() + ANSWER_NS, self)
        try:
            End.write(self, _SSL_REQUEST)
        except OSError as error:
            self._done(error.strerror or str(error))
            return
        End.watch(self, reading=True)

    def _hear(self, heard: bytes) -> None:
        if not self._asks:
            super()._hear(heard)
        elif heard == b"S":
            self._asks = False
            self.begin()
        else:
            self._done("the server does not speak TLS" if heard == b"N" else f"asked for TLS, it said {heard[:40]!r}")

    def _opened(self) -> bytes:
        data = super()._opened()
        if self._offer.over:
            return data
        data = self._offer.feed(data)
        return data + self._offer.rest() if self._ended else data


def towards(
    upstream: Upstream, end: End, context: ssl.SSLContext, handler: Handler, done: Callable[[Outcome], None]
) -> TlsEnd:
    """In the place of `end`, which has just been connected; still to be opened."""
    assert upstream.tls is not None
    if upstream.store == "redis":
        return TlsEnd(end, context, handler, done, host=upstream.tls.host)
    return PostgresTlsEnd(end, context, handler, done, host=upstream.tls.host, direct=upstream.tls.direct)
