"""The text of libpq's message trace (PQtrace without timestamps, libpq 14 to 18), cut into messages.

A line is side, length, name and the message's fields, with tabs between the first four. Strings are printed raw: SQL,
notices, notifications and column names may hold line ends and text that looks like further lines. So where the
length on the wire tells where the text ends, that decides, not the end of the line. Rows and COPY data are passed
over without a look inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from redis_perf.errors import ProtocolError
from redis_perf.wire.postgres_frames import MAX_MESSAGE_BYTES
from redis_perf.wire.postgres_kinds import MAX_SQL_BYTES

MAX_TEXT_BYTES: Final = 1 << 20
"""A longer message is not waited for: its beginning is kept and the rest passed over."""
MAX_HEADER_BYTES: Final = 80
_KEPT_BYTES: Final = 1024
_MAX_PARAMETERS: Final = 65_535
_MAX_ERROR_FIELDS: Final = 26

_HEADER: Final = re.compile(rb"([FB])\t(\d{1,10})\t(Unknown message: [ -~]{1,40}|[A-Za-z]{0,40})(?:\t|(?=\n))")
_ROW: Final = re.compile(rb"[FB]\t(\d{1,10})\t(DataRow|CopyData)\t[^\n]*\n")
_NUMBER: Final = re.compile(rb" -?(\d{1,10})")
_AFTER_NAME: Final = re.compile(rb" \d+ -?\d+ \d+ -?\d+ -?\d+ -?\d+")


class Line(NamedTuple):
    """One message of the trace."""

    from_client: bool
    length: int
    name: str
    """Empty for COPY data before libpq 17."""
    text: bytes
    """Its fields as printed, or the beginning of them."""
    offset: int
    """Where in the trace it begins."""


class _Searched(NamedTuple):
    """How far the end of a message's text was looked for in vain, and how many quotes there were until there."""

    bytes: int = 0
    quotes: int = 0


class _More(Exception):
    """The text does not reach far enough yet: look again when it reaches to `end`, or if a line was `searched` for,
    when one has ended."""

    def __init__(self, end: int, searched: _Searched | None = None) -> None:
        self.end = end
        self.searched = searched


_FindEnd: TypeAlias = Callable[[bytearray, int, int, _Searched], int]


class Lines:
    """`feed` yields each message that is whole; the text may be cut anywhere."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._offset = 0  # of the text in hand, its remembered beginning included
        self._rest = bytearray()
        self._needed = 0  # how much of it there must be before it is looked at again
        self._searched: _Searched | None = None
        self._skip = 0
        self._in_line = False
        self._recognised = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Raises ProtocolError."""
        self._rest += data
        if len(self._rest) < self._needed and not (self._searched and b"\n" in data):
            return
        self._needed = 0
        yield from self._lines(self._rest)

    def _lines(self, data: bytearray) -> Iterator[Line]:
        position = 0
        while position < len(data):
            if self._skip or self._in_line:
                position = self._pass(data, position)
                continue
            header = _HEADER.match(data, position)
            if header is None:
                if (
                    b"\n" not in data[position : position + MAX_HEADER_BYTES]
                    and len(data) - position < MAX_HEADER_BYTES
                ):
                    break
                self._chatter(data, position)
                continue
            self._recognised = True
            side, digits, name = header.groups()
            length, began = self._length(digits, name, position), self._offset + position
            try:
                if name in _ROWS:
                    text = b""
                    length, position = self._rows(data, position, header.end(), length)
                else:
                    text, position = self._text(data, name, header.end(), length)
            except _More as more:
                self._needed, self._searched = more.end - position, more.searched
                break
            self._searched = None
            yield Line(side == b"F", length, name.decode("ascii"), text, began)
        del data[:position]
        self._offset += position

    def _rows(self, data: bytearray, position: int, text_start: int, length: int) -> tuple[int, int]:
        """All that follow one another count as one: its length, and where reading goes on."""
        row = _ROW.match(data, position)
        self._in_line = row is None
        if row is None:
            return length, text_start
        side = data[position]
        length = -1
        while row is not None and data[position] == side:
            length += self._length(row[1], row[2], position) + 1
            position = row.end()
            row = _ROW.match(data, position)
        return length, position

    def _pass(self, data: bytearray, position: int) -> int:
        """Over what is not looked at."""
        step = min(self._skip, len(data) - position)
        self._skip -= step
        position += step
        if not self._skip and self._in_line:
            end = data.find(b"\n", position)
            self._in_line = end < 0
            position = len(data) if end < 0 else end + 1
        return position

    def _chatter(self, data: bytearray, position: int) -> None:
        """A remark of libpq's own ("mismatched message length"); but a trace does not begin with one."""
        if not self._recognised:
            line = bytes(data[position : position + MAX_HEADER_BYTES]).partition(b"\n")[0]
            raise self._wrong(f"{line!r}, which is no line of a message trace as libpq 14 to 18 write it", position)
        self._in_line = True

    def _length(self, digits: bytes, name: bytes, position: int) -> int:
        length = int(digits)
        if not 1 <= length <= MAX_MESSAGE_BYTES:
            raise self._wrong(f"a message {name.decode()!r} of length {length}", position)
        return length

    def _text(self, data: bytearray, name: bytes, start: int, length: int) -> tuple[bytes, int]:
        """The message's text, and where reading goes on."""
        if length > MAX_TEXT_BYTES:
            return self._beginning(data, start, MAX_SQL_BYTES, length - _AT_LEAST.get(name, length))
        find_end = _ENDS.get(name)
        if find_end is not None:
            end = find_end(data, start, length, self._searched or _Searched())
            if data[end : end + 1] == b"\n":
                return bytes(data[start:end]), end + 1
        end = data.find(b"\n", start)
        if end < 0:
            return self._beginning(data, start, _KEPT_BYTES, 0)
        return bytes(data[start : min(end, start + _KEPT_BYTES)]), end + 1

    def _beginning(self, data: bytearray, start: int, size: int, at_least: int) -> tuple[bytes, int]:
        """Of a long text: so much of it, then it is passed over, at first so many bytes whatever they look like."""
        if len(data) < start + size:
            raise _More(0)
        self._skip, self._in_line = max(0, at_least - size), True
        return bytes(data[start : start + size]), start + size

    def _wrong(self, problem: str, position: int) -> ProtocolError:
        offset = self._offset + position
        return ProtocolError(problem, connection=self._connection, sender="message trace", offset=offset)


