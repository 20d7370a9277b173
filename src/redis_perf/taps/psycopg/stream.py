"""One psycopg connection whose messages libpq writes down: when its trace is read, paused and let go of.

Only the thread that waits on the connection reads its trace (`lock` says that one does), so nothing here ever
touches libpq or the C library while another thread is inside them. Who wants a connection released while it is
being waited on sets `leaving`; the end of the wait does the rest.

The connection is held weakly. One that is collected without being closed writes a last message from `PQfinish`,
before or after its weak reference dies: its trace is put aside until that message (`FAREWELL`) is in it.
"""

from __future__ import annotations

import fcntl
import termios
import threading
import weakref
from array import array
from collections.abc import Callable, Generator
from typing import Any, Final

from redis_perf.endpoint import own_end_of
from redis_perf.recorder import Log, Recorder, now_ns
from redis_perf.site import Trail
from redis_perf.taps.callers import Callers
from redis_perf.taps.libpq import Libpq, TcpBytes, TraceText
from redis_perf.wire import RECEIVED, SENT, SETTLED, Caller
from redis_perf.wire.libpq_trace import LibpqTraceMeter
from redis_perf.wire.settled import Settled

LARGE_BYTES: Final = 512
"""With more of a reply waiting than this, pausing the trace costs less than having its rows formatted."""

FAREWELL: Final = b"Terminate"

_READ: Final = 1  # psycopg.waiting.Ready.R
_BAD: Final = 1  # psycopg.pq.ConnStatus.BAD
_FATAL_ERROR: Final = 7  # psycopg.pq.ExecStatus.FATAL_ERROR
_ACTIVE: Final = 1  # psycopg.pq.TransactionStatus.ACTIVE
_READY_FOR_QUERY: Final = {0: "I", 2: "T", 3: "E"}  # other TransactionStatus values


def is_tcp(pgconn: Any) -> bool:
    """Else it is a Unix socket: its directory, or an abstract name."""
    host: bytes = pgconn.host
    return not host.startswith((b"/", b"@"))


def server_of(pgconn: Any) -> str:
    """`127.0.0.1:5432`, or the socket `/run/postgresql/.s.PGSQL.5432`."""
    host, port = pgconn.host.decode(), pgconn.port.decode()
    if not is_tcp(pgconn):
        return f"{host}/.s.PGSQL.{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_log(recorder: Recorder, pgconn: Any, server: str, *, startup: bool, opened_ns: int | None) -> Log:
    """The log of a connection; `startup`: its handshake will be in it."""
    return recorder.log(
        "psycopg",
        "postgres",
        lambda conversation: LibpqTraceMeter(conversation, startup=startup),
        server=server,
        client=own_end_of(pgconn.socket) if pgconn.status != _BAD else None,
        opened_ns=opened_ns,
        owner=pgconn,
    )


