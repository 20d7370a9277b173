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
from typing import Final, NamedTuple

from redis_perf.conversation import Asked, Conversation
from redis_perf.wire.settled import Settled
from redis_perf.wire.statements import FUNCTION_CALL, NOT_SEEN, Statement, statement, statements

MAX_SQL_BYTES: Final = 64 * 1024
NAMES_BYTES: Final = 1024
"""How much of a statement, and of what names a portal or prepared statement, is kept at most."""
MAX_REMEMBERED: Final = 4096
"""How many prepared statements, and how many portals, are remembered by name."""

STARTUP: Final = "startup"
SSL_REQUEST: Final = "ssl"
GSS_REQUEST: Final = "gss"
CANCEL_REQUEST: Final = "cancel"
SILENT: Final = frozenset({"X", CANCEL_REQUEST})
"""What a client sends without any answer: not part of any round trip."""

_READY, _FLUSHED, _AUTHENTICATED, _BYTE = "Z", "H", "auth", "byte"
_DEMANDS = frozenset({_READY, _FLUSHED, _AUTHENTICATED, _BYTE})
_PARSED, _BOUND, _CLOSED, _DESCRIBED, _EXECUTED, _COPIED = "1", "2", "3", "D", "E", "c"
_ENDS_BLOCK = frozenset({"ROLLBACK", "ABORT", "PREPARE TRANSACTION"})


@dataclass(slots=True, eq=False)
class _Due:
    """An answer that is to come; `asked` are the operations it will decide on."""

    kind: str
    asked: list[Asked]
    done: int = 0
    """How many of them have been."""


class _Asking(NamedTuple):
    """A statement, and a hash of what it is asked with: None where that was not seen whole."""

    statement: Statement
    arguments: int | None = None

    def bound(self, parameters: bytes | None) -> _Asking:
        """With these parameters."""
        seen = parameters is not None and self.arguments is not None
        return self._replace(arguments=hash((self.arguments, parameters)) if seen else None)


_NOT_SEEN: Final = _Asking(NOT_SEEN)
_EMPTY: Final = {kind: _Due(kind, []) for kind in (*_DEMANDS, _PARSED, _BOUND, _CLOSED, _DESCRIBED, _EXECUTED, _COPIED)}
"""Answers that decide on no operation need not be told apart."""


class PostgresDialogue:
    """Told of each message either side has sent, in order, it drives the conversation.

    `client` is called after `conversation.sent`, `server` after `conversation.received`; `looked` stays the meter's.
    A message is its type letter, or one of the names above for those that have none, and the beginning of its body.
    Statements whose whole text is in `housekeeping` are the driver's own: setup, and preparing them too.
    """

    def __init__(self, conversation: Conversation, housekeeping: Container[str] = frozenset()) -> None:
        self._conversation = conversation
        self._housekeeping = housekeeping
        self._due: deque[_Due] = deque()
        self._statements: dict[bytes, _Asking] = {}
        self._portals: dict[bytes, _Asking] = {}
        self._skips = False  # the server ignores everything up to the next Sync
        self._executes = 0  # how many answers to an Execute are due
        self._copying: _Due | None = None  # the simple Query whose COPY data are on their way
        self._copies = False
        self._streams = False  # COPY data were sent before the server asked for them
        self._wrote = False  # this batch executed something that its end will commit
        self._failed = False
        self._in_block = False
        self._fatal_ns: int | None = None

    @property
    def expects_byte(self) -> bool:
        """The server's next answer is a single letter, no message."""
        return bool(self._due) and self._due[0].kind == _BYTE

    @property
    def in_block(self) -> bool:
        """A transaction block is open, as far as the server has said."""
        return self._in_block

    def client(self, kind: str, body: bytes) -> None:
        """The client's next message."""
        match kind:
            case "Q":
                self._streams = False
                sql = _text(body.partition(b"\0")[0])
                asked = statements(sql, housekeeping=sql in self._housekeeping)
                arguments = hash(sql) if len(asked) == 1 and len(body) < MAX_SQL_BYTES else None
                self._owe(_READY, [_Asking(each, arguments) for each in asked])
            case "F":
                self._owe(_READY, [_Asking(FUNCTION_CALL)])
            case "S":
                self._skips = False
                self._owe(_READY)
            case "P" | "B" | "C" | "D" | "E" | "H" | "c" | "f" | "d":
                self._extended(kind, body)
            case "startup" | "p":
                self._conversation.serves("setup")
                self._owe(_AUTHENTICATED)
            case "ssl" | "gss":
                self._conversation.serves("setup")
                self._owe(_BYTE)

    def _extended(self, kind: str, body: bytes) -> None:
        first, _, rest = body.partition(b"\0")
        second = rest.partition(b"\0")[0]
        match kind:
            case "P":
                own = (sql := _text(second)) in self._housekeeping
                whole = hash(sql) if len(second) < MAX_SQL_BYTES else None
                _remember(self._statements, first, _Asking(statement(sql, housekeeping=own), whole))
                if own:
                    self._conversation.serves("setup")
                self._owe(_PARSED)
            case "B":
                asking = self._statements.get(second, _NOT_SEEN)
                _remember(self._portals, first, asking.bound(rest[len(second) :] if len(body) < NAMES_BYTES else None))
                self._owe(_BOUND)
            case "E":
                self._streams = False
                self._owe(_EXECUTED, [self._portals.get(first, _NOT_SEEN)])
            case "D":
                self._owe(_DESCRIBED)
            case "C":
                (self._statements if first[:1] == b"S" else self._portals).pop(first[1:], None)
                self._owe(_CLOSED)
            case "H":
                if self._due and self._due[-1].kind not in _DEMANDS:
                    self._owe(_FLUSHED)
            case "d":
                self._streams = self._streams or not self._copies
            case _:
                self._copy_ends()

    def _owe(self, kind: str, executes: Iterable[_Asking] = ()) -> None:
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
                self._failed = True
                _fail(due.asked[due.done :])
            if due.kind == _READY:
                for asked in due.asked[due.done :]:
                    self._tagged(asked.name)
                guess = "T" if self._in_block else "I"
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
            self._tagged(tag)
            if self._due[0].kind == _READY and self._due[0].asked:
                self._due[0].done += 1
        self._answered(at_ns, _EXECUTED)

    def _tagged(self, tag: str) -> None:
        """A statement was executed."""
        if tag in ("COMMIT", "END"):
            self._commit()
            self._in_block = False
        elif tag in ("BEGIN", "START TRANSACTION"):
            self._wrote, self._in_block = False, True
        elif tag in _ENDS_BLOCK:
            self._wrote = self._in_block = False
        else:
            self._wrote = True

    def _commit(self) -> None:
        if not self._failed:
            self._conversation.committed()
        self._wrote = False

    def _ready(self, at_ns: int, status: str) -> None:
        while self._due and self._due[0].kind not in (_READY, _AUTHENTICATED):
            self._pop(at_ns)
        if self._due:
            if self._wrote and status == "I":
                self._commit()
            self._pop(at_ns)
        self._wrote = self._failed = False
        self._in_block = status in ("T", "E")
        self._fatal_ns = None

    def _error(self, at_ns: int) -> None:
        self._failed, self._fatal_ns = True, at_ns
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
            if ignored.kind in _DEMANDS:
                (self._conversation.forgiven if self._streams else lambda: self._conversation.settled(at_ns))()
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


def _remember(names: dict[bytes, _Asking], name: bytes, known: _Asking) -> None:
    if len(names) >= MAX_REMEMBERED and name not in names:
        del names[next(iter(names))]
    names[name] = known
