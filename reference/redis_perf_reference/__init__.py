"""Reference patterns for Redis beside Postgres, to copy into your own code; their tests prove what they cost.

The names here are the sync ones; `redis_perf_reference.asyncio` has the same for asyncio.
"""

from redis_perf_reference.breaker import Breaker, ConsecutiveFailures
from redis_perf_reference.outcomes import CacheUnavailable, Flushed, NotAutocommit, NotFlushed, Pushed, TurnConflict
from redis_perf_reference.sync import Commands, OneConnection, Postgres, WorkingMemory, connect_redis, create_schema
from redis_perf_reference.turn import Turn

__all__ = [
    "Breaker",
    "CacheUnavailable",
    "Commands",
    "ConsecutiveFailures",
    "Flushed",
    "NotAutocommit",
    "NotFlushed",
    "OneConnection",
    "Postgres",
    "Pushed",
    "Turn",
    "TurnConflict",
    "WorkingMemory",
    "connect_redis",
    "create_schema",
]
