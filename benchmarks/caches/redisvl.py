"""redisvl's EmbeddingsCache: a hash for each text and model; it loads nothing by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from caches import case
from caches.case import MANY, TTL_SECONDS, Case, Contender, fresh
from redisvl.extensions.cache.embeddings import EmbeddingsCache

EMBEDDING = [0.25] * 384


@asynccontextmanager
async def redisvl(url: str) -> AsyncIterator[Contender]:
    cache = EmbeddingsCache(redis_url=url, ttl=TTL_SECONDS)
    texts = [f"text {number}" for number in range(MANY)]
    items = [{"content": text, "model_name": "m", "embedding": EMBEDDING} for text in texts]
    cache.mset(items)
    stored = fresh("text")
    cases = {
        case.HIT: Case(partial(cache.get, texts[0], "m")),
        case.SET: Case(lambda: cache.set(stored(), "m", EMBEDDING)),
        case.DELETE: Case(lambda: cache.drop("one", "m"), lambda: cache.set("one", "m", EMBEDDING)),
        case.GET_MANY: Case(lambda: cache.mget(texts, "m")),
        case.SET_MANY: Case(lambda: cache.mset(items)),
    }
    yield Contender("redisvl", cases)
    cache.disconnect()
