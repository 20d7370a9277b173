"""Reaching a server without waiting for it: its addresses one after another, then TLS if that is spoken."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator

from redis_perf.proxy.asking import towards
from redis_perf.proxy.end import End
from redis_perf.proxy.loop import WRITE, Handler, Loop
from redis_perf.proxy.upstream import Address, Upstream

_UNDER_WAY = frozenset({0, errno.EINPROGRESS})


class Dial:
    """Calls `reached` with the server's end, whose events go to `handler`, or `failed` with why there is none.

    `failed` may follow on what seemed a success: TLS 1.3 learns late that a certificate is refused.
    """

    def __init__(
        self,
        upstream: Upstream,
        context: ssl.SSLContext | None,
        loop: Loop,
        handler: Handler,
        reached: Callable[[End], None],
        failed: Callable[[str], None],
    ) -> None:
        self._upstream, self._context, self._loop = upstream, context, loop
        self._handler, self._reached, self._failed = handler, reached, failed
        self._error = "no address"
        self._attempts = self._all(upstream.address)
        self._end: End | None = None

    def next(self) -> None:
        """Try the next address, if there is one left."""
        connecting = next(self._attempts, None)
        if connecting is None:
            self._failed(f"{self._upstream.shown} cannot be reached: {self._error}")
        else:
            self._end = End(connecting, self._loop, self._connect, first=False, mask=WRITE)

    def close(self, *, reset: bool = False) -> None:
        """Of what was reached, or is being."""
        if self._end is not None:
            self._end.close(reset=reset)
            self._end = None

    def _connect(self, _events: int) -> None:
        assert self._end is not None
        code = self._end.error()
        if code:
            self._error = os.strerror(code)
            self.close()
            self.next()
        elif self._context is None:
            self._end.heed(self._handler)
            self._reached(self._end)
        else:
            self._end = end = towards(self._upstream, self._end, self._context, self._handler, self._secured)
            end.open()

    def _secured(self, why: str | None) -> None:
        """TLS is agreed on, or it is not for this reason."""
        assert self._end is not None
        if why is None:
            self._reached(self._end)
        else:
            self.close()
            self._failed(f"TLS with {self._upstream.shown} failed: {why}")

    def _all(self, address: Address) -> Iterator[socket.socket]:
        if isinstance(address, str):
            yield from self._attempt(socket.AF_UNIX, address)
            return
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except OSError as error:
            self._error = str(error.strerror)
            return
        for family, _, _, _, target in found:
            yield from self._attempt(family, target)

    def _attempt(self, family: int, target: object) -> Iterator[socket.socket]:
        try:
            connecting = plain(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:  # no descriptor is left
            self._error = str(error.strerror)
            return
        code = connecting.connect_ex(target)  # type: ignore[arg-type]
        if code in _UNDER_WAY:
            yield connecting
        else:
            self._error = os.strerror(code)
            connecting.close()


def plain(connection: socket.socket) -> socket.socket:
    """Ready for the loop: never waits, and sends small messages at once."""
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
