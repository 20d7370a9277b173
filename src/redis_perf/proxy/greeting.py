"""How a Postgres connection begins, as far as the proxy must take part in it. No I/O.

Requests for TLS or GSS encryption are answered `N` here and never reach the server, or what follows could not be
read. What the connection is for is known from the first message that is no such request.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from redis_perf.errors import ProtocolError
from redis_perf.wire.postgres_dialogue import CANCEL_REQUEST, STARTUP
from redis_perf.wire.postgres_frames import Startup

Kind: TypeAlias = Literal["session", "replication", "cancel", "unknown"]

_NO: Final = b"N"
_HEADER_BYTES = 8
_OFF: Final = frozenset({b"false", b"off", b"no", b"0"})


class Step(NamedTuple):
    """What to do with what the client sent."""

    forward: bytes = b""
    answers: bytes = b""
    kind: Kind | None = None
    """What the connection is for, once that is known."""


class Greeting:
    """`feed` is called with what the client sends until a step tells the kind; from then on all passes untouched."""

    def __init__(self) -> None:
        self._startup = Startup(connection=0)
        self._seen = b""

    def feed(self, data: bytes) -> Step:
        """What cannot be a beginning makes the connection one of unknown kind: passed on as it is."""
        before = len(self._seen)
        self._seen += data
        answers, passed = b"", 0
        try:
            for kind, size_bytes, end in self._startup.feed(data):
                if kind in (STARTUP, CANCEL_REQUEST):
                    start = before + end - size_bytes
                    message = self._seen[start : before + end]
                    return Step(self._seen[start:], answers, _kind(kind, message))
                answers += _NO
                passed = before + end
        except ProtocolError:
            return Step(self._seen[passed:], answers, "unknown")
        self._seen = self._seen[passed:]
        return Step(answers=answers)


def _kind(kind: str, message: bytes) -> Kind:
    if kind == CANCEL_REQUEST:
        return "cancel"
    words = message[_HEADER_BYTES:].split(b"\0")
    options = dict(zip(words[::2], words[1::2], strict=False))
    return "session" if options.get(b"replication", b"off").lower() in _OFF else "replication"
