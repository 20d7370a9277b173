"""How a cost grew, as text: the number at each size, then who asked for it."""

from __future__ import annotations

from collections.abc import Iterator

from redis_perf.analysis.growth import Growth, Measured, ShapeGrowth
from redis_perf.analysis.spending import Group
from redis_perf.analysis.suggestion import suggestions
from redis_perf.report.lines import label, place
from redis_perf.trace import Store

ROWS_SHOWN = 12
NAMES = {"round_trips": "round trips", "operations": "operations", "bytes": "bytes", "depth": "depth"}


def growth_text(
    measured: Measured, store: Store | None, measure: str, growth: Growth, allowed: str, *, root: str | None = None
) -> str:
    """The whole message for a growth that was not allowed."""
    lines = [headline(store, measure, growth, allowed), *_table(measured, store, measure, root)]
    largest = measured.traces[measured.sizes[-1]]
    share = largest.charged if store is None else largest.store(store).everything
    found = suggestions(share) if measure in ("round_trips", "depth") else []
    lines += [f"at size {measured.sizes[-1]}: {each.text} (saves {each.saves})" for each in found]
    return "\n".join(lines)


def headline(store: Store | None, measure: str, growth: Growth, allowed: str) -> str:
    """`postgres round trips: 3, 12, 102 at sizes 1, 10, 100: linear, 1 more for each item; expected constant`"""
    subject = " ".join(filter(None, (store, NAMES[measure])))
    counts, sizes = (", ".join(map(str, numbers)) for numbers in (growth.counts, growth.sizes))
    return f"{subject}: {counts} at sizes {sizes}: {named(growth)}; expected {allowed}"


def named(growth: Growth) -> str:
    """`constant`, `linear, 2 more for each item`, `falling: the first run cost most`."""
    if growth.kind == "constant":
        return "constant"
    if growth.kind == "falling":
        return "falling: the smallest size cost most, as a first run does that was not warmed up"
    return f"{growth.kind}, {'up to ' if growth.kind != 'linear' else ''}{growth.per_item:.3g} more for each item"


def _table(measured: Measured, store: Store | None, measure: str, root: str | None) -> Iterator[str]:
    rows = measured.shapes(store, measure)
    widths = [
        max(len(str(number)) for number in column)
        for column in zip(measured.sizes, *(row.growth.counts for row in rows), strict=True)
    ]
    yield _cells(measured.sizes, widths) + "   <- size"
    for row in rows[:ROWS_SHOWN]:
        yield f"{_cells(row.growth.counts, widths)}   {_asked(row)}    {place(row.site, root)}"
    if len(rows) > ROWS_SHOWN:
        yield f"  ... and {len(rows) - ROWS_SHOWN} more, none of which grows faster"


def _cells(numbers: tuple[int, ...], widths: list[int]) -> str:
    return "  " + "  ".join(f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))


def _asked(row: ShapeGrowth) -> str:
    return label(Group(store=row.store, site=row.site, shapes=row.shapes, trips=()))
