"""Messages of the server as bytes, and the client's bodies read field by field."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from redis_perf.servers.fake_postgres.replies import Column, CopyIn, CopyOut, Refusal
from redis_perf.servers.fake_postgres.types import encoded

TRUSTED = b"R\0\0\0\x08\0\0\0\0"
PARSED = b"1\0\0\0\x04"
BOUND = b"2\0\0\0\x04"
CLOSED = b"3\0\0\0\x04"
NO_DATA = b"n\0\0\0\x04"
SUSPENDED = b"s\0\0\0\x04"
EMPTY = b"I\0\0\0\x04"
COPY_DONE = b"c\0\0\0\x04"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def ready(status: str) -> bytes:
    return message(b"Z", status.encode())


def complete(tag: str) -> bytes:
    return message(b"C", _text(tag))


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", _text(name) + _text(value))


def backend_key(process: int, secret: int) -> bytes:
    return message(b"K", struct.pack("!II", process, secret))


def negotiated(unknown: Sequence[str]) -> bytes:
    """Protocol 3.0 is what is spoken here, without these options."""
    return message(b"v", struct.pack("!II", 0x30000, len(unknown)) + b"".join(map(_text, unknown)))


def error(refusal: Refusal) -> bytes:
    severity = "FATAL" if refusal.fatal else "ERROR"
    fields = (("S", severity), ("V", severity), ("C", refusal.sqlstate), ("M", refusal.message))
    return message(b"E", b"".join(code.encode() + _text(text) for code, text in fields) + b"\0")


def notification(process: int, channel: str, payload: str) -> bytes:
    return message(b"A", struct.pack("!I", process) + _text(channel) + _text(payload))


def parameter_description(oids: Sequence[int]) -> bytes:
    return message(b"t", struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def row_description(columns: Sequence[Column], formats: Sequence[int] = ()) -> bytes:
    described = [
        _text(column.name) + struct.pack("!IhIhih", 0, 0, column.type.oid, column.type.size_bytes, -1, binary)
        for column, binary in zip(columns, spread(formats, len(columns)), strict=True)
    ]
    return message(b"T", struct.pack("!H", len(columns)) + b"".join(described))


def data_row(row: Sequence[object], columns: Sequence[Column], formats: Sequence[int] = ()) -> bytes:
    out = [struct.pack("!H", len(row))]
    for value, column, binary in zip(row, columns, spread(formats, len(columns)), strict=True):
        data = encoded(value, column.type, binary=bool(binary))
        out.append(b"\xff\xff\xff\xff" if data is None else struct.pack("!I", len(data)) + data)
    return message(b"D", b"".join(out))


def copy_response(copy: CopyIn | CopyOut) -> bytes:
    kind = b"G" if isinstance(copy, CopyIn) else b"H"
    formats = [int(copy.binary)] * copy.columns
    return message(kind, struct.pack(f"!bH{copy.columns}H", copy.binary, copy.columns, *formats))


def copy_data(pieces: Iterable[bytes]) -> bytes:
    return b"".join(message(b"d", piece) for piece in pieces)


def spread(formats: Sequence[int], columns: int) -> Sequence[int]:
    """The format of each column: none given means text, one given means that one for all."""
    return [formats[0] if formats else 0] * columns if len(formats) < 2 else formats


def _text(text: str) -> bytes:
    return text.replace("\0", "").encode("utf-8", "replace") + b"\0"


class Malformed(Exception):
    """A message whose body is not what its letter promises."""


class Body:
    """Reads one message's body from its beginning. Every method raises Malformed when it ends too early."""

    def __init__(self, kind: str, data: bytes) -> None:
        self._kind = kind
        self._data = data
        self._at = 0

    def text(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise Malformed(f"a string without an end in a message {self._kind!r}")
        text = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end + 1
        return text

    def take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise Malformed(f"no room for {size} more bytes in a message {self._kind!r} of {len(self._data)}")
        self._at += size
        return self._data[self._at - size : self._at]

    def int16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def int16s(self) -> tuple[int, ...]:
        return tuple(self.int16() for _ in range(self.int16()))

    def oids(self) -> tuple[int, ...]:
        return tuple(int.from_bytes(self.take(4), "big") for _ in range(self.int16()))

    def value(self) -> bytes | None:
        size = self.int32()
        return None if size == -1 else self.take(size)

    def end(self) -> None:
        if self._at != len(self._data):
            raise Malformed(f"{len(self._data) - self._at} bytes too many in a message {self._kind!r}")
