"""cashews, asyncio: pickles; `lock=True` is its single-flight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from caches import case
from caches.case import FILES, SWEEP, TAGGED, TTL_SECONDS, VALUE, VALUES, Case, Contender, fresh
from cashews import Cache


@asynccontextmanager
async def cashews(url: str) -> AsyncIterator[Contender]:
    local, cache, telling = Cache("local"), Cache("plain"), Cache("client_side")
    local.setup("mem://")
    cache.setup(url)
    telling.setup(url, client_side=True)
    await telling.init()
    await local.set("hot", "x" * 50, TTL_SECONDS)
    await cache.set("hit", VALUE, TTL_SECONDS)
    await cache.set_many(VALUES, TTL_SECONDS)
    cache.register_tag("red", "tagged:{number}")
    cache.register_tag("master", "files:{path}")

    @local(ttl=TTL_SECONDS, key="called:{key}")
    async def hot(key: str) -> str:
        return "x" * 50

    class Store:
        @local(ttl=TTL_SECONDS, key="method:{key}")
        async def hot(self, key: str) -> str:
            return "x" * 50

    store = Store()
    await hot("hot")

    @cache(ttl=TTL_SECONDS, key="miss:{key}")
    async def plain(key: str) -> Any:
        return VALUE

    @cache(ttl=TTL_SECONDS, key="shared:{key}", lock=True)
    async def locked(key: str) -> Any:
        return VALUE

    async def herd(key: str, load: Callable[[], Any]) -> Any:
        @cache(ttl=TTL_SECONDS, key="herd:{key}", lock=True)
        async def loaded(key: str) -> Any:
            return await load()

        return await loaded(key)

    async def tagged() -> None:
        for key, value in TAGGED.items():
            await cache.set(key, value, TTL_SECONDS, tags=["red"])

    async def committed() -> None:
        for path in FILES:
            await cache.set(f"files:{path}", "pass", TTL_SECONDS, tags=["master"])

    miss, stored = fresh("miss"), fresh("cashews")
    cases = {
        case.L1_HIT: Case(partial(local.get, "hot")),
        case.CALLED_HIT: Case(partial(hot, "hot")),
        case.NAMED_HIT: Case(partial(hot, key="hot")),
        case.METHOD_HIT: Case(lambda: store.hot("hot")),
        case.HIT: Case(partial(cache.get, "hit")),
        case.LOADED_HIT: Case(lambda: plain("loaded")),
        case.MISS: Case(lambda: plain(miss())),
        case.SHARED_MISS: Case(lambda: locked(miss())),
        case.SET: Case(lambda: cache.set(stored(), VALUE, TTL_SECONDS)),
        case.SET_TOLD: Case(lambda: telling.set(stored(), VALUE, TTL_SECONDS)),
        case.DELETE: Case(lambda: cache.delete("one"), lambda: cache.set("one", VALUE, TTL_SECONDS)),
        case.DELETE_TOLD: Case(lambda: telling.delete("one"), lambda: telling.set("one", VALUE, TTL_SECONDS)),
        case.TAGS: Case(lambda: cache.delete_tags("red"), tagged),
        case.SCAN: Case(lambda: cache.delete_match("sweep:*"), lambda: cache.set_many(SWEEP, TTL_SECONDS)),
        case.GET_MANY: Case(lambda: cache.get_many(*VALUES)),
        case.SET_MANY: Case(lambda: cache.set_many(VALUES, TTL_SECONDS)),
        case.COMMIT: Case(lambda: cache.delete_tags("master"), committed),
    }
    yield Contender("cashews", cases, True, herd)
    for each in (local, cache, telling):
        await each.close()
