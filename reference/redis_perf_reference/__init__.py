"""Reference patterns for Redis beside Postgres, to copy into your own code; their tests prove what they cost.

The names here are the sync ones; `redis_perf_reference.asyncio` has the same for asyncio.
"""

from redis_perf_reference.bitbucket import BitbucketError, Committed, InvalidName, NotText
from redis_perf_reference.breaker import Breaker, ConsecutiveFailures
from redis_perf_reference.cache_input import InvalidKey, InvalidTtl
from redis_perf_reference.cache_outcome import Told
from redis_perf_reference.codec import Codec, Undecodable, Unencodable
from redis_perf_reference.embedding_input import InvalidText
from redis_perf_reference.leased import WithTtl
from redis_perf_reference.llm import AnswerRejected, InvalidRequest, LLMAnswer, LLMRequest
from redis_perf_reference.llm_account import Price
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.outcomes import CacheUnavailable, Flushed, NotAutocommit, NotFlushed, Pushed, TurnConflict
from redis_perf_reference.pattern import PatternRefused, escape
from redis_perf_reference.sync import (
    BitbucketAPI,
    BitbucketCache,
    Commands,
    EmbeddingCache,
    LLMCache,
    OneConnection,
    Postgres,
    RedisCache,
    TwoTierCache,
    WorkingMemory,
    connect_redis,
    create_schema,
    openai_chat,
)
from redis_perf_reference.turn import Turn
from redis_perf_reference.vectors import InvalidVectors, NotFinite, WrongDimension, WrongDtype

__all__ = [
    "AnswerRejected",
    "BitbucketAPI",
    "BitbucketCache",
    "BitbucketError",
    "Breaker",
    "CacheUnavailable",
    "Codec",
    "Commands",
    "Committed",
    "ConsecutiveFailures",
    "EmbeddingCache",
    "Flushed",
    "InvalidKey",
    "InvalidName",
    "InvalidRequest",
    "InvalidText",
    "InvalidTtl",
    "InvalidVectors",
    "LLMAnswer",
    "LLMCache",
    "LLMRequest",
    "LocalCache",
    "NotAutocommit",
    "NotFinite",
    "NotFlushed",
    "NotText",
    "OneConnection",
    "PatternRefused",
    "Postgres",
    "Price",
    "Pushed",
    "RedisCache",
    "Told",
    "Turn",
    "TurnConflict",
    "TwoTierCache",
    "Undecodable",
    "Unencodable",
    "WithTtl",
    "WorkingMemory",
    "WrongDimension",
    "WrongDtype",
    "connect_redis",
    "create_schema",
    "escape",
    "openai_chat",
]
