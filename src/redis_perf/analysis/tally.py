"""The numbers of a trace, all at once: what many reports ask of each of many traces.

The same numbers as those of `redis_perf.trace.StoreTrace`, which are made one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter, le
from typing import Final

from redis_perf.analysis.alike import alike
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
    groups = alike(trips)
    in_turn = one_by_one(trips) and not any(group[0].waits for group in groups)
    redis, postgres = (
        _Count(trace, store, [group for group in groups if group[0].store == store], in_turn=in_turn)
        for store in STORES
    )
    of_redis, of_postgres = redis.tally(), postgres.tally()
    if in_turn or not (redis.round_trips and postgres.round_trips):
        depth = of_redis.depth + of_postgres.depth
    else:
        depth = longest_chain(redis.intervals + postgres.intervals)
    return Tallies(redis=of_redis, postgres=of_postgres, depth=depth)


def total(each: Iterable[Tallies]) -> Tallies:
    """Of traces that came one after another, so that depths add up."""
    found = list(each)
    return Tallies(
        redis=_sum(tallies.redis for tallies in found),
        postgres=_sum(tallies.postgres for tallies in found),
        depth=sum(tallies.depth for tallies in found),
    )


def one_by_one(trips: Sequence[RoundTrip]) -> bool:
    """Each began after the one before had ended, as nearly always: then all of them are one chain."""
    starts, ends = [trip.started_ns for trip in trips], [trip.ended_ns for trip in trips]
    return all(map(le, starts, ends)) and all(map(le, ends, starts[1:]))


class _Count:
    """One store's share of a trace: its groups of round trips that are alike, each asked by its first. `in_turn`: all
    of the trace are one chain."""

    def __init__(self, trace: Trace, store: Store, groups: Sequence[Sequence[RoundTrip]], *, in_turn: bool) -> None:
        self._groups = groups
        self._in_turn = in_turn
        self._charged = [group for group in groups if group[0].purpose in trace.purposes]
        self._complete = [group for group in self._charged if group[0].answer == "complete"]
        self._connections = sum([opened.store == store for opened in trace.opened]) if trace.opened else 0
        self.round_trips = sum(map(len, self._complete))

    @property
    def intervals(self) -> list[tuple[int, int]]:
        return [interval for group in self._complete for trip in group for interval in trip.intervals]

    def tally(self) -> Tally:
        if not self._groups and not self._connections:
            return NONE
        firsts = [(group[0], len(group)) for group in self._groups]
        charged = [(group[0], len(group)) for group in self._charged]
        return Tally(
            round_trips=self.round_trips,
            operations=sum([_operations(trip) * times for trip, times in charged]),
            commits=sum([trip.commits * times for trip, times in charged]),
            connections=self._connections,
            depth=self.round_trips if self._in_turn else longest_chain(self.intervals),
            setup=sum([times for trip, times in firsts if trip.purpose == "setup" and trip.answer == "complete"]),
            lost=sum([times for trip, times in firsts if trip.answer == "lost"]),
            sent_bytes=_seen([trip.sent_bytes for group in self._charged for trip in group]),
            received_bytes=_seen([trip.received_bytes for group in self._charged for trip in group]),
        )


def _operations(trip: RoundTrip) -> int:
    return sum([operation.name not in NETWORK_STEPS for operation in trip.operations])


def _seen(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else sum(sizes)  # type: ignore[arg-type]


def _sum(tallies: Iterable[Tally]) -> Tally:
    columns = zip(*map(_OF_TALLY, tallies), strict=True)
    sums: dict[str, int | None] = dict(zip(NUMBERS, map(_seen, columns), strict=False))
    return Tally(**sums)  # type: ignore[arg-type]
