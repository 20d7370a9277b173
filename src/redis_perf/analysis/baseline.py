"""What a test spent, as few numbers as tell it apart from what it spends tomorrow: counts and shapes for each store.

Bytes and times change from run to run of the same code, line numbers with each edit; none of them is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from redis_perf.suite import Suite, Tested
from redis_perf.trace import NETWORK_STEPS, Store, StoreTrace, Trace

STORES: Final[tuple[Store, ...]] = ("redis", "postgres")
Measure: TypeAlias = Literal["round_trips", "operations"]
MEASURES: Final[tuple[Measure, ...]] = ("round_trips", "operations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One store's share. `shapes`: how often each command or statement was executed."""

    round_trips: int = 0
    operations: int = 0
    shapes: Mapping[str, int] = field(default_factory=dict, hash=False)


Entry: TypeAlias = Mapping[Store, Spent]
"""The stores a test used; one it did not use is left out."""
NOTHING: Final = Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A number that is not what it was."""

    store: Store
    measure: Measure
    base: int
    head: int

    @property
    def risen(self) -> bool:
        return self.head > self.base


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A test that spends other counts than it did."""

    nodeid: str
    base: Entry
    head: Entry
    differences: tuple[Difference, ...]

    @property
    def rise(self) -> int:
        """Round trips, over both stores."""
        return sum(each.head - each.base for each in self.differences if each.measure == "round_trips")


def changes(suite: Suite, baseline: Mapping[str, Entry]) -> list[Change]:
    """The tests of a baseline that spend other counts now, the greatest rise first; what did not pass tells nothing."""
    found = []
    for tested in suite:
        base = before(tested, baseline)
        if base is None:
            continue
        head = entry_of(tested.call)
        if different := differences(base, head):
            found.append(Change(nodeid=tested.nodeid, base=base, head=head, differences=tuple(different)))
    return sorted(found, key=lambda each: (-each.rise, each.nodeid))


def before(tested: Tested, baseline: Mapping[str, Entry]) -> Entry | None:
    """What to compare it with: nothing unless it ran to its end, as one that a verdict of ours failed did."""
    ended = tested.outcome == "passed" or tested.verdict is not None
    return baseline.get(tested.nodeid) if ended else None


def missing(suite: Suite, baseline: Mapping[str, Entry]) -> list[str]:
    """The tests of a baseline that are not in this run."""
    return sorted(baseline.keys() - {tested.nodeid for tested in suite})


def entry_of(trace: Trace) -> Entry:
    """What a budget would charge of this trace."""
    shares = ((store, trace.store(store)) for store in STORES)
    return {store: _spent(share) for store, share in shares if share.everything}


def _spent(share: StoreTrace) -> Spent:
    shapes = Counter(
        operation.shape for trip in share for operation in trip.operations if operation.name not in NETWORK_STEPS
    )
    return Spent(round_trips=share.round_trips, operations=share.operations, shapes=dict(sorted(shapes.items())))


def differences(base: Entry, head: Entry) -> list[Difference]:
    """The counts that differ, the stores in their order."""
    found = []
    for store in STORES:
        old, new = base.get(store, NOTHING), head.get(store, NOTHING)
        for measure in MEASURES:
            was, now = getattr(old, measure), getattr(new, measure)
            if was != now:
                found.append(Difference(store=store, measure=measure, base=was, head=now))
    return found


def shape_changes(base: Entry, head: Entry) -> Iterator[tuple[Store, str, int, int]]:
    """`(store, shape, before, after)` for each shape asked more or less often than before, the greatest rise first."""
    for store in STORES:
        old, new = base.get(store, NOTHING).shapes, head.get(store, NOTHING).shapes
        changed = [(shape, old.get(shape, 0), new.get(shape, 0)) for shape in {**old, **new}]
        for shape, was, now in sorted(changed, key=lambda change: (change[1] - change[2], change[0])):
            if was != now:
                yield store, shape, was, now
