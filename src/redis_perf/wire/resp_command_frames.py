"""What a Redis client sends, cut into commands a chunk at a time: arrays of strings, and inline commands.

What is kept is bounded: the first arguments of a command, each cut to a length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from redis_perf.wire.resp_plain import PLAIN_BYTES, plain_commands
from redis_perf.wire.resp_stream import RespStream
from redis_perf.wire.resp_values import KEPT_ARGUMENTS, KEPT_BYTES, MAX_HEADER_BYTES, Command

MAX_INLINE_BYTES: Final = 64 * 1024

_BULK, _ARRAY = b"$"[0], b"*"[0]
_COMMAND_STARTS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t\r\n\"'")


class Commands(RespStream):
    """What a client sends: `feed` yields each command that is whole."""

    def __init__(self, connection: int) -> None:
        super().__init__(connection, "client")
        self._rest: list[bytes] = []  # of a line that is not whole yet
        self._rest_bytes = 0
        self._missing = 0  # arguments of the command in hand that are still to come
        self._count = 0
        self._argv: list[bytes] = []
        self._wanted = 0  # bytes of the argument in hand that will be kept

    @property
    def unfinished(self) -> bool:
        """A command has begun that is not whole."""
        return bool(self._rest or self._skip or self._missing)

    def feed(self, data: bytes) -> Iterator[Command]:
        """Raises ProtocolError."""
        if len(data) <= PLAIN_BYTES and not self.unfinished:
            commands = plain_commands(data)
            if commands is not None:
                self._offset += len(data)
                yield from commands
                return
        if self._rest and b"\n" not in data and self._rest_bytes + len(data) < self._longest(self._rest[0][0]):
            self._remember(data)
            return
        position, began = 0, self._rest_bytes
        if self._rest:
            data = b"".join([*self._rest, data])
        end_of_data = len(data)
        while position < end_of_data:
            if self._skip:
                position = self._body(data, position)
            else:
                end = self._line_end(data, position)
                if end < 0:
                    break
                position = self._header(data, position, end)
            if not self._missing and not self._skip:
                yield Command(self._argv, self._count, position - began)
                self._argv, began = [], position
        self._rest, self._rest_bytes = [], 0
        if position < end_of_data:
            self._remember(data[position:])
        self._offset += position

    def _remember(self, rest: bytes) -> None:
        self._rest.append(rest)
        self._rest_bytes += len(rest)

    def _header(self, data: bytes, start: int, end: int) -> int:
        first = data[start]
        if self._missing:
            if first != _BULK:
                raise self.wrong(f"{data[start : start + 1]!r} where an argument should begin ('$')", start)
            length = self.number(data, start + 1, end - 1, "length of an argument")
            if length < 0:
                raise self.wrong("an argument of length -1", start)
            self._missing -= 1
            self._skip = length + 2
            self._wanted = min(length, KEPT_BYTES) if len(self._argv) < KEPT_ARGUMENTS else 0
            if len(self._argv) < KEPT_ARGUMENTS:
                self._argv.append(b"")
        elif first == _ARRAY:
            self._missing = max(self.number(data, start + 1, end - 1, "number of arguments"), 0)
            self._count = self._missing
        else:
            words = data[start:end].split()
            self._argv, self._count = [word[:KEPT_BYTES] for word in words[:KEPT_ARGUMENTS]], len(words)
        return end + 1

    def _body(self, data: bytes, position: int) -> int:
        if self._wanted:
            kept = data[position : position + self._wanted]
            self._argv[-1] = self._argv[-1] + kept if self._argv[-1] else kept
            self._wanted -= len(kept)
        step = min(self._skip, len(data) - position)
        self._skip -= step
        return position + step

    def _line_end(self, data: bytes, start: int) -> int:
        """Where the header line ends; -1 if it is not whole yet."""
        longest = self._longest(data[start])
        inline = longest == MAX_INLINE_BYTES
        if inline and data[start] not in _COMMAND_STARTS:
            raise self.wrong(f"{data[start : start + 1]!r} where a command should begin (is this TLS?)", start)
        end = data.find(b"\n", start, start + longest)
        if end < 0 and len(data) - start >= longest:
            what = f"an inline command longer than {longest} bytes" if inline else "a length that does not end"
            raise self.wrong(what, start)
        return end

    def _longest(self, first: int) -> int:
        """How many bytes a line that begins so may have."""
        return MAX_HEADER_BYTES if self._missing or first == _ARRAY else MAX_INLINE_BYTES
