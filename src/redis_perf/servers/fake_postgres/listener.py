"""The stand-in's sockets: one thread on a loopback port, one session a connection.

A thread of our own serves blocking and asyncio clients alike. It holds nothing but sockets and sessions, so it may be
ended at any time; it never outlives the process, and a forked child closes its copies of the sockets at once.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Final

from redis_perf.servers.fake_postgres.session import Session

READ_BYTES: Final = 256 * 1024


class _Connection:
    def __init__(self, connection: socket.socket, session: Session) -> None:
        self.socket = connection
        self.session = session
        self.unsent = b""


class Listener:
    """Serves from the moment it is made until `stop`. `open_session` is called in its thread, for each connection."""

    def __init__(self, open_session: Callable[[], Session]) -> None:
        self._open_session = open_session
        self._accepting = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._accepting.setblocking(False)
        self.port: int = self._accepting.getsockname()[1]
        self._waking, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._accepting, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._connections: dict[socket.socket, _Connection] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, name="redisperf-fake-postgres", daemon=True)
        self._thread.start()
        os.register_at_fork(after_in_child=_closing(weakref.ref(self)))

    def stop(self) -> None:
        """End every session and return when the thread is gone. Idempotent; does nothing in a forked child."""
        if self._stopped:
            return
        self._stopped = True
        self._waking.send(b"x")
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Close every socket, without a word to the thread."""
        self._stopped = True
        for each in (*self._connections, self._accepting, self._waking, self._woken):
            each.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._accepting:
                    self._accept()
                elif (connection := self._connections.get(key.fileobj)) is not None:  # type: ignore[call-overload]
                    self._attend(connection, events)
            self._deliver()

    def _accept(self) -> None:
        try:
            accepted, _ = self._accepting.accept()
        except OSError:  # the client has gone again
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[accepted] = _Connection(accepted, self._open_session())
        self._selector.register(accepted, selectors.EVENT_READ)

    def _attend(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(connection, b"")
            elif not (data := connection.socket.recv(READ_BYTES)):
                self._drop(connection)
            else:
                self._send(connection, connection.session.receive(data))
        except BlockingIOError:
            return
        except OSError:  # reset by the client
            self._drop(connection)

    def _send(self, connection: _Connection, data: bytes) -> None:
        """As much as the client takes now. While something is left nothing more is read, so memory stays bounded."""
        unsent = connection.unsent + data
        sent = connection.socket.send(unsent) if unsent else 0
        connection.unsent = unsent[sent:]
        if connection.unsent:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE)
        elif connection.session.closed:
            self._drop(connection)
        else:
            self._selector.modify(connection.socket, selectors.EVENT_READ)

    def _deliver(self) -> None:
        for connection in list(self._connections.values()):
            if not connection.unsent and (mail := connection.session.mail()):
                try:
                    self._send(connection, mail)
                except OSError:
                    self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        del self._connections[connection.socket]
        connection.socket.close()


def _closing(listener: weakref.ref[Listener]) -> Callable[[], None]:
    def close() -> None:
        alive = listener()
        if alive is not None:
            alive.close()

    return close
