"""One direction of a RESP connection: where reading it is, and what to say of bytes that cannot be.

`resp_command_frames` and `resp_reply_frames` cut it into values, a chunk at a time. Nothing is buffered that is not
asked for: bodies are stepped over by their announced length, so an announced 1 GiB string costs nothing.
"""

from __future__ import annotations

from redis_perf.errors import ProtocolError
from redis_perf.wire.resp_values import MAX_HEADER_BYTES


class RespStream:
    """One direction of one connection: where it is, and the header line that is not whole yet."""

    def __init__(self, connection: int, sender: str) -> None:
        self._connection = connection
        self._sender = sender
        self._offset = 0  # of the chunk in hand, its remembered beginning included
        self._skip = 0

    def passed(self, size_bytes: int) -> None:
        """So much was read by others, all of it whole."""
        self._offset += size_bytes

    def wrong(self, problem: str, position: int) -> ProtocolError:
        return ProtocolError(problem, connection=self._connection, sender=self._sender, offset=self._offset + position)

    def number(self, data: bytes, start: int, end: int, what: str) -> int:
        digits = data[start:end]
        if digits.isdigit() or (digits[:1] == b"-" and digits[1:].isdigit()):
            number = int(digits)
            if number >= -1:
                return number
        raise self.wrong(f"{digits[:MAX_HEADER_BYTES]!r} is no {what}", start)
