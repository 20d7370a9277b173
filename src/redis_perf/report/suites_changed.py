"""What the tests of one suite spend more or less of than those of another, as text and as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from redis_perf.analysis.baseline import Difference, Entry, differences, entry_of
from redis_perf.report.baseline import headline, shape_lines
from redis_perf.report.suite_text import printable
from redis_perf.report.units import count
from redis_perf.suite import Suite

Json = dict[str, object]
NAMES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The tests of both, by id. `changed` are those whose counts differ, the greatest rise first."""

    changed: dict[str, tuple[Entry, Entry, list[Difference]]]
    alike: int
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def risen(self) -> tuple[str, ...]:
        return tuple(test for test, (_, _, found) in self.changed.items() if any(each.risen for each in found))


def compared(base: Suite, head: Suite) -> Compared:
    before = {tested.nodeid: tested.call for tested in base}
    after = {tested.nodeid: tested.call for tested in head}
    changed: dict[str, tuple[Entry, Entry, list[Difference]]] = {}
    both = [test for test in after if test in before]
    for test in both:
        was, now = entry_of(before[test]), entry_of(after[test])
        found = differences(was, now)
        if found:
            changed[test] = was, now, found
    return Compared(
        changed=dict(sorted(changed.items(), key=lambda each: -sum(one.head - one.base for one in each[1][2]))),
        alike=len(both) - len(changed),
        added=tuple(test for test in after if test not in before),
        removed=tuple(test for test in before if test not in after),
    )


def suite_change_lines(base: Suite, head: Suite, names: tuple[str, str], *, top: int | None = None) -> Iterator[str]:
    """Each test that changed with what it asks more or less often."""
    return map(printable, _lines(base, head, names, top))


def _lines(base: Suite, head: Suite, names: tuple[str, str], top: int | None) -> Iterator[str]:
    found = compared(base, head)
    for name, suite in zip(names, (base, head), strict=True):
        yield f"{name}: {count(len(suite.tests), 'test')}"
        yield from (f"{name}: incomplete: {sentence}" for sentence in suite.incomplete)
    for test, (was, now, differing) in list(found.changed.items())[:top]:
        yield f"{test}: {headline(differing).replace('baseline ', '').replace(', spent ', ' -> ')}"
        yield from shape_lines(was, now)
    if top is not None and len(found.changed) > top:
        yield f"... and {count(len(found.changed) - top, 'more test')}; --top 0 shows all"
    for what, tests in (("added", found.added), ("removed", found.removed)):
        yield from (f"{what}: {test}" for test in tests[:NAMES_SHOWN])
        if len(tests) > NAMES_SHOWN:
            yield f"{what}: ... and {len(tests) - NAMES_SHOWN} more"
    yield f"{count(len(found.changed), 'test')} changed, {len(found.risen)} of them spent more; {found.alike} as before"


def suite_difference(base: Suite, head: Suite) -> Json:
    """The same as data."""
    found = compared(base, head)
    return {
        "changed": {
            test: [
                {"store": each.store, "measure": each.measure, "base": each.base, "head": each.head}
                for each in differing
            ]
            for test, (_, _, differing) in found.changed.items()
        },
        "increased": list(found.risen),
        "added": list(found.added),
        "removed": list(found.removed),
        "alike": found.alike,
        "incomplete": {"base": list(base.incomplete), "head": list(head.incomplete)},
    }
