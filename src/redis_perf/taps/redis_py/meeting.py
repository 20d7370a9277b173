"""What happens when a connection opens, is found open, or ends.

A TCP connect is a round trip and a TLS handshake another (as TLS 1.3 has it). The blocking client does one after the
other; asyncio does both in one call, whose whole time is booked on the connect. A Unix socket needs neither.
"""

from __future__ import annotations

import _socket
import ssl
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from redis_perf.conversation import Conversation
from redis_perf.endpoint import named, own_end
from redis_perf.recorder import Log, Recorder, now_ns
from redis_perf.taps.callers import Callers
from redis_perf.taps.redis_py import transports
from redis_perf.taps.redis_py.listening import Listener, Swaps
from redis_perf.taps.unheard import unheard, used
from redis_perf.trace import Operation, RoundTrip, Site
from redis_perf.wire import Caller
from redis_perf.wire.resp import RespMeter

NO_CONNECTION = 0


class Opening(NamedTuple):
    """How a connection came to be: the TCP connect from `began_ns` to `connected_ns`, then perhaps TLS."""

    began_ns: int
    connected_ns: int
    tcp: bool
    tls: bool


class Meeting:
    """Starts and ends listening to the transports of connections."""

    def __init__(self, recorder: Recorder, tap: str) -> None:
        self.swaps = Swaps()
        self.callers = Callers()
        self._recorder = recorder
        self._tap = tap
        self._unheard: weakref.WeakKeyDictionary[Any, Log] = weakref.WeakKeyDictionary()
        self._connects: weakref.WeakKeyDictionary[Any, tuple[int, int]] = weakref.WeakKeyDictionary()

    @contextmanager
    def connecting(self, connection: Any) -> Iterator[None]:
        """Time the connect in this block. One that is refused was a round trip too, of no connection."""
        began_ns = now_ns()
        self._connects[connection] = (began_ns, 0)
        try:
            yield
        except ConnectionRefusedError:
            if not hasattr(connection, "path"):
                self._refused(connection, began_ns)
            raise
        if connection in self._connects:  # asyncio has stored its writer by now, and been met
            self._connects[connection] = (began_ns, now_ns())

    def meet_socket(self, connection: Any, sock: Any, *, opened: bool) -> None:
        """`connection` keeps this socket, or what fakeredis has for one.

        The C base class is asked for: tests put something else in the place of `socket.socket`.
        """
        if isinstance(sock, _socket.socket):
            peer = _peer(sock)
            opening = self._opening(connection, peer, tls=isinstance(sock, ssl.SSLSocket)) if opened else None
            listener = self._listener(connection, peer, opening, own_end(sock))
            self.swaps.swap(sock, listener, transports.listening_socket)
        elif hasattr(sock, "put_response"):
            self._meet_fake(connection, sock, None, opened=opened)
        else:
            self._meet_unknown(connection, sock)

    def meet_writer(self, connection: Any, writer: Any, *, opened: bool) -> None:
        """`connection` keeps this asyncio stream, or what fakeredis has for one, and has its reader already."""
        if hasattr(getattr(writer, "_socket", None), "put_response"):  # asked first: it may have a transport as well
            self._meet_fake(connection, writer._socket, writer, opened=opened)
        elif hasattr(writer, "transport") and hasattr(connection._reader, "feed_data"):
            peer = writer.get_extra_info("peername")
            tls = writer.get_extra_info("ssl_object") is not None
            opening = self._opening(connection, peer, tls=tls) if opened else None
            listener = self._listener(connection, peer, opening, named(writer.get_extra_info("sockname")))
            self.swaps.swap(writer, listener, transports.listening_writer)
            self.swaps.swap(connection._reader, listener, transports.listening_reader)
        else:
            self._meet_unknown(connection, writer)

    def leave(self, transport: Any) -> None:
        """The connection let go of it."""
        listener = self.swaps.listeners.get(id(transport))
        if listener is not None:
            self.swaps.restore(listener)
            listener.log.close()

    def _meet_fake(self, connection: Any, fake: Any, writer: Any, *, opened: bool) -> None:
        now = now_ns()
        opening = Opening(now, now, tcp=False, tls=False) if opened else None
        listener = self._listener(connection, None, opening)
        self.swaps.swap(fake, listener, transports.listening_fake)
        self.swaps.swap(fake.responses, listener, transports.listening_queue)
        if writer is not None:
            self.swaps.swap(writer, listener, transports.marked)

    def _meet_unknown(self, connection: Any, transport: Any) -> None:
        """What cannot be listened to is a problem wherever it is used."""
        log = self._unheard.get(connection)
        if log is None:
            kind = f"{type(transport).__module__}.{type(transport).__qualname__}"
            why = f"keeps a {kind} for its socket, which cannot be listened to: count it with another kind of socket"
            log = unheard(self._recorder, self._tap, _address(connection, None), connection, why, store="redis")
            self._unheard[connection] = log
        used(log)

    def _opening(self, connection: Any, peer: Any, *, tls: bool) -> Opening:
        now = now_ns()
        began_ns, connected_ns = self._connects.pop(connection, (now, now))  # not timed: its own _connect
        return Opening(began_ns, connected_ns or now, tcp=isinstance(peer, tuple), tls=tls)

    def _listener(self, connection: Any, peer: Any, opening: Opening | None, client: str | None = None) -> Listener:
        log = self._recorder.log(
            self._tap,
            "redis",
            partial(RespMeter, startup=opening is not None),
            server=_address(connection, peer),
            name=getattr(connection, "_redis_perf_name", None),
            client=client,
            opened_ns=opening.began_ns if opening else None,
            owner=connection,
        )
        listener = Listener(log, self.callers.here() if opening else None, self._recorder.pace)
        if opening:
            self._emit(listener, opening)
        return listener

    def _emit(self, listener: Listener, opening: Opening) -> None:
        """The round trips of opening the connection. TCP's has no payload; what TLS exchanged is not seen."""
        conversation, who = listener.log.conversation, listener.connector
        if opening.tcp:
            self._recorder.emit(_setup(conversation, who, "CONNECT", opening.began_ns, opening.connected_ns, 0))
        if opening.tls:
            self._recorder.emit(_setup(conversation, who, "TLS", opening.connected_ns, now_ns(), None))

    def _refused(self, connection: Any, began_ns: int) -> None:
        server, name = _address(connection, None), getattr(connection, "_redis_perf_name", None)
        nowhere = Conversation("redis", NO_CONNECTION, self._recorder.emit, server=server, name=name)
        trip = _setup(nowhere, self.callers.here(), "CONNECT", began_ns, now_ns(), 0)
        self._recorder.emit(replace(trip, operations=(Operation("CONNECT", "CONNECT", failed=True),)))


