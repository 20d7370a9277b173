"""The same code run several times: which of its counts vary, and why, as far as the traces tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis_perf.analysis.baseline import MEASURES, STORES, Measure, entry_of, shape_changes
from redis_perf.analysis.waste import Kind, wasted
from redis_perf.trace import Store, Trace

_CAUSES: Final[dict[Kind, str]] = {
    "cold script": "a script was loaded",
    "prepare": "a statement was prepared",
}
OPENED: Final = "connections were opened"
SHAPES_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One count that is not the same in each run. `causes` are what only the dearer runs did."""

    store: Store
    measure: Measure
    counts: tuple[int, ...]
    causes: tuple[str, ...]


def variations(traces: Sequence[Trace]) -> list[Variation]:
    """The counts that vary from run to run, in the order of the stores."""
    found = []
    for store in STORES:
        for measure in MEASURES:
            counts = tuple(getattr(trace.store(store), measure) for trace in traces)
            if len(set(counts)) > 1:
                causes = _causes(store, traces[counts.index(min(counts))], traces[counts.index(max(counts))])
                found.append(Variation(store=store, measure=measure, counts=counts, causes=causes))
    return found


def _causes(store: Store, cheap: Trace, dear: Trace) -> tuple[str, ...]:
    known = [_CAUSES[kind] for kind in _CAUSES if kind in _kinds(store, dear) - _kinds(store, cheap)]
    if dear.store(store).connections > cheap.store(store).connections:
        known.append(OPENED)
    if known:
        return tuple(known)
    more = [
        shape for of, shape, was, now in shape_changes(entry_of(cheap), entry_of(dear)) if of == store and now > was
    ]
    return tuple(f"{shape} was asked more often" for shape in more[:SHAPES_NAMED])


def _kinds(store: Store, trace: Trace) -> set[Kind]:
    return {waste.kind for waste in wasted(trace.store(store).everything)}
