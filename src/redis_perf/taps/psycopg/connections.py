"""The connections of psycopg that are traced: found by their PGconn, taken up, let go of, and freed in time."""

from __future__ import annotations

from typing import Any, Final

from redis_perf.recorder import Recorder
from redis_perf.taps.callers import Callers
from redis_perf.taps.libpq import Libpq
from redis_perf.taps.psycopg.stream import Stream, open_log, server_of

NAME: Final = "_redis_perf_name"
"""The attribute of a connection that holds the user's name for its server."""

_ACTIVE: Final = 1  # psycopg.pq.TransactionStatus.ACTIVE
_OK: Final = 0  # psycopg.pq.ConnStatus.OK


class Connections:
    """The traced connections, by identity of their PGconn; entries go when it does."""

    def __init__(self, recorder: Recorder, libpq: Libpq) -> None:
        self.recorder = recorder
        self.callers = Callers()
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

        stream = self._streams[key] = Stream(self._libpq, pgconn, self.callers, gone)
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
