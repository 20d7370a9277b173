"""The numbers of a trace, all at once: what many reports ask of each of many traces.

The same numbers as those of `redis_perf.trace.StoreTrace`, which are made one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

from redis_perf.trace import NETWORK_STEPS, RoundTrip, Store, Trace, longest_chain

STORES: Final[tuple[Store, ...]] = ("redis", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One store's share of what a trace charges. `setup` are the round trips of setup and `lost` the requests without
    a reply, of every purpose. Bytes are None where some were not seen."""

    round_trips: int = 0
    operations: int = 0
    commits: int = 0
    connections: int = 0
    depth: int = 0
    setup: int = 0
    lost: int = 0
    sent_bytes: int | None = 0
    received_bytes: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """Both stores, and the depth across them."""

    redis: Tally = Tally()
    postgres: Tally = Tally()
    depth: int = 0

    @property
    def round_trips(self) -> int:
        return self.redis.round_trips + self.postgres.round_trips

    @property
    def operations(self) -> int:
        return self.redis.operations + self.postgres.operations


NOTHING: Final = Tallies()


def tallies(trace: Trace) -> Tallies:
    """Every number in one pass."""
    if not trace.round_trips and not trace.opened:
        return NOTHING
    counts: dict[Store, _Count] = {"redis": _Count(), "postgres": _Count()}
    charged = trace.purposes
    for trip in trace.round_trips:
        counts[trip.store].add(trip, charged=trip.purpose in charged)
    for opened in trace.opened:
        counts[opened.store].connections += 1
    redis, postgres = (counts[store] for store in STORES)
    of_redis, of_postgres = redis.tally(), postgres.tally()
    both = redis.intervals and postgres.intervals
    depth = depth_of([*redis.intervals, *postgres.intervals]) if both else of_redis.depth + of_postgres.depth
    return Tallies(redis=of_redis, postgres=of_postgres, depth=depth)


def total(each: Iterable[Tallies]) -> Tallies:
    """Of traces that came one after another, so that depths add up."""
    found = list(each)
    return Tallies(
        redis=_sum(tallies.redis for tallies in found),
        postgres=_sum(tallies.postgres for tallies in found),
        depth=sum(tallies.depth for tallies in found),
    )


def depth_of(intervals: list[tuple[int, int]]) -> int:
    """`longest_chain`, at once where each began after the one before had ended, as nearly always."""
    free_at = None
    for start, end in intervals:
        if (free_at is not None and start < free_at) or end < start:
            return longest_chain(intervals)
        free_at = end
    return len(intervals)


class _Count:
    __slots__ = (
        "commits", "connections", "intervals", "lost", "operations", "received_bytes", "round_trips", "sent_bytes",
        "setup",
    )  # fmt: skip

    def __init__(self) -> None:
        self.round_trips = self.operations = self.commits = self.connections = self.setup = self.lost = 0
        self.sent_bytes: int | None = 0
        self.received_bytes: int | None = 0
        self.intervals: list[tuple[int, int]] = []

    def add(self, trip: RoundTrip, *, charged: bool) -> None:
        complete = trip.answer == "complete"
        if not complete:
            self.lost += trip.answer == "lost"
        elif trip.purpose == "setup":
            self.setup += 1
        if not charged:
            return
        if complete:
            self.round_trips += 1
            if trip.waits:
                self.intervals.extend(trip.waits)
            else:
                self.intervals.append((trip.started_ns, trip.ended_ns))
        for operation in trip.operations:
            if operation.name not in NETWORK_STEPS:
                self.operations += 1
        self.commits += trip.commits
        self.sent_bytes = _plus(self.sent_bytes, trip.sent_bytes)
        self.received_bytes = _plus(self.received_bytes, trip.received_bytes)

    def tally(self) -> Tally:
        return Tally(
            round_trips=self.round_trips,
            operations=self.operations,
            commits=self.commits,
            connections=self.connections,
            depth=depth_of(self.intervals),
            setup=self.setup,
            lost=self.lost,
            sent_bytes=self.sent_bytes,
            received_bytes=self.received_bytes,
        )


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _sum(tallies: Iterable[Tally]) -> Tally:
    sums: dict[str, int | None] = {field.name: 0 for field in fields(Tally)}
    for tally in tallies:
        for name in sums:
            sums[name] = _plus(sums[name], getattr(tally, name))
    return Tally(**sums)  # type: ignore[arg-type]
