"""django-redis: pickles; it has no single-flight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from caches import case
from caches.case import FILES, SWEEP, TTL_SECONDS, VALUE, VALUES, Case, Contender, fresh, load


@asynccontextmanager
async def django(url: str) -> AsyncIterator[Contender]:
    from django.conf import settings

    where = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "TIMEOUT": TTL_SECONDS}
    settings.configure(CACHES={"default": where, "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
    from django.core.cache import caches

    local, cache = caches["local"], caches["default"]
    local.set("hot", "x" * 50)
    cache.set("hit", VALUE)
    cache.set_many(VALUES)
    miss, stored, names = fresh("miss"), fresh("set"), list(VALUES)
    cases = {
        case.L1_HIT: Case(partial(local.get, "hot")),
        case.HIT: Case(partial(cache.get, "hit")),
        case.LOADED_HIT: Case(lambda: cache.get_or_set("loaded", load)),
        case.MISS: Case(lambda: cache.get_or_set(miss(), load)),
        case.SET: Case(lambda: cache.set(stored(), VALUE)),
        case.DELETE: Case(lambda: cache.delete("one"), lambda: cache.set("one", VALUE)),
        case.SCAN: Case(lambda: cache.delete_pattern("sweep:*", itersize=1000), lambda: cache.set_many(SWEEP)),
        case.GET_MANY: Case(lambda: cache.get_many(names)),
        case.SET_MANY: Case(lambda: cache.set_many(VALUES)),
        case.COMMIT: Case(
            lambda: cache.delete_pattern("files:*", itersize=1000),
            lambda: cache.set_many({f"files:{path}": "pass" for path in FILES}),
        ),
    }
    yield Contender("django-redis", cases, herd=cache.get_or_set)
    cache.close()
