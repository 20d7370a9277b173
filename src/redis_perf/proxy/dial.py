"""Reaching a server without waiting for it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

from redis_perf.proxy.upstream import Address

_UNDER_WAY = frozenset({0, errno.EINPROGRESS})


class Dial:
    """Tries a server's addresses one after another; `error` is why the last one failed."""

    def __init__(self, address: Address) -> None:
        self.error = "no address"
        self._attempts = self._all(address)

    def next(self) -> socket.socket | None:
        """A socket that is connecting, or None when there is no address left to try."""
        return next(self._attempts, None)

    def failed(self, code: int) -> bool:
        """Whether this is the error of an attempt that came to nothing."""
        if code:
            self.error = os.strerror(code)
        return bool(code)

    def _all(self, address: Address) -> Iterator[socket.socket]:
        if isinstance(address, str):
            yield from self._attempt(socket.AF_UNIX, address)
            return
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        except OSError as error:
            self.error = str(error.strerror)
            return
        for family, _, _, _, target in found:
            yield from self._attempt(family, target)

    def _attempt(self, family: int, target: object) -> Iterator[socket.socket]:
        try:
            connecting = plain(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:  # no descriptor is left
            self.error = str(error.strerror)
            return
        code = connecting.connect_ex(target)  # type: ignore[arg-type]
        if code in _UNDER_WAY:
            yield connecting
        else:
            self.error = os.strerror(code)
            connecting.close()


def plain(connection: socket.socket) -> socket.socket:
    """Ready for the loop: never waits, and sends small messages at once."""
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
