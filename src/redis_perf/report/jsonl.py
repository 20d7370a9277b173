"""A trace as JSON lines: a header, then a line for each connection opened and each round trip, then an end line.

Reading back loses nothing: `loads(dumps(trace)) == trace`. Both ways go line by line: a writer that does not know all
yet streams (`header_line`, `round_trip_line`, ..., last `end_line`), a reader uses `read`.
docs/trace-file.md has the format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import merge
from typing import Final, TypeAlias

from redis_perf.report.attributes import Attributes, WrongAttribute
from redis_perf.report.file_kind import FileKind, damaged
from redis_perf.report.records import (
    PURPOSES,
    Record,
    from_opened,
    from_problem,
    from_round_trip,
    from_tapped,
    to_opened,
    to_problem,
    to_round_trip,
    to_tapped,
)
from redis_perf.trace import Opened, Problem, RoundTrip, Trace

KIND: Final = FileKind(
    "trace", 1, "record one with `redisperf run --out FILE -- COMMAND` or `pytest --redisperf-trace=FILE`"
)

Part: TypeAlias = Trace | Opened | RoundTrip | Problem | str
"""What a line holds. The header is a Trace without round trips; a `str` that is no Problem is a note."""


def dumps(trace: Trace) -> Iterator[str]:
    """The lines of the file, each with its newline. Connections and round trips are merged by time."""
    yield header_line(trace)
    opened = ((each.at_ns, opened_line(each)) for each in trace.opened)
    trips = ((trip.started_ns, round_trip_line(trip)) for trip in trace.round_trips)
    for _, line in merge(opened, trips, key=lambda timed: timed[0]):
        yield line
    yield end_line()


def header_line(trace: Trace) -> str:
    """The first line: all of the trace but its round trips and connections."""
    return _line(KIND.header | head_record(trace))


def head_record(trace: Trace) -> Record:
    """All of a trace but its round trips and connections."""
    return {
        "redisperf.purposes": sorted(trace.purposes),
        "redisperf.children": trace.children,
        "redisperf.taps": [from_tapped(tap) for tap in trace.taps],
        "redisperf.problems": [from_problem(problem) for problem in trace.problems],
        "redisperf.notes": list(trace.notes),
    }


def round_trip_line(trip: RoundTrip) -> str:
    return _line({"redisperf.kind": "round_trip"} | from_round_trip(trip))


def opened_line(opened: Opened) -> str:
    return _line({"redisperf.kind": "opened"} | from_opened(opened))


def problem_line(problem: str) -> str:
    """Something that could not be read to its end, met after the header was written."""
    return _line({"redisperf.kind": "problem"} | from_problem(problem))


def note_line(note: str) -> str:
    """Something to know when reading the numbers, met after the header was written."""
    return _line({"redisperf.kind": "note", "redisperf.note": note})


def end_line() -> str:
    """The last line: by it a reader knows that nothing is missing."""
    return _line({"redisperf.kind": "end"})


def _line(attributes: Record) -> str:
    return json.dumps(attributes, separators=(",", ":")) + "\n"


def loads(lines: Iterable[str]) -> Trace:
    """The trace these lines hold, connections and round trips each in the order of their lines.

    What an interrupted writer left is kept, and the last of `problems` says where it ends. Raises TraceFileError
    for what is not a trace file, is of a newer version, or is damaged.
    """
    head, trips, opened = Trace(), list[RoundTrip](), list[Opened]()
    problems, notes = list[str](), list[str]()
    for part in read(lines):
        match part:
            case Trace():
                head = part
            case RoundTrip():
                trips.append(part)
            case Opened():
                opened.append(part)
            case Problem():
                problems.append(part)
            case str():
                notes.append(part)
    return replace(
        head,
        round_trips=tuple(trips),
        opened=tuple(opened),
        problems=(*head.problems, *problems),
        notes=(*head.notes, *notes),
    )


def read(lines: Iterable[str]) -> Iterator[Part]:
    """The parts as they come, the header's first. Raises TraceFileError as `loads` does."""
    rest = iter(lines)
    yield KIND.read(next(rest, ""), to_head)
    number, ended = 1, False
    for number, line in enumerate(rest, 2):
        try:
            attributes = Attributes.of(line)
        except WrongAttribute as wrong:
            if line.endswith("\n") or next(rest, None) is not None:
                raise damaged(number, wrong) from wrong
            yield Problem(f"the trace file is cut off within line {number}: what came after is lost", None)
            return
        if ended:
            raise damaged(number, "expected nothing after the end line: one file holds one trace")
        ended = attributes.values.get("redisperf.kind") == "end"
        try:
            yield from _part(attributes)
        except WrongAttribute as wrong:
            raise damaged(number, wrong) from wrong
    if not ended:
        yield Problem(f"the trace file is cut off after line {number}: what came after, if anything, is lost", None)


def to_head(attributes: Attributes) -> Trace:
    """Raises WrongAttribute."""
    return Trace(
        purposes=frozenset(attributes.choices("redisperf.purposes", PURPOSES)),
        children=attributes.number("redisperf.children"),
        taps=tuple(to_tapped(tap) for tap in attributes.objects("redisperf.taps")),
        problems=tuple(to_problem(problem) for problem in attributes.objects("redisperf.problems")),
        notes=attributes.texts("redisperf.notes"),
    )


def _part(attributes: Attributes) -> Iterator[Part]:
    """Kinds that are not known say nothing to this reader."""
    match attributes.text("redisperf.kind"):
        case "round_trip":
            yield to_round_trip(attributes)
        case "opened":
            yield to_opened(attributes)
        case "problem":
            yield to_problem(attributes)
        case "note":
            yield attributes.text("redisperf.note")
