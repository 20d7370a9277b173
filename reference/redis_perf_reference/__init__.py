"""Reference patterns for Redis beside Postgres, to copy into your own code; their tests prove what they cost.

The names here are the sync ones; `redis_perf_reference.asyncio` has the same for asyncio.
"""

from redis_perf_reference.breaker import Breaker, ConsecutiveFailures
from redis_perf_reference.cache_input import InvalidKey, InvalidTtl
from redis_perf_reference.cache_outcome import Told
from redis_perf_reference.codec import Codec, Undecodable, Unencodable
from redis_perf_reference.embedding_input import InvalidText
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.outcomes import CacheUnavailable, Flushed, NotAutocommit, NotFlushed, Pushed, TurnConflict
from redis_perf_reference.pattern import PatternRefused, escape
from redis_perf_reference.sync import (
    Commands,
    EmbeddingCache,
    OneConnection,
    Postgres,
    RedisCache,
    TwoTierCache,
    WorkingMemory,
    connect_redis,
    create_schema,
)
from redis_perf_reference.turn import Turn
from redis_perf_reference.vectors import InvalidVectors, NotFinite, WrongDimension, WrongDtype

__all__ = [
    "Breaker",
    "CacheUnavailable",
    "Codec",
    "Commands",
    "ConsecutiveFailures",
    "EmbeddingCache",
    "Flushed",
    "InvalidKey",
    "InvalidText",
    "InvalidTtl",
    "InvalidVectors",
    "LocalCache",
    "NotAutocommit",
    "NotFinite",
    "NotFlushed",
    "OneConnection",
    "PatternRefused",
    "Postgres",
    "Pushed",
    "RedisCache",
    "Told",
    "Turn",
    "TurnConflict",
    "TwoTierCache",
    "Undecodable",
    "Unencodable",
    "WorkingMemory",
    "WrongDimension",
    "WrongDtype",
    "connect_redis",
    "create_schema",
    "escape",
]
