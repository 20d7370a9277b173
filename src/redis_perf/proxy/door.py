"""Where clients come in. When there is no descriptor left for them they wait outside for a moment."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from redis_perf.proxy.loop import READ, Loop

PAUSE_NS: Final = 100_000_000
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_GONE: Final = frozenset({errno.EAGAIN, errno.ECONNABORTED, errno.EINTR})


class Door:
    """Calls `come` with each client's socket, and `note` with what one should know of when some could not come in."""

    def __init__(
        self, sock: socket.socket, loop: Loop, come: Callable[[socket.socket], None], note: Callable[[str], None]
    ) -> None:
        sock.setblocking(False)
        self._sock, self._loop, self._come, self._note = sock, loop, come, note
        loop.watch(sock.fileno(), READ, self._knocked, first=False)

    def _knocked(self, _events: int) -> None:
        try:
            client, _ = self._sock.accept()
        except OSError as error:
            self._not_accepted(error)
        else:
            self._come(client)

    def _not_accepted(self, error: OSError) -> None:
        if error.errno in _EXHAUSTED:  # the client would knock on and on
            self._note(f"connections had to wait until they were accepted: {error.strerror}; see `ulimit -n`")
            self._loop.change(self._sock.fileno(), 0)
            self._loop.wake(monotonic_ns() + PAUSE_NS, self)
        elif error.errno not in _GONE:
            self._note(f"a connection could not be accepted: {error.strerror}")

    def release(self, _now_ns: int) -> None:
        """The loop's: the moment is over."""
        self._loop.change(self._sock.fileno(), READ)
