"""All of some tests, as plain values: what the page reads when one of them is looked at.

A round trip is a `Sort` (all but its times and sizes, which few of them differ in) and four numbers. Times are in
ticks: the start counts from the start of the round trip before, the first from nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from redis_perf.analysis.analysed import Seen
from redis_perf.analysis.baseline import Entry, differences, entry_of, shape_changes
from redis_perf.analysis.depth import longest_chain
from redis_perf.analysis.findings import Finding
from redis_perf.analysis.tally import Tallies, tallies
from redis_perf.report.html.kinds import kind_of, problems
from redis_perf.report.html.sites import plain_site
from redis_perf.report.html.tables import Table
from redis_perf.report.secrets import redacted
from redis_perf.suite import FixtureSpent, Tested, When
from redis_perf.trace import Operation, Path, RoundTrip, Site, Trace

Values: TypeAlias = dict[str, object]
TICK_NS: Final = 100
SHAPE_CHANGES: Final = 200
CALLERS: Final = 12


class Sort(NamedTuple):
    """What many round trips have in common; the last three are numbers of the block's tables."""

    store: str
    purpose: str
    answer: str
    waited: bool
    connection: int
    lane: str | None
    server: str | None
    commits: int
    site: int
    operations: int
    path: int


_OF_SORT: Final = attrgetter(
    "store",
    "purpose",
    "answer",
    "waited",
    "connection",
    "lane",
    "server",
    "name",
    "commits",
    "site",
    "operations",
    "path",
)


_NOTHING: Final[Values] = {
    "depth": 0, "opened": 0, "sorts": [], "starts": [], "took": [], "sent": [], "received": [], "chain": 1,
    "problems": [], "children": 0, "notes": [],
}  # fmt: skip


class Block:
    """Some tests, and the tables they share."""

    def __init__(self, root: str) -> None:
        self.trips = 0
        self._root = root
        self.servers: Counter[tuple[str, str]] = Counter()
        self._tests: list[Values] = []
        self._sorts: dict[Hashable, int] = {}
        self._plain_sorts: list[Sort] = []
        self._sites = Table[Site | None](lambda site: plain_site(site, root))
        self._paths = Table[Path | None](lambda path: _plain_path(path, root))
        self._operations = Table[tuple[Operation, ...]](_plain_operations)

    def __len__(self) -> int:
        return len(self._tests)

    def add(self, tested: Tested, seen: Seen, base: Entry | None) -> None:
        self._tests.append(
            {
                "phases": [self._phase(when, trace, seen) for when, trace in tested.phases.items()],
                "fixtures": [_fixture(spent) for spent in tested.fixtures],
                "verdict": tested.verdict and redacted(tested.verdict),
                "change": None if base is None else _change(base, entry_of(tested.call)),
            }
        )

    def values(self) -> Values:
        return {
            "tests": self._tests,
            "sorts": self._plain_sorts,
            "sites": self._sites.values(),
            "paths": self._paths.values(),
            "operations": self._operations.values(),
        }

    def _phase(self, when: When, trace: Trace, seen: Seen) -> Values:
        if not (trace.round_trips or trace.opened or trace.children or trace.problems or trace.notes):
            return {"when": when} | _NOTHING
        trips = trace.round_trips
        self.trips += len(trips)
        sorts = self._numbered(trips)
        self._count_servers(sorts)
        is_call = when == "call"
        numbers = seen.call if is_call else tallies(trace)
        return {
            "when": when,
            "depth": numbers.depth,
            "opened": len(trace.opened),
            "sorts": sorts,
            **_times(trips),
            "sent": [trip.sent_bytes for trip in trips],
            "received": [trip.received_bytes for trip in trips],
            "chain": _chain(trace, numbers),
            "problems": self._problems(seen, trips) if is_call else [],
            "children": trace.children,
            "notes": [redacted(note) for note in (*trace.problems, *trace.notes)],
        }

    def _count_servers(self, sorts: Sequence[int]) -> None:
        for number, trips in Counter(sorts).items():
            sort = self._plain_sorts[number]
            self.servers[sort.store, sort.server or ""] += trips if sort.answer == "complete" else 0

    def _problems(self, seen: Seen, trips: Sequence[RoundTrip]) -> list[Values]:
        found = problems(seen)
        numbers = {id(trip): number for number, trip in enumerate(trips)} if found else {}
        return [self._problem(each, numbers) for each in found]

    def _problem(self, problem: Finding, numbers: Mapping[int, int]) -> Values:
        return {
            "kind": kind_of(problem),
            "text": problem.text,
            "saves": problem.saves,
            "loop": plain_site(problem.loop, self._root),
            "trips": sorted([numbers[id(trip)] for trip in problem.trips]),
        }

    def _numbered(self, trips: Sequence[RoundTrip]) -> list[int]:
        """The number of each one's sort. What is the same is mostly the same object, which spares its hash."""
        met, numbers = dict[Hashable, int](), []
        for trip in trips:
            objects = (
                id(trip.operations), id(trip.site), id(trip.path), trip.connection, trip.lane, trip.store, trip.purpose,
                trip.answer, trip.waited, trip.server, trip.name, trip.commits,
            )  # fmt: skip
            number = met.get(objects)
            if number is None:
                number = met[objects] = self._number(trip)
            numbers.append(number)
        return numbers

    def _number(self, trip: RoundTrip) -> int:
        number = self._sorts.setdefault(_OF_SORT(trip), len(self._plain_sorts))
        if number == len(self._plain_sorts):
            self._plain_sorts.append(self._plain_sort(trip))
        return number

    def _plain_sort(self, trip: RoundTrip) -> Sort:
        return Sort(
            trip.store,
            trip.purpose,
            trip.answer,
            trip.waited,
            trip.connection,
            trip.lane,
            redacted(trip.name or trip.server or "") or None,
            trip.commits,
            self._sites.number(trip.site),
            self._operations.number(trip.operations),
            self._paths.number(trip.path),
        )


