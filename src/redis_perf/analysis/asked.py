"""What was asked how often: a trace by shape of command or statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from redis_perf.trace import NETWORK_STEPS, RoundTrip, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One shape. `round_trips` are those that carried it, so one with several shapes is counted with each of them.

    `shape` is empty for round trips that executed nothing (a statement was prepared, say).
    """

    store: Store
    shape: str
    round_trips: int = 0
    operations: int = 0


def asked(trips: Iterable[RoundTrip]) -> list[Asked]:
    """Every shape, the one in most round trips first; equals in order of appearance."""
    round_trips: dict[tuple[Store, str], int] = {}
    operations: dict[tuple[Store, str], int] = {}
    for trip in trips:
        shapes = [(operation.shape, operation.name not in NETWORK_STEPS) for operation in trip.operations]
        for shape, executed in shapes or [("", False)]:
            operations[trip.store, shape] = operations.get((trip.store, shape), 0) + executed
        for shape in {shape for shape, _ in shapes} or {""}:
            counted = trip.answer == "complete"
            round_trips[trip.store, shape] = round_trips.get((trip.store, shape), 0) + counted
    found = [
        Asked(store=store, shape=shape, round_trips=round_trips[store, shape], operations=times)
        for (store, shape), times in operations.items()
    ]
    return sorted(found, key=lambda each: (-each.round_trips, -each.operations))
