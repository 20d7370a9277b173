"""The classes that log: blocking sockets, asyncio streams, fakeredis. Hot path: nothing is parsed here.

What a method needs is bound as default arguments; a lookup of a global costs more.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import Any

from redis_perf.site import caller
from redis_perf.taps.redis_py.listening import Listener, Listeners, subclass
from redis_perf.taps.redis_py.replies import stand_in
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED, REPLIED, SENT

SMALL_BYTES = 4096
"""Less is quicker copied twice than through a view; a smaller send is not counted before the reply that follows it."""


def listening_socket(plain: Any, listeners: Listeners) -> type:
    """For `socket.socket`, `ssl.SSLSocket` and whatever else is one."""

    def sendall(
        self: Any, data: Any, flags: int = 0, *, _of: Any = listeners.get, _now: Any = monotonic_ns,
        _send: Any = plain.sendall, _caller: Any = caller,
    ) -> None:  # fmt: skip
        listener = _of(id(self))
        if listener is not None:
            sent = data if type(data) is bytes else bytes(data)
            if listener.may_open:
                listener.may_open = False
                who = _caller(1, listener.anchors)
                listener.append((_now(), SENT, sent, who))
            else:
                listener.append((_now(), SENT, sent, None))
            if len(sent) > SMALL_BYTES:
                listener.grew(len(sent))
        return _send(self, data, flags)  # type: ignore[no-any-return]

    def recv_into(
        self: Any, buffer: Any, nbytes: int = 0, flags: int = 0, *, _of: Any = listeners.get, _now: Any = monotonic_ns,
        _receive: Any = plain.recv_into,
    ) -> int:  # fmt: skip
        listener = _of(id(self))
        size: int = _receive(self, buffer, nbytes, flags)
        if size and not flags and listener is not None:
            listener.may_open = True
            received = bytes(buffer[:size] if size < SMALL_BYTES else memoryview(buffer)[:size])
            listener.append((_now(), RECEIVED, received, None))
            listener.grew(size)
        return size

    def recv(
        self: Any, size: int, flags: int = 0, *, _of: Any = listeners.get, _now: Any = monotonic_ns,
        _receive: Any = plain.recv,
    ) -> bytes:  # fmt: skip
        listener = _of(id(self))
        data: bytes = _receive(self, size, flags)
        if data and not flags and listener is not None:  # with flags it is a pool's look whether the peer is there
            listener.may_open = True
            listener.append((_now(), RECEIVED, data, None))
            listener.grew(len(data))
        return data

    return subclass(plain, sendall=sendall, recv_into=recv_into, recv=recv)


def listening_writer(plain: Any, listeners: Listeners) -> type:
    """For `asyncio.StreamWriter`: redis-py writes with `writelines` only."""

    def writelines(
        self: Any, data: Any, _of: Any = listeners.get, _now: Any = monotonic_ns, _write: Any = plain.writelines
    ) -> None:
        listener = _of(id(self))
        if listener is not None:
            data = list(data)
            sent = data[0] if len(data) == 1 and type(data[0]) is bytes else b"".join(data)
            listener.append((_now(), SENT, sent, _sender(listener) if listener.may_open else None))
            listener.may_open = False
            listener.grew(len(sent))
        return _write(self, data)  # type: ignore[no-any-return]

    return subclass(plain, writelines=writelines)


def _sender(listener: Listener) -> Any:
    """Who opens this round trip: noted at the client's entry, else on this stack, else who connected."""
    parked, listener.parked = listener.parked, None
    if parked is not None:
        return parked
    here = caller(2)
    return here if here.code is not None or listener.connector is None else listener.connector


def listening_reader(plain: Any, listeners: Listeners) -> type:
    """For `asyncio.StreamReader`: bytes arrive in `feed_data`, the client looks with `read*`."""

    def feed_data(
        self: Any, data: Any, _of: Any = listeners.get, _now: Any = monotonic_ns, _feed: Any = plain.feed_data
    ) -> None:
        listener = _of(id(self))
        if listener is not None:
            listener.append((_now(), ARRIVED, bytes(data), None))
            listener.grew(len(data))
        return _feed(self, data)  # type: ignore[no-any-return]

    def looking(read: Any) -> Any:
        def look(self: Any, *args: Any, _of: Any = listeners.get, _now: Any = monotonic_ns, _read: Any = read) -> Any:
            listener = _of(id(self))
            if listener is not None:
                listener.may_open = True
                listener.append((_now(), LOOKED, b"", None))
            return _read(self, *args)

        return look

    reads = ("read", "readline", "readuntil", "readexactly")  # hiredis parser: the first; pure Python: the others
    return subclass(plain, feed_data=feed_data, **{name: looking(getattr(plain, name)) for name in reads})


def listening_fake(plain: Any, listeners: Listeners) -> type:
    """For `fakeredis` sockets: requests are RESP, replies are objects handed over whole, so their size is not seen."""

    def sendall(self: Any, data: Any) -> Any:
        listener = listeners.get(id(self))
        if listener is not None:
            sent = data.encode() if isinstance(data, str) else bytes(data)
            listener.append((monotonic_ns(), SENT, sent, _sender(listener) if listener.may_open else None))
            listener.may_open = False
            listener.grew(len(sent))
        return plain.sendall(self, data)

    def put_response(self: Any, reply: Any) -> Any:
        listener = listeners.get(id(self))
        if listener is not None:
            listener.append((monotonic_ns(), REPLIED, stand_in(reply, subscribed=self._pubsub > 0), None))
            listener.grew(0)
        return plain.put_response(self, reply)

    return subclass(plain, sendall=sendall, put_response=put_response)


def listening_queue(plain: Any, listeners: Listeners) -> type:
    """For the queue of a fakeredis socket's replies: the client looks by taking one out."""

    def looking(get: Any) -> Any:
        def look(self: Any, *args: Any, **options: Any) -> Any:
            listener = listeners.get(id(self))
            if listener is not None:
                listener.may_open = True
                listener.append((monotonic_ns(), LOOKED, b"", None))
            return get(self, *args, **options)

        return look

    return subclass(plain, get=looking(plain.get), get_nowait=looking(plain.get_nowait))


def marked(plain: Any, _: Listeners) -> type:
    """For what is only known by, and does nothing else than `plain`."""
    return subclass(plain)
