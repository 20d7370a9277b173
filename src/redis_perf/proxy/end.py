"""One socket of a relay and what waits to be written to it."""

from __future__ import annotations

import socket
import struct
from collections import deque
from contextlib import suppress
from time import time_ns
from typing import Final

from redis_perf.proxy.loop import READ, WRITE, Handler, Loop

CHUNK_BYTES: Final = 64 << 10
RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: close() sends a reset
_SO_TIMESTAMPNS: Final = 35  # Linux on all but SPARC and PA-RISC; `socket` does not name it
_TIMESPEC: Final = struct.Struct("ll")
_BELIEVED_NS: Final = 1_000_000_000  # the clock of these times may be set meanwhile
_STAMP_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)


class End:
    """Reads and writes without ever waiting. `reads` is false once the peer has said its last."""

    __slots__ = ("_fd", "_loop", "_mask", "_sock", "_stamps", "_waiting", "ends", "reads")

    def __init__(self, sock: socket.socket, loop: Loop, handler: Handler, *, first: bool, mask: int = READ) -> None:
        self.reads = True
        self.ends = False
        """Nothing more will be written."""
        self._sock, self._fd, self._loop, self._mask = sock, sock.fileno(), loop, mask
        self._stamps = type(self) is End and _stamped(sock)  # another kind may read in another way
        self._waiting: deque[bytes] = deque()
        loop.watch(self._fd, mask, handler, first=first)

    @property
    def blocked(self) -> bool:
        """The peer does not take what it is sent."""
        return bool(self._waiting)

    def heed(self, handler: Handler) -> None:
        """From now on its events are for this one."""
        self._loop.watch(self._fd, self._mask, handler, first=False)

    def error(self) -> int:
        """Why connecting failed; 0: it did not."""
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def read(self) -> bytes | None:
        """What has arrived; empty: the peer has ended; None: nothing yet. Raises OSError when the peer broke off."""
        try:
            return self._sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return None

    def read_aged(self) -> tuple[bytes | None, int]:
        """The same, and how many nanoseconds ago it came to this machine, where the kernel says so; else 0."""
        if not self._stamps:
            return self.read(), 0
        try:
            data, notes, _, _ = self._sock.recvmsg(CHUNK_BYTES, _STAMP_BYTES)
        except BlockingIOError:
            return None, 0
        for _, kind, stamp in notes:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(stamp)
                age_ns = time_ns() - seconds * 1_000_000_000 - nanoseconds
                return data, age_ns if 0 < age_ns < _BELIEVED_NS else 0
        return data, 0

    def write(self, data: bytes) -> None:
        """Send now what the peer takes, the rest later. Raises OSError when it takes no more."""
        if self._waiting:
            self._waiting.append(data)
            return
        sent = self._send(data)
        if sent < len(data):
            self._waiting.append(data[sent:])

    def later(self, data: bytes) -> None:
        """To be sent by the next `flush`."""
        self._waiting.append(data)

    def flush(self) -> None:
        """Send what waited, as far as the peer takes it. Raises OSError when it takes no more."""
        while self._waiting:
            data = self._waiting.popleft()
            sent = self._send(data)
            if sent < len(data):
                self._waiting.appendleft(data[sent:])
                return
        if self.ends:
            self._shut()

    def end(self) -> None:
        """Say that nothing more comes, once all is written."""
        self.ends = True
        if not self._waiting:
            self.flush()

    def drop(self) -> None:
        """The peer takes nothing more: forget what waited."""
        self._waiting.clear()
        self.ends = True

    def watch(self, *, reading: bool) -> None:
        """Wake for what is wanted now: to read, if the other end keeps up, and to write, if something waits."""
        mask = (READ if reading and self.reads else 0) | (WRITE if self._waiting else 0)
        if mask != self._mask:
            self._mask = mask
            self._loop.change(self._fd, mask)

    def close(self, *, reset: bool = False) -> None:
        self._loop.forget(self._fd)
        if reset:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._sock.close()

    def _shut(self) -> None:
        """All is written, and it was the last."""
        with suppress(OSError):  # the peer has gone already
            self._sock.shutdown(socket.SHUT_WR)

    def _send(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0


def _stamped(sock: socket.socket) -> bool:
    """Ask the kernel to say when data arrived."""
    if sock.family == socket.AF_UNIX:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True
