"""Round trips of Redis and Postgres, counted on the wire.

Not a profiler and not an ORM hook: it counts how often this process *waits* for a store, whatever library asked.
"""

from redis_perf.budget import Budget, Spend
from redis_perf.counted import counted
from redis_perf.errors import BudgetExceeded, NothingMeasured, ProtocolError, ServerUnavailable, TapError
from redis_perf.limit import Limit, at_most, between, exactly
from redis_perf.recording import Recording, record
from redis_perf.trace import Opened, Operation, Problem, RoundTrip, Site, StoreTrace, Tapped, Trace

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "BudgetExceeded",
    "Limit",
    "NothingMeasured",
    "Opened",
    "Operation",
    "Problem",
    "ProtocolError",
    "Recording",
    "RoundTrip",
    "ServerUnavailable",
    "Site",
    "Spend",
    "StoreTrace",
    "TapError",
    "Tapped",
    "Trace",
    "at_most",
    "between",
    "counted",
    "exactly",
    "record",
]
