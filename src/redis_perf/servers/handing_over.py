"""Handing a running server, and open sockets, from one process of ours to another: pickled, over a unix socket.

What is pickled says itself what of it can be handed over. The sockets in it become the receiver's; the sender closes
its own afterwards.
"""

from __future__ import annotations

import io
import socket
import struct

try:
    from _pickle import Pickler, Unpickler  # without what `pickle` is in Python, which takes 1 to 2 ms to load
except ImportError:  # not CPython
    from pickle import Pickler, Unpickler

MOST_SOCKETS = 8
PROTOCOL = 5
_HEAD = struct.Struct("!I")
_CLOSED_BY_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send(channel: socket.socket, what: object) -> None:
    """Raises OSError when nobody listens."""
    text = io.BytesIO()
    pickler = _Pickler(text)
    pickler.dump(what)
    socket.send_fds(channel, [_HEAD.pack(text.tell())], pickler.descriptors)
    channel.sendall(text.getbuffer())


def receive(channel: socket.socket) -> object:
    """What was sent; waits for it. Raises EOFError when the other side has gone before all of it was."""
    head, descriptors, _, _ = socket.recv_fds(channel, _HEAD.size, MOST_SOCKETS, _CLOSED_BY_EXEC)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    try:
        for received in sockets:
            received.set_inheritable(False)
        return _Unpickler(_text(channel, head), sockets).load()
    except BaseException as error:
        for received in sockets:
            received.close()
        if isinstance(error, IndexError):  # a socket that it names did not come
            raise EOFError from error
        raise


def _text(channel: socket.socket, head: bytes) -> bytes:
    if len(head) < _HEAD.size:
        raise EOFError
    (size,) = _HEAD.unpack(head)
    with channel.makefile("rb") as file:
        text = file.read(size)
    if len(text) < size:
        raise EOFError
    return text


class _Pickler(Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, PROTOCOL)
        self.descriptors: list[int] = []

    def persistent_id(self, value: object) -> int | None:
        if not isinstance(value, socket.socket):
            return None
        self.descriptors.append(value.fileno())
        return len(self.descriptors) - 1


class _Unpickler(Unpickler):
    def __init__(self, text: bytes, sockets: list[socket.socket]) -> None:
        super().__init__(io.BytesIO(text))
        self._sockets = sockets

    def persistent_load(self, number: int) -> socket.socket:
        return self._sockets[number]
