"""redis-py's client-side caching: copies in the process, of which the server says when they are old. JSON by hand.

It refuses every server that does not say it is `redis`, 7.4 or later. Valkey has the same tracking, so here it is told
that `valkey` is the name: else there would be no figure.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import redis
from caches import case
from caches.case import TTL_SECONDS, VALUE, Case, Contender, fresh
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection


@asynccontextmanager
async def redis_py(url: str) -> AsyncIterator[Contender]:
    CacheProxyConnection.DEFAULT_SERVER_NAME = "valkey"
    client = redis.Redis.from_url(url, protocol=3, cache_config=CacheConfig())
    client.set("hot", "x" * 50, ex=TTL_SECONDS)
    stored = fresh("client-side")

    def put(key: str) -> None:
        client.set(key, json.dumps(VALUE), ex=TTL_SECONDS)

    cases = {
        case.L1_HIT: Case(partial(client.get, "hot")),
        case.SET_TOLD: Case(lambda: put(stored())),
        case.DELETE_TOLD: Case(lambda: client.delete("one"), lambda: put("one")),
    }
    yield Contender("redis-py CacheConfig", cases)
    client.close()
