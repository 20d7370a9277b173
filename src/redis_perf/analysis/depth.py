"""The longest chain of round trips that had to wait for each other, and where it could be shorter.

A trace tells what came after what, not what needed what. So the advice is about neighbours on the chain that were sent
by one lane (thread or asyncio task) one right after the other, and is worded as a condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from redis_perf.trace import RoundTrip


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Round trips of which each began after the one before had ended, as many as there can be; those with several
    waits, of tasks that share a connection, may stand there several times.

    `exact`: all round trips were one lane's, or their overlap was seen on a network with latency. Where it is False the
    depth is the most it can be: on a loopback, work of several threads seldom overlaps, however it was started.
    """

    trips: tuple[RoundTrip, ...]
    exact: bool

    @property
    def depth(self) -> int:
        return len(self.trips)

    @property
    def asides(self) -> tuple[Aside, ...]:
        """The neighbours that may be able to overlap."""
        return tuple(
            Aside(first=first, second=second) for first, second in pairwise(self.trips) if _apart(first, second)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Two on the chain that one lane sent one after the other to different servers or connections: at once they would
    make the chain shorter by one."""

    first: RoundTrip
    second: RoundTrip


def longest_chain(trips: Iterable[RoundTrip], *, exact: bool = False) -> Chain:
    """The chain `Trace.depth` is the length of; `exact` if they were seen on a network with latency.

    Found as that is: sorted by end, each that starts at or after the last end. Of those that end together the one that
    started last is taken, for it can have waited for most.
    """
    counted = [trip for trip in trips if trip.answer == "complete"]
    waits = [(ended_ns, began_ns, trip) for trip in counted for began_ns, ended_ns in trip.intervals]
    chain: list[RoundTrip] = []
    free_at: int | None = None
    for ended_ns, began_ns, trip in sorted(waits, key=itemgetter(0, 1)):
        if free_at is None or began_ns >= free_at:
            chain.append(trip)
            free_at = ended_ns
    lanes = {trip.lane for trip in counted}
    return Chain(trips=tuple(chain), exact=exact or len(lanes) <= 1)


def _apart(first: RoundTrip, second: RoundTrip) -> bool:
    """Could be sent at once, as far as can be told: same lane, same function, other connection, no transaction."""
    alike = _place(first) is not None and _place(first) == _place(second)
    elsewhere = (first.store, first.connection) != (second.store, second.connection)
    return alike and elsewhere and all(trip.purpose == "work" and not trip.waited for trip in (first, second))


def _place(trip: RoundTrip) -> tuple[str | None, str, str] | None:
    return None if trip.site is None else (trip.lane, trip.site.file, trip.site.function)
