"""Sorts of round trips: all of them but their times and sizes, which few of those in a block differ in."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

from redis_perf.analysis.alike import kinds
from redis_perf.report.html.sites import plain_site
from redis_perf.report.html.tables import Table
from redis_perf.report.secrets import redacted
from redis_perf.trace import Operation, Path, RoundTrip, Site

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


class Sorts:
    """Those of a block, each once, and the tables they refer to."""

    def __init__(self, root: str) -> None:
        self._known: dict[Hashable, int] = {}
        self._plain: list[Sort] = []
        self._sites = Table[Site | None](lambda site: plain_site(site, root))
        self._paths = Table[Path | None](lambda path: _plain_path(path, root))
        self._operations = Table[tuple[Operation, ...]](_plain_operations)

    def __getitem__(self, number: int) -> Sort:
        return self._plain[number]

    def values(self) -> dict[str, object]:
        return {
            "sorts": self._plain,
            "sites": self._sites.values(),
            "paths": self._paths.values(),
            "operations": self._operations.values(),
        }

    def numbers(self, trips: Sequence[RoundTrip]) -> list[int]:
        """The number of each one's sort."""
        marks, ones = kinds(trips)
        numbers = {mark: self._number(trip) for mark, trip in ones.items()}
        return [numbers[mark] for mark in marks]

    def _number(self, trip: RoundTrip) -> int:
        number = self._known.setdefault(_OF_SORT(trip), len(self._plain))
        if number == len(self._plain):
            self._plain.append(self._plain_sort(trip))
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


def _plain_operations(operations: tuple[Operation, ...]) -> object:
    return [[each.name, each.shape, each.failed] for each in operations]


def _plain_path(path: Path | None, root: str) -> object:
    if path is None:
        return None
    callers = [plain_site(site, root) for site in path.callers[:CALLERS]]
    return {"callers": callers, "loop": plain_site(path.loop, root), "through": path.through}
