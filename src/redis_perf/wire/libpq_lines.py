"""The text of libpq's message trace (PQtrace without timestamps, libpq 14 to 18), cut into messages.

A line is side, length, name and the message's fields, with tabs between the first four. Strings are printed raw: SQL,
notices, notifications and column names may hold line ends and text that looks like further lines. So where the
length on the wire tells where the text ends, that decides, not the end of the line. Rows and COPY data are passed
over without a look inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from redis_perf.errors import ProtocolError
from redis_perf.wire.postgres_frames import MAX_MESSAGE_BYTES, MAX_SQL_BYTES

MAX_TEXT_BYTES: Final = 1 << 20
"""A longer message is not waited for: its beginning is kept and the rest passed over."""
MAX_HEADER_BYTES: Final = 80
_KEPT_BYTES: Final = 1024
_MAX_PARAMETERS: Final = 65_535
_MAX_ERROR_FIELDS: Final = 26

_HEADER: Final = re.compile(rb"([FB])\t(\d{1,10})\t(Unknown message: [ -~]{1,40}|[A-Za-z]*)(?:\t|(?=\n))")
_ROW: Final = re.compile(rb"[FB]\t(\d{1,10})\t(DataRow|CopyData)\t[^\n]*\n")
_NUMBER: Final = re.compile(rb" -?(\d+)")
_LAST_COLUMN: Final = re.compile(rb'" \d+ -?\d+ \d+ -?\d+ -?\d+ -?\d+$')


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


class _More(Exception):
    """The text does not reach far enough yet."""


class Lines:
    """`feed` yields each message that is whole; the text may be cut anywhere."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._offset = 0  # of the text in hand, its remembered beginning included
        self._rest = b""
        self._skip = 0
        self._in_line = False
        self._recognised = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Raises ProtocolError."""
        data, position = self._rest + data if self._rest else data, 0
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
            except _More:
                break
            yield Line(side == b"F", length, name.decode("ascii"), text, began)
        self._rest = data[position:]
        self._offset += position

    def _rows(self, data: bytes, position: int, text_start: int, length: int) -> tuple[int, int]:
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

    def _pass(self, data: bytes, position: int) -> int:
        """Over what is not looked at."""
        step = min(self._skip, len(data) - position)
        self._skip -= step
        position += step
        if not self._skip and self._in_line:
            end = data.find(b"\n", position)
            self._in_line = end < 0
            position = len(data) if end < 0 else end + 1
        return position

    def _chatter(self, data: bytes, position: int) -> None:
        """A remark of libpq's own ("mismatched message length"); but a trace does not begin with one."""
        if not self._recognised:
            line = data[position : position + MAX_HEADER_BYTES].partition(b"\n")[0]
            raise self._wrong(f"{line!r}, which is no line of a message trace as libpq 14 to 18 write it", position)
        self._in_line = True

    def _length(self, digits: bytes, name: bytes, position: int) -> int:
        length = int(digits)
        if not 1 <= length <= MAX_MESSAGE_BYTES:
            raise self._wrong(f"a message {name.decode()!r} of length {length}", position)
        return length

    def _text(self, data: bytes, name: bytes, start: int, length: int) -> tuple[bytes, int]:
        """The message's text, and where reading goes on."""
        if length > MAX_TEXT_BYTES:
            return self._beginning(data, start, MAX_SQL_BYTES, length - _AT_LEAST.get(name, length))
        find_end = _ENDS.get(name)
        if find_end is not None:
            end = find_end(data, start, length)
            if data[end : end + 1] == b"\n":
                return data[start:end], end + 1
        end = data.find(b"\n", start)
        if end < 0:
            return self._beginning(data, start, _KEPT_BYTES, 0)
        return data[start : min(end, start + _KEPT_BYTES)], end + 1

    def _beginning(self, data: bytes, start: int, size: int, at_least: int) -> tuple[bytes, int]:
        """Of a long text: so much of it, then it is passed over, at first so many bytes whatever they look like."""
        if len(data) < start + size:
            raise _More
        self._skip, self._in_line = max(0, at_least - size), True
        return data[start : start + size], start + size

    def _wrong(self, problem: str, position: int) -> ProtocolError:
        offset = self._offset + position
        return ProtocolError(problem, connection=self._connection, sender="message trace", offset=offset)


# --- where a text ends, for those that print strings raw; all of these raise _More when it lies beyond the data


def _exactly(more_than_length: int) -> Callable[[bytes, int, int], int]:
    def find_end(data: bytes, start: int, length: int) -> int:
        return _reached(data, start + length + more_than_length)

    return find_end


def _reached(data: bytes, end: int) -> int:
    if end >= len(data):
        raise _More
    return end


def _end_of_notification(data: bytes, start: int, length: int) -> int:
    number = _NUMBER.match(data, start)
    if number is None:
        return start
    _reached(data, number.end())
    return _reached(data, number.end() + length - 4)


def _end_of_parse(data: bytes, start: int, length: int) -> int:
    """After the strings come the number of parameter types and, four bytes each on the wire, the types."""
    for parameters in range(min((length - 8) // 4, _MAX_PARAMETERS) + 1):
        strings_end = start + length - 2 - 4 * parameters
        if data.startswith(b'" %d' % parameters, strings_end - 1):
            end = data.find(b"\n", strings_end)
            if end >= 0 and len(data[strings_end:end].split(b" ")) == parameters + 2:
                return end
    _reached(data, start + 3 * length)
    return start


def _end_of_error(data: bytes, start: int, length: int) -> int:
    """Each field is printed three bytes longer than it is on the wire, and the end as an escaped zero."""
    for fields in range(1, _MAX_ERROR_FIELDS):
        end = _reached(data, start + length + 3 * fields)
        if data.startswith(b" \\x00\n", end - 5):
            return end
    return start


def _end_of_columns(data: bytes, start: int, length: int) -> int:
    """A column's name may hold line ends; after the last name come six numbers."""
    end = start - 1
    columns = _NUMBER.match(data, start)
    while columns is not None and end < start + 4 * length:
        end = data.find(b"\n", end + 1)
        if end < 0:
            raise _More
        line = data[start:end]
        if columns[1] == b"0" or (_LAST_COLUMN.search(line) and line.count(b'"') >= 2 * int(columns[1])):
            return end
    return start


_ROWS: Final = frozenset({b"DataRow", b"CopyData"})
_ENDS: Final[Mapping[bytes, Callable[[bytes, int, int], int]]] = {
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