class Stream:
    """The trace of one connection and the log it goes to."""

    __slots__ = (
        "_asked", "_at_ns", "_caller", "_consumed", "_failed", "_fresh", "_here", "_kernel", "_libpq", "_waiting_bytes",
        "leaving", "lock", "log", "lost", "paused", "pgconn", "text", "trail",
    )  # fmt: skip

    log: Log

    def __init__(self, libpq: Libpq, pgconn: Any, callers: Callers, gone: Callable[[Stream], None]) -> None:
        self._libpq = libpq
        self._here = callers.here
        self._kernel = TcpBytes(libpq.memory)
        self._waiting_bytes = array("i", [0])
        self._asked = b""  # what was sent last
        self._at_ns = 0  # of the last event, or the wait's beginning
        self._caller: Caller | None = None
        self._consumed: int | None = None  # bytes taken from the socket when the trace was paused
        self._failed = False  # a statement, while the trace was paused
        self._fresh = False  # nothing of the reply to what was sent last has been read
        self.lost = False
        self.leaving = False
        self.paused = False
        self.trail = Trail()
        self.lock = threading.Lock()
        self.text = TraceText(libpq.memory)
        self.pgconn = weakref.ref(pgconn, lambda _: gone(self))
        libpq.trace(pgconn.pgconn_ptr, self.text)

    def enter(self) -> bool:
        """A wait begins. False if there is one already (a second thread; psycopg itself will not have it)."""
        if not self.lock.acquire(False):
            return False
        self._at_ns = now_ns()
        self._caller = None
        return True

    def leave(self, pgconn: Any) -> None:
        """The wait has ended, well or not."""
        if not self.paused:
            self._catch_up()
        elif pgconn.transaction_status != _ACTIVE:
            self._resume(pgconn)
        if pgconn.status == _BAD:
            self.hang_up()
        self.lock.release()
        if self.leaving:
            self.release()

    def answered(self, pgconn: Any, replies: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Drive psycopg's generator for the replies to what was just sent, noting when."""
        self._note_sent()
        try:
            wanted = next(replies)
            while True:
                ready = yield wanted
                if ready and ready & _READ:
                    self._about_to_read(pgconn)
                wanted = replies.send(ready)
        except StopIteration as end:
            if self.paused:
                self._note_failure(end.value)
            return end.value
        finally:
            if self.paused:
                self._resume(pgconn)
            else:
                self._note_received()

    def release(self) -> None:
        """Let go of the connection and free the trace, now or at the end of the wait that is under way."""
        self.leaving = True
        if not self.lock.acquire(False):
            return
        pgconn = self.pgconn()
        if pgconn is not None and pgconn.pgconn_ptr is not None:
            self._libpq.untrace(pgconn.pgconn_ptr)
            self.end()
        elif pgconn is not None:
            self.end()
            self.hang_up()

    def end(self) -> None:
        """libpq has let go: take the last words and free the memory."""
        rest = self.text.all()
        if rest and self.known:
            self.log.append((now_ns(), SENT, rest, None))
        self.text.close()

    def hang_up(self) -> None:
        """The connection has ended."""
        if self.known and not self.lost:
            self.log.close()
        self.lost = True

    @property
    def known(self) -> bool:
        """Something was said, so there is a log."""
        return hasattr(self, "log")

    @property
    def abandoned(self) -> bool:
        """libpq will write nothing more about this connection, which was collected."""
        return self.lost or self.text.shows(FAREWELL)

    def _note_sent(self) -> None:
        text = self.text.flushed()
        if text:
            if self._caller is None:
                self._caller = self._here(self.trail)
            self._asked, self._fresh = text, True
            self._at_ns = at_ns = now_ns()
            self.log.append((at_ns, SENT, text, self._caller))

    def _note_received(self) -> None:
        text = self.text.all()
        if text:
            self._at_ns = at_ns = now_ns()
            self.log.append((at_ns, RECEIVED, text, None))
            self.log.grew(len(text))

    def _catch_up(self) -> None:
        """What the generators of pipelines and COPY sent and received, which are not followed step by step."""
        text = self.text.all()
        self.text.rewind_when_long()
        if not text:
            return
        if text.startswith(b"F"):
            # Where to cut only decides which time the pieces get; the meter joins a message cut in two.
            sent, separator, text = text.partition(b"\nB\t")
            self.log.append((self._at_ns, SENT, sent + separator[:1], self._caller or self._here(self.trail)))
            self._asked, self._fresh = sent, True
            text = separator[1:] + text
        if text:
            self.log.append((now_ns(), RECEIVED, text, None))
            self.log.grew(len(text))

    def _about_to_read(self, pgconn: Any) -> None:
        fresh, self._fresh = self._fresh, False
        if self.paused:
            return
        fcntl.ioctl(pgconn.socket, termios.FIONREAD, self._waiting_bytes)
        if self._waiting_bytes[0] <= LARGE_BYTES or pgconn.pipeline_status or b"copy" in self._asked.lower():
            return
        self._consumed = self._taken(pgconn) if fresh else None
        self._failed = False
        self._libpq.untrace(pgconn.pgconn_ptr)
        self.paused = True

    def _resume(self, pgconn: Any) -> None:
        """The reply is complete (or the connection lost): trace again, and say what passed unseen."""
        status = pgconn.transaction_status
        if status == _ACTIVE:
            return
        self.paused = False
        if pgconn.pgconn_ptr is None:
            return
        self._note_received()
        self._libpq.trace(pgconn.pgconn_ptr, self.text)
        if status in _READY_FOR_QUERY:
            taken = self._taken(pgconn)
            unseen = None if taken is None or self._consumed is None else taken - self._consumed
            settled = Settled(unseen, _READY_FOR_QUERY[status], self._failed)
            self.log.append((now_ns(), SETTLED, settled.data, None))

    def _note_failure(self, answer: Any) -> None:
        """`answer` is a result, none, or a list of them."""
        results = answer if isinstance(answer, list) else [answer] if answer is not None else []
        self._failed = self._failed or any(result.status == _FATAL_ERROR for result in results)

    def _taken(self, pgconn: Any) -> int | None:
        """How many bytes libpq has taken from the socket, None where not to be known (TLS, Unix sockets).

        What arrives between the two look-ups would be miscounted, hence the third.
        """
        if pgconn.ssl_in_use:
            return None
        fileno, waiting = pgconn.socket, self._waiting_bytes
        for _ in range(10):
            fcntl.ioctl(fileno, termios.FIONREAD, waiting)
            before, arrived = waiting[0], self._kernel.arrived(fileno)
            if arrived is None:
                return None
            fcntl.ioctl(fileno, termios.FIONREAD, waiting)
            if waiting[0] == before:
                return arrived - before
        return None
