"""RESP2 and RESP3 framing, both ways, a chunk at a time.

Nothing is buffered that is not asked for: bodies are stepped over by their announced length, so an announced
1 GiB string costs nothing. What is kept is bounded: the first arguments of a command, cut to a length, and the first
two elements of a reply, by which pub/sub messages are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from redis_perf.errors import ProtocolError

KEPT_ARGUMENTS: Final = 64
KEPT_BYTES: Final = 256
MAX_INLINE_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 128
MAX_NOTED_ERRORS: Final = 4096
_MAX_HEADER_BYTES: Final = 32

_BULK, _ARRAY = b"$"[0], b"*"[0]
_STRINGS = frozenset(b"$=!")
_AGGREGATES = frozenset(b"*~>%|")
_LINES = frozenset(b"+-:_#,(")
_COUNTED_TWICE = frozenset(b"%|")
_ATTRIBUTE = b"|"[0]
_ERRORS = frozenset(b"-!")
_NULL, _STREAMED = b"_"[0], b"?"[0]
_END: Final = b"\r\n"
_NO_STRING: Final = b"$-1\r\n"
_PLAIN_BYTES: Final = 16 * 1024
_PLAIN_COUNTS: Final = {b"*%d" % count: count for count in range(1, KEPT_ARGUMENTS + 1)}
_PLAIN_LENGTHS: Final = tuple(b"$%d" % length for length in range(KEPT_BYTES + 1))
_COMMAND_STARTS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t\r\n\"'")


class Command(NamedTuple):
    """One whole command from the client."""

    argv: list[bytes]
    """Its first arguments, long ones cut; the command's own name is the first. Empty: an empty line, no command."""
    arguments: int
    """How many it has in all."""
    size_bytes: int
    """How many bytes of this chunk it took."""


class Reply(NamedTuple):
    """One whole value from the server and how many bytes of this chunk it took."""

    kind: int
    """Its type byte, `ord("+")` say."""
    null: bool
    first: bytes
    """The beginning of a string or line; of an aggregate's first element, if that is one."""
    second: bytes
    errors: tuple[int, ...]
    """Which elements of an aggregate are error replies."""
    size_bytes: int

    @property
    def failed(self) -> bool:
        return self.kind in _ERRORS


class _Stream:
    """One direction of one connection: where it is, and the header line that is not whole yet."""

    def __init__(self, connection: int, sender: str) -> None:
        self._connection = connection
        self._sender = sender
        self._offset = 0  # of the chunk in hand, its remembered beginning included
        self._skip = 0

    def _wrong(self, problem: str, position: int) -> ProtocolError:
        return ProtocolError(problem, connection=self._connection, sender=self._sender, offset=self._offset + position)

    def _number(self, data: bytes, start: int, end: int, what: str) -> int:
        digits = data[start:end]
        if digits.isdigit() or (digits[:1] == b"-" and digits[1:].isdigit()):
            number = int(digits)
            if number >= -1:
                return number
        raise self._wrong(f"{digits[:_MAX_HEADER_BYTES]!r} is no {what}", start)


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
        if len(data) <= _PLAIN_BYTES and not self.unfinished:
            commands = _plain_commands(data)
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
        return _MAX_HEADER_BYTES if self._missing or first == _ARRAY else MAX_INLINE_BYTES


def _plain_commands(data: bytes) -> list[Command] | None:
    """What nearly all clients send nearly always: whole commands, none with an argument to cut or a line break in
    one. So it can be split at those, and every announced length be held against what is there. None: read it by the
    byte."""
    lines = data.split(_END)
    commands = []
    start, last = 0, len(lines) - 1
    if lines[last]:
        return None
    while start < last:
        count = _PLAIN_COUNTS.get(lines[start])
        if count is None or start + 2 * count >= last:
            return None
        after = start + 1 + 2 * count
        argv, size_bytes = lines[start + 2 : after : 2], len(lines[start]) + 2 + 4 * count
        for announced, argument in zip(lines[start + 1 : after : 2], argv, strict=True):
            length = len(argument)
            if length > KEPT_BYTES or announced != _PLAIN_LENGTHS[length]:
                return None
            size_bytes += len(announced) + length
        commands.append(Command(argv, count, size_bytes))
        start = after
    return commands


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

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Raises ProtocolError."""
        data, position, began = self._rest + data if self._rest else data, 0, 0
        while position < len(data):
            if position == began and not (self._skip or self._open or self._in_line):
                reply = _plain_reply(data, position)
                if reply is not None:
                    yield reply
                    position = began = position + reply.size_bytes
                    continue
            if self._skip:
                position, whole = self._body(data, position)
            elif self._in_line:
                position, whole = self._line(data, position)
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

    def _value(self, data: bytes, start: int) -> tuple[int, bool]:
        """Where reading goes on (the same place: the header is not whole yet), and whether a value ended there."""
        kind = data[start]
        if kind in _LINES:
            self._note(kind, KEPT_BYTES)
            self._in_line = True
            self._null = self._null or (kind == _NULL and not self._open)
            return start + 1, False
        if kind not in _STRINGS and kind not in _AGGREGATES:
            raise self._wrong(f"{data[start : start + 1]!r} where a reply should begin", start)
        end = data.find(b"\n", start, start + _MAX_HEADER_BYTES)
        if end < 0:
            if len(data) - start >= _MAX_HEADER_BYTES:
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
        if kind in _STRINGS:
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
            if kind in _ERRORS and len(self._errors) < MAX_NOTED_ERRORS:
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


def _plain_reply(data: bytes, start: int) -> Reply | None:
    """The line or string that begins here, if it is whole; None: whatever it is, read it by the byte."""
    kind = data[start]
    if data.startswith(_NO_STRING, start):
        return Reply(kind, True, b"", b"", (), len(_NO_STRING))
    if kind in _STRINGS:
        end = data.find(b"\n", start, start + _MAX_HEADER_BYTES)
        digits = data[start + 1 : end - 1]
        if end < 0 or not digits.isdigit():
            return None
        body, length = end + 1, int(digits)
        after = body + length + 2
        if after > len(data):
            return None
        first = data[body : body + min(length, KEPT_BYTES)]
    elif kind in _LINES:
        end = data.find(b"\n", start)
        if end < 0:
            return None
        after, first = end + 1, data[start + 1 : min(end, start + 1 + KEPT_BYTES)]
    else:
        return None
    return Reply(kind, kind == _NULL, first.rstrip(b"\r"), b"", (), after - start)
