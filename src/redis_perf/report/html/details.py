"""All of some tests, as plain values: what the page reads when one of them is looked at.

A round trip is a sort (`redis_perf.report.html.sorts`) and four numbers. Times are in ticks: the start counts from the
start of the round trip before, the first from nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from redis_perf.analysis.analysed import Seen
from redis_perf.analysis.baseline import Entry, differences, entry_of, shape_changes
from redis_perf.analysis.depth import longest_chain
from redis_perf.analysis.findings import Finding
from redis_perf.analysis.tally import Tallies, tallies
from redis_perf.report.html.embedded import encoded, encoded_numbers
from redis_perf.report.html.kinds import kind_of, problems
from redis_perf.report.html.sites import plain_site
from redis_perf.report.html.sorts import Sorts
from redis_perf.report.secrets import redacted
from redis_perf.suite import FixtureSpent, Tested, When
from redis_perf.trace import RoundTrip, Trace

Values: TypeAlias = dict[str, object]
TICK_NS: Final = 100
SHAPE_CHANGES: Final = 200
CALLERS: Final = 12


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
        self._sorts = Sorts(root)

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
        return f'{{"tests":[{",".join(tests)}],{encoded(self._sorts.values())[1:]}'

    def _written(self, phases: Sequence[_Phase]) -> Iterator[str]:
        """One step after the other over all of them, for the reason `analysis.analysed.seen` has."""
        sent = [phase.trace.round_trips for phase in phases]
        sorts = [self._sorts.numbers(trips) for trips in sent]
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
            sort = self._sorts[number]
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
