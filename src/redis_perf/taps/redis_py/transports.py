"""The classes that log: blocking sockets, asyncio streams, fakeredis. Hot path: nothing is parsed here.

A blocking socket also keeps the first of a reply back for the recorder's `pace`, once for each round trip.

What a method needs is bound in its closure; a lookup of a global or an attribute costs more.
"""

from __future__ import annotations

from typing import Any

from redis_perf.recorder import READ_EARLY_EVENTS, now_ns
from redis_perf.site import caller
from redis_perf.taps.redis_py.listening import Listener, Listeners, subclass
from redis_perf.taps.redis_py.replies import stand_in
from redis_perf.wire import ARRIVED, LOOKED, RECEIVED, REPLIED, SENT

SMALL_BYTES = 1024
"""Less is quicker copied twice than through a view, and too little for the log to be told of its growth each time."""


def listening_socket(plain: Any, listeners: Listeners) -> type:
    """For `socket.socket`, `ssl.SSLSocket` and whatever else is one."""
    listener_of, now, send, receive_into, receive = (
        listeners.get, now_ns, plain.sendall, plain.recv_into, plain.recv,
    )  # fmt: skip

    def sendall(self: Any, data: Any, flags: int = 0) -> None:
        listener = listener_of(id(self))
        if listener is not None:
            sent = data if type(data) is bytes else bytes(data)
            if listener.may_open:
                listener.may_open = False
                who = caller(2, listener.trail)
                listener.append((now(), SENT, sent, who))
            else:
                listener.append((now(), SENT, sent, None))
            if len(sent) > SMALL_BYTES or len(listener.events) > READ_EARLY_EVENTS:
                listener.grew(len(sent))
        send(self, data, flags)

    def recv_into(self: Any, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        size: int = receive_into(self, buffer, nbytes, flags)
        listener = listener_of(id(self))
        if size and not flags and listener is not None:
            if listener.pace.latency_ns and not listener.may_open:
                listener.pace.hold_back(listener.log.conversation)
            listener.may_open = True
            if size < SMALL_BYTES:
                listener.append((now(), RECEIVED, bytes(buffer[:size]), None))
            else:
                listener.append((now(), RECEIVED, bytes(memoryview(buffer)[:size]), None))
                listener.grew(size)
        return size

    def recv(self: Any, size: int, flags: int = 0) -> bytes:
        data: bytes = receive(self, size, flags)
        listener = listener_of(id(self))
        if data and not flags and listener is not None:  # with flags it is a pool's look whether the peer is there
            if listener.pace.latency_ns and not listener.may_open:
                listener.pace.hold_back(listener.log.conversation)
            listener.may_open = True
            listener.append((now(), RECEIVED, data, None))
            listener.grew(len(data))
        return data

    return subclass(plain, sendall=sendall, recv_into=recv_into, recv=recv)


def listening_writer(plain: Any, listeners: Listeners) -> type:
    """For `asyncio.StreamWriter`: redis-py writes with `writelines` only."""
    listener_of, now, write = listeners.get, now_ns, plain.writelines

    def writelines(self: Any, data: Any) -> None:
        listener = listener_of(id(self))
        if listener is not None:
            data = list(data)
            sent = data[0] if len(data) == 1 and type(data[0]) is bytes else b"".join(data)
            listener.append((now(), SENT, sent, _sender(listener) if listener.may_open else None))
            listener.may_open = False
            if len(sent) > SMALL_BYTES or len(listener.events) > READ_EARLY_EVENTS:
                listener.grew(len(sent))
        write(self, data)

    return subclass(plain, writelines=writelines)


def _sender(listener: Listener) -> Any:
    """Who opens this round trip: noted at the client's entry, else on this stack, else who connected."""
    parked, listener.parked = listener.parked, None
    if parked is not None:
        return parked
    here = caller(3, listener.trail)
    return here if here.code is not None or listener.connector is None else listener.connector


def listening_reader(plain: Any, listeners: Listeners) -> type:
    """For `asyncio.StreamReader`: bytes arrive in `feed_data`, the client looks with `read*`."""
    listener_of, now, feed = listeners.get, now_ns, plain.feed_data

    def feed_data(self: Any, data: Any) -> None:
        listener = listener_of(id(self))
        if listener is not None:
            listener.append((now(), ARRIVED, bytes(data), None))
            if len(data) > SMALL_BYTES:
                listener.grew(len(data))
        feed(self, data)

    def looking(read: Any) -> Any:
        def look(self: Any, *args: Any) -> Any:
            listener = listener_of(id(self))
            if listener is not None:
                listener.may_open = True
                listener.append((now(), LOOKED, b"", None))
            return read(self, *args)

        return look

    reads = ("read", "readline", "readuntil", "readexactly")  # hiredis parser: the first; pure Python: the others
    return subclass(plain, feed_data=feed_data, **{name: looking(getattr(plain, name)) for name in reads})


def listening_fake(plain: Any, listeners: Listeners) -> type:
    """For `fakeredis` sockets: requests are RESP, replies are objects handed over whole, so their size is not seen."""

    def sendall(self: Any, data: Any) -> Any:
        listener = listeners.get(id(self))
        if listener is not None:
            sent = data.encode() if isinstance(data, str) else bytes(data)
            listener.append((now_ns(), SENT, sent, _sender(listener) if listener.may_open else None))
            listener.may_open = False
            listener.grew(len(sent))
        return plain.sendall(self, data)

    def put_response(self: Any, reply: Any) -> Any:
        listener = listeners.get(id(self))
        if listener is not None:
            listener.append((now_ns(), REPLIED, stand_in(reply, subscribed=self._pubsub > 0), None))
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
                listener.append((now_ns(), LOOKED, b"", None))
            return get(self, *args, **options)

        return look

    return subclass(plain, get=looking(plain.get), get_nowait=looking(plain.get_nowait))


def marked(plain: Any, _: Listeners) -> type:
    """For what is only known by, and does nothing else than `plain`."""
    return subclass(plain)
