"""aiocache, asyncio: JSON; `cached_stampede` is its single-flight, by a lock in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from aiocache import Cache, cached, cached_stampede
from aiocache.serializers import JsonSerializer
from caches import case
from caches.case import SWEEP, TTL_SECONDS, VALUE, VALUES, Case, Contender, fresh


@asynccontextmanager
async def aiocache(url: str) -> AsyncIterator[Contender]:
    where: dict[str, Any] = {"endpoint": urlsplit(url).hostname, "port": urlsplit(url).port}
    local, cache = Cache(Cache.MEMORY), Cache(Cache.REDIS, serializer=JsonSerializer(), **where)
    sweep = Cache(Cache.REDIS, serializer=JsonSerializer(), namespace="sweep", **where)
    await local.set("hot", "x" * 50, TTL_SECONDS)
    await cache.set("hit", VALUE, TTL_SECONDS)
    await cache.multi_set(list(VALUES.items()), TTL_SECONDS)

    def named(function: Callable[..., Any], key: str) -> str:
        return key

    options: dict[str, Any] = {"ttl": TTL_SECONDS, "serializer": JsonSerializer(), "key_builder": named, **where}

    @cached(cache=Cache.REDIS, **options)
    async def plain(key: str) -> Any:
        return VALUE

    @cached_stampede(cache=Cache.REDIS, lease=2, **options)
    async def locked(key: str) -> Any:
        return VALUE

    loaders: dict[str, Callable[[], Any]] = {}

    @cached_stampede(cache=Cache.REDIS, lease=2, **options)
    async def herd_of(key: str) -> Any:
        return await loaders[key]()

    def herd(key: str, load: Callable[[], Any]) -> Any:
        loaders[key] = load
        return herd_of(key)

    miss, stored = fresh("aiocache:miss"), fresh("aiocache:set")
    cases = {
        case.L1_HIT: Case(partial(local.get, "hot")),
        case.HIT: Case(partial(cache.get, "hit")),
        case.LOADED_HIT: Case(lambda: plain("loaded")),
        case.MISS: Case(lambda: plain(miss())),
        case.SHARED_MISS: Case(lambda: locked(miss())),
        case.SET: Case(lambda: cache.set(stored(), VALUE, TTL_SECONDS)),
        case.DELETE: Case(lambda: cache.delete("one"), lambda: cache.set("one", VALUE, TTL_SECONDS)),
        case.AT_ONCE: Case(
            lambda: sweep.clear(namespace="sweep"), lambda: sweep.multi_set(list(SWEEP.items()), TTL_SECONDS)
        ),
        case.GET_MANY: Case(lambda: cache.multi_get(list(VALUES))),
        case.SET_MANY: Case(lambda: cache.multi_set(list(VALUES.items()), TTL_SECONDS)),
    }
    yield Contender("aiocache", cases, True, herd)
    for each in (cache, sweep, plain.cache, locked.cache, herd_of.cache):
        await each.close()
        await each.client.aclose()
