"""Readers of wire protocols that do no I/O: bytes that were seen go in, round trips come out.

A tap logs `Event`s while the user's code runs and nothing is parsed then; a `Meter` reads the log afterwards.
The same meters serve the in-process taps and the proxy.
"""

from __future__ import annotations

from types import CodeType
from typing import Final, NamedTuple, Protocol, TypeAlias

SENT: Final = 0
"""The client sent these bytes."""
RECEIVED: Final = 1
"""The client took these bytes from its socket: they arrived and it looked at them."""
ARRIVED: Final = 2
"""These bytes arrived in the client's process; it has not looked at them yet."""
LOOKED: Final = 3
"""The client asked for what has arrived, or waits for what will (no bytes)."""
CLOSED: Final = 4
"""The connection ended (no bytes)."""
SETTLED: Final = 5
"""Everything owed has been answered and looked at, but the bytes passed unseen.

The data is up to three words, any of which may be missing: how many bytes came unseen (decimal; missing: not known),
the Postgres transaction status afterwards (`I` idle, `T` in a transaction, `E` in a failed one) and `failed`.
Thus `b""`, `b"48210"`, `b"48210 T"`, `b"I failed"`.
"""
REPLIED: Final = 6
"""One whole Redis reply arrived whose size was not seen (fakeredis); the client has not looked at it yet.

The data is a stand-in that says what kind of reply it was, in RESP: an error is an error, a push a push, null null.
"""


class Caller(NamedTuple):
    """Who sent: the user's code object and line where one was found, and the thread or asyncio task."""

    code: CodeType | None
    line: int
    lane: str | None


Event: TypeAlias = tuple[int, int, bytes, Caller | None]
"""`(at_ns, direction, data, caller)`; the caller is noted on the first send after anything else, else None."""


class Meter(Protocol):
    """Reads one connection's log in order."""

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again."""
