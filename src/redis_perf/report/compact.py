"""A trace as few plain values, for where many travel: from xdist's workers to the controller, into a page.

Column by column instead of one object for each round trip; what repeats (sites, operations, names) stands once in a
table and is named by its index. `unpacked(packed(trace)) == trace`, and `packed` holds nothing but dicts, lists, str,
int, bool and None. It is no file format: both ends are the same version. A file is `redis_perf.report.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from redis_perf.analysis.alike import kinds
from redis_perf.report.attributes import Attributes
from redis_perf.report.records import (
    from_opened,
    from_path,
    from_problem,
    from_tapped,
    to_opened,
    to_path,
    to_problem,
    to_tapped,
)
from redis_perf.round_trip import SAME, SAME_BEFORE, VARIES, of_same, round_trip
from redis_perf.trace import Operation, Path, Problem, RoundTrip, Site, Trace

Packed: TypeAlias = dict[str, Any]

KEPT: Final = 4096
"""So many sites, paths and operations are remembered: the same ones are the same objects in every trace."""
_HASHES: Final = frozenset({"arguments", "key"})
"""Columns that say only which are the same: numbered in order of appearance."""
_SITE: Final = "site"
_PATH: Final = "path"
_OPERATIONS: Final = "operations"
_WAITS: Final = "waits"


def packed(trace: Trace) -> Packed:
    """The trace as plain values."""
    return {
        "round_trips": _packed_trips(trace.round_trips) if trace.round_trips else None,
        "opened": [from_opened(each) for each in trace.opened],
        "children": trace.children,
        "taps": [from_tapped(tap) for tap in trace.taps],
        "problems": [from_problem(problem) if isinstance(problem, Problem) else problem for problem in trace.problems],
        "purposes": sorted(trace.purposes),
        "notes": list(trace.notes),
    }


def unpacked(values: Packed) -> Trace:
    """The trace these values were made of."""
    return Trace(
        round_trips=tuple(_unpacked_trips(**values["round_trips"])) if values["round_trips"] else (),
        opened=tuple(to_opened(Attributes(each)) for each in values["opened"]),
        children=values["children"],
        taps=tuple(to_tapped(Attributes(tap)) for tap in values["taps"]),
        problems=tuple(each if isinstance(each, str) else to_problem(Attributes(each)) for each in values["problems"]),
        purposes=frozenset(values["purposes"]),
        notes=tuple(values["notes"]),
    )


def _packed_trips(trips: Sequence[RoundTrip]) -> Packed:
    """What some are alike in once, by a number; then columns of what each has by itself."""
    marks, ones = kinds(trips)
    table: dict[tuple[Any, ...], int] = {}
    number = {mark: table.setdefault(of_same(trip), len(table)) for mark, trip in ones.items()}
    columns = {name: [getattr(trip, name) for trip in trips] for name in VARIES}
    return {
        "kinds": [_column(name, values) for name, values in zip(SAME, zip(*table, strict=True), strict=True)],
        "at": [number[mark] for mark in marks] if len(table) > 1 else None,
        "columns": [_numbered(column) if name in _HASHES else column for name, column in columns.items()],
    }


def _column(name: str, values: Sequence[object]) -> Packed:
    table: dict[object, int] = {}
    at = [table.setdefault(value, len(table)) for value in values]
    return {"table": list(map(_PLAIN.get(name, _itself), table)), "at": at if len(table) > 1 else len(at)}


def _unpacked_trips(kinds: list[Packed], at: list[int] | None, columns: list[list[int | None]]) -> Iterator[RoundTrip]:
    rows = zip(*map(_values, SAME, kinds), strict=True)
    parts = [(row[:SAME_BEFORE], row[SAME_BEFORE:], object()) for row in rows]
    started, ended, sent, received, arguments, keys = columns
    of_each = [parts[number] for number in at] if at is not None else parts * len(started)
    numbers = zip(started, ended, sent, received, strict=True)
    for (before, after, mark), four, asked, key in zip(of_each, numbers, arguments, keys, strict=True):
        yield round_trip(*before, *four, *after, asked, key, mark)


def _values(name: str, column: Packed) -> list[object]:
    table = list(map(_WHOLE.get(name, _itself), column["table"]))
    at = column["at"]
    return [table[index] for index in at] if isinstance(at, list) else table * at


def _numbered(values: Iterable[object]) -> list[int | None]:
    numbers: dict[object, int] = {}
    return [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]


def _itself(value: Any) -> Any:
    return value


def _text(values: object) -> str:
    return json.dumps(values, separators=(",", ":"))


@lru_cache(maxsize=KEPT)
def _plain_site(site: Site | None) -> str | None:
    return None if site is None else _text(site)


@lru_cache(maxsize=KEPT)
def _whole_site(text: str | None) -> Site | None:
    return None if text is None else Site(*json.loads(text))


@lru_cache(maxsize=KEPT)
def _plain_path(path: Path | None) -> str | None:
    return None if path is None else _text(from_path(path))


@lru_cache(maxsize=KEPT)
def _whole_path(text: str | None) -> Path | None:
    return None if text is None else to_path(Attributes(json.loads(text)))


@lru_cache(maxsize=KEPT)
def _plain_operations(operations: tuple[Operation, ...]) -> str:
    return _text(operations)


@lru_cache(maxsize=KEPT)
def _whole_operations(text: str) -> tuple[Operation, ...]:
    return tuple([Operation(*value) for value in json.loads(text)])


def _plain_waits(waits: tuple[tuple[int, int], ...]) -> list[list[int]]:
    return [list(wait) for wait in waits]


def _whole_waits(values: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple([tuple(value) for value in values])


_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {
    _SITE: _plain_site, _OPERATIONS: _plain_operations, _WAITS: _plain_waits, _PATH: _plain_path,
}  # fmt: skip
_WHOLE: Final[dict[str, Callable[[Any], Any]]] = {
    _SITE: _whole_site, _OPERATIONS: _whole_operations, _WAITS: _whole_waits, _PATH: _whole_path,
}  # fmt: skip
