"""A few numbers of each test, column by column, and what they all have in common: what the page reads at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from redis_perf.analysis.analysed import Seen
from redis_perf.analysis.baseline import Entry
from redis_perf.analysis.findings import Finding
from redis_perf.analysis.projection import NETWORKS_NS
from redis_perf.analysis.tally import Tallies
from redis_perf.report.html.details import Block, Values
from redis_perf.report.html.kinds import kind_of, problems
from redis_perf.report.html.sites import plain_site
from redis_perf.report.secrets import redacted
from redis_perf.suite import Suite, Tested
from redis_perf.trace import NOT_IMPORTED, Site, Tapped

COLUMNS = (
    "id", "outcome", "broken", "file", "line", "redis", "postgres", "depth", "redis_operations", "postgres_operations",
    "sent", "received", "setup", "outside", "connections", "commits", "lost", "problems", "suspects", "block", "within",
    "base",
)  # fmt: skip


@dataclass(slots=True)
class _Found:
    """One problem of a suite. The text is that of the test it costs most in."""

    problem: Finding
    total: int = 0
    tests: list[int] = field(default_factory=list)


class Rows:
    """Gathers test by test."""

    def __init__(self, suite: Suite, baseline: Mapping[str, Entry] | None) -> None:
        self._suite = suite
        self._left = None if baseline is None else set(baseline)
        self._rows: list[tuple[object, ...]] = []
        self._found: dict[tuple[str, Site | None, str], _Found] = {}
        self._taps: dict[tuple[str, str | None, str | None], int] = {}
        self._servers: Counter[tuple[str, str]] = Counter()

    def add(self, tested: Tested, seen: Seen, block: int, within: int, base: Entry | None) -> None:
        """A test whose details stand `within` a block."""
        if self._left is not None:
            self._left.discard(tested.nodeid)
        found = problems(seen)
        for problem in found:
            self._add_problem(problem, len(self._rows))
        for trace in tested.phases.values():
            for tap in trace.taps:
                self._add_tap(tap)
        self._rows.append((*_row(tested, seen.call, found), block, within, _base(base)))

    def block_ended(self, block: Block) -> None:
        self._servers.update(block.servers)

    def values(self) -> Values:
        root = self._suite.root
        found = sorted(self._found.values(), key=lambda each: -each.total)
        return {
            "networks_ns": list(self._suite.networks_ns or NETWORKS_NS),
            "incomplete": [redacted(sentence) for sentence in self._suite.incomplete],
            "taps": self._taps_met(),
            "servers": [[*server, trips] for server, trips in self._servers.most_common()],
            "missing": None if self._left is None else sorted(map(redacted, self._left)),
            "problems": [_plain(each, root) for each in found],
            "tests": dict(zip(COLUMNS, zip(*self._rows, strict=True) if self._rows else repeat(()), strict=False)),
        }

    def _add_problem(self, problem: Finding, test: int) -> None:
        key = problem.rule, problem.site, problem.about
        found = self._found.setdefault(key, _Found(problem))
        if problem.saves > found.problem.saves:
            found.problem = problem
        found.total += problem.saves
        if test not in found.tests[-1:]:
            found.tests.append(test)

    def _taps_met(self) -> list[list[object]]:
        """Without what was said of clients before they were imported."""
        met = {name for name, _, problem in self._taps if problem != NOT_IMPORTED}
        return [
            [name, version, problem, seen]
            for (name, version, problem), seen in self._taps.items()
            if problem != NOT_IMPORTED or name not in met
        ]

    def _add_tap(self, tap: Tapped) -> None:
        if tap.version is not None or tap.seen:
            about = tap.name, tap.version, tap.problem
            self._taps[about] = self._taps.get(about, 0) + (tap.seen or 0)


def _row(tested: Tested, call: Tallies, found: Sequence[Finding]) -> tuple[object, ...]:
    """The COLUMNS, up to those that say where the details are."""
    redis, postgres = call.redis, call.postgres
    return (
        redacted(tested.nodeid),
        tested.outcome,
        tested.broken if tested.verdict is not None else None,
        tested.file and redacted(tested.file),
        tested.line,
        redis.round_trips,
        postgres.round_trips,
        call.depth,
        redis.operations,
        postgres.operations,
        _plus(redis.sent_bytes, postgres.sent_bytes),
        _plus(redis.received_bytes, postgres.received_bytes),
        redis.setup + postgres.setup,
        sum(len(trace.charged) for when, trace in tested.phases.items() if when != "call"),
        redis.connections + postgres.connections,
        redis.commits + postgres.commits,
        redis.lost + postgres.lost,
        len(found),
        sum(problem.rule == "n-plus-one" for problem in found),
    )


def _base(entry: Entry | None) -> list[int] | None:
    """Round trips and operations of before; None: the test was not there."""
    if entry is None:
        return None
    return [sum(each.round_trips for each in entry.values()), sum(each.operations for each in entry.values())]


def _plain(found: _Found, root: str) -> list[object]:
    problem = found.problem
    site = plain_site(problem.site, root)
    return [kind_of(problem), problem.text, site, plain_site(problem.loop, root), found.total, found.tests]


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
