"""Round trips of Redis and Postgres, counted on the wire.

Not a profiler and not an ORM hook: it counts how often this process *waits* for a store, whatever library asked.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis_perf.budget import Budget, Spend
    from redis_perf.counting import counted
    from redis_perf.errors import BudgetExceeded, NothingMeasured, ProtocolError, ServerUnavailable, TapError
    from redis_perf.grown_contents import growth_strategy
    from redis_perf.limit import Limit, at_most, between, exactly, warm
    from redis_perf.proxy.fault_points import fault_points
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
    "fault_points",
    "growth_strategy",
    "record",
    "warm",
]
_HOMES = {
    "budget": "Budget Spend",
    "counting": "counted",
    "errors": "BudgetExceeded NothingMeasured ProtocolError ServerUnavailable TapError",
    "grown_contents": "growth_strategy",
    "limit": "Limit at_most between exactly warm",
    "proxy.fault_points": "fault_points",
    "recording": "Recording record",
    "trace": "Opened Operation Problem RoundTrip Site StoreTrace Tapped Trace",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Each name is loaded when asked for: whoever needs a server alone does not wait for what counts."""
        for module, names in _HOMES.items():
            if name in names.split():
                found = globals()[name] = getattr(import_module(f"redis_perf.{module}"), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
