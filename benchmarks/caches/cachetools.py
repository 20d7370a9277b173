"""cachetools, in the process alone: its TTLCache as it is, and as a decorator with the lock that threads need."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from caches import case
from caches.case import TTL_SECONDS, Case, Contender
from cachetools import TTLCache, cached, cachedmethod


@asynccontextmanager
async def cachetools(url: str) -> AsyncIterator[Contender]:
    cache: TTLCache[str, str] = TTLCache(1000, TTL_SECONDS)
    cache["hot"] = "x" * 50
    yield Contender("cachetools TTLCache", {case.L1_HIT: Case(partial(cache.get, "hot"))})


@asynccontextmanager
async def decorated(url: str) -> AsyncIterator[Contender]:
    @cached(TTLCache(1000, TTL_SECONDS), lock=threading.Lock())
    def hot(key: str) -> str:
        return "x" * 50

    class Store:
        def __init__(self) -> None:
            self.cache: TTLCache[object, str] = TTLCache(1000, TTL_SECONDS)
            self.lock = threading.Lock()

        @cachedmethod(lambda self: self.cache, lock=lambda self: self.lock)
        def hot(self, key: str) -> str:
            return "x" * 50

    store = Store()
    cases = {
        case.CALLED_HIT: Case(partial(hot, "hot")),
        case.NAMED_HIT: Case(partial(hot, key="hot")),
        case.METHOD_HIT: Case(lambda: store.hot("hot")),
    }
    yield Contender("cachetools @cached", cases)
