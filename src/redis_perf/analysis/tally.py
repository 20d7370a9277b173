"""The numbers of a trace, all at once: what many reports ask of each of many traces.

The same numbers as those of `redis_perf.trace.StoreTrace`, which are made one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
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


NONE: Final = Tally()
NUMBERS: Final = tuple(number.name for number in fields(Tally))
_OF_TALLY: Final = attrgetter(*NUMBERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """Both stores, and the depth across them."""

    redis: Tally = NONE
    postgres: Tally = NONE
    depth: int = 0

    @property
    def round_trips(self) -> int:
        return self.redis.round_trips + self.postgres.round_trips

    @property
    def operations(self) -> int:
        return self.redis.operations + self.postgres.operations


NOTHING: Final = Tallies(redis=NONE, postgres=NONE)


def tallies(trace: Trace) -> Tallies:
    """Every number in one pass."""
    if not trace.round_trips and not trace.opened:
        return NOTHING
    trips = trace.round_trips
    redis = [trip for trip in trips if trip.store == "redis"]
    postgres = [trip for trip in trips if trip.store == "postgres"] if len(redis) < len(trips) else []
    counts = [_Count(trace, store, every) for store, every in zip(STORES, (redis, postgres), strict=True)]
    of_redis, of_postgres = (count.tally() for count in counts)
    intervals = [count.intervals for count in counts]
    depth = depth_of(intervals[0] + intervals[1]) if all(intervals) else of_redis.depth + of_postgres.depth
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
    """One store's share of a trace."""

    def __init__(self, trace: Trace, store: Store, every: list[RoundTrip]) -> None:
        purposes = trace.purposes
        self.every = every
        self.charged = [trip for trip in every if trip.purpose in purposes]
        self.complete = [trip for trip in self.charged if trip.answer == "complete"]
        self.connections = sum([opened.store == store for opened in trace.opened])
        self.intervals = [(trip.started_ns, trip.ended_ns) for trip in self.complete]
        if [trip for trip in self.complete if trip.waits]:
            self.intervals = [interval for trip in self.complete for interval in trip.intervals]

    def tally(self) -> Tally:
        if not self.every and not self.connections:
            return NONE
        complete = len(self.complete) == len(self.every)
        return Tally(
            round_trips=len(self.complete),
            operations=_operations(self.charged),
            commits=sum([trip.commits for trip in self.charged]),
            connections=self.connections,
            depth=depth_of(self.intervals),
            setup=sum([trip.purpose == "setup" and trip.answer == "complete" for trip in self.every]),
            lost=0 if complete else sum([trip.answer == "lost" for trip in self.every]),
            sent_bytes=_seen([trip.sent_bytes for trip in self.charged]),
            received_bytes=_seen([trip.received_bytes for trip in self.charged]),
        )


def _operations(trips: list[RoundTrip]) -> int:
    names = [operation.name for trip in trips for operation in trip.operations]
    return len(names) - sum(map(names.count, NETWORK_STEPS))


def _seen(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else sum(sizes)  # type: ignore[arg-type]


def _sum(tallies: Iterable[Tally]) -> Tally:
    columns = zip(*map(_OF_TALLY, tallies), strict=True)
    sums: dict[str, int | None] = dict(zip(NUMBERS, map(_seen, columns), strict=False))
    return Tally(**sums)  # type: ignore[arg-type]