def _setup(
    conversation: Conversation, who: Caller | None, name: str, started_ns: int, ended_ns: int, size_bytes: int | None
) -> RoundTrip:
    code, line, lane, _ = who or (None, 0, None, None)
    return RoundTrip(
        store="redis",
        connection=conversation.connection,
        operations=(Operation(name, name),),
        started_ns=started_ns,
        ended_ns=ended_ns,
        sent_bytes=size_bytes,
        received_bytes=size_bytes,
        site=Site(code.co_filename, line, code.co_name) if code else None,
        purpose="setup",
        lane=lane,
        server=conversation.server,
        name=conversation.name,
        client=conversation.client,
    )


def _peer(sock: _socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:  # the peer has gone already
        return (None, None) if sock.family in (_socket.AF_INET, _socket.AF_INET6) else None


def _address(connection: Any, peer: Any) -> str | None:
    """`127.0.0.1:6379`, `[::1]:6379` or a path; where the peer is not to be had, what the connection was told."""
    if isinstance(peer, str) and peer:
        return peer
    host, port = peer[:2] if isinstance(peer, tuple) else (None, None)
    if host is None:
        if hasattr(connection, "path"):
            return str(connection.path)
        host, port = getattr(connection, "host", None), getattr(connection, "port", None)
    if host is None:
        return None
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
