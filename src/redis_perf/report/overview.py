"""A whole trace as text for a terminal: the numbers per store, the lines that spent them, what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from redis_perf.analysis.asked import asked
from redis_perf.analysis.projection import NETWORKS_NS, projection
from redis_perf.analysis.sites import spenders
from redis_perf.analysis.spending import Group
from redis_perf.report.lines import label, place
from redis_perf.report.numbers import servers
from redis_perf.report.text import spent_line
from redis_perf.report.units import count, duration, size
from redis_perf.report.unseen import not_counted, tap_line
from redis_perf.trace import STORES, Purpose, Store, StoreTrace, Trace

WIDTH: Final = 100
SHAPES_SHOWN: Final = 4
NOT_SEEN: Final = "not seen"
_HEADINGS: Final = ("round trips", "operations", "commits", "depth", "opened", "sent", "received")
_WIDTHS: Final = (13, 12, 9, 7, 8, 12, 12)
_LABEL: Final = 22
_PURPOSES: Final[tuple[Purpose, ...]] = ("work", "transaction", "setup")

Cells: TypeAlias = tuple[str, ...]


def overview(trace: Trace, name: str) -> Iterator[str]:
    """What was spent where, what that costs on real networks, and what was not seen."""
    yield f"{name}: {spent_line(trace)}"
    if trace.every.round_trips or trace.opened:
        yield _row("", _HEADINGS)
        for store in STORES:
            yield from _store_rows(trace, store)
    if trace.depth:
        yield ", ".join(_costs(trace))
    for each in trace.taps:
        if each.version is not None or not trace.every.round_trips:
            yield tap_line(trace, each)
    yield from not_counted(trace.every)
    yield from problem_lines(trace, name)


def problem_lines(trace: Trace, name: str) -> Iterator[str]:
    """Why the numbers may be too low, and what else to know when reading them."""
    for problem in trace.problems:
        yield f"{name}: not everything was seen: {problem}"
    for note in trace.notes:
        yield f"{name}: note: {note}"


def _costs(trace: Trace) -> Iterator[str]:
    for index, network_ns in enumerate(NETWORKS_NS):
        cost = projection(trace, network_ns)
        floor = f"{duration(cost.floor_ns)} at {duration(network_ns)}"
        yield floor if index else f"at depth {trace.depth} it waits at least {floor} a trip"


def _store_rows(trace: Trace, store: Store) -> Iterator[str]:
    if not trace.every.store(store).everything and not trace.store(store).opened:
        return
    yield _row(store, _cells(trace.store(store)))
    for purpose in _PURPOSES:
        share: StoreTrace = getattr(trace, purpose).store(store)
        if share.everything:
            aside = "" if trace.purposes >= {purpose} else " (not charged)"
            yield _row(f"  {purpose}{aside}", _cells(share, opened=False))
    found = servers(Trace(trace.every.store(store).everything))
    for server in found if len(found) > 1 else ():
        yield _row(f"  at {server}", _cells(trace.store(store).at(server)))


def _cells(share: StoreTrace, *, opened: bool = True) -> Cells:
    numbers = (share.round_trips, share.operations, share.commits, share.depth)
    sizes = (share.sent_bytes, share.received_bytes)
    return (
        *map(str, numbers),
        str(share.connections) if opened else "",
        *(NOT_SEEN if each is None else size(each) for each in sizes),
    )


def _row(name: str, cells: Cells) -> str:
    return f"{name:<{_LABEL}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


def site_lines(trace: Trace, *, top: int | None = None, root: str | None = None) -> Iterator[str]:
    """The lines of code that spent most, each with what it asked; `top` None shows all."""
    found = spenders(trace.charged)
    yield "by line of code:" if found else "by line of code: nothing was charged"
    if found:
        yield f"{'round trips':>13}{'operations':>12}"
    for spender in found[:top]:
        yield f"{spender.spent.round_trips:>13}{spender.spent.operations:>12}  {place(spender.site, root)}"
        for group in spender.groups[:SHAPES_SHOWN]:
            yield cut(f"{len(group.trips):>33}  {label(group)}")
        yield from _left_out(spender.groups, SHAPES_SHOWN, "shape", indent=35)
    yield from _left_out(found, top, "line", indent=15)


def shape_lines(trace: Trace, *, top: int | None = None) -> Iterator[str]:
    """What was asked most; a round trip with several shapes is counted with each of them."""
    found = [each for each in asked(trace.charged) if each.round_trips or each.operations]
    yield "by what was asked:" if found else "by what was asked: nothing was charged"
    if found:
        yield f"{'round trips':>13}{'operations':>12}"
    for each in found[:top]:
        yield cut(f"{each.round_trips:>13}{each.operations:>12}  {each.store:<8}  {shape_text(each.store, each.shape)}")
    yield from _left_out(found, top, "shape", indent=15)


def shape_text(store: Store, shape: str) -> str:
    """The shape, or words for round trips that executed nothing."""
    return label(Group(store=store, site=None, shapes=(shape,) if shape else (), trips=()))


def cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _left_out(found: Sequence[object], top: int | None, noun: str, *, indent: int) -> Iterator[str]:
    left_out = 0 if top is None else len(found) - top
    if left_out > 0:
        how = "" if noun == "shape" and indent > 15 else "; --top 0 shows all"
        yield f"{'':{indent}}... and {count(left_out, f'more {noun}')}{how}"
