"""What a trace would cost on a network with a given round-trip time. Latency only: no transfer, no server time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redis_perf.trace import StoreTrace, Trace

NETWORKS_NS: Final = (2_000_000, 30_000_000)
"""Round-trip times a failure is costed at: another availability zone, another region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """`floor_ns`: the longest chain of round trips that had to wait for each other; `total_ns`: all of them, added."""

    round_trip_ns: int
    floor_ns: int
    total_ns: int


def projection(trace: StoreTrace | Trace, round_trip_ns: int) -> Projection:
    """The cost of what the trace charges. Raises ValueError for a round-trip time that is not positive."""
    if round_trip_ns <= 0:
        raise ValueError(f"round-trip time {round_trip_ns} ns: expected more than 0")
    total = trace.round_trips if isinstance(trace, StoreTrace) else trace.redis.round_trips + trace.postgres.round_trips
    return Projection(round_trip_ns=round_trip_ns, floor_ns=trace.depth * round_trip_ns, total_ns=total * round_trip_ns)