# --- where a text ends, for those that print strings raw; all of these raise _More when it lies beyond the data


def _exactly(more_than_length: int) -> _FindEnd:
    def find_end(data: bytearray, start: int, length: int, searched: _Searched) -> int:
        return _reached(data, start + length + more_than_length)

    return find_end


def _reached(data: bytearray, end: int) -> int:
    if end >= len(data):
        raise _More(end + 1)
    return end


def _end_of_notification(data: bytearray, start: int, length: int, searched: _Searched) -> int:
    number = _NUMBER.match(data, start)
    if number is None:
        return start
    _reached(data, number.end())
    return _reached(data, number.end() + length - 4)


def _end_of_parse(data: bytearray, start: int, length: int, searched: _Searched) -> int:
    """After the strings come the number of parameter types and, four bytes each on the wire, the types."""
    line, last = start + searched.bytes, start + 3 * length
    while 0 <= (end := data.find(b"\n", line)) <= last:
        strings_end = data.rfind(b'"', line, end) + 1
        types = data[strings_end or end : end].split(b" ")[1:]
        if strings_end == start + length + 2 - 4 * len(types) and types and types[0] == b"%d" % (len(types) - 1):
            return end
        line = end + 1
    if end < 0 and len(data) <= last:
        raise _More(last + 1, _Searched(line - start))
    return start


def _end_of_error(data: bytearray, start: int, length: int, searched: _Searched) -> int:
    """Each field is printed three bytes longer than it is on the wire, and the end as an escaped zero."""
    for fields in range(1, _MAX_ERROR_FIELDS):
        end = _reached(data, start + length + 3 * fields)
        if data.startswith(b" \\x00\n", end - 5):
            return end
    return start


def _end_of_columns(data: bytearray, start: int, length: int, searched: _Searched) -> int:
    """A column's name may hold line ends; after the last name come six numbers."""
    columns = _NUMBER.match(data, start)
    if columns is None:
        return start
    _reached(data, columns.end())
    line, last, quotes = start + searched.bytes, start + 4 * length, searched.quotes
    while 0 <= (end := data.find(b"\n", line)) <= last:
        quotes += data.count(b'"', line, end)
        name_end = data.rfind(b'"', line, end) + 1
        ends = name_end and _AFTER_NAME.fullmatch(data, name_end, end) and quotes >= 2 * int(columns[1])
        if ends or columns[1] == b"0":
            return end
        line = end + 1
    if end < 0 and len(data) <= last:
        raise _More(last + 1, _Searched(line - start, quotes))
    return start


_ROWS: Final = frozenset({b"DataRow", b"CopyData"})
_ENDS: Final[Mapping[bytes, _FindEnd]] = {
    b"Query": _exactly(-2),
    b"Parse": _end_of_parse,
    b"Describe": _exactly(-1),
    b"Close": _exactly(-1),
    b"ParameterStatus": _exactly(0),
    b"NotificationResponse": _end_of_notification,
    b"ErrorResponse": _end_of_error,
    b"NoticeResponse": _end_of_error,
    b"RowDescription": _end_of_columns,
}
_AT_LEAST: Final = {b"Query": 2, b"Parse": 2 + 4 * _MAX_PARAMETERS}
"""By how much the text is at most shorter than the length."""
