"""Postgres as libpq itself tells it: the text of its message trace, read into the same dialogue as the bytes.

libpq traces a message from the server when it takes it from its buffer, so a line from the server is a reply looked
at. The order of the lines is the order of the messages, whichever event a text comes with; all messages of a text
are dated with that event.

Before libpq 17 the messages of the handshake have no names, and the answers to them are missing: an answer was there
if the client went on, and its size was not seen. Nor are COPY data traced there that come from the server.
"""

from __future__ import annotations

from typing import Final

from redis_perf.conversation import Conversation
from redis_perf.errors import ProtocolError
from redis_perf.wire import CLOSED, LOOKED, SETTLED, Caller
from redis_perf.wire.libpq_lines import Line, Lines
from redis_perf.wire.postgres_dialogue import PostgresDialogue
from redis_perf.wire.postgres_kinds import (
    CANCEL_REQUEST,
    GSS_REQUEST,
    MAX_SQL_BYTES,
    SILENT,
    SSL_REQUEST,
    STARTUP,
)
from redis_perf.wire.settled import Settled

_PASSWORD: Final = "p"
_CLIENT: Final = {
    "Query": "Q", "Parse": "P", "Bind": "B", "Describe": "D", "Execute": "E", "Close": "C", "Sync": "S", "Flush": "H",
    "Terminate": "X", "CopyData": "d", "": "d", "CopyDone": "c", "CopyFail": "f", "FunctionCall": "F",
    "PasswordMessage": _PASSWORD, "SASLInitialResponse": _PASSWORD, "SASLResponse": _PASSWORD,
    "GSSResponse": _PASSWORD, "Unknown message: 70": _PASSWORD,
    "StartupMessage": STARTUP, "SSLRequest": SSL_REQUEST, "GSSENCRequest": GSS_REQUEST,
    "CancelRequest": CANCEL_REQUEST,
}  # fmt: skip
_SERVER: Final = {
    "ReadyForQuery": "Z", "CommandComplete": "C", "ErrorResponse": "E", "ParseComplete": "1", "BindComplete": "2",
    "CloseComplete": "3", "RowDescription": "T", "NoData": "n", "PortalSuspended": "s", "EmptyQueryResponse": "I",
    "CopyInResponse": "G", "CopyBothResponse": "W",
}  # fmt: skip
_HANDSHAKE: Final = frozenset({_PASSWORD, STARTUP, SSL_REQUEST, GSS_REQUEST})
_NO_CHALLENGE: Final = {"AuthenticationOk": 0, "AuthenticationSASLFinal": 12}


class LibpqTraceMeter:
    """Reads one connection's trace. `startup`: it holds the handshake, too."""

    def __init__(self, conversation: Conversation, *, startup: bool) -> None:
        self._conversation = conversation
        self._dialogue = PostgresDialogue(conversation)
        self._lines = Lines(conversation.connection)
        self._startup = startup
        self._caller: Caller | None = None
        self._copy_unseen = False

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again.

        SENT and RECEIVED data are trace text; the caller of the last event that had one is that of the wait.
        """
        if direction == SETTLED:
            self._dialogue.settle(at_ns, Settled.read(data))
            self._conversation.looked()
        elif direction == CLOSED:
            self._dialogue.closed(at_ns)
            self._dialogue = PostgresDialogue(self._conversation)
            self._lines = Lines(self._conversation.connection)
        elif direction == LOOKED:
            self._conversation.looked()
        else:
            self._caller = caller or self._caller
            for line in self._lines.feed(data):
                (self._sent if line.from_client else self._received)(at_ns, line)

    def _sent(self, at_ns: int, line: Line) -> None:
        kind = _CLIENT.get(line.name) or self._unnamed(line)
        if kind in SILENT:
            return
        if kind in _HANDSHAKE:
            if self._conversation.owed:
                self._dialogue.settle(at_ns, Settled())
                self._conversation.looked()
            self._conversation.sent(at_ns, line.length + (kind == _PASSWORD), self._caller)
        else:
            self._conversation.sent(at_ns, line.length + 1, self._caller)
        self._dialogue.client(kind, _client_body(kind, line.text))

    def _unnamed(self, line: Line) -> str:
        if not (self._startup and line.name.startswith("Unknown message: length is")):
            raise ProtocolError(
                f"a message {line.name!r}, which no client is known to send",
                connection=self._conversation.connection,
                sender="message trace",
                offset=line.offset,
            )
        return SSL_REQUEST if line.length == 8 else CANCEL_REQUEST if line.length == 16 else STARTUP

    def _received(self, at_ns: int, line: Line) -> None:
        if line.name in ("SSLResponse", "GSSENCResponse"):
            self._conversation.received(1)
            self._dialogue.byte(at_ns)
        else:
            self._conversation.received(line.length + 1)
            self._message(at_ns, line)
        self._conversation.looked()

    def _message(self, at_ns: int, line: Line) -> None:
        kind = _SERVER.get(line.name)
        if kind == "C" and self._copy_unseen and line.text != b' "COPY 0"':
            self._conversation.received(None)
        self._copy_unseen = line.name == "CopyOutResponse" or (self._copy_unseen and line.name == "CopyDone")
        if kind is not None:
            body = line.text[1:2] if kind == "Z" else line.text[2:-1] if kind == "C" else b""
            self._dialogue.server(at_ns, kind, body)
        elif line.name.startswith("Authentication"):
            code = _NO_CHALLENGE.get(line.name, _CHALLENGE)
            self._dialogue.server(at_ns, "R", code.to_bytes(4, "big"))


_CHALLENGE: Final = 10
"""Any code that asks the client to go on."""


def _client_body(kind: str, text: bytes) -> bytes:
    """The beginning of the body on the wire, as far as the dialogue looks at it."""
    if kind == "Q":
        return text[2:-1][:MAX_SQL_BYTES]
    if kind == "P":
        name, _, rest = text[2:].partition(b'" "')
        sql, whole, _ = rest.rpartition(b'"')
        return name + b"\0" + (sql if whole else rest)[:MAX_SQL_BYTES]
    if kind == "B":
        portal, _, rest = text[2:].partition(b'" "')
        name, _, parameters = rest.partition(b'"')
        return portal + b"\0" + name + b"\0" + parameters
    if kind == "E":
        return text[2:].rpartition(b'"')[0]
    if kind == "C":
        return text[1:2] + text[4:-1]
    return b""
