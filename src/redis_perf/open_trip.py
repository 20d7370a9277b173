"""A round trip while it is being put together: what was asked, what is owed, who waits since when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from redis_perf.trace import Operation, Purpose
from redis_perf.wire import Caller

_operation = lru_cache(maxsize=1024)(Operation)  # mostly the same again; making it anew costs more


@dataclass(slots=True, eq=False)
class Asked:
    """An operation on its way; the meter marks it failed when the reply says so."""

    name: str
    shape: str
    purpose: Purpose
    arguments: int | None = None
    key: int | None = None
    failed: bool = False


@dataclass(slots=True, eq=False)
class Wait:
    """Requests sent together, until the last of their replies."""

    began_ns: int
    ended_ns: int | None = None


class OpenTrip:
    """A round trip while it is being put together."""

    __slots__ = (
        "asked", "caller", "commits", "ended_ns", "owed", "purpose", "received_bytes", "sent_bytes", "settled",
        "started_ns", "waited", "waits",
    )  # fmt: skip

    def __init__(self, started_ns: int, caller: Caller | None) -> None:
        self.started_ns = self.ended_ns = started_ns
        self.caller = caller
        self.asked: list[Asked] = []
        self.purpose: Purpose | None = None
        self.owed = self.settled = self.commits = 0
        self.sent_bytes: int | None = 0
        self.received_bytes: int | None = 0
        self.waited = False
        self.waits = [Wait(started_ns)]

    def serves(self, purpose: Purpose) -> None:
        """Work if any of it is; setup only if all of it is."""
        if self.purpose is None or purpose == "work" or self.purpose == "setup":
            self.purpose = purpose

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple([_operation(asked.name, asked.shape, asked.failed) for asked in self.asked])

    @property
    def answered_waits(self) -> tuple[tuple[int, int], ...]:
        """Where it is more than one wait: those that were answered."""
        if len(self.waits) == 1:
            return ()
        return tuple((wait.began_ns, wait.ended_ns) for wait in self.waits if wait.ended_ns is not None)

    @property
    def arguments(self) -> int | None:
        return _together([asked.arguments for asked in self.asked])

    @property
    def key(self) -> int | None:
        return _together([asked.key for asked in self.asked])


def _together(hashes: list[int | None]) -> int | None:
    """One for all operations of a round trip; None if any is missing, or there is none."""
    if len(hashes) == 1:
        return hashes[0]
    return None if not hashes or None in hashes else hash(tuple(hashes))
