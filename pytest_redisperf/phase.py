"""What one phase of one test spent, as plain data: it travels on the TestReport from xdist's workers.

`repeats` are suspects of an N+1: the same question from the same line, three times or more in a row, each asked
after the one before was answered. Several such rows of one line are one suspect.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from redis_perf import RoundTrip, StoreTrace, Trace
from redis_perf.analysis.spending import spending
from redis_perf.report.lines import label, place

Store = Literal["redis", "postgres"]
STORES: tuple[Store, Store] = ("redis", "postgres")
IN_A_ROW = 3


class Repeat(TypedDict):
    asked: str
    place: str
    count: int


class Spent(TypedDict):
    round_trips: int
    operations: int
    setup: int
    connections: int
    lost: int


class Phase(TypedDict):
    redis: Spent
    postgres: Spent
    depth: int
    children: int
    problems: list[str]
    repeats: list[Repeat]


def phase_of(trace: Trace, root: str) -> Phase:
    return Phase(
        redis=_spent(trace, "redis"),
        postgres=_spent(trace, "postgres"),
        depth=trace.depth,
        children=trace.children,
        problems=list(trace.problems),
        repeats=[repeat for store in STORES for repeat in _repeats(trace.store(store), root)],
    )


def round_trips(phase: Phase) -> int:
    return phase["redis"]["round_trips"] + phase["postgres"]["round_trips"]


def operations(phase: Phase) -> int:
    return phase["redis"]["operations"] + phase["postgres"]["operations"]


def _spent(trace: Trace, store: Store) -> Spent:
    charged = trace.store(store)
    return Spent(
        round_trips=charged.round_trips,
        operations=charged.operations,
        setup=trace.setup.store(store).round_trips,
        connections=charged.connections,
        lost=trace.every.store(store).lost,
    )


def _repeats(spent: StoreTrace, root: str) -> list[Repeat]:
    rows: list[list[RoundTrip]] = []
    for trip in spent.counted:
        if rows and _again(rows[-1][-1], trip):
            rows[-1].append(trip)
        else:
            rows.append([trip])
    groups = spending(trip for row in rows if len(row) >= IN_A_ROW for trip in row)
    return [
        Repeat(asked=label(group), place=place(group.site, root), count=len(group.trips))
        for group in groups
        if group.site and group.shapes
    ]


def _again(before: RoundTrip, trip: RoundTrip) -> bool:
    return trip.started_ns >= before.ended_ns and len(spending((before, trip))) == 1
