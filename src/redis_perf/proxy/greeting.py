"""How a connection begins, as far as the proxy must take part in it. No I/O.

Requests of Postgres for TLS or GSS encryption are answered here and never reach the server, or what follows could not
be read: GSS always with `N`, TLS with `S` where the proxy speaks TLS to its clients. What a Postgres connection is for
is known from the first message that is no such request.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from redis_perf.errors import ProtocolError
from redis_perf.proxy.sayings import NOT_TLS, TLS_ALONE, UNENCRYPTED
from redis_perf.trace import Store
from redis_perf.wire.postgres_frames import Startup
from redis_perf.wire.postgres_kinds import CANCEL_REQUEST, SSL_REQUEST, STARTUP

Kind: TypeAlias = Literal["session", "replication", "cancel", "unknown"]

_YES: Final = b"S"
_NO: Final = b"N"
_HANDSHAKE: Final = b"\x16"
"""A TLS record that holds a piece of a handshake begins so; no message of Redis or Postgres does."""
_BINDING: Final = b"channel_binding"
_HEADER_BYTES = 8
_OFF: Final = frozenset({b"false", b"off", b"no", b"0"})


class Step(NamedTuple):
    """What to do with what the client sent."""

    forward: bytes = b""
    answers: bytes = b""
    kind: Kind | None = None
    """What the connection is for, once that is known."""
    handshake: bytes = b""
    """The client begins TLS with this, and what it says next it says inside."""
    refused: str | None = None
    """Why this connection cannot go on."""


class Greeting(Protocol):
    """`feed` is called with what the client sends until a step tells the kind; from then on all passes untouched.

    `rest` is what it holds back, when the client ends before that.
    """

    def feed(self, data: bytes) -> Step: ...
    def rest(self) -> bytes: ...


def greeting(store: Store, *, speaks_tls: bool, tls_behind: bool) -> Greeting | None:
    """None: nothing to look at. `tls_behind`: the proxy speaks TLS to the server."""
    if store == "postgres":
        return PostgresGreeting(speaks_tls=speaks_tls)
    return RedisGreeting(speaks_tls=speaks_tls) if speaks_tls or tls_behind else None


class RedisGreeting:
    """TLS or not: what comes is what was agreed on beforehand, or it is refused."""

    def __init__(self, *, speaks_tls: bool) -> None:
        self._speaks_tls = self._expects_tls = speaks_tls

    def feed(self, data: bytes) -> Step:
        if data.startswith(_HANDSHAKE) != self._expects_tls:
            return Step(refused=TLS_ALONE if self._speaks_tls else NOT_TLS)
        if self._expects_tls:
            self._expects_tls = False
            return Step(handshake=data)
        return Step(data, kind="session")

    def rest(self) -> bytes:
        return b""


class PostgresGreeting:
    """What cannot be a beginning makes the connection one of unknown kind: passed on as it is."""

    def __init__(self, *, speaks_tls: bool = False) -> None:
        self._startup = Startup(connection=0)
        self._seen = b""
        self._offers_tls = speaks_tls
        self._agreed = False

    def feed(self, data: bytes) -> Step:
        if self._agreed or (self._offers_tls and not self._seen and data.startswith(_HANDSHAKE)):
            self._agreed = self._offers_tls = False
            return Step(handshake=data)
        before = len(self._seen)
        self._seen += data
        answers, passed = b"", 0
        try:
            for kind, size_bytes, end in self._startup.feed(data):
                if kind in (STARTUP, CANCEL_REQUEST):
                    start = before + end - size_bytes
                    message, more = self._seen[start : before + end], self._seen[before + end :]
                    return Step(_without_binding(message) + more, answers, _kind(kind, message))
                passed = before + end
                self._agreed = kind == SSL_REQUEST and self._offers_tls
                answers += _YES if self._agreed else _NO
                if self._agreed and passed < len(self._seen):  # somebody between could have put it into its mouth
                    return Step(refused=UNENCRYPTED)
        except ProtocolError:
            return Step(self._seen[passed:], answers, "unknown")
        self._seen = self._seen[passed:]
        return Step(answers=answers)

    def rest(self) -> bytes:
        return self._seen


def _kind(kind: str, message: bytes) -> Kind:
    if kind == CANCEL_REQUEST:
        return "cancel"
    options = _parameters(message)
    return "session" if options.get(b"replication", b"off").lower() in _OFF else "replication"


def _without_binding(message: bytes) -> bytes:
    """`channel_binding` in a proxy's URL is for libpq; a driver that does not know it has the server set it."""
    if _BINDING not in message:
        return message
    parameters = {name: value for name, value in _parameters(message).items() if name and name != _BINDING}
    body = message[4:_HEADER_BYTES] + b"".join(b"%b\0%b\0" % each for each in parameters.items()) + b"\0"
    return (4 + len(body)).to_bytes(4, "big") + body


def _parameters(message: bytes) -> dict[bytes, bytes]:
    words = message[_HEADER_BYTES:].split(b"\0")
    return dict(zip(words[::2], words[1::2], strict=False))
