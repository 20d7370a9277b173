# Generated from ../asyncio/__init__.py by tools/sync_twins.py: change that file, then run the tool.
"""The patterns for one kind of client; `redis_perf_reference` tells which. Values are shared by both kinds."""

from redis_perf_reference.sync.batch_cache_aside import BatchCacheAside
from redis_perf_reference.sync.bitbucket_api import BitbucketAPI
from redis_perf_reference.sync.bitbucket_cache import BitbucketCache
from redis_perf_reference.sync.cache import Commands, connect_redis
from redis_perf_reference.sync.cache_aside import CacheAside
from redis_perf_reference.sync.caching import Caching
from redis_perf_reference.sync.client import RedisClient
from redis_perf_reference.sync.embedding_cache import EmbeddingCache
from redis_perf_reference.sync.llm_cache import LLMCache
from redis_perf_reference.sync.openai_chat import openai_chat
from redis_perf_reference.sync.optimized_pipeline import OptimizedPipeline, get_optimized_pipeline
from redis_perf_reference.sync.pipeline import Pipeline, Steps, get_pipeline
from redis_perf_reference.sync.postgres import OneConnection, Postgres, create_schema
from redis_perf_reference.sync.redis_cache import RedisCache
from redis_perf_reference.sync.two_tier_cache import TwoTierCache
from redis_perf_reference.sync.working_memory import WorkingMemory

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
