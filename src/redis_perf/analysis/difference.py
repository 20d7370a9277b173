"""What one trace has more or less of than another, in what both charge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from redis_perf.analysis.asked import Asked, asked
from redis_perf.trace import Store, StoreTrace, Trace

STORES: Final[tuple[Store, ...]] = ("redis", "postgres")
VERDICTS: Final = ("round_trips", "operations", "commits", "depth")
"""What is the same from run to run of the same code, so that a rise of it is the code's doing. Bytes are not."""
Kind: TypeAlias = Literal["added", "removed", "more", "fewer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One shape that is not asked as often as before; a side that never asked it has zeros."""

    base: Asked
    head: Asked

    @property
    def round_trips(self) -> int:
        return self.head.round_trips - self.base.round_trips

    @property
    def operations(self) -> int:
        return self.head.operations - self.base.operations

    @property
    def kind(self) -> Kind:
        """By round trips, and by operations where these are as many."""
        if not self.base.round_trips and not self.base.operations:
            return "added"
        if not self.head.round_trips and not self.head.operations:
            return "removed"
        return "more" if (self.round_trips, self.operations) > (0, 0) else "fewer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """A number that is higher than before; `who` is a store, or empty for the depth across both."""

    who: str
    measure: str
    base: int
    head: int


def changes(base: Trace, head: Trace) -> list[Change]:
    """The shapes that changed, the greatest rise in round trips first, the greatest fall last."""
    before = {(each.store, each.shape): each for each in asked(base.charged)}
    after = {(each.store, each.shape): each for each in asked(head.charged)}
    pairs = (
        Change(
            base=before.get((store, shape), Asked(store=store, shape=shape)),
            head=after.get((store, shape), Asked(store=store, shape=shape)),
        )
        for store, shape in before | after
    )
    changed = [change for change in pairs if change.base != change.head]
    return sorted(changed, key=lambda change: (-change.round_trips, -change.operations))


def rises(base: Trace, head: Trace) -> list[Rise]:
    """The charged numbers among `VERDICTS` that rose, per store and across both."""
    return [rise for rise in _pairs(base, head) if rise.head > rise.base]


def _pairs(base: Trace, head: Trace) -> Iterator[Rise]:
    for store in STORES:
        shares: tuple[StoreTrace, StoreTrace] = base.store(store), head.store(store)
        for measure in VERDICTS:
            before, after = (getattr(share, measure) for share in shares)
            yield Rise(who=store, measure=measure, base=before, head=after)
    yield Rise(who="", measure="depth", base=base.depth, head=head.depth)
