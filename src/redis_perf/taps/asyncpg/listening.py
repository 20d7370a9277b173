"""How one asyncpg connection is listened to, and how that ends. Hot path: nothing is parsed here.

asyncpg's protocol object is compiled and keeps its transport out of reach, so what it is given is a stand-in for the
transport. Both outlive a recording: when nobody listens the stand-in's methods are the transport's own, and the next
recording takes them up again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

from redis_perf.endpoint import named
from redis_perf.recorder import Log, Recorder, now_ns
from redis_perf.taps.asyncpg.opening import address, opening
from redis_perf.taps.callers import Callers
from redis_perf.taps.unheard import unheard, used
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED, SENT, Caller
from redis_perf.wire.postgres import PostgresMeter

UNHEARD: Final = (
    "asyncpg opened it before anybody listened, and on {} it cannot be listened to afterwards: "
    "open it while recording, or start recording earlier"
)


class Listener:
    """One connection's log, and what the hot path has to know of it."""

    __slots__ = ("append", "connector", "here", "log", "may_open", "taking")

    def __init__(self, log: Log, connector: Caller | None, callers: Callers) -> None:
        self.log = log
        self.here = callers.here
        self.append = log.append
        self.connector = connector
        """Who opens the connection, while it is being opened: that goes on in callbacks of the loop."""
        self.may_open = True
        """Something arrived since it last sent: the next send may open a round trip, so note who sends."""
        self.taking = RECEIVED

    def sent(self, data: bytes) -> None:
        who = None
        if self.may_open:
            self.may_open = False
            who = self.here()
            if who.code is None and self.connector is not None:
                who = self.connector
        self.append((now_ns(), SENT, data, who))
        self.log.grew(len(data))

    def received(self, data: bytes) -> None:
        self.may_open = True
        self.append((now_ns(), self.taking, data, None))
        self.log.grew(len(data))


class Transport:
    """Stands in for a transport. `write` and `writelines` are the plain ones when nobody listens."""

    __slots__ = ("_transport", "write", "writelines")

    write: Callable[[Any], None]
    writelines: Callable[[Iterable[Any]], None]

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.listen(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def listen(self, listener: Listener | None) -> None:
        plain = self._transport.write
        self.write, self.writelines = (
            (plain, self._transport.writelines) if listener is None else writing(plain, listener)
        )


class Overridden:
    """Listens to a transport that asyncpg has already, by attributes of that object: asyncio's own have room."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        """Raises AttributeError where they have not (uvloop)."""
        transport.write = transport.write
        self._transport = transport

    def listen(self, listener: Listener | None) -> None:
        for name in ("write", "writelines"):
            self._transport.__dict__.pop(name, None)
        if listener is not None:
            self._transport.write, self._transport.writelines = writing(self._transport.write, listener)


def writing(plain: Any, listener: Listener) -> tuple[Callable[[Any], None], Callable[[Iterable[Any]], None]]:
    """`write` and `writelines` that log."""

    def write(data: Any) -> None:
        listener.sent(bytes(data))
        plain(data)

    def writelines(data: Iterable[Any]) -> None:
        joined = b"".join(data)
        listener.sent(joined)
        plain(joined)

    return write, writelines


@cache
def listening_protocol(plain: Any) -> Any:
    """A subclass of asyncpg's protocol class whose instances log while they have a listener."""

    class Protocol(plain):  # type: ignore[misc]
        __module__ = plain.__module__
        _redis_perf: Listener | None = None
        _redis_perf_transport: Transport | Overridden | None = None

        def connection_made(self, transport: Any) -> None:
            now = opening()
            if now is not None:
                self._redis_perf_transport = transport = Transport(transport)
                now.met(self, transport)
            plain.connection_made(self, transport)

        def data_received(self, data: bytes) -> None:
            listener = self._redis_perf
            if listener is not None:
                listener.received(bytes(data))
            plain.data_received(self, data)

        def connection_lost(self, error: Exception | None) -> None:
            listener = self._redis_perf
            if listener is not None:
                listener.log.close()
                self._redis_perf = None
            plain.connection_lost(self, error)

        def set_connection(self, connection: Any) -> None:
            listener = self._redis_perf
            if listener is not None:
                listener.connector = None
            plain.set_connection(self, connection)

        async def copy_in(self, *args: Any, **options: Any) -> Any:
            listener = self._redis_perf
            if listener is None:
                return await plain.copy_in(self, *args, **options)
            listener.taking = ARRIVED
            try:
                return await plain.copy_in(self, *args, **options)
            finally:
                listener.taking = RECEIVED
                listener.append((now_ns(), LOOKED, b"", None))

    Protocol.__name__, Protocol.__qualname__, Protocol.__doc__ = plain.__name__, plain.__qualname__, plain.__doc__
    return Protocol


class Listeners:
    """The connections that are listened to right now."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.callers = Callers()
        self.housekeeping: set[str] = set()
        self._protocols: weakref.WeakSet[Any] = weakref.WeakSet()
        self._unheard: weakref.WeakKeyDictionary[Any, Log] = weakref.WeakKeyDictionary()

    def open_log(self, transport: Any, opened_ns: int | None, owner: Any = None) -> Log:
        """A connection is seen for the first time."""
        return self.recorder.log(
            "asyncpg",
            "postgres",
            lambda conversation: PostgresMeter(
                conversation, startup=opened_ns is not None, housekeeping=self.housekeeping
            ),
            server=address(transport),
            client=named(transport.get_extra_info("sockname")),
            opened_ns=opened_ns,
            owner=owner,
        )

    def listen(self, protocol: Any, listener: Listener) -> None:
        protocol._redis_perf = listener
        protocol._redis_perf_transport.listen(listener)
        self._protocols.add(protocol)

    def adopt(self, connection: Any, protocol: Any, listening: Any) -> None:
        """Take up a connection that was open before."""
        transport = connection._transport
        if transport is None or protocol.is_closed():
            return
        if protocol in self._unheard:
            used(self._unheard[protocol])
            return
        if getattr(protocol, "_redis_perf_transport", None) is None:
            try:
                override = Overridden(transport)
            except AttributeError:
                why = UNHEARD.format(type(transport).__module__)
                log = unheard(self.recorder, "asyncpg", address(transport), protocol, why)
                self._unheard[protocol] = log
                used(log)
                return
            protocol.__class__ = listening
            protocol._redis_perf_transport = override
        self.listen(protocol, Listener(self.open_log(transport, None, protocol), None, self.callers))

    def release(self) -> None:
        """Listen to none of them any more."""
        for protocol in list(self._protocols):
            protocol._redis_perf = None
            protocol._redis_perf_transport.listen(None)
        self._protocols.clear()
