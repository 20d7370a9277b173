"""The patterns for one kind of client; `redis_perf_reference` tells which. Values are shared by both kinds."""

from redis_perf_reference.asyncio.batch_cache_aside import BatchCacheAside
from redis_perf_reference.asyncio.bitbucket_api import BitbucketAPI
from redis_perf_reference.asyncio.bitbucket_cache import BitbucketCache
from redis_perf_reference.asyncio.cache import Commands, connect_redis
from redis_perf_reference.asyncio.cache_aside import CacheAside
from redis_perf_reference.asyncio.caching import Caching
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.asyncio.embedding_cache import EmbeddingCache
from redis_perf_reference.asyncio.llm_cache import LLMCache
from redis_perf_reference.asyncio.openai_chat import openai_chat
from redis_perf_reference.asyncio.optimized_pipeline import OptimizedPipeline, get_optimized_pipeline
from redis_perf_reference.asyncio.pipeline import Pipeline, Steps, get_pipeline
from redis_perf_reference.asyncio.postgres import OneConnection, Postgres, create_schema
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.asyncio.two_tier_cache import TwoTierCache
from redis_perf_reference.asyncio.working_memory import WorkingMemory

__all__ = [
    "BatchCacheAside",
    "BitbucketAPI",
    "BitbucketCache",
    "CacheAside",
    "Caching",
    "Commands",
    "EmbeddingCache",
    "LLMCache",
    "OneConnection",
    "OptimizedPipeline",
    "Pipeline",
    "Postgres",
    "RedisCache",
    "RedisClient",
    "Steps",
    "TwoTierCache",
    "WorkingMemory",
    "connect_redis",
    "create_schema",
    "get_optimized_pipeline",
    "get_pipeline",
    "openai_chat",
]
