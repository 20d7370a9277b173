"""A suite as JSON lines: a header, then for each test a line, and for each of its phases a line and what it sent.

The lines of a phase are those of a trace file (`redis_perf.report.jsonl`). Reading back loses nothing:
`loads(dumps(suite)) == suite`. Both ways go test by test: a writer that does not know all yet streams (`header_line`,
`tested_lines`, ..., `incomplete_line`, last `end_line`), a reader uses `read`. docs/reports.md has the format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from heapq import merge
from itertools import chain
from typing import Final, TypeAlias

from redis_perf.report.attributes import Attributes, WrongAttribute
from redis_perf.report.file_kind import FileKind, damaged
from redis_perf.report.jsonl import head_record, opened_line, to_head
from redis_perf.report.records import Record, from_site, to_a_site, to_opened
from redis_perf.report.trip_lines import TripReader, TripWriter, trip_of
from redis_perf.suite import Broken, FixtureSpent, Meant, Outcome, Suite, Tested, When
from redis_perf.trace import Opened, Purpose, RoundTrip, Tapped, Trace

_encoded: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
KIND: Final = FileKind("suite", 1, "record one with `pytest --redisperf-trace=FILE`")

Part: TypeAlias = Suite | Tested | str
"""The header is a Suite without tests; a `str` says what is missing."""

_OUTCOMES: Final[dict[str, Outcome]] = {
    "passed": "passed", "failed": "failed", "error": "error",
    "skipped": "skipped", "xfailed": "xfailed", "xpassed": "xpassed",
}  # fmt: skip
_BROKEN: Final[dict[str, Broken]] = {"budget": "budget", "n-plus-one": "n-plus-one", "ratchet": "ratchet"}
_WHENS: Final[dict[str, When]] = {"setup": "setup", "call": "call", "teardown": "teardown"}


def dumps(suite: Suite) -> Iterator[str]:
    """The lines of the file, each with its newline."""
    for piece in pieces(suite):
        yield from piece.splitlines(keepends=True)  # all of it is ASCII


def pieces(suite: Suite) -> Iterator[str]:
    """The file in pieces of whole lines: all those of a test in one."""
    writer = TripWriter()
    yield header_line(suite)
    for tested in suite:
        yield tested_lines(tested, writer)
    yield end_line()


def header_line(suite: Suite) -> str:
    """The first line: all of the suite but its tests."""
    return _line(
        KIND.header
        | {
            "redisperf.root": suite.root,
            "redisperf.networks_ns": list(suite.networks_ns),
            "redisperf.incomplete": list(suite.incomplete),
            "redisperf.threshold": suite.threshold,
        }
    )


def tested_lines(tested: Tested, writer: TripWriter) -> str:
    """One test with all it spent; `writer` is the file's."""
    about = {
        "redisperf.kind": "test",
        "test.case.name": tested.nodeid,
        "redisperf.outcome": tested.outcome,
        "code.file.path": tested.file,
        "code.line.number": tested.line,
        "redisperf.verdict": tested.verdict,
        "redisperf.broken": tested.broken if tested.verdict is not None else None,
        "redisperf.meant": [{"db.query.summary": each.shape} | from_site(each.site) for each in tested.meant] or None,
    }
    lines = [_line({name: value for name, value in about.items() if value is not None})]
    for when, trace in tested.phases.items():
        lines.append(_phase_line(when, trace))
        lines += _sent(trace, writer)
    for spent in tested.fixtures:
        named = {"redisperf.fixture": spent.name, "redisperf.scope": spent.scope, "redisperf.when": spent.when}
        lines.append(_line({"redisperf.kind": "fixture"} | named | head_record(spent.trace)))
        lines += _sent(spent.trace, writer)
    return "".join(lines)


def _phase_line(when: When, trace: Trace) -> str:
    """Most phases have one that was written before; a problem is more than its text, and is written each time."""
    if trace.problems or trace.notes:
        return _line({"redisperf.kind": "phase", "redisperf.when": when} | head_record(trace))
    return _usual_phase_line(when, trace.children, trace.taps, trace.purposes)


@lru_cache(maxsize=1024)
def _usual_phase_line(when: When, children: int, taps: tuple[Tapped, ...], purposes: frozenset[Purpose]) -> str:
    head = head_record(Trace(children=children, taps=taps, purposes=purposes))
    return _line({"redisperf.kind": "phase", "redisperf.when": when} | head)


def incomplete_line(sentence: str) -> str:
    """Something that is missing, met after the header was written."""
    return _line({"redisperf.kind": "incomplete", "redisperf.incomplete": sentence})


def end_line() -> str:
    """The last line: by it a reader knows that nothing is missing."""
    return _line({"redisperf.kind": "end"})


def _sent(trace: Trace, writer: TripWriter) -> Iterable[str]:
    """Not line by line where it need not be: to put together what is the same on many lines takes longest."""
    parts = writer.parts(trace.round_trips)
    if not trace.opened:
        return chain.from_iterable(parts)
    opened = ((each.at_ns, opened_line(each)) for each in trace.opened)
    trips = ((trip.started_ns, "".join(both)) for trip, both in zip(trace.round_trips, parts, strict=True))
    return [line for _, line in merge(opened, trips, key=lambda timed: timed[0])]


