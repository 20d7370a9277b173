"""Round trips that differ in nothing but times, sizes and what was asked with, told apart without comparing them.

Most traces are few kinds of round trips, many times. What is asked of each kind need be asked once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from redis_perf.trace import RoundTrip


def alike(trips: Sequence[RoundTrip]) -> list[Sequence[RoundTrip]]:
    """Groups in order of appearance. Two may be of one kind, where nothing but its values tells."""
    if len({trip.alike for trip in trips}) == 1 and trips[0].alike is not None:
        return [trips]
    groups: defaultdict[Hashable, list[RoundTrip]] = defaultdict(list)
    for trip in trips:
        groups[trip.alike or _objects(trip)].append(trip)
    return list(groups.values())


def kinds(trips: Sequence[RoundTrip]) -> tuple[list[Hashable], dict[Hashable, RoundTrip]]:
    """Of each the mark of its group, and one of each group by its mark; good as long as the round trips live."""
    marks = [trip.alike or _objects(trip) for trip in trips]
    return marks, dict(zip(marks, trips, strict=True))


def _objects(trip: RoundTrip) -> Hashable:
    """What is the same is mostly the same object, which spares its hash."""
    return (
        id(trip.operations), id(trip.site), id(trip.path), trip.connection, trip.lane, trip.store, trip.purpose,
        trip.answer, trip.waited, trip.server, trip.name, trip.client, trip.commits, trip.waits,
    )  # fmt: skip
