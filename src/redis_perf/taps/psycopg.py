"""psycopg 3, sync and async, in all its builds: counted from libpq's own message trace.

Every operation of psycopg is a generator that something waits on (`Connection.wait`), and the replies to a statement
are awaited by a few generators of `psycopg.generators` (`execute`, `fetch`). Both are wrapped: the wait is when
its connection's trace may be read, the generators are when something was sent and when its answer had come, which
gives each of several round trips of one wait its own time. New connections are traced from `PQconnectStart` on, so
their handshake is counted; others are taken up at their next wait.

Large results: libpq formats every row into the trace, which costs more than reading it. When a reply is about to be
read and much of it is waiting already, the trace is off until the reply is complete, and the generator's end tells
how it went (`SETTLED`). That is safe because such a generator only receives: whatever psycopg sends next it sends
after it has ended, with the trace on again. Not done in pipelines and for COPY, where the single messages are needed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Final

from redis_perf.errors import TapError
from redis_perf.recorder import Recorder
from redis_perf.taps import psycopg_connect
from redis_perf.taps.libpq import PROXY, Libpq, describe
from redis_perf.taps.psycopg_stream import Stream, open_log, server_of
from redis_perf.trace import Tapped

TESTED: Final = "3.1 to 3.3"
NAME: Final = "_redis_perf_name"
"""The attribute of a connection that holds the user's name for its server."""

_Replace = Callable[[Any, "Connections"], Any]
_ACTIVE: Final = 1  # psycopg.pq.TransactionStatus.ACTIVE
_OK: Final = 0  # psycopg.pq.ConnStatus.OK


@contextmanager
def psycopg(recorder: Recorder) -> Iterator[None]:
    """Record what psycopg connections send while the block runs.

    Raises TapError when psycopg has not the hook points needed, or its libpq cannot be traced, or it is tapped already.
    """
    try:
        import psycopg as client
    except ImportError as missing:
        problem = "not installed" if missing.name == "psycopg" else str(missing)
        recorder.tapped(Tapped("psycopg", "postgres", problem=problem))
        yield
        return
    libpq = Libpq(client.pq)
    build = f"{client.__version__} ({client.pq.__impl__}, libpq {describe(libpq.version)})"
    connections = Connections(recorder, libpq)
    with ExitStack() as stack:
        stack.callback(connections.release)
        _patch(client, connections, stack)
        recorder.tapped(Tapped("psycopg", "postgres", version=build))
        yield


class Connections:
    """The traced connections, by identity of their PGconn; entries go when it does."""

    def __init__(self, recorder: Recorder, libpq: Libpq) -> None:
        self.recorder = recorder
        self._libpq = libpq
        self._streams: dict[int, Stream] = {}
        self._aside: list[Stream] = []
        self.of = self._streams.get

    def __len__(self) -> int:
        return len(self._streams) + len(self._aside)

    def attach(self, pgconn: Any) -> Stream:
        """Trace a connection from here on."""
        self._sweep()
        key = id(pgconn)

        def gone(stream: Stream) -> None:
            if self._streams.get(key) is stream:
                del self._streams[key]
                self._aside.append(stream)

        stream = self._streams[key] = Stream(self._libpq, pgconn, gone)
        return stream

    def entered(self, connection: Any) -> Stream | None:
        """The stream of a connection that begins to wait; None if this wait cannot be listened to."""
        pgconn = connection.pgconn
        stream = self.of(id(pgconn)) or self._adopt(pgconn)
        if stream is None or not stream.enter():
            return None
        name = connection.__dict__.get(NAME)
        if name is not None and name != stream.log.conversation.name:
            self.recorder.name(pgconn, name)
        return stream

    def closed(self, pgconn: Any) -> None:
        """The connection may have been closed, or gone back to its pool."""
        if pgconn.pgconn_ptr is None and (stream := self._streams.pop(id(pgconn), None)) is not None:
            stream.release()

    def release(self) -> None:
        """Let go of all."""
        while self._streams:
            self._streams.popitem()[1].release()
        self._sweep()

    def _adopt(self, pgconn: Any) -> Stream | None:
        """Take up a connection that was open before. Not in the middle of an answer or a pipeline: at a later wait."""
        if pgconn.status != _OK or pgconn.transaction_status == _ACTIVE or pgconn.pipeline_status:
            return None
        stream = self.attach(pgconn)
        stream.log = open_log(self.recorder, pgconn, server_of(pgconn), startup=False, opened_ns=None)
        return stream

    def _sweep(self) -> None:
        """Free the traces of collected connections that libpq is through with; keep the others."""
        for stream in [stream for stream in self._aside if stream.abandoned]:
            self._aside.remove(stream)
            stream.end()
            stream.hang_up()


