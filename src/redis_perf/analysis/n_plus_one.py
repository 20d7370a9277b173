"""N+1: the same question from the same place in the code, again and again, each time with other arguments.

Found where one lane (thread or asyncio task) asked the same shape by the same path of calls at least `threshold`
times, each time after the answer before had come. The path, not only the line, must be the same: one helper that is
called from three lines is no loop.

Not suspected is what is meant to go one by one, as far as a trace tells: what was asked with the same arguments
(polling, taking from a queue; `analysis.waste` has repeated reads), attempts that failed, blocking commands, cursors,
pages, what already is a batch (a pipeline, a MULTI block, `= ANY(...)`, an INSERT of many rows), subscriptions,
transaction control and setup. Requests that overlapped in time were asked at once.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final

from redis_perf.analysis.alike import alike
from redis_perf.analysis.fix import MULTI_KEY, fix
from redis_perf.trace import Operation, RoundTrip, Site, Store, Trace

THRESHOLD: Final = 3
ANY_FIX: Final = "one statement over all of them, as unnest($1),"
BATCH_BYTES: Final = 2048
"""A write this large is taken for a batch of many rows or values."""

_ONE_BY_ONE: Final = frozenset({
    "SCAN", "HSCAN", "SSCAN", "ZSCAN", "FT.CURSOR", "XREAD", "XREADGROUP", "XAUTOCLAIM", "XPENDING",
    "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
    "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SCRIPT LOAD", "SCRIPT EXISTS",
    "PING", "ECHO", "TIME", "INFO", "WAIT", "WAITAOF", "KEYS", "RANDOMKEY", "DBSIZE", "FLUSHDB", "FLUSHALL",
})  # fmt: skip
_PAGES: Final = frozenset({
    "LRANGE", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZRANGEBYLEX", "ZREVRANGEBYLEX", "XRANGE",
    "XREVRANGE", "GETRANGE", "SORT", "SORT_RO",
})  # fmt: skip
_BY_KEY: Final = _PAGES | MULTI_KEY.keys() - {"JSON.GET", "JSON.SET"}
"""Asked about one key again and again, these turn pages or wait for something."""
_STATEMENTS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})
_READS: Final = frozenset({"SELECT"})
_IS_BATCH: Final = re.compile(r"= (?:ANY|ALL)\(| IN \(\.\.\.\)|\bunnest\(", re.IGNORECASE)
_IS_PAGE: Final = re.compile(r"\bOFFSET\b|[<>]=? \?.*\bORDER BY\b.*\b(?:LIMIT|FETCH FIRST)\b", re.IGNORECASE)
_IS_CONTROL: Final = re.compile(r"\b(?:pg_\w+|set_config|current_setting)\(", re.IGNORECASE)


_times_ns = attrgetter("started_ns", "ended_ns")
_way = attrgetter("operations", "site", "path", "store", "server", "name", "lane", "answer", "purpose", "waited")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One N+1: what was asked by which line, in which loop, and what asks it at once instead.

    `loop` is the line that runs again and again: the head of the loop where one was found, else the user's line that
    called `site`'s function; None if neither is known, or it is `site` itself. `different` is how many different
    arguments there were, None if that was not seen.
    """

    store: Store
    shape: str
    site: Site
    loop: Site | None
    trips: tuple[RoundTrip, ...]
    different: int | None
    fix: str

    @property
    def saves(self) -> int:
        """Round trips that are left out when all is asked at once."""
        return len(self.trips) - 1


def n_plus_one(trace: Trace, threshold: int = THRESHOLD) -> list[Suspect]:
    """Every suspect, the greatest saving first. Raises ValueError for a threshold below 2."""
    if threshold < 2:
        raise ValueError(f"threshold {threshold}: expected 2 or more")
    found = [
        suspect
        for trips in _ways(trace.charged, threshold)
        if len(trips) >= threshold and _may_be_one(trips[0])
        for row in _rows(trips)
        for suspect in _suspects(row, threshold)
    ]
    return sorted(found, key=lambda suspect: (-suspect.saves, suspect.trips[0].started_ns))


def _ways(charged: Sequence[RoundTrip], threshold: int) -> Iterable[Sequence[RoundTrip]]:
    """Those that went the same way together, on whatever connection."""
    groups = alike(charged) if len(charged) >= threshold else ()
    if len(groups) < 2:
        return groups
    ways: dict[Hashable, list[RoundTrip]] = {}
    for trips in groups:
        ways.setdefault(_way(trips[0]), []).extend(trips)
    return ways.values()


def _may_be_one(trip: RoundTrip) -> bool:
    """Whether those that went this way could be asked together, unless they are too large."""
    alone = trip.answer == "complete" and trip.purpose == "work" and not trip.waited
    return alone and _most_bytes(trip.store, trip.operations) != 0


@lru_cache(maxsize=512)
def _most_bytes(store: Store, operations: tuple[Operation, ...]) -> int | None:
    """From which size on it is no suspect (0: never is one), None: of any size."""
    if len(operations) != 1 or operations[0].failed:
        return 0
    name, shape, _ = operations[0]
    if store == "redis":
        return 0 if name in _ONE_BY_ONE or shape.endswith(" ...") else BATCH_BYTES
    if name not in _STATEMENTS or _IS_BATCH.search(shape) or _IS_CONTROL.search(shape):
        return 0
    if name not in _READS:
        return BATCH_BYTES
    return 0 if _IS_PAGE.search(shape) else None


def _rows(trips: Sequence[RoundTrip]) -> Iterator[list[RoundTrip]]:
    """Parts in which each was asked after the one before was answered; what already is a batch is left out."""
    most_bytes = _most_bytes(trips[0].store, trips[0].operations)
    row: list[RoundTrip] = []
    for trip in sorted(trips, key=_times_ns):
        if most_bytes is not None and (trip.sent_bytes or 0) >= most_bytes:
            continue
        if row and trip.started_ns < row[-1].ended_ns:
            yield row
            row = []
        row.append(trip)
    if row:
        yield row


def _suspects(row: Sequence[RoundTrip], threshold: int) -> Iterator[Suspect]:
    first = row[0]
    operation, site = first.operations[0], first.site
    if site is None or len(row) < threshold:
        return
    different = _different([trip.arguments for trip in row])
    keys = _different([trip.key for trip in row])
    asked = keys if operation.name in _BY_KEY and keys is not None else different
    through = None if first.path is None else first.path.through
    same_key = None if keys is None else keys == 1 if keys in (1, len(row)) else None
    instead = fix(first.store, operation.name, operation.shape, same_key=same_key, through=through) or ANY_FIX
    if asked is None or asked >= threshold:
        yield Suspect(
            store=first.store,
            shape=operation.shape,
            site=site,
            loop=_loop(first, site),
            trips=tuple(row),
            different=different,
            fix=instead,
        )


def _different(hashes: Iterable[int | None]) -> int | None:
    seen = set(hashes)
    return None if None in seen else len(seen)


def _loop(trip: RoundTrip, site: Site) -> Site | None:
    path = trip.path
    if path is None:
        return None
    loop = path.loop or (path.callers[0] if path.callers else None)
    return None if loop == site else loop
