"""A trace as few plain values, for where many travel: from xdist's workers to the controller, into a page.

Column by column instead of one object for each round trip; what repeats (sites, operations, names) stands once in a
table and is named by its index. `unpacked(packed(trace)) == trace`, and `packed` holds nothing but dicts, lists, str,
int, bool and None. It is no file format: both ends are the same version. A file is `redis_perf.report.jsonl`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, Final, TypeAlias

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
from redis_perf.round_trip import round_trip
from redis_perf.trace import Operation, Path, Problem, RoundTrip, Site, Trace

Packed: TypeAlias = dict[str, Any]

_COLUMNS: Final = tuple(field.name for field in fields(RoundTrip))
_NUMBERS: Final = frozenset({"connection", "started_ns", "ended_ns", "sent_bytes", "received_bytes", "commits"})
"""Columns whose values seldom repeat, so a table of them would be as long as they are."""
_HASHES: Final = frozenset({"arguments", "key"})
"""Columns that say only which are the same: numbered in order of appearance."""
_SITE: Final = "site"
_PATH: Final = "path"
_OPERATIONS: Final = "operations"
_WAITS: Final = "waits"


def packed(trace: Trace) -> Packed:
    """The trace as plain values."""
    return {
        "round_trips": {name: _column(name, trace.round_trips) for name in _COLUMNS} if trace.round_trips else {},
        "opened": [from_opened(each) for each in trace.opened],
        "children": trace.children,
        "taps": [from_tapped(tap) for tap in trace.taps],
        "problems": [from_problem(problem) if isinstance(problem, Problem) else problem for problem in trace.problems],
        "purposes": sorted(trace.purposes),
        "notes": list(trace.notes),
    }


def unpacked(values: Packed) -> Trace:
    """The trace these values were made of."""
    columns = [_values(name, column) for name, column in values["round_trips"].items()]
    return Trace(
        round_trips=tuple([round_trip(*row) for row in zip(*columns, strict=True)]),
        opened=tuple(to_opened(Attributes(each)) for each in values["opened"]),
        children=values["children"],
        taps=tuple(to_tapped(Attributes(tap)) for tap in values["taps"]),
        problems=tuple(each if isinstance(each, str) else to_problem(Attributes(each)) for each in values["problems"]),
        purposes=frozenset(values["purposes"]),
        notes=tuple(values["notes"]),
    )


def _column(name: str, trips: Sequence[RoundTrip]) -> Packed:
    values = [getattr(trip, name) for trip in trips]
    if name in _HASHES:
        values = _numbered(values)
    if name in _NUMBERS:
        return {"values": values}
    table: dict[object, int] = {}
    at = [table.setdefault(value, len(table)) for value in values]
    plain = _PLAIN.get(name, _itself)
    return {"table": [plain(value) for value in table], "at": at if len(table) > 1 else len(at)}


def _values(name: str, column: Packed) -> Iterable[object]:
    if "values" in column:
        values: list[object] = column["values"]
        return values
    whole = _WHOLE.get(name, _itself)
    table = [whole(value) for value in column["table"]]
    at = column["at"]
    return [table[index] for index in at] if isinstance(at, list) else table * at


def _numbered(values: Iterable[object]) -> list[int | None]:
    numbers: dict[object, int] = {}
    return [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]


def _itself(value: Any) -> Any:
    return value


def _plain_site(site: Site | None) -> list[object] | None:
    return None if site is None else [site.file, site.line, site.function]


def _whole_site(values: list[Any] | None) -> Site | None:
    return Site(*values) if values else None


def _plain_path(path: Path | None) -> object:
    return None if path is None else from_path(path)


def _whole_path(values: Any) -> Path | None:
    return to_path(Attributes(values)) if values else None


def _plain_operations(operations: tuple[Operation, ...]) -> list[list[object]]:
    return [[each.name, each.shape, each.failed] for each in operations]


def _whole_operations(values: list[list[Any]]) -> tuple[Operation, ...]:
    return tuple(Operation(*value) for value in values)


def _plain_waits(waits: tuple[tuple[int, int], ...]) -> list[list[int]]:
    return [list(wait) for wait in waits]


def _whole_waits(values: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(value) for value in values)


_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {
    _SITE: _plain_site, _OPERATIONS: _plain_operations, _WAITS: _plain_waits, _PATH: _plain_path,
}  # fmt: skip
_WHOLE: Final[dict[str, Callable[[Any], Any]]] = {
    _SITE: _whole_site, _OPERATIONS: _whole_operations, _WAITS: _whole_waits, _PATH: _whole_path,
}  # fmt: skip
