"""The caches of `redis_perf_reference`, sync and asyncio: TwoTierCache, RedisCache behind it, CacheAside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from caches import case
from caches.case import (
    CHANGES,
    EMBEDDING,
    FILES,
    SWEEP,
    TAGGED,
    TEXTS,
    TIMEOUT_SECONDS,
    TTL_SECONDS,
    VALUE,
    VALUES,
    Case,
    Contender,
    finished,
    fresh,
    new_texts,
)
from caches.repository import AsyncRepository, Repository


def hot_sync(key: str) -> str:
    return "x" * 50


async def hot_async(key: str) -> str:
    return "x" * 50


class Sync:
    def hot(self, key: str) -> str:
        return "x" * 50


class Async:
    async def hot(self, key: str) -> str:
        return "x" * 50


def hot_method(caching: Any, kind: type) -> Any:
    """A cached method of an object, looked up at each call."""
    cached = caching.cached(ttl=TTL_SECONDS, key_prefix="method")
    one = type("Cached", (), {"hot": cached(kind.__dict__["hot"])})()
    return lambda: one.hot("lua")


def encode(texts: list[str]) -> Any:
    return np.array([EMBEDDING] * len(texts), np.float32)


@asynccontextmanager
async def ours(url: str, twin: str = "sync") -> AsyncIterator[Contender]:
    def module(name: str) -> Any:
        return import_module(f"redis_perf_reference.{twin}.{name}")

    client = module("client").RedisClient(url, timeout_seconds=TIMEOUT_SECONDS)
    listen = module("cache").connect_redis(url, timeout_seconds=TIMEOUT_SECONDS)
    shared = module("redis_cache").RedisCache(client)
    blocking = module("redis_cache").RedisCache(client, scan_count=100_000)
    cache = module("two_tier_cache").TwoTierCache(shared, listen)
    aside = module("cache_aside").CacheAside(client, ttl=TTL_SECONDS)
    await finished(cache.start())
    await finished(cache.set("hot", "x" * 50, TTL_SECONDS))
    await finished(shared.set("persona:lua:1", VALUE, TTL_SECONDS))
    await finished(shared.set_many(VALUES, TTL_SECONDS))
    caching = module("caching").Caching(cache)
    hot = caching.cached(ttl=TTL_SECONDS, key_prefix="called")(hot_async if twin == "asyncio" else hot_sync)
    await finished(hot("lua"))
    method = hot_method(caching, Async if twin == "asyncio" else Sync)
    embeddings = module("embedding_cache").EmbeddingCache(client, encode, model="m", revision="1", dimension=384)
    files = module("bitbucket_cache").BitbucketCache(client, AsyncRepository() if twin == "asyncio" else Repository())
    load = case.load if twin == "sync" else case.load_async
    miss, told = fresh("persona:miss"), fresh("persona:set")
    cases = {
        case.L1_HIT: Case(partial(cache.get, "hot")),
        case.CALLED_HIT: Case(partial(hot, "lua")),
        case.NAMED_HIT: Case(partial(hot, key="lua")),
        case.METHOD_HIT: Case(method),
        case.HIT: Case(partial(shared.get, "persona:lua:1")),
        case.LOADED_HIT: Case(lambda: aside.get_with_cache("loaded", load)),
        case.MISS: Case(lambda: aside.get_with_cache(miss(), load)),
        case.SHARED_MISS: Case(lambda: aside.get_with_cache(miss(), load)),
        case.SET: Case(lambda: aside.set(told(), VALUE)),
        case.SET_TOLD: Case(lambda: cache.set(told(), VALUE, TTL_SECONDS)),
        case.DELETE: Case(lambda: aside.delete("one"), lambda: aside.set("one", VALUE)),
        case.DELETE_TOLD: Case(lambda: cache.delete("one"), lambda: cache.set("one", VALUE, TTL_SECONDS)),
        case.TAGS: Case(
            lambda: cache.invalidate_tags("red"), lambda: shared.set_many(TAGGED, TTL_SECONDS, tags=["red"])
        ),
        case.GENERATION: Case(
            lambda: cache.invalidate_pattern("persona:lua:*"), lambda: shared.set("persona:lua:2", VALUE, TTL_SECONDS)
        ),
        case.SCAN: Case(lambda: cache.delete_pattern("sweep:*"), lambda: shared.set_many(SWEEP, TTL_SECONDS)),
        case.AT_ONCE: Case(lambda: blocking.delete_pattern("sweep:*"), lambda: shared.set_many(SWEEP, TTL_SECONDS)),
        case.GET_MANY: Case(lambda: shared.get_many(VALUES)),
        case.SET_MANY: Case(lambda: shared.set_many(VALUES, TTL_SECONDS)),
        case.KNOWN_TEXTS: Case(lambda: embeddings.embed(TEXTS)),
        case.NEW_TEXTS: Case(lambda: embeddings.embed(new_texts())),
        case.COMMIT: Case(
            lambda: files.commit_multiple_files("master", CHANGES, "message"), lambda: files.get_files(FILES)
        ),
    }
    name = "ours" if twin == "sync" else "ours, asyncio"
    yield Contender(name, cases, waits=twin == "asyncio", herd=aside.get_with_cache)
    await finished(cache.close())
    await finished(client.close())
    await finished(listen.close() if twin == "sync" else listen.aclose())
