"""Reference patterns for Redis beside Postgres, to copy into your own code; their tests prove what they cost.

The names here are the sync ones; `redis_perf_reference.asyncio` has the same for asyncio.
"""

from redis_perf_reference.bitbucket import BitbucketError, Committed, InvalidName, NotText
from redis_perf_reference.breaker import Breaker, ConsecutiveFailures
from redis_perf_reference.cache_input import InvalidKey, InvalidTtl
from redis_perf_reference.cache_outcome import Told
from redis_perf_reference.call_keys import Unkeyable
from redis_perf_reference.codec import Codec, Undecodable, Unencodable
from redis_perf_reference.embedding_input import InvalidText
from redis_perf_reference.lifetime import WithTtl
from redis_perf_reference.llm import AnswerRejected, InvalidRequest, LLMAnswer, LLMRequest
from redis_perf_reference.llm_account import Price
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.observer import Observer
from redis_perf_reference.outcomes import CacheUnavailable, Flushed, NotAutocommit, NotFlushed, Pushed, TurnConflict
from redis_perf_reference.pattern import PatternRefused, escape
from redis_perf_reference.sync import (
    BatchCacheAside,
    BitbucketAPI,
    BitbucketCache,
    CacheAside,
    Caching,
    Commands,
    EmbeddingCache,
    LLMCache,
    OneConnection,
    OptimizedPipeline,
    Pipeline,
    Postgres,
    RedisCache,
    RedisClient,
    Steps,
    TwoTierCache,
    WorkingMemory,
    connect_redis,
    create_schema,
    get_optimized_pipeline,
    get_pipeline,
    openai_chat,
)
from redis_perf_reference.turn import Turn
from redis_perf_reference.vectors import InvalidVectors, NotFinite, WrongDimension, WrongDtype

__all__ = [
    "AnswerRejected",
    "BatchCacheAside",
    "BitbucketAPI",
    "BitbucketCache",
    "BitbucketError",
    "Breaker",
    "CacheAside",
    "CacheUnavailable",
    "Caching",
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
    "Observer",
    "OneConnection",
    "OptimizedPipeline",
    "PatternRefused",
    "Pipeline",
    "Postgres",
    "Price",
    "Pushed",
    "RedisCache",
    "RedisClient",
    "Steps",
    "Told",
    "Turn",
    "TurnConflict",
    "TwoTierCache",
    "Undecodable",
    "Unencodable",
    "Unkeyable",
    "WithTtl",
    "WorkingMemory",
    "WrongDimension",
    "WrongDtype",
    "connect_redis",
    "create_schema",
    "escape",
    "get_optimized_pipeline",
    "get_pipeline",
    "openai_chat",
]
