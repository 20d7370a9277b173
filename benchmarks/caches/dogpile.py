"""dogpile.cache: pickles; `distributed_lock` is its single-flight across processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from caches import case
from caches.case import TTL_SECONDS, VALUE, VALUES, Case, Contender, fresh, load
from dogpile.cache import make_region


@asynccontextmanager
async def dogpile(url: str) -> AsyncIterator[Contender]:
    def region(**options: Any) -> Any:
        arguments = {"url": url, "redis_expiration_time": TTL_SECONDS, **options}
        return make_region().configure("dogpile.cache.redis", expiration_time=TTL_SECONDS, arguments=arguments)

    local = make_region().configure("dogpile.cache.memory", expiration_time=TTL_SECONDS)
    cache, locked = region(), region(distributed_lock=True, thread_local_lock=False, lock_timeout=10, lock_sleep=0.01)
    local.set("hot", "x" * 50)
    cache.set("hit", VALUE)
    cache.set_multi(VALUES)
    miss, stored, names = fresh("dogpile:miss"), fresh("dogpile:set"), list(VALUES)
    cases = {
        case.L1_HIT: Case(partial(local.get, "hot")),
        case.HIT: Case(partial(cache.get, "hit")),
        case.LOADED_HIT: Case(lambda: cache.get_or_create("loaded", load)),
        case.MISS: Case(lambda: cache.get_or_create(miss(), load)),
        case.SHARED_MISS: Case(lambda: locked.get_or_create(miss(), load)),
        case.SET: Case(lambda: cache.set(stored(), VALUE)),
        case.DELETE: Case(lambda: cache.delete("one"), lambda: cache.set("one", VALUE)),
        case.GET_MANY: Case(lambda: cache.get_multi(names)),
        case.SET_MANY: Case(lambda: cache.set_multi(VALUES)),
    }
    yield Contender("dogpile.cache", cases, herd=locked.get_or_create)
    for each in (cache, locked):
        each.backend.writer_client.close()
