"""What the proxy asks a fault, and what a fault may answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from redis_perf.proxy.faults.when import FIRST, When
from redis_perf.trace import Store

Then: TypeAlias = Literal["go on", "hang", "drip", "reset", "end"]
"""What becomes of the connection. `hang`: the rest of the reply is kept until the fault is removed; `drip`: the reply
goes out in pieces."""


class Request(NamedTuple):
    """What a client has sent and waits to be answered."""

    store: Store
    answers: int
    """How many replies it owes (Postgres: how many ReadyForQuery)."""
    in_transaction: bool
    """Postgres: it is sent inside a transaction block."""
    flushes: bool
    """Postgres: it ends with Flush, so no ReadyForQuery is owed before the Sync that follows an error."""


class Instead(NamedTuple):
    """What happens in place of a request; the server never gets that."""

    answer: bytes = b""
    """To the client."""
    to_server: bytes = b""
    """To the server, whose answer goes to the client."""
    then: Then = "go on"
    crash: Callable[[], None] | None = None
    """To be called first: the server dies and is there again."""


class Outcome(NamedTuple):
    """What becomes of a reply that is there whole."""

    reply: bytes
    passed: bytes
    """So much of it goes to the client."""
    then: Then = "go on"
    chunk_bytes: int = 0
    pause_ns: int = 0
    """For `drip`: how large the pieces are, and how far apart."""
    crash: Callable[[], None] | None = None
    """To be called first: the server dies and is there again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Does nothing; each kind of fault replaces what it needs."""

    on: When = FIRST

    def check(self, store: Store) -> None:
        """Raises ValueError if this cannot befall such a store."""

    def refuses(self) -> bool:
        """Whether it befalls connections rather than round trips."""
        return False

    def instead(self, request: Request) -> Instead | None:
        """What happens in place of the request; None: the server gets it."""
        return None

    def outcome(self, reply: bytes) -> Outcome:
        """What becomes of the reply."""
        return Outcome(reply, reply)


def cut(reply: bytes, at_byte: int | None) -> bytes:
    """The beginning of a reply, up to this offset or to its middle."""
    return reply[: len(reply) // 2 if at_byte is None else at_byte]


def checked_offset(at_byte: int | None) -> None:
    if at_byte is not None and (type(at_byte) is not int or at_byte < 0):
        raise ValueError(f"at_byte={at_byte!r}: expected how many bytes of the reply arrive, an int of 0 or more")
