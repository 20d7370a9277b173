"""Reads that were asked before with the same arguments, by the same lane, nothing having been written in between.

Anything that is not known for a read counts as a write, to all of its server. Polling is left out: the same place
asking again after a while, for a change that somebody else will make.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Final

from redis_perf.analysis.alike import marks
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
    times = Counter([trip.arguments for trip in ordered])
    kinds = marks(ordered)
    questions = _questions(dict(zip(kinds, ordered, strict=True)))
    servers: defaultdict[Hashable, dict[Hashable, list[RoundTrip]]] = defaultdict(dict)
    found: list[tuple[RoundTrip, ...]] = []
    for trip, kind in zip(ordered, kinds, strict=True):
        question, reads = questions[kind]
        told = trip.arguments is not None and not trip.waited
        if reads and told and times[trip.arguments] < 2:
            continue
        asked = servers[trip.store, trip.server, trip.name]  # since the last write
        if reads and told:
            asked.setdefault((question, trip.arguments, trip.lane), []).append(trip)
        elif _writes(trip):
            found += _again(asked)
            asked.clear()
    for asked in servers.values():
        found += _again(asked)
    return sorted(found, key=lambda group: -len(group))


def _questions(kinds: Mapping[Hashable, RoundTrip]) -> dict[Hashable, tuple[int, bool]]:
    """Numbers of what they asked, for numbers are quickly told apart, and whether they only read."""
    numbers: dict[tuple[Operation, ...], int] = {}
    return {
        kind: (numbers.setdefault(trip.operations, len(numbers)), only_reads(trip.store, trip.operations))
        for kind, trip in kinds.items()
    }


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


def _again(asked: Mapping[Hashable, Sequence[RoundTrip]]) -> list[tuple[RoundTrip, ...]]:
    return [tuple(group) for group in asked.values() if len(group) > 1 and not _polls(group)]


def _polls(group: Sequence[RoundTrip]) -> bool:
    ways = {(trip.site, None if trip.path is None else trip.path.key) for trip in group}
    return len(ways) == 1 and all(later.started_ns - trip.ended_ns >= POLL_NS for trip, later in pairwise(group))