def _patch(client: Any, connections: Connections, stack: ExitStack) -> None:
    """Replace what has to be replaced; the stack restores it. All hooks are looked up before the first is replaced."""
    generators = _find(client, "generators")
    if hasattr(_find(generators, "connect"), "recorder"):
        raise TapError("psycopg is tapped already: a connection has one message trace, so one recorder at a time")
    _find(generators, "_connect")
    replacements = [
        (_find(generators, "connect"), psycopg_connect.traced(generators, connections.recorder, connections.attach)),
        (_find(generators, "execute"), _answered(generators.execute, connections)),
        (_find(generators, "fetch"), _answered(generators.fetch, connections)),
    ]
    methods = [
        (owner, name, replace(_find(owner, name), connections))
        for owner, replace_each in ((client.Connection, _SYNC), (client.AsyncConnection, _ASYNC))
        for name, replace in replace_each.items()
    ]
    for original, replacement in replacements:
        for module, name in _holders(original):
            _set(stack, module, name, replacement)
    for owner, name, replacement in methods:
        _set(stack, owner, name, replacement)


def _find(owner: Any, name: str) -> Any:
    found = getattr(owner, name, None)
    if found is None:
        version = sys.modules["psycopg"].__version__
        where = f"{owner.__module__}.{owner.__name__}" if isinstance(owner, type) else owner.__name__
        raise TapError(
            f"psycopg {version} has no {where}.{name}, where round trips are counted (tested with psycopg {TESTED}); "
            f"use one of those, or {PROXY}"
        )
    return found


def _holders(function: Any) -> list[tuple[ModuleType, str]]:
    """psycopg's modules that hold this function: several import it by name, which ones depends on the version."""
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "psycopg"]
    return [(module, name) for module in modules for name, held in list(vars(module).items()) if held is function]


def _set(stack: ExitStack, owner: Any, name: str, replacement: Any) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, replacement)


def _answered(original: Any, connections: Connections) -> Any:
    """`execute` or `fetch`: the generators for the replies to what was just sent."""
    stream_of = connections.of

    @functools.wraps(original)
    def answered(pgconn: Any) -> Generator[Any, Any, Any]:
        stream = stream_of(id(pgconn))
        replies: Generator[Any, Any, Any] = original(pgconn)
        return replies if stream is None or not stream.lock.locked() else stream.answered(pgconn, replies)

    return answered


def _wait(original: Any, connections: Connections) -> Any:
    @functools.wraps(original)
    def wait(connection: Any, *args: Any, **options: Any) -> Any:
        stream = connections.entered(connection)
        if stream is None:
            return original(connection, *args, **options)
        try:
            return original(connection, *args, **options)
        finally:
            stream.leave(connection.pgconn)

    return wait


def _wait_async(original: Any, connections: Connections) -> Any:
    @functools.wraps(original)
    async def wait(connection: Any, *args: Any, **options: Any) -> Any:
        stream = connections.entered(connection)
        if stream is None:
            return await original(connection, *args, **options)
        try:
            return await original(connection, *args, **options)
        finally:
            stream.leave(connection.pgconn)

    return wait


def _close(original: Any, connections: Connections) -> Any:
    @functools.wraps(original)
    def close(connection: Any) -> None:
        try:
            original(connection)
        finally:
            connections.closed(connection.pgconn)

    return close


def _close_async(original: Any, connections: Connections) -> Any:
    @functools.wraps(original)
    async def close(connection: Any) -> None:
        try:
            await original(connection)
        finally:
            connections.closed(connection.pgconn)

    return close


_SYNC: Final[dict[str, _Replace]] = {"wait": _wait, "close": _close}
_ASYNC: Final[dict[str, _Replace]] = {"wait": _wait_async, "close": _close_async}