def _times(trips: Sequence[RoundTrip]) -> Values:
    """Both ends are rounded down, so that what came after another still does."""
    starts = [trip.started_ns // TICK_NS for trip in trips]
    first = starts[:1]
    return {
        "starts": [start - before for start, before in zip(starts, [*first, *starts], strict=False)],
        "took": [trip.ended_ns // TICK_NS - start for trip, start in zip(trips, starts, strict=True)],
    }


def _chain(trace: Trace, numbers: Tallies) -> list[int] | int:
    """How often each round trip stands on the longest chain; 1: each does, once."""
    if numbers.depth == numbers.round_trips == len(trace.round_trips):
        return 1
    times = Counter(id(trip) for trip in longest_chain(trace.charged).trips)
    return [times[id(trip)] for trip in trace.round_trips]


def _fixture(spent: FixtureSpent) -> list[object]:
    numbers = tallies(spent.trace)
    return [
        redacted(spent.name), spent.scope, spent.when, numbers.round_trips, numbers.operations, numbers.depth,
        numbers.redis.connections + numbers.postgres.connections,
    ]  # fmt: skip


def _change(base: Entry, head: Entry) -> Values:
    return {
        "counts": [[each.store, each.measure, each.base, each.head] for each in differences(base, head)],
        "shapes": [list(each) for each in islice(shape_changes(base, head), SHAPE_CHANGES)],
    }


def _plain_operations(operations: tuple[Operation, ...]) -> object:
    return [[each.name, each.shape, each.failed] for each in operations]


def _plain_path(path: Path | None, root: str) -> object:
    if path is None:
        return None
    callers = [plain_site(site, root) for site in path.callers[:CALLERS]]
    return {"callers": callers, "loop": plain_site(path.loop, root), "through": path.through}
