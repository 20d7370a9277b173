"""Postgres v3 framing, both ways, a chunk at a time: bodies are stepped over by length, of some a beginning is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Final, NamedTuple

from redis_perf.errors import ProtocolError
from redis_perf.wire.postgres_kinds import (
    CANCEL_REQUEST,
    GSS_REQUEST,
    MAX_SQL_BYTES,
    NAMES_BYTES,
    SSL_REQUEST,
    STARTUP,
)

MAX_MESSAGE_BYTES: Final = 0x3FFF_FFFF
MAX_STARTUP_BYTES: Final = 10_000
"""What the server itself accepts."""
_HEADER_BYTES = 5
_MIN_LENGTH = 4
_LENGTH = Struct("!I")
_STARTUP = Struct("!II")
_DATA_ROW = b"D"[0]
_REQUESTS = {80877102: CANCEL_REQUEST, 80877103: SSL_REQUEST, 80877104: GSS_REQUEST}
FROM_CLIENT: Final[Mapping[str, int]] = {
    **dict.fromkeys("QP", MAX_SQL_BYTES), **dict.fromkeys("BEC", NAMES_BYTES), **dict.fromkeys("DFHSXcdfp", 0)
}  # fmt: skip
FROM_SERVER: Final[Mapping[str, int]] = {
    **dict.fromkeys("23ADEGHIKNSTVWcdnstv1", 0), "C": 64, "R": 4, "Z": 1
}  # fmt: skip
"""The type letters there are, and how much of each body is kept."""


class MessagePart(NamedTuple):
    """A message, or what a chunk held of one."""

    kind: str
    size_bytes: int
    """How much of it this chunk held."""
    begins: bool
    body: bytes | None
    """The beginning of its body; None while the message is not whole."""


class Messages:
    """One direction of one connection. Runs of messages of a kind in `runs` come as if they were one."""

    def __init__(self, connection: int, sender: str, kept: Mapping[str, int], runs: bytes) -> None:
        self._connection = connection
        self._sender = sender
        self._kept = kept
        self._runs = runs
        self.offset = 0
        """Where in the stream the chunk in hand begins."""
        self._header = b""
        self._left = 0  # bytes of the body still to come; -1: a length that cannot be
        self._wanted = 0  # how many of them will be kept
        self._body = bytearray()

    @property
    def unfinished(self) -> bool:
        """A message has begun that is not whole."""
        return bool(self._header)

    def feed(self, data: bytes) -> Iterator[MessagePart]:
        """Raises ProtocolError."""
        position = 0
        while position < len(data):
            start, begins = position, not self._header
            if begins and data[position] in self._runs:
                position = self._run(data, position)
                if position > start:
                    yield MessagePart(chr(data[start]), position - start, True, b"")
                    continue
            position = self._more(data, position)
            kind, whole = chr(self._header[0]), len(self._header) == _HEADER_BYTES and not self._left
            yield MessagePart(kind, position - start, begins, bytes(self._body) if whole else None)
            if whole:
                self._header = b""
                self._body.clear()
            elif self._left < 0:
                length = int.from_bytes(self._header[1:], "big")
                raise self._wrong(f"a message {kind!r} of length {length}", position)
        self.offset += len(data)

    def skipped(self, size_bytes: int) -> None:
        """So many bytes that are no message came first."""
        self.offset += size_bytes

    def _run(self, data: bytes, position: int) -> int:
        """Past all whole messages of the same kind."""
        kind = data[position]
        while position + _HEADER_BYTES <= len(data) and data[position] == kind:
            (length,) = _LENGTH.unpack_from(data, position + 1)
            if not _MIN_LENGTH <= length <= MAX_MESSAGE_BYTES or position + 1 + length > len(data):
                break
            position += 1 + length
        return position

    def _more(self, data: bytes, position: int) -> int:
        missing = _HEADER_BYTES - len(self._header)
        if missing:
            taken = data[position : position + missing]
            self._header += taken
            position += len(taken)
            self._check(position)
        if self._left < 0:
            return position
        end = min(position + self._left, len(data))
        self._left -= end - position
        if self._wanted:
            kept = data[position : min(end, position + self._wanted)]
            self._body += kept
            self._wanted -= len(kept)
        return end

    def _check(self, position: int) -> None:
        kind = chr(self._header[0])
        if kind not in self._kept:
            raise self._wrong(f"{self._header[:1]!r} where a message should begin (is this TLS?)", position)
        if len(self._header) < _HEADER_BYTES:
            return
        (length,) = _LENGTH.unpack_from(self._header, 1)
        self._left = length - _MIN_LENGTH if _MIN_LENGTH <= length <= MAX_MESSAGE_BYTES else -1
        self._wanted = min(self._left, self._kept[kind])

    def _wrong(self, problem: str, position: int) -> ProtocolError:
        offset = self.offset + position - len(self._header)
        return ProtocolError(problem, connection=self._connection, sender=self._sender, offset=offset)


class Startup:
    """What a client sends first: messages without a type letter, the last of them the start-up message."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._offset = 0
        self._begun = b""
        self.over = False

    def feed(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Yields kind, size and where in `data` it ended, up to the start-up message. Raises ProtocolError."""
        size_before = len(self._begun)
        data, position = self._begun + data, 0
        while not self.over and len(data) - position >= _STARTUP.size:
            length, code = _STARTUP.unpack_from(data, position)
            if not _STARTUP.size <= length <= MAX_STARTUP_BYTES:
                raise ProtocolError(
                    f"a start-up message of length {length}",
                    connection=self._connection,
                    sender="client",
                    offset=self._offset + position,
                )
            if len(data) - position < length:
                break
            position += length
            kind = _REQUESTS.get(code, STARTUP)
            self.over = kind == STARTUP
            yield kind, length, position - size_before
        self._begun = b"" if self.over else data[position:]
        self._offset += position
