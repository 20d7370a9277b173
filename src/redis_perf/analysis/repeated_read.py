"""Reads that were asked before with the same arguments, by the same lane, nothing having been written in between.

Anything that is not known for a read counts as a write, to all of its server. Polling is left out: the same place
asking again after a while, for a change that somebody else will make.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Final, TypeAlias

from redis_perf.analysis.alike import kinds
from redis_perf.trace import Operation, RoundTrip, Store

_started_ns = attrgetter("started_ns")
POLL_NS: Final = 1_000_000
"""Whoever asks the same from the same place with such pauses in between waits for something."""

_READS: Final = frozenset({
    "GET", "MGET", "STRLEN", "GETBIT", "BITCOUNT", "EXISTS", "TYPE", "HGET", "HMGET", "HGETALL", "HEXISTS", "HKEYS",
    "HVALS", "HLEN", "LRANGE", "LLEN", "LINDEX", "SMEMBERS", "SISMEMBER", "SMISMEMBER", "SCARD", "SINTER", "SUNION",
    "SDIFF", "ZSCORE", "ZMSCORE", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZCARD", "ZCOUNT",
    "ZRANK", "ZREVRANK", "JSON.GET", "JSON.MGET",
})  # fmt: skip
_Asked: TypeAlias = "defaultdict[tuple[int, int], list[RoundTrip]]"
_ASIDE: Final = frozenset({"PING", "ECHO", "TIME", "INFO"})
_CHANGES: Final = re.compile(
    r"\bFOR (?:NO KEY )?(?:UPDATE|SHARE|KEY SHARE)\b|\b(?:nextval|setval|random|gen_random_uuid|clock_timestamp|now|"
    r"pg_\w+|set_config)\(",
    re.IGNORECASE,
)


def repeated_reads(trips: Sequence[RoundTrip]) -> list[tuple[RoundTrip, ...]]:
    """Groups of the same read, the first of each included; the largest group first."""
    if len({trip.arguments for trip in trips}) == len(trips):
        return []
    ordered = sorted(trips, key=_started_ns)
    marks, ones = kinds(ordered)
    questions = _questions(ones)
    found: list[tuple[RoundTrip, ...]] = []
    for trip, mark in zip(ordered, marks, strict=True):
        asked, number = questions[mark]
        if number is not None and trip.arguments is not None:
            asked[number, trip.arguments].append(trip)
        elif _writes(trip):
            found += _again(asked)
            asked.clear()
    for asked in {id(asked): asked for asked, _ in questions.values()}.values():
        found += _again(asked)
    return sorted(found, key=lambda group: -len(group))


def _questions(ones: Mapping[Hashable, RoundTrip]) -> dict[Hashable, tuple[_Asked, int | None]]:
    """Of each kind what was asked of its server since the last write to that, and a number for what it asks, which is
    quickly told apart; None: not a read, or one that may wait."""
    servers: defaultdict[Hashable, _Asked] = defaultdict(lambda: defaultdict(list))
    numbers: dict[Hashable, int] = {}
    questions: dict[Hashable, tuple[_Asked, int | None]] = {}
    for mark, trip in ones.items():
        reads = not trip.waited and only_reads(trip.store, trip.operations)
        number = numbers.setdefault((trip.operations, trip.lane), len(numbers)) if reads else None
        questions[mark] = servers[trip.store, trip.server, trip.name], number
    return questions


@lru_cache(maxsize=512)
def only_reads(store: Store, operations: tuple[Operation, ...]) -> bool:
    """All of them are known to, and did not fail."""
    if not operations or any(each.failed for each in operations):
        return False
    if store == "redis":
        return all(each.name in _READS for each in operations)
    return all(each.name == "SELECT" and _is_steady(each.shape) for each in operations)


def _is_steady(shape: str) -> bool:
    """Answers the same as long as nothing is written."""
    return " FROM " in shape and not _CHANGES.search(shape)


def _writes(trip: RoundTrip) -> bool:
    known = _READS if trip.store == "redis" else frozenset({"SELECT"})
    unseen = trip.arguments is None and trip.operations and all(each.name in known for each in trip.operations)
    aside = all(each.name in _ASIDE for each in trip.operations) or trip.purpose != "work"
    return not (unseen or aside)


def _again(asked: _Asked) -> list[tuple[RoundTrip, ...]]:
    return [tuple(group) for group in asked.values() if len(group) > 1 and not _polls(group)]


def _polls(group: Sequence[RoundTrip]) -> bool:
    ways = {(trip.site, None if trip.path is None else trip.path.key) for trip in group}
    return len(ways) == 1 and all(later.started_ns - trip.ended_ns >= POLL_NS for trip, later in pairwise(group))
