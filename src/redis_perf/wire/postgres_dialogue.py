"""Postgres: which message owes which answer, message by message, however the messages were seen.

Only what a client may wait for is a debt of the conversation: the `ReadyForQuery` that each Query, FunctionCall and
Sync owes, what is due at a Flush (owed until the last of it has come), the answer to a start-up message, an SSL
request or a password, and the leave to send COPY data. What merely trickles in before, while a pipeline is still
being sent, settles nothing, so it cannot split a round trip.

Operations are statements executed: each one of a Query string, and each Execute. A Parse, Describe or Close is none:
a trip that only prepares a statement is a round trip without an operation. A failed statement takes those after it
with it, up to the Sync: they are marked failed too. The round trip of a COPY FROM ends with the leave to send data,
so it is not marked when the data are refused later; they just commit nothing.

Commits are counted as the server counts them: a COMMIT that was answered COMMIT, and each Query or batch up to a Sync
that executed something, outside a transaction block, without failing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from redis_perf.conversation import Conversation
from redis_perf.open_trip import Asked
from redis_perf.wire import postgres_kinds as kinds
from redis_perf.wire.postgres_kinds import MAX_SQL_BYTES, NAMES_BYTES
from redis_perf.wire.postgres_prepared import Asking, Prepared
from redis_perf.wire.postgres_transaction import PostgresTransaction
from redis_perf.wire.settled import Settled
from redis_perf.wire.statements import FUNCTION_CALL, statements

_READY, _FLUSHED, _AUTHENTICATED, _BYTE = "Z", "H", "auth", "byte"
_DEMANDS = frozenset({_READY, _FLUSHED, _AUTHENTICATED, _BYTE})
_PARSED, _BOUND, _CLOSED, _DESCRIBED, _EXECUTED, _COPIED = "1", "2", "3", "D", "E", "c"


@dataclass(slots=True, eq=False)
class _Due:
    """An answer that is to come; `asked` are the operations it will decide on."""

    kind: str
    asked: list[Asked]
    done: int = 0
    """How many of them have been."""


_EMPTY: Final = {kind: _Due(kind, []) for kind in (*_DEMANDS, _PARSED, _BOUND, _CLOSED, _DESCRIBED, _EXECUTED, _COPIED)}
"""Answers that decide on no operation need not be told apart."""


class PostgresDialogue:
    """Told of each message either side has sent, in order, it drives the conversation.

    `client` is called after `conversation.sent`, `server` after `conversation.received`; `looked` stays the meter's.
    A message is its type letter, or its name in `postgres_kinds` if it has none, and the beginning of its body.
    Statements whose whole text is in `housekeeping` are the driver's own: setup, and preparing them too.
    """

    def __init__(self, conversation: Conversation, housekeeping: Container[str] = frozenset()) -> None:
        self._conversation = conversation
        self._housekeeping = housekeeping
        self._due: deque[_Due] = deque()
        self._prepared = Prepared()
        self._transaction = PostgresTransaction()
        self._skips = False  # the server ignores everything up to the next Sync
        self._executes = 0  # how many answers to an Execute are due
        self._copying: _Due | None = None  # the simple Query whose COPY data are on their way
        self._copies = False
        self._streams = False  # COPY data were sent before the server asked for them
        self._fatal_ns: int | None = None

    @property
    def expects_byte(self) -> bool:
        """The server's next answer is a single letter, no message."""
        return bool(self._due) and self._due[0].kind == _BYTE

    @property
    def in_block(self) -> bool:
        """A transaction block is open, as far as the server has said."""
        return self._transaction.in_block

    def client(self, kind: str, body: bytes) -> None:
        """The client's next message."""
        match kind:
            case "Q":
                self._streams = False
                sql = _text(body.partition(b"\0")[0])
                asked = statements(sql, housekeeping=sql in self._housekeeping)
                arguments = hash(sql) if len(asked) == 1 and len(body) < MAX_SQL_BYTES else None
                self._owe(_READY, [Asking(each, arguments) for each in asked])
            case "F":
                self._owe(_READY, [Asking(FUNCTION_CALL)])
            case "S":
                self._skips = False
                self._owe(_READY)
            case "P" | "B" | "C" | "D" | "E" | "H" | "c" | "f" | "d":
                self._extended(kind, body)
            case kinds.STARTUP | "p":
                self._conversation.serves("setup")
                self._owe(_AUTHENTICATED)
            case kinds.SSL_REQUEST | kinds.GSS_REQUEST:
                self._conversation.serves("setup")
                self._owe(_BYTE)

    def _extended(self, kind: str, body: bytes) -> None:
        first, _, rest = body.partition(b"\0")
        second = rest.partition(b"\0")[0]
        match kind:
            case "P":
                own = (sql := _text(second)) in self._housekeeping
                self._prepared.parse(first, sql, whole=len(second) < MAX_SQL_BYTES, housekeeping=own)
                if own:
                    self._conversation.serves("setup")
                self._owe(_PARSED)
            case "B":
                self._prepared.bind(first, second, rest[len(second) :] if len(body) < NAMES_BYTES else None)
                self._owe(_BOUND)
            case "E":
                self._streams = False
                self._owe(_EXECUTED, [self._prepared.portal(first)])
            case "D":
                self._owe(_DESCRIBED)
            case "C":
                self._prepared.close(first)
                self._owe(_CLOSED)
            case "H":
                if self._due and self._due[-1].kind not in _DEMANDS:
                    self._owe(_FLUSHED)
            case "d":
                self._streams = self._streams or not self._copies
            case _:
                self._copy_ends()

    def _owe(self, kind: str, executes: Iterable[Asking] = ()) -> None:
        asked = [self._conversation.asked(*each.statement, arguments=each.arguments) for each in executes]
        if self._skips:
            _fail(asked)
            return
        self._due.append(_Due(kind, asked) if asked else _EMPTY[kind])
        self._executes += kind == _EXECUTED
        if kind in _DEMANDS:
            self._conversation.owe()

    def server(self, at_ns: int, kind: str, body: bytes) -> None:
        """The server's next message."""
        match kind:
            case "Z":
                self._ready(at_ns, _text(body[:1]))
            case "C":
                self._completed(at_ns, _text(body.partition(b"\0")[0]))
            case "s":
                self._completed(at_ns, "suspended")
            case "I":
                self._answered(at_ns, _EXECUTED)
            case "1" | "2" | "3":
                self._answered(at_ns, kind)
            case "T" | "n":
                self._answered(at_ns, _DESCRIBED)
            case "R":
                if int.from_bytes(body[:4], "big") not in (0, 12):  # Ok, SASLFinal: more comes unasked
                    self._answered(at_ns, _AUTHENTICATED)
            case "G" | "W":
                self._copy_begins(at_ns)
            case "E":
                self._error(at_ns)

    def byte(self, at_ns: int) -> None:
        """The server's one-letter answer to an SSL or GSS request."""
        self._answered(at_ns, _BYTE)

    def settle(self, at_ns: int, settled: Settled) -> None:
        """Everything due was answered unseen. What was committed is told by the statements and by the status."""
        if self._due:
            self._conversation.received(settled.received_bytes)
        while self._due:
            due = self._due[0]
            if settled.failed:
                self._transaction.failed = True
                _fail(due.asked[due.done :])
            if due.kind == _READY:
                for asked in due.asked[due.done :]:
                    self._executed(asked.name)
                guess = "T" if self.in_block else "I"
                self._ready(at_ns, settled.status or guess if len(self._due) == 1 else guess)
            elif due.asked:
                self._completed(at_ns, due.asked[0].name)
            else:
                self._answered(at_ns, due.kind)

    def closed(self, at_ns: int) -> None:
        """The connection ended, and this dialogue with it.

        A last error is an answer: the server gives no other when it ends a session.
        """
        if self._fatal_ns is not None and self._conversation.owed:
            self._conversation.settled(self._fatal_ns)
        self._conversation.closed(at_ns)

    def _answered(self, at_ns: int, kind: str) -> None:
        """If that is what is due next, it has come, and with it perhaps the last of what a Flush asked for."""
        if not self._due or self._due[0].kind != kind:
            return
        self._pop(at_ns)
        while self._due and self._due[0].kind == _FLUSHED:
            self._pop(at_ns)

    def _pop(self, at_ns: int) -> _Due:
        due = self._due.popleft()
        self._executes -= due.kind == _EXECUTED
        if due.kind in _DEMANDS:
            self._conversation.settled(at_ns)
        return due

    def _completed(self, at_ns: int, tag: str) -> None:
        if self._due:
            self._executed(tag)
            if self._due[0].kind == _READY and self._due[0].asked:
                self._due[0].done += 1
        self._answered(at_ns, _EXECUTED)

    def _executed(self, tag: str) -> None:
        if self._transaction.executed(tag):
            self._conversation.committed()

    def _ready(self, at_ns: int, status: str) -> None:
        while self._due and self._due[0].kind not in (_READY, _AUTHENTICATED):
            self._pop(at_ns)
        commits = self._transaction.ready(status)
        if self._due:
            if commits:
                self._conversation.committed()
            self._pop(at_ns)
        self._fatal_ns = None

    def _error(self, at_ns: int) -> None:
        self._transaction.failed, self._fatal_ns = True, at_ns
        if self._copying is not None:
            self._due.append(self._copying)
            self._conversation.owe()
        self._copying, self._copies = None, False
        if self._due and self._due[0].kind in (_AUTHENTICATED, _BYTE):
            self._pop(at_ns)
            return
        self._skips = bool(self._due) and all(due.kind != _READY for due in self._due)
        while self._due and self._due[0].kind != _READY:
            _fail(self._pop(at_ns).asked)
        if self._due:
            _fail(self._due[0].asked[self._due[0].done :])
            self._due[0].done = len(self._due[0].asked)

    def _copy_begins(self, at_ns: int) -> None:
        """The server asks for COPY data: an answer, unless the client was sending them already."""
        self._copies = True
        if not self._due:
            return
        if self._due[0].kind == _READY:
            if not self._streams:
                self._copying = self._pop(at_ns)
            return
        execute = self._due.popleft()
        while self._due and self._due[0].kind != _COPIED:  # the server ignores a Sync or Flush sent already
            ignored = self._due.popleft()
            self._executes -= ignored.kind == _EXECUTED
            if ignored.kind in _DEMANDS and self._streams:
                self._conversation.forgiven()
            elif ignored.kind in _DEMANDS:
                self._conversation.settled(at_ns)
        if self._due:
            self._due.popleft()
        self._due.appendleft(execute)

    def _copy_ends(self) -> None:
        if self._copying is not None:
            self._due.append(self._copying)
            self._conversation.owe()
        elif not self._copies and self._executes:
            self._due.append(_EMPTY[_COPIED])
        self._copying, self._copies = None, False


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _fail(asked: Iterable[Asked]) -> None:
    for operation in asked:
        operation.failed = True
