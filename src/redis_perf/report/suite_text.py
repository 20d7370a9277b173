"""A suite as text for a terminal: totals, the dearest tests, what to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from redis_perf.analysis.analysed import Analysed
from redis_perf.analysis.baseline import Entry, changes, missing
from redis_perf.analysis.tally import Tallies, total
from redis_perf.report.baseline import headline, shape_lines
from redis_perf.report.places import place_of
from redis_perf.report.rules import told
from redis_perf.report.units import count, duration

TOP = 20


def suite_lines(
    analysed: Analysed, name: str, *, top: int | None = TOP, baseline: Mapping[str, Entry] | None = None
) -> Iterator[str]:
    """`top` None shows all. With a baseline, by test id, also what was spent before."""
    return map(printable, chain(_lines(analysed, name, top), _changed(analysed, baseline)))


def _changed(analysed: Analysed, baseline: Mapping[str, Entry] | None) -> Iterator[str]:
    if baseline is None:
        return
    changed = changes(analysed.suite, baseline)
    for each in changed:
        more = any(one.risen for one in each.differences)
        yield f"{'more' if more else 'less'}: {each.nodeid}: {headline(each.differences)}"
        yield from shape_lines(each.base, each.head)
    gone = missing(analysed.suite, baseline)
    without = f"; {count(len(gone), 'test')} of it did not run" if gone else ""
    yield f"{count(len(changed), 'test')} changed since the baseline{without}"


def printable(line: str) -> str:
    """What would move the cursor or change the terminal's mind stands as its escape."""
    return line if line.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def _lines(analysed: Analysed, name: str, top: int | None) -> Iterator[str]:
    suite = analysed.suite
    spent = list(zip(suite, analysed.calls, strict=True))
    yield f"{name}: {count(len(spent), 'test')}"
    for sentence in suite.incomplete:
        yield f"{name}: incomplete: {sentence}"
    sent = [(tested, numbers) for tested, numbers in spent if numbers.operations]
    if not sent:
        yield "no test sent anything to Redis or Postgres while it ran"
        return
    networks = suite.networks_ns[:1] or (2_000_000,)
    cost = f"at {duration(networks[0])}"
    yield f"{'redis':>7} {'postgres':>9} {'operations':>11} {'depth':>6} {cost:>10}"
    sent.sort(key=lambda each: (-each[1].depth, -each[1].round_trips, each[0].nodeid))
    for tested, numbers in sent[:top]:
        yield _row(numbers, networks[0], tested.nodeid)
    if top is not None and len(sent) > top:
        yield f"{'':47} ({len(sent) - top} more: --top 0 shows all)"
    yield _row(total(numbers for _, numbers in spent), networks[0], "in all, setup and teardown apart")
    yield from _finding_lines(analysed, top)


def _row(numbers: Tallies, network_ns: int, name: str) -> str:
    trips = f"{numbers.redis.round_trips:>7} {numbers.postgres.round_trips:>9} {numbers.operations:>11}"
    return f"{trips} {numbers.depth:>6} {duration(numbers.depth * network_ns):>10}  {name}"


def _finding_lines(analysed: Analysed, top: int | None) -> Iterator[str]:
    """`n-plus-one shop.py:7: ...`: the failed budgets first, then the greatest saving."""
    found = analysed.findings
    if found:
        yield "what to look at:"
    for finding in found[:top]:
        place = place_of(finding, analysed.suite)
        where = "" if place is None else f" {place.file}:{place.line}"
        yield f"  {finding.rule}{where}: {told(finding)}"
    if top is not None and len(found) > top:
        yield f"  ... and {len(found) - top} more; --top 0 shows all"
