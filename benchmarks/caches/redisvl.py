"""redisvl's EmbeddingsCache: a hash for each text and model; it loads nothing by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from caches import case
from caches.case import EMBEDDING, TEXTS, TTL_SECONDS, Case, Contender, fresh, new_texts
from redisvl.extensions.cache.embeddings import EmbeddingsCache


@asynccontextmanager
async def redisvl(url: str) -> AsyncIterator[Contender]:
    cache = EmbeddingsCache(redis_url=url, ttl=TTL_SECONDS)
    stored = fresh("text")

    def store(texts: list[str]) -> None:
        cache.mset([{"content": text, "model_name": "m", "embedding": EMBEDDING} for text in texts])

    def new() -> None:
        texts = new_texts()
        assert not any(cache.mget(texts, "m"))
        store(texts)

    store(TEXTS)
    cases = {
        case.HIT: Case(partial(cache.get, TEXTS[0], "m")),
        case.SET: Case(lambda: cache.set(stored(), "m", EMBEDDING)),
        case.DELETE: Case(lambda: cache.drop("one", "m"), lambda: cache.set("one", "m", EMBEDDING)),
        case.KNOWN_TEXTS: Case(lambda: cache.mget(TEXTS, "m")),
        case.NEW_TEXTS: Case(new),
    }
    yield Contender("redisvl", cases)
    cache.disconnect()