def _line(attributes: Record) -> str:
    return _encoded(attributes) + "\n"


def loads(lines: Iterable[str]) -> Suite:
    """The suite these lines hold. What an interrupted writer left is kept, and `incomplete` says where it ends.

    Raises TraceFileError for what is not a suite file, is of a newer version, or is damaged.
    """
    head, tests, incomplete = Suite(), list[Tested](), list[str]()
    for part in read(lines):
        if isinstance(part, Suite):
            head = part
        elif isinstance(part, Tested):
            tests.append(part)
        else:
            incomplete.append(part)
    return replace(head, tests=tuple(tests), incomplete=(*head.incomplete, *incomplete))


def read(lines: Iterable[str]) -> Iterator[Part]:
    """The parts as they come, the header's first. Raises TraceFileError as `loads` does."""
    rest = iter(lines)
    yield KIND.read(next(rest, ""), _head)
    reader, test, number = TripReader(), _Test(), 1
    for number, line in enumerate(rest, 2):
        if test.ended:
            raise damaged(number, "expected nothing after the end line: one file holds one suite")
        try:
            trip = reader.trip(line)
            if trip is not None:
                test.trip(trip)
                continue
            attributes = Attributes.of(line)
        except WrongAttribute as wrong:
            if line.endswith("\n") or next(rest, None) is not None:
                raise damaged(number, wrong) from wrong
            yield from test.finished()
            yield f"the suite file is cut off within line {number}: what came after is lost"
            return
        try:
            yield from test.part(attributes)
        except WrongAttribute as wrong:
            raise damaged(number, wrong) from wrong
    if not test.ended:
        yield from test.finished()
        yield f"the suite file is cut off after line {number}: what came after, if anything, is lost"


class _Test:
    """The test whose lines are being read."""

    def __init__(self) -> None:
        self.ended = False
        self._tested: Tested | None = None
        self._phases: dict[When, Trace] = {}
        self._fixtures: list[FixtureSpent] = []
        self._open: tuple[Trace, When, tuple[str, str] | None] | None = None
        self._trips: list[RoundTrip] = []
        self._opened: list[Opened] = []

    def trip(self, trip: RoundTrip) -> None:
        if self._open is None:
            raise WrongAttribute("redisperf.kind: expected a phase or a fixture before its round trips")
        self._trips.append(trip)

    def _connection(self, opened: Opened) -> None:
        if self._open is None:
            raise WrongAttribute("redisperf.kind: expected a phase or a fixture before its connections")
        self._opened.append(opened)

    def part(self, attributes: Attributes) -> Iterator[Part]:
        """What is finished by this line. Kinds that are not known say nothing to this reader."""
        match attributes.text("redisperf.kind"):
            case "test":
                yield from self.finished()
                self._tested = _to_tested(attributes)
            case "phase":
                self._begin(attributes, None)
            case "fixture":
                self._begin(attributes, (attributes.text("redisperf.fixture"), attributes.text("redisperf.scope")))
            case "round_trip":
                self.trip(trip_of(attributes))
            case "opened":
                self._connection(to_opened(attributes))
            case "incomplete":
                yield attributes.text("redisperf.incomplete")
            case "end":
                yield from self.finished()
                self.ended = True

    def finished(self) -> Iterator[Tested]:
        self._close()
        if self._tested is not None:
            yield replace(self._tested, phases=self._phases, fixtures=tuple(self._fixtures))
        self._tested, self._phases, self._fixtures = None, {}, []

    def _begin(self, attributes: Attributes, fixture: tuple[str, str] | None) -> None:
        self._close()
        if self._tested is None:
            raise WrongAttribute("redisperf.kind: expected a test before its phases and fixtures")
        self._open = to_head(attributes), attributes.one_of("redisperf.when", _WHENS), fixture

    def _close(self) -> None:
        if self._open is None:
            return
        head, when, fixture = self._open
        trace = replace(head, round_trips=tuple(self._trips), opened=tuple(self._opened))
        if fixture is None:
            self._phases[when] = trace
        else:
            name, scope = fixture
            self._fixtures.append(FixtureSpent(name=name, scope=scope, when=when, trace=trace))
        self._open, self._trips, self._opened = None, [], []


def _to_tested(attributes: Attributes) -> Tested:
    return Tested(
        nodeid=attributes.text("test.case.name"),
        outcome=attributes.one_of("redisperf.outcome", _OUTCOMES),
        file=attributes.seen_text("code.file.path"),
        line=attributes.seen_number("code.line.number"),
        verdict=attributes.seen_text("redisperf.verdict"),
        broken=attributes.one_of("redisperf.broken", _BROKEN) if "redisperf.broken" in attributes.values else "budget",
        meant=tuple(_to_meant(attributes)),
    )


def _to_meant(attributes: Attributes) -> Iterator[Meant]:
    for each in attributes.objects("redisperf.meant") if "redisperf.meant" in attributes.values else ():
        yield Meant(shape=each.text("db.query.summary"), site=to_a_site(each))


def _head(attributes: Attributes) -> Suite:
    return Suite(
        root=attributes.text("redisperf.root"),
        networks_ns=attributes.numbers("redisperf.networks_ns"),
        incomplete=attributes.texts("redisperf.incomplete"),
        threshold=attributes.number("redisperf.threshold"),
    )
