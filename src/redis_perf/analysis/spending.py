"""Which of the user's lines spent the round trips: grouped by line and by what was asked, in order of appearance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from redis_perf.trace import RoundTrip, Site, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Round trips of one line that asked the same; `shapes` are the operations of each of them."""

    store: Store
    site: Site | None
    shapes: tuple[str, ...]
    trips: tuple[RoundTrip, ...]


def spending(trips: Iterable[RoundTrip]) -> list[Group]:
    """The round trips in groups of (site, shapes)."""
    groups: dict[tuple[Store, Site | None, tuple[str, ...]], list[RoundTrip]] = {}
    for trip in trips:
        shapes = tuple(operation.shape for operation in trip.operations)
        groups.setdefault((trip.store, trip.site, shapes), []).append(trip)
    return [
        Group(store=store, site=site, shapes=shapes, trips=tuple(members))
        for (store, site, shapes), members in groups.items()
    ]
