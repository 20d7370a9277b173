"""RESP2 and RESP3 framing, both ways, a chunk at a time.

Nothing is buffered that is not asked for: bodies are stepped over by their announced length, so an announced
1 GiB string costs nothing. What is kept is bounded: the first arguments of a command, cut to a length, and the first
two elements of a reply, by which pub/sub messages are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from redis_perf.errors import ProtocolError
from redis_perf.wire.resp_plain import PLAIN_BYTES, plain_commands, plain_reply
from redis_perf.wire.resp_values import (
    END,
    ERRORS,
    KEPT_ARGUMENTS,
    KEPT_BYTES,
    LINES,
    MAX_HEADER_BYTES,
    NULL,
    STRINGS,
    Command,
    Reply,
)  # fmt: skip

MAX_INLINE_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 128
MAX_NOTED_ERRORS: Final = 4096

_BULK, _ARRAY = b"$"[0], b"*"[0]
_AGGREGATES = frozenset(b"*~>%|")
_COUNTED_TWICE = frozenset(b"%|")
_ATTRIBUTE = b"|"[0]
_STREAMED = b"?"[0]
_COMMAND_STARTS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t\r\n\"'")


class _Stream:
    """One direction of one connection: where it is, and the header line that is not whole yet."""

    def __init__(self, connection: int, sender: str) -> None:
        self._connection = connection
        self._sender = sender
        self._offset = 0  # of the chunk in hand, its remembered beginning included
        self._skip = 0

    def passed(self, size_bytes: int) -> None:
        """So much was read by others, all of it whole."""
        self._offset += size_bytes

    def _wrong(self, problem: str, position: int) -> ProtocolError:
        return ProtocolError(problem, connection=self._connection, sender=self._sender, offset=self._offset + position)

    def _number(self, data: bytes, start: int, end: int, what: str) -> int:
        digits = data[start:end]
        if digits.isdigit() or (digits[:1] == b"-" and digits[1:].isdigit()):
            number = int(digits)
            if number >= -1:
                return number
        raise self._wrong(f"{digits[:MAX_HEADER_BYTES]!r} is no {what}", start)


class Commands(_Stream):
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
                raise self._wrong(f"{data[start : start + 1]!r} where an argument should begin ('$')", start)
            length = self._number(data, start + 1, end - 1, "length of an argument")
            if length < 0:
                raise self._wrong("an argument of length -1", start)
            self._missing -= 1
            self._skip = length + 2
            self._wanted = min(length, KEPT_BYTES) if len(self._argv) < KEPT_ARGUMENTS else 0
            if len(self._argv) < KEPT_ARGUMENTS:
                self._argv.append(b"")
        elif first == _ARRAY:
            self._missing = max(self._number(data, start + 1, end - 1, "number of arguments"), 0)
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
            raise self._wrong(f"{data[start : start + 1]!r} where a command should begin (is this TLS?)", start)
        end = data.find(b"\n", start, start + longest)
        if end < 0 and len(data) - start >= longest:
            what = f"an inline command longer than {longest} bytes" if inline else "a length that does not end"
            raise self._wrong(what, start)
        return end

    def _longest(self, first: int) -> int:
        """How many bytes a line that begins so may have."""
        return MAX_HEADER_BYTES if self._missing or first == _ARRAY else MAX_INLINE_BYTES


class Replies(_Stream):
    """What a server sends: `feed` yields each whole value that is not part of another."""

    def __init__(self, connection: int) -> None:
        super().__init__(connection, "server")
        self.unfinished_bytes = 0
        """How many bytes of a value not yet whole the last `feed` has stepped over."""
        self._rest = b""
        self._open: list[list[int]] = []  # aggregates in hand: [elements missing, elements in all, type byte]
        self._in_line = False
        self._wanted = 0
        self._begin()

    def _begin(self) -> None:
        self._kind = 0
        self._null = False
        self._kept = [b"", b""]
        self._keep_at = 0
        self._errors: list[int] = []

    @property
    def unfinished(self) -> bool:
        """A value has begun that is not whole."""
        return bool(self._rest or self._skip or self._open or self._in_line)

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Raises ProtocolError."""
        data, position, began = self._rest + data if self._rest else data, 0, 0
        while position < len(data):
            if position == began and not (self._skip or self._open or self._in_line):
                reply = plain_reply(data, position)
                if reply is not None:
                    yield reply
                    position = began = position + reply.size_bytes
                    continue
            if self._skip:
                position, whole = self._body(data, position)
            elif self._in_line:
                position, whole = self._line(data, position)
            elif self._open and (after := self._over_strings(data, position)) > position:
                position, whole = after, False
            else:
                after, whole = self._value(data, position)
                if after == position:
                    break
                position = after
            if whole and self._completes():
                yield self._reply(position - began)
                began = position
        self._rest = data[position:]
        self._offset += position
        self.unfinished_bytes = position - began

    def _reply(self, size_bytes: int) -> Reply:
        first, second = (kept.rstrip(b"\r") for kept in self._kept)
        reply = Reply(self._kind, self._null, first, second, tuple(self._errors), size_bytes)
        self._begin()
        return reply

    def _over_strings(self, data: bytes, start: int) -> int:
        """Where the row of whole strings ends that begins here: elements of which nothing is kept, and not the last.

        Long lists are made of them.
        """
        missing, elements, _ = self._open[-1]
        if len(self._open) == 1 and elements - missing < len(self._kept):
            return start
        position, end_of_data = start, len(data)
        while missing > 1 and position < end_of_data and data[position] == _BULK:
            end = data.find(END, position, position + MAX_HEADER_BYTES)
            digits = data[position + 1 : end]
            if end < 0 or not digits.isdigit():
                break
            after = end + len(END) + int(digits) + len(END)
            if after > end_of_data:
                break
            position, missing = after, missing - 1
        self._open[-1][0] = missing
        return position

    def _value(self, data: bytes, start: int) -> tuple[int, bool]:
        """Where reading goes on (the same place: the header is not whole yet), and whether a value ended there."""
        kind = data[start]
        if kind in LINES:
            self._note(kind, KEPT_BYTES)
            self._in_line = True
            self._null = self._null or (kind == NULL and not self._open)
            return start + 1, False
        if kind not in STRINGS and kind not in _AGGREGATES:
            raise self._wrong(f"{data[start : start + 1]!r} where a reply should begin", start)
        end = data.find(b"\n", start, start + MAX_HEADER_BYTES)
        if end < 0:
            if len(data) - start >= MAX_HEADER_BYTES:
                raise self._wrong("a length that does not end", start)
            return start, False
        if data[start + 1] == _STREAMED:
            raise self._wrong("a streamed RESP3 value, which no server is known to send and this does not read", start)
        length = self._number(data, start + 1, end - 1, "length")
        self._note(kind, length)
        return end + 1, self._opened(kind, length, start)

    def _opened(self, kind: int, length: int, start: int) -> bool:
        """A string or an aggregate begins; whether it is over at once."""
        if length < 0:
            self._null = self._null or not self._open
            return True
        if kind in STRINGS:
            self._skip = length + 2
            return False
        if not length:
            return kind != _ATTRIBUTE
        if len(self._open) == MAX_DEPTH:
            raise self._wrong(f"values nested deeper than {MAX_DEPTH}", start)
        elements = length * 2 if kind in _COUNTED_TWICE else length
        self._open.append([elements, elements, kind])
        return False

    def _note(self, kind: int, length: int) -> None:
        """Remember what tells replies apart of the value that begins."""
        self._wanted = 0
        if not self._open:
            if kind != _ATTRIBUTE:
                self._kind = kind
                self._keep_at, self._wanted = 0, 0 if kind in _AGGREGATES else min(max(length, 0), KEPT_BYTES)
        elif len(self._open) == 1 and self._open[0][2] != _ATTRIBUTE:
            missing, elements, _ = self._open[0]
            if kind in ERRORS and len(self._errors) < MAX_NOTED_ERRORS:
                self._errors.append(elements - missing)
            if elements - missing < 2 and kind not in _AGGREGATES:
                self._keep_at, self._wanted = elements - missing, min(max(length, 0), KEPT_BYTES)

    def _keep(self, data: bytes, start: int, end: int) -> None:
        kept = data[start : min(end, start + self._wanted)]
        self._kept[self._keep_at] += kept
        self._wanted -= len(kept)

    def _body(self, data: bytes, start: int) -> tuple[int, bool]:
        end = min(start + self._skip, len(data))
        if self._wanted:
            self._keep(data, start, end)
        self._skip -= end - start
        return end, not self._skip

    def _line(self, data: bytes, start: int) -> tuple[int, bool]:
        end = data.find(b"\n", start)
        self._in_line = end < 0
        if self._wanted:
            self._keep(data, start, len(data) if end < 0 else end)
        return (len(data), False) if end < 0 else (end + 1, True)

    def _completes(self) -> bool:
        """A value ended: whether that ends the outermost one. An attribute is no value; the next one is."""
        while self._open:
            self._open[-1][0] -= 1
            if self._open[-1][0] or self._open.pop()[2] == _ATTRIBUTE:
                return False
        return True
