"""What was seen on the wire, as values: a `Trace` of `RoundTrip`s, and the numbers a budget is held against.

Everything here is frozen, compares by value and knows nothing of clients, sockets or clocks.
Times are integer nanoseconds of one monotonic clock. `None` means *not seen*, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

from redis_perf.round_trip import STORES, Answer, Operation, Path, Purpose, RoundTrip, Site, Store

__all__ = [
    "CHARGED",
    "EVERY_PURPOSE",
    "NETWORK_STEPS",
    "NOT_IMPORTED",
    "STORES",
    "Answer",
    "Opened",
    "Operation",
    "Path",
    "Problem",
    "Purpose",
    "RoundTrip",
    "Site",
    "Store",
    "StoreTrace",
    "Tapped",
    "Trace",
    "longest_chain",
]

CHARGED: Final[frozenset[Purpose]] = frozenset({"work", "transaction"})
EVERY_PURPOSE: Final[frozenset[Purpose]] = frozenset({"setup", "transaction", "work"})
NETWORK_STEPS: Final = frozenset({"CONNECT", "TLS"})
"""What opening a connection is called in a trace; neither is a command that a server executes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection opened while recording; a fact apart, for a Unix socket opens without a round trip."""

    store: Store
    connection: int
    at_ns: int
    server: str | None = None
    name: str | None = None


NOT_IMPORTED: Final = "not imported"
"""What keeps a client that is installed from being tapped, until somebody imports it: it can have sent nothing."""


@dataclass(frozen=True, slots=True)
class Tapped:
    """A client library that was, or could not be, tapped: `problem` says why not (`"not installed"`, `NOT_IMPORTED`).

    `seen` is how many round trips of the trace, setup included, were its own.
    """

    name: str
    store: Store
    version: str | None = None
    problem: str | None = None
    seen: int | None = None


class Problem(str):
    """Why a connection could not be read to the end: a sentence that knows whose it is (None: not known)."""

    store: Store | None
    server: str | None
    name: str | None

    def __new__(cls, text: str, store: Store | None, server: str | None = None, name: str | None = None) -> Self:
        problem = super().__new__(cls, text)
        problem.store, problem.server, problem.name = store, server, name
        return problem

    def __getnewargs__(self) -> tuple[str, Store | None, str | None, str | None]:  # type: ignore[override]
        return str(self), self.store, self.server, self.name

    def concerns(self, who: str) -> bool:
        """Whether it keeps the numbers of this store or server, or of all (`""`), from being whole."""
        return not who or self.store is None or who in (self.store, self.server, self.name)


def longest_chain(intervals: Iterable[tuple[int, int]]) -> int:
    """How many of these (start, end) intervals had to happen one after another.

    The longest chain under "ends before the other starts" is a largest set of pairwise disjoint intervals, which
    activity selection finds greedily: sort by end, take what starts at or after the last end. O(n log n).
    """
    length, free_at = 0, None
    for start, end in sorted(intervals, key=lambda interval: (interval[1], interval[0])):
        if free_at is None or start >= free_at:
            length, free_at = length + 1, end
    return length


def _sum_seen(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


@dataclass(frozen=True, slots=True)
class StoreTrace:
    """One store's share of a trace (or one server's: `at`), as the numbers a budget charges."""

    everything: tuple[RoundTrip, ...]
    opened: tuple[Opened, ...]

    def __iter__(self) -> Iterator[RoundTrip]:
        return iter(self.everything)

    @property
    def counted(self) -> tuple[RoundTrip, ...]:
        """The round trips that were waited for and answered."""
        return tuple(trip for trip in self.everything if trip.answer == "complete")

    @property
    def round_trips(self) -> int:
        return len(self.counted)

    @property
    def operations(self) -> int:
        """Redis commands or Postgres statements that were executed, however many shared a round trip."""
        return sum(operation.name not in NETWORK_STEPS for trip in self.everything for operation in trip.operations)

    statements = operations
    commands = operations

    @property
    def commits(self) -> int:
        return sum(trip.commits for trip in self.everything)

    @property
    def connections(self) -> int:
        """Connections opened in this window, whatever the purpose of the traffic looked at."""
        return len(self.opened)

    @property
    def sent_bytes(self) -> int | None:
        return _sum_seen(trip.sent_bytes for trip in self.everything)

    @property
    def received_bytes(self) -> int | None:
        return _sum_seen(trip.received_bytes for trip in self.everything)

    @property
    def bytes(self) -> int | None:
        return _sum_seen((self.sent_bytes, self.received_bytes))

    @property
    def depth(self) -> int:
        """The longest chain of round trips that could not overlap; times the network's latency it is the floor."""
        return longest_chain(interval for trip in self.counted for interval in trip.intervals)

    @property
    def shapes(self) -> list[str]:
        return [operation.shape for trip in self.everything for operation in trip.operations]

    @property
    def lost(self) -> int:
        """Requests whose reply never came."""
        return sum(trip.answer == "lost" for trip in self.everything)

    def at(self, server: str) -> StoreTrace:
        """Only the traffic with one server, by its address (`"127.0.0.1:6379"`) or by the name given to it."""
        return StoreTrace(
            tuple(trip for trip in self.everything if server in (trip.server, trip.name)),
            tuple(opened for opened in self.opened if server in (opened.server, opened.name)),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """Round trips in the order they started.

    The plain numbers (`trace.redis.round_trips`) are what a budget charges: work and transaction control.
    `setup`, `transaction`, `work` and `every` are the same trace looked at for other purposes.
    `children` counts the processes started meanwhile: in-process taps do not see what those did.
    `taps` are the clients that were listened to; `problems` say which connections, of those used, could not be read
    to the end; each is a `Problem` where it is known whose it was.
    `notes` are what to know when reading the numbers; they break no budget.
    """

    round_trips: tuple[RoundTrip, ...] = ()
    opened: tuple[Opened, ...] = ()
    children: int = 0
    taps: tuple[Tapped, ...] = ()
    problems: tuple[str, ...] = ()
    purposes: frozenset[Purpose] = CHARGED
    notes: tuple[str, ...] = ()

    @property
    def redis(self) -> StoreTrace:
        return self.store("redis")

    @property
    def postgres(self) -> StoreTrace:
        return self.store("postgres")

    def store(self, store: Store) -> StoreTrace:
        return StoreTrace(
            tuple(trip for trip in self.charged if trip.store == store),
            tuple(opened for opened in self.opened if opened.store == store),
        )

    def named(self, server: str) -> StoreTrace:
        """Traffic with one server of either store, by address or name."""
        return StoreTrace(self.charged, self.opened).at(server)

    @property
    def charged(self) -> tuple[RoundTrip, ...]:
        """The round trips of the purposes this trace is looked at for."""
        purposes = self.purposes
        return tuple([trip for trip in self.round_trips if trip.purpose in purposes])

    @property
    def depth(self) -> int:
        """The longest chain across both stores."""
        return StoreTrace(self.charged, ()).depth

    @property
    def setup(self) -> Trace:
        return replace(self, purposes=frozenset[Purpose]({"setup"}))

    @property
    def transaction(self) -> Trace:
        return replace(self, purposes=frozenset[Purpose]({"transaction"}))

    @property
    def work(self) -> Trace:
        return replace(self, purposes=frozenset[Purpose]({"work"}))

    @property
    def every(self) -> Trace:
        return replace(self, purposes=EVERY_PURPOSE)
