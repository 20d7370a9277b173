"""What a Redis server sends, RESP2 and RESP3, cut into replies a chunk at a time.

What is kept is bounded: the beginnings of the first two elements of a reply, by which pub/sub messages are told
apart, and which elements are errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from redis_perf.wire.resp_plain import plain_reply
from redis_perf.wire.resp_stream import RespStream
from redis_perf.wire.resp_values import END, ERRORS, KEPT_BYTES, LINES, MAX_HEADER_BYTES, NULL, STRINGS, Reply

MAX_DEPTH: Final = 128
MAX_NOTED_ERRORS: Final = 4096

_BULK = b"$"[0]
_AGGREGATES = frozenset(b"*~>%|")
_COUNTED_TWICE = frozenset(b"%|")
_ATTRIBUTE = b"|"[0]
_STREAMED = b"?"[0]


class Replies(RespStream):
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
            raise self.wrong(f"{data[start : start + 1]!r} where a reply should begin", start)
        end = data.find(b"\n", start, start + MAX_HEADER_BYTES)
        if end < 0:
            if len(data) - start >= MAX_HEADER_BYTES:
                raise self.wrong("a length that does not end", start)
            return start, False
        if data[start + 1] == _STREAMED:
            raise self.wrong("a streamed RESP3 value, which no server is known to send and this does not read", start)
        length = self.number(data, start + 1, end - 1, "length")
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
            raise self.wrong(f"values nested deeper than {MAX_DEPTH}", start)
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
