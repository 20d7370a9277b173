"""The numbers of a trace that a witness can say something about."""

from __future__ import annotations

from typing import Any

import redis_perf
from redis_perf.trace import StoreTrace

CONNECT, TLS = ["CONNECT"], ["TLS"]
"""Round trips without a command: below the protocol."""


def seen(trace: redis_perf.Trace, store: Any) -> dict[str, Any]:
    """What was counted for a store. `depth` is without TCP connects, which nobody can hold back."""
    every = trace.every.store(store)
    asked = {trip: [operation.name for operation in trip.operations] for trip in every}
    answered = tuple(trip for trip in every if asked[trip] != CONNECT)
    return {
        "round_trips": every.round_trips,
        "setup": trace.setup.store(store).round_trips,
        "connects": every.round_trips - StoreTrace(answered, ()).round_trips,
        "depth": StoreTrace(answered, ()).depth,
        "operations": sum(len(names) for names in asked.values() if names not in (CONNECT, TLS)),
        "commits": every.commits,
        "problems": list(trace.problems),
    }
