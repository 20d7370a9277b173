"""The trace of one psycopg2 connection and the log it goes to.

Threads may share a psycopg2 connection, so a trace is read under a lock, with the stream locked against libpq too.
While a call is inside libpq the trace stays on: who wants the connection released then sets `leaving`, and the end
of the last call does the rest.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

from redis_perf.recorder import Log, now_ns
from redis_perf.site import Trail, caller
from redis_perf.taps.libpq import Libpq, TraceText
from redis_perf.wire import RECEIVED, SENT

FAREWELL: Final = b"Terminate"
_READY: Final = b"\tReadyForQuery\t"


class Stream:
    """One connection, held weakly; its trace lives as long as libpq may write to it."""

    __slots__ = ("_inside", "_libpq", "_lock", "connection", "leaving", "log", "lost", "text", "trail")

    def __init__(self, libpq: Libpq, connection: Any, log: Log, gone: Callable[[Stream], None]) -> None:
        self._libpq = libpq
        self._lock = threading.RLock()
        self._inside = 0
        self.leaving = False
        self.lost = False
        self.log = log
        self.text = TraceText(libpq.memory)
        self.trail = Trail()
        self.connection = weakref.ref(connection, lambda _: gone(self))
        libpq.trace(connection.pgconn_ptr, self.text)

    def enter(self) -> int:
        """A call begins; returns when."""
        with self._lock:
            self._inside += 1
        return now_ns()

    def leave(self, connection: Any, began_ns: int) -> None:
        """The call has ended, well or not. The user's line is two frames above."""
        with self._lock:
            self._inside -= 1
            self._read(began_ns, depth=3)
            if connection.closed:  # 1: by its user; 2: by the server, and libpq still has its side of it
                self.hang_up()
            if connection.closed == 1 and not self._inside:
                self.end()
            elif self.leaving:
                self.release()

    def release(self) -> None:
        """Let go of the connection and free the trace, now or at the end of the call that is under way."""
        self.leaving = True
        with self._lock:
            connection = self.connection()
            if self._inside or connection is None:
                return
            if connection.closed != 1:
                self._libpq.untrace(connection.pgconn_ptr)
            self.end()

    def end(self) -> None:
        """libpq has let go: take the last words and free the memory."""
        with self._lock:
            self._read(now_ns(), depth=None)
            self.text.close()

    def hang_up(self) -> None:
        """The connection has ended."""
        if not self.lost:
            self.lost = True
            self.log.close()

    @property
    def abandoned(self) -> bool:
        """libpq will write nothing more about this connection, which was collected."""
        return self.text.shows(FAREWELL)

    def _read(self, began_ns: int, depth: int | None) -> None:
        text = self.text.all_shared()
        if not text:
            return
        who = caller(depth + 1, self.trail) if depth is not None else None
        ended_ns, answers = now_ns(), list(_answers(text))
        for number, answer in enumerate(answers):
            from_ns = began_ns + (ended_ns - began_ns) * number // len(answers)
            until_ns = began_ns + (ended_ns - began_ns) * (number + 1) // len(answers)
            if answer.startswith(b"F"):
                # Where to cut only decides which time the pieces get; the meter joins a message cut in two.
                sent, separator, answer = answer.partition(b"\nB\t")
                self.log.append((from_ns, SENT, sent + separator[:1], who))
                answer = separator[1:] + answer
            if answer:
                self.log.append((until_ns, RECEIVED, answer, None))
        self.log.grew(len(text))


def _answers(text: bytes) -> Iterator[bytes]:
    """Cut after each time the server was ready."""
    begin = 0
    while (ready := text.find(_READY, begin)) >= 0:
        end = text.find(b"\n", ready) + 1 or len(text)
        yield text[begin:end]
        begin = end
    if begin < len(text):
        yield text[begin:]
