"""Readers of wire protocols that do no I/O: bytes that were seen go in, round trips come out.

A tap logs `Event`s while the user's code runs and nothing is parsed then; a `Meter` reads the log afterwards.
The same meters serve the in-process taps and the proxy.
"""

from __future__ import annotations

from types import CodeType
from typing import Final, NamedTuple, Protocol, TypeAlias

from redis_perf.trace import Path

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


class Calls:
    """The calls that led to the user's line, as they were running; they become text later, and once.

    `frames` are the frames above it, whosever they are, as far as they were looked at, each by its code and the
    instruction it was at; `users` those of them that are the user's.
    """

    __slots__ = ("frames", "instruction", "path", "through", "users")

    def __init__(
        self,
        instruction: int,
        frames: tuple[tuple[CodeType, int], ...],
        users: tuple[tuple[CodeType, int], ...],
        through: str | None,
    ) -> None:
        self.instruction = instruction
        self.frames = frames
        self.users = users
        self.through = through
        self.path: Path | None = None

    def are(self, others: Calls) -> bool:
        """The same ones. Equal code may be of another file, so it has to be the same."""
        if self.instruction != others.instruction or len(self.frames) != len(others.frames):
            return False
        steps = zip(self.frames, others.frames, strict=True)
        return self.through == others.through and all(code is other and at == was for (code, at), (other, was) in steps)


class Caller(NamedTuple):
    """Who sent: the user's code object and line where one was found, the thread or asyncio task, and the calls."""

    code: CodeType | None
    line: int
    lane: str | None
    calls: Calls | None = None


Event: TypeAlias = tuple[int, int, bytes, Caller | None]
"""`(at_ns, direction, data, caller)`; the caller is noted on the first send after anything else, else None."""


class Meter(Protocol):
    """Reads one connection's log in order."""

    def feed(self, at_ns: int, direction: int, data: bytes, caller: Caller | None = None) -> None:
        """Read one event. Raises ProtocolError, after which this meter must not be fed again."""
