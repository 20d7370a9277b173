"""The user's lines that spent the round trips, one line of text for each group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePath

from redis_perf.analysis.spending import Group, spending
from redis_perf.report.units import count
from redis_perf.trace import RoundTrip, Site

SHOWN: tuple[int, ...] = (12, 60)
"""How many lines are shown at verbosity 0 and 1; from 2 on all."""
SHAPE_CHARS = 72
SHAPES_SHOWN = 4


def spending_lines(trips: Sequence[RoundTrip], *, verbosity: int = 0, root: str | None = None) -> list[str]:
    """`  20  GET user:{}    memory.py:64 in badge`: round trips, what each asked, where. Long ones are cut."""
    groups = spending(trips)
    shown = groups if verbosity >= len(SHOWN) else groups[: SHOWN[max(0, verbosity)]]
    labels = [label(group) for group in shown]
    digits = max((len(str(len(group.trips))) for group in shown), default=0)
    width = max(map(len, labels), default=0)
    lines = [
        f"  {len(group.trips):>{digits}}  {text:<{width}}    {place(group.site, root)}"
        for group, text in zip(shown, labels, strict=True)
    ]
    left_out = groups[len(shown) :]
    if left_out:
        trips_left_out = sum(len(group.trips) for group in left_out)
        rest = count(len(left_out), "more line")
        lines.append(f"  ... and {rest} ({count(trips_left_out, 'round trip')}); {_how_to_see_more(verbosity)}")
    return lines


def _how_to_see_more(verbosity: int) -> str:
    return "-vv shows all" if verbosity > 0 else f"-v shows {SHOWN[1]}, -vv all"


def label(group: Group) -> str:
    """What each round trip of the group asked: its operation, or how many of which."""
    operations = group.shapes
    if not operations:
        return "(no statement executed)" if group.store == "postgres" else "(no command)"
    runs = [(shape, len(list(same))) for shape, same in groupby(operations)]
    parts = [cut(shape if times == 1 else f"{times} x {shape}") for shape, times in runs]
    if len(parts) == 1:
        return parts[0]
    left_out = f", and {len(parts) - SHAPES_SHOWN} more" if len(parts) > SHAPES_SHOWN else ""
    noun = "command" if group.store == "redis" else "statement"
    return f"{count(len(operations), noun)}: {', '.join(parts[:SHAPES_SHOWN])}{left_out}"


def cut(text: str) -> str:
    """A shape as it fits beside its line."""
    return text if len(text) <= SHAPE_CHARS else text[: SHAPE_CHARS - 3] + "..."


def place(site: Site | None, root: str | None = None) -> str:
    """`memory.py:64 in push_turn`; the file relative to `root` where it lies in there."""
    if site is None:
        return "line not seen"
    path = PurePath(site.file)
    inside = root is not None and path.is_relative_to(root)
    file = path.relative_to(root).as_posix() if root is not None and inside else path.name
    return f"{file}:{site.line} in {site.function}"
