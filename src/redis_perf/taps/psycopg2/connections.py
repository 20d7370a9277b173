"""The psycopg2 connections that are listened to: opened, met again, found open before, let go of."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator
from typing import Any, Final

from redis_perf.conversation import Conversation
from redis_perf.endpoint import own_end_of
from redis_perf.recorder import Log, Recorder, now_ns
from redis_perf.taps.libpq import Libpq
from redis_perf.taps.psycopg2.stream import Stream
from redis_perf.taps.unheard import unheard, used
from redis_perf.trace import Operation, RoundTrip, Site
from redis_perf.wire import Caller
from redis_perf.wire.libpq_trace import LibpqTraceMeter

NO_CONNECTION: Final = 0
UNHEARD: Final = (
    "psycopg2 opened it before anybody listened, and it cannot be listened to afterwards: "
    "open it while recording, or start recording earlier"
)


class Connections:
    """The traced connections, by identity; entries go when they do."""

    def __init__(self, recorder: Recorder, libpq: Libpq) -> None:
        self._recorder = recorder
        self._libpq = libpq
        self._streams: dict[int, Stream] = {}
        self._aside: list[Stream] = []

    def entered(self, connection: Any) -> Stream | None:
        """The stream of a connection on which a call begins; None if there is nothing to listen to."""
        stream = self._streams.get(id(connection))
        if stream is not None or connection.closed:
            return stream
        return self._attach(connection, opened_ns=None, startup=False)

    def opened(self, connection: Any, began_ns: int, who: Caller) -> None:
        """`connect` has returned it."""
        startup = bool(connection.async_)
        stream = self._attach(connection, opened_ns=began_ns, startup=startup)
        if not _is_unix(connection.info.host):
            self._emit(stream.log.conversation, began_ns, who, size_bytes=0 if startup else None)

    def failed(self, error: Exception, began_ns: int, who: Caller) -> None:
        """`connect` has not. A refusal was a round trip too, of no connection."""
        text = str(error)
        if "on socket" not in text and (os.strerror(errno.ECONNREFUSED) in text or "FATAL:" in text):
            self._emit(Conversation("postgres", NO_CONNECTION, self._recorder.emit), began_ns, who, failed=True)

    def unheard(self, connection: Any) -> Log:
        """The log of a connection that cannot be listened to."""
        return unheard(self._recorder, "psycopg2", server_of(connection), connection, UNHEARD)

    def release(self) -> None:
        """Let go of all."""
        while self._streams:
            self._streams.popitem()[1].release()
        self._sweep()

    def _attach(self, connection: Any, *, opened_ns: int | None, startup: bool) -> Stream:
        self._sweep()
        key = id(connection)
        log = self._recorder.log(
            "psycopg2",
            "postgres",
            lambda conversation: LibpqTraceMeter(conversation, startup=startup),
            server=server_of(connection),
            client=own_end_of(connection.fileno()),
            opened_ns=opened_ns,
            owner=connection,
        )

        def gone(stream: Stream) -> None:
            if self._streams.get(key) is stream:
                del self._streams[key]
            if stream.text.file is not None:
                self._aside.append(stream)

        stream = self._streams[key] = Stream(self._libpq, connection, log, gone)
        return stream

    def _sweep(self) -> None:
        """Free the traces of collected connections that libpq is through with; keep the others."""
        for stream in [stream for stream in self._aside if stream.abandoned]:
            self._aside.remove(stream)
            stream.end()
            stream.hang_up()

    def _emit(
        self,
        conversation: Conversation,
        began_ns: int,
        who: Caller,
        *,
        size_bytes: int | None = None,
        failed: bool = False,
    ) -> None:
        """The TCP connect, for as long as `connect` took; what was exchanged meanwhile is not seen."""
        code, line, lane, _ = who
        self._recorder.emit(
            RoundTrip(
                store="postgres",
                connection=conversation.connection,
                operations=(Operation("CONNECT", "CONNECT", failed),),
                started_ns=began_ns,
                ended_ns=now_ns(),
                sent_bytes=size_bytes,
                received_bytes=size_bytes,
                site=Site(code.co_filename, line, code.co_name) if code else None,
                purpose="setup",
                lane=lane,
                server=conversation.server,
                client=conversation.client,
            )
        )


class Strangers:
    """Connections that were open before: none of their calls passes here, but the cursors they make can be noticed."""

    def __init__(self, connections: Connections, extensions: Any, listening: type) -> None:
        self._noticed: list[tuple[Any, Any]] = []
        kinds = frozenset(_kinds(extensions.connection, listening))
        for connection in [thing for thing in gc.get_objects() if type(thing) in kinds]:
            if connection.pgconn_ptr:
                self._notice(connections, extensions, connection)

    def _notice(self, connections: Connections, extensions: Any, connection: Any) -> None:
        log, factory = connections.unheard(connection), connection.cursor_factory
        if factory is None and type(connection) is not extensions.connection:
            used(log)  # its class may have a cursor factory of its own, which must stay: better too loud than silent
            return

        def cursor(*args: Any, **options: Any) -> Any:
            used(log)
            return (factory or extensions.cursor)(*args, **options)

        connection.cursor_factory = cursor
        self._noticed.append((connection, factory))

    def release(self) -> None:
        for connection, factory in self._noticed:
            connection.cursor_factory = factory
        self._noticed.clear()


def _kinds(plain: type, listening: type) -> Iterator[type]:
    """This class of connections and those derived from it, without the ones that are listened to."""
    if not issubclass(plain, listening):
        yield plain
        for derived in plain.__subclasses__():
            yield from _kinds(derived, listening)


def server_of(connection: Any) -> str:
    """`127.0.0.1:5432`, or the socket `/run/postgresql/.s.PGSQL.5432`."""
    host, port = connection.info.host, connection.info.port
    if _is_unix(host):
        return f"{host}/.s.PGSQL.{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_unix(host: str) -> bool:
    return host.startswith(("/", "@"))
