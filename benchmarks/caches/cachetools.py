"""cachetools, in the process alone: its TTLCache as it is, and as a decorator with the lock that threads need."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from caches import case
from caches.case import TTL_SECONDS, Case, Contender
from cachetools import TTLCache, cached


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

    yield Contender("cachetools @cached", {case.CALLED_HIT: Case(partial(hot, "hot"))})
