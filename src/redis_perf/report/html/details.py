"""All of some tests, as plain values: what the page reads when one of them is looked at.

A round trip is a `Sort` (all but its times and sizes, which few of them differ in) and four numbers. Times are in
ticks: the start counts from the start of the round trip before, the first from nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from redis_perf.analysis.alike import marks
from redis_perf.analysis.analysed import Seen
from redis_perf.analysis.baseline import Entry, differences, entry_of, shape_changes
from redis_perf.analysis.depth import longest_chain
from redis_perf.analysis.findings import Finding
from redis_perf.analysis.tally import Tallies, tallies
from redis_perf.report.html.embedded import encoded, encoded_numbers
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


_NOTHING: Final = (
    '"depth":0,"opened":0,"chain":1,"problems":[],"children":0,"notes":[],'
    '"sorts":[],"starts":[],"took":[],"sent":[],"received":[]}'
)


_NO_MORE: Final = '{"fixtures":[],"verdict":null,"change":null}'


class _Phase(NamedTuple):
    when: When
    trace: Trace
    seen: Seen

    @property
    def is_quiet(self) -> bool:
        trace = self.trace
        return not (trace.round_trips or trace.opened or trace.children or trace.problems or trace.notes)


class Block:
    """Some tests, and the tables they share."""

    def __init__(self, root: str) -> None:
        self.trips = 0
        self._root = root
        self.servers: Counter[tuple[str, str]] = Counter()
        """Round trips of each, once the block is written."""
        self._tests: list[tuple[Tested, Seen, Entry | None]] = []
        self._sorts: dict[Hashable, int] = {}
        self._plain_sorts: list[Sort] = []
        self._sites = Table[Site | None](lambda site: plain_site(site, root))
        self._paths = Table[Path | None](lambda path: _plain_path(path, root))
        self._operations = Table[tuple[Operation, ...]](_plain_operations)

    def __len__(self) -> int:
        return len(self._tests)

    def add(self, tested: Tested, seen: Seen, base: Entry | None) -> None:
        self._tests.append((tested, seen, base))
        self.trips += sum([len(trace.round_trips) for trace in tested.phases.values()])

    def text(self) -> str:
        """As JSON: put together, for most of it are columns of numbers."""
        phases = [_Phase(*phase, seen) for tested, seen, _ in self._tests for phase in tested.phases.items()]
        written = self._written([phase for phase in phases if not phase.is_quiet])
        texts = iter([_nothing(phase.when) if phase.is_quiet else next(written) for phase in phases])
        tests = [
            f'{{"phases":[{",".join(islice(texts, len(tested.phases)))}],{_rest(tested, base)[1:]}'
            for tested, _, base in self._tests
        ]
        tables = {
            "sorts": self._plain_sorts,
            "sites": self._sites.values(),
            "paths": self._paths.values(),
            "operations": self._operations.values(),
        }
        return f'{{"tests":[{",".join(tests)}],{encoded(tables)[1:]}'

    def _written(self, phases: Sequence[_Phase]) -> Iterator[str]:
        """One step after the other over all of them, for the reason `analysis.analysed.seen` has."""
        sent = [phase.trace.round_trips for phase in phases]
        sorts = [self._numbered(trips) for trips in sent]
        for numbers in sorts:
            self._count_servers(numbers)
        times = [_times(trips) for trips in sent]
        sizes = [([trip.sent_bytes for trip in trips], [trip.received_bytes for trip in trips]) for trips in sent]
        abouts = [encoded(self._about(phase)) for phase in phases]
        columns = zip(sorts, times, sizes, strict=True)
        texts = [_columns(sort, *time, *size) for sort, time, size in columns]
        return (f"{about[:-1]},{columns}" for about, columns in zip(abouts, texts, strict=True))

    def _about(self, phase: _Phase) -> Values:
        trace, is_call = phase.trace, phase.when == "call"
        numbers = phase.seen.call if is_call else tallies(trace)
        return {
            "when": phase.when,
            "depth": numbers.depth,
            "opened": len(trace.opened),
            "chain": _chain(trace, numbers),
            "problems": self._problems(phase.seen, trace.round_trips) if is_call else [],
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
        """The number of each one's sort."""
        kinds = marks(trips)
        numbers = {kind: self._number(trip) for kind, trip in dict(zip(kinds, trips, strict=True)).items()}
        return [numbers[kind] for kind in kinds]

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
            _server(trip.name or trip.server or ""),
            trip.commits,
            self._sites.number(trip.site),
            self._operations.number(trip.operations),
            self._paths.number(trip.path),
        )


@lru_cache(maxsize=256)
def _server(name: str) -> str | None:
    return redacted(name) or None


def _nothing(when: When) -> str:
    return f'{{"when":"{when}",{_NOTHING}'


def _columns(*columns: Sequence[int | None]) -> str:
    named = zip(("sorts", "starts", "took", "sent", "received"), columns, strict=True)
    return ",".join([f'"{name}":{encoded_numbers(column)}' for name, column in named]) + "}"


def _rest(tested: Tested, base: Entry | None) -> str:
    """All of a test but its phases."""
    if not tested.fixtures and not tested.verdict and base is None:
        return _NO_MORE
    return encoded(
        {
            "fixtures": [_fixture(spent) for spent in tested.fixtures],
            "verdict": tested.verdict and redacted(tested.verdict),
            "change": None if base is None else _change(base, entry_of(tested.call)),
        }
    )


def _times(trips: Sequence[RoundTrip]) -> tuple[list[int], list[int]]:
    """How many ticks after the one before each began, and how many it took. Both ends are rounded down, so that what
    came after another still does."""
    starts = [trip.started_ns // TICK_NS for trip in trips]
    after = [start - before for start, before in zip(starts, [*starts[:1], *starts], strict=False)]
    return after, [trip.ended_ns // TICK_NS - start for trip, start in zip(trips, starts, strict=True)]


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
