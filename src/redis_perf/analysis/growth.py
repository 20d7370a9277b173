"""How a cost grows with the size of the data: measured at several sizes, then named.

The kinds are asymptotic names for a handful of exact counts, so they are decided by exact comparisons where the
counts allow it: never more is `constant`; a rise for each item that does not itself rise is `linear` or, where it
falls as the sizes grow, `logarithmic`; anything steeper is `worse than linear`. A fit by least squares would call
chunked work (`ceil(n / 100)` round trips) whatever its noise suggests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from redis_perf.trace import Site, Store, StoreTrace, Trace

Kind: TypeAlias = Literal["constant", "falling", "logarithmic", "linear", "worse than linear"]
MEASURES: Final = ("round_trips", "operations", "bytes", "depth")
STEEPER: Final = 1.25
"""A rise for each item that grows by less than this from the first step to the last is still a line: replies and
keys get longer with more digits, the last chunk is not full."""
FLATTER: Final = 0.5
"""A rise for each item that falls below this share of the first one, at the last step, flattens out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One number at each size: `counts[i]` at `sizes[i]`; None was not seen."""

    sizes: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def kind(self) -> Kind:
        """The name of this growth. Two sizes tell a rise from none, not its form: that is called linear."""
        if len(set(self.counts)) == 1:
            return "constant"
        if max(self.counts) == self.counts[0]:
            return "falling"
        rises = self.rises
        first = next(rise for rise in rises if rise > 0)
        if rises[-1] > first * STEEPER:
            return "worse than linear"
        return "logarithmic" if rises[-1] < first * FLATTER else "linear"

    @property
    def rises(self) -> list[float]:
        """How much each step costs for each item more."""
        steps = zip(pairwise(self.sizes), pairwise(self.counts), strict=True)
        return [(after - before) / (larger - smaller) for (smaller, larger), (before, after) in steps]

    @property
    def per_item(self) -> float:
        """The steepest of the rises: the most that one item more costs."""
        return max(self.rises)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeGrowth:
    """What one line (None: not seen) asked, each shape named once, and how often at each size."""

    store: Store
    site: Site | None
    shapes: tuple[str, ...]
    growth: Growth


@dataclass(frozen=True, slots=True)
class Measured:
    """The traces of one piece of code at several sizes, smallest first."""

    traces: Mapping[int, Trace]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(self.traces)

    def growth(self, store: Store | None, measure: str) -> Growth | None:
        """Of one store's number, or of both stores together; None if it was not seen at each size."""
        counts = [getattr(_share(trace, store), measure) for trace in self.traces.values()]
        return None if None in counts else Growth(sizes=self.sizes, counts=tuple(counts))

    def shapes(self, store: Store | None, measure: str) -> list[ShapeGrowth]:
        """The steepest first, equals in order of appearance. Shares of operations, if that is measured, else of
        round trips."""
        found: dict[tuple[Store, Site | None, tuple[str, ...]], dict[int, int]] = {}
        for size, trace in self.traces.items():
            for trip in _share(trace, store).counted:
                asked = trip.store, trip.site, tuple(dict.fromkeys(each.shape for each in trip.operations))
                counts = found.setdefault(asked, dict.fromkeys(self.sizes, 0))
                counts[size] += len(trip.operations) if measure == "operations" else 1
        rows = [
            ShapeGrowth(
                store=of, site=site, shapes=shapes, growth=Growth(sizes=self.sizes, counts=tuple(counts.values()))
            )
            for (of, site, shapes), counts in found.items()
        ]
        return sorted(rows, key=lambda row: -row.growth.per_item)


def _share(trace: Trace, store: Store | None) -> StoreTrace:
    return StoreTrace(trace.charged, trace.opened) if store is None else trace.store(store)
