"""What one test spends more or less of than its baseline says, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redis_perf.analysis.baseline import Difference, Entry, shape_changes
from redis_perf.report.overview import cut

SHOWN = 12


def headline(differences: Sequence[Difference]) -> str:
    """`redis round trips: baseline 3, spent 5 (+2); redis operations: ...`"""
    return "; ".join(_number(difference) for difference in differences)


def _number(difference: Difference) -> str:
    measure = difference.measure.replace("_", " ")
    change = difference.head - difference.base
    return f"{difference.store} {measure}: baseline {difference.base}, spent {difference.head} ({change:+d})"


def shape_lines(base: Entry, head: Entry) -> Iterator[str]:
    """`  +19  GET user:{} (1 -> 20)`: what was asked more or less often."""
    changes = list(shape_changes(base, head))
    for _, shape, was, now in changes[:SHOWN]:
        yield cut(f"  {now - was:+4d}  {shape} ({was} -> {now})")
    if len(changes) > SHOWN:
        yield f"  ... and {len(changes) - SHOWN} more"
