"""Counting the rows of COPY data without keeping any."""

from __future__ import annotations

from typing import Final

from redis_perf.servers.fake_postgres.unscripted import BINARY_HEADER

_END_OF_DATA: Final = b"\\."
_NULL: Final = 0xFFFF_FFFF


class CopiedRows:
    """Told of the data piece by piece."""

    def __init__(self, *, binary: bool) -> None:
        self.count = 0
        self._binary = binary
        self._rest = b""  # text: the line begun; binary: bytes that are no whole number yet
        self._skip = len(BINARY_HEADER) if binary else 0
        self._fields = 0  # of the row in hand, still to come

    def feed(self, data: bytes) -> None:
        if self._binary:
            self._tuples(data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.count += sum(line.rstrip(b"\r") != _END_OF_DATA for line in lines)

    def end(self) -> int:
        """The last line may lack its end."""
        if not self._binary and self._rest not in (b"", _END_OF_DATA):
            self.count += 1
        return self.count

    def _tuples(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while True:
            step = min(self._skip, len(data) - at)
            at, self._skip = at + step, self._skip - step
            size = 4 if self._fields else 2
            if self._skip or len(data) - at < size:
                break
            number = int.from_bytes(data[at : at + size], "big")
            at += size
            if self._fields:
                self._fields -= 1
                self._skip = 0 if number == _NULL else number
            elif number != 0xFFFF:
                self._fields = number
                self.count += 1
        self._rest = data[at:]
