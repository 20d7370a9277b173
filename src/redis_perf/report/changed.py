"""What changed from one trace to another as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from redis_perf.analysis.difference import Change, Rise, changes, rises
from redis_perf.report.overview import NOT_SEEN, cut, problem_lines, shape_text
from redis_perf.report.text import spent_line
from redis_perf.report.units import count
from redis_perf.trace import STORES, StoreTrace, Trace

_MEASURES: Final = {
    "round_trips": "round trips", "operations": "operations", "commits": "commits", "depth": "depth",
    "connections": "connections opened", "sent_bytes": "bytes sent", "received_bytes": "bytes received",
    "lost": "lost requests",
}  # fmt: skip


def change_lines(base: Trace, head: Trace, names: tuple[str, str], *, top: int | None = None) -> Iterator[str]:
    """The numbers that changed per store, then the shapes, the greatest rise in round trips first."""
    rows = [*_numbers(base, head), *_setup(base, head), *_across(base, head)]
    found = changes(base, head)
    for name, trace in zip(names, (base, head), strict=True):
        yield f"{name}: {spent_line(trace)}"
    if not rows and not found:
        yield "nothing changed"
    if rows:
        yield f"{'':30}{'base':>12}{'head':>12}{'change':>12}"
        yield from rows
    if found:
        yield "by what was asked:"
        yield f"{'round trips':>20}{'operations':>22}"
    for change in found[:top]:
        yield cut(_changed(change))
    if top is not None and len(found) > top:
        yield f"  ... and {count(len(found) - top, 'more shape')}; --top 0 shows all"
    for name, trace in zip(names, (base, head), strict=True):
        yield from problem_lines(trace, name)


def rise_text(base: Trace, head: Trace) -> str:
    """`redis round trips 1 -> 3, depth 2 -> 4`; empty if nothing that is held against the code rose."""
    return ", ".join(map(_risen, rises(base, head)))


def _risen(rise: Rise) -> str:
    return f"{rise.who or 'overall'} {_MEASURES[rise.measure]} {rise.base} -> {rise.head}"


def _numbers(base: Trace, head: Trace) -> Iterator[str]:
    for store in STORES:
        yield from _rows(store, base.store(store), head.store(store), *_MEASURES)


def _setup(base: Trace, head: Trace) -> Iterator[str]:
    for store in STORES:
        yield from _rows(f"{store} setup", base.setup.store(store), head.setup.store(store), "round_trips")


def _across(base: Trace, head: Trace) -> Iterator[str]:
    if base.depth != head.depth:
        yield _row("depth across both", base.depth, head.depth)


def _rows(who: str, base: StoreTrace, head: StoreTrace, *measures: str) -> Iterator[str]:
    for measure in measures:
        before, after = getattr(base, measure), getattr(head, measure)
        if before != after:
            yield _row(f"{who} {_MEASURES[measure]}", before, after)


def _row(name: str, base: int | None, head: int | None) -> str:
    change = "" if base is None or head is None else f"{head - base:+}"
    before, after = (NOT_SEEN if number is None else str(number) for number in (base, head))
    return f"{name:<30}{before:>12}{after:>12}{change:>12}".rstrip()


def _changed(change: Change) -> str:
    round_trips = _numbers_of(change.round_trips, change.base.round_trips, change.head.round_trips)
    operations = _numbers_of(change.operations, change.base.operations, change.head.operations)
    asked = shape_text(change.base.store, change.base.shape)
    return f"{round_trips:>20}{operations:>22}  {change.kind:<8}{change.base.store:<9} {asked}"


def _numbers_of(change: int, base: int, head: int) -> str:
    return f"{base} -> {head} ({change:+})" if change else f"{base} as before"
