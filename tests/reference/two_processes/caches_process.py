"""The caches in a process of their own: does what it is told on stdin, a line of JSON each, and answers on stdout."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
from importlib import import_module
from typing import Any

from redis_perf_reference.outcomes import CacheUnavailable

AWAY = "away"
TOKEN = "~heard"
TIMEOUT_SECONDS = 5


def module(twin: str, name: str) -> Any:
    return import_module(f"redis_perf_reference.{twin}.{name}")


async def finished(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


class Caches:
    def __init__(self, twin: str, url: str) -> None:
        self._asynchronous = twin == "asyncio"
        self._client = module(twin, "client").RedisClient(url, timeout_seconds=TIMEOUT_SECONDS, probe_seconds=0.01)
        listen = module(twin, "cache").connect_redis(url, timeout_seconds=TIMEOUT_SECONDS)
        kind = module(twin, "redis_cache").RedisCache
        self._two_tier = module(twin, "two_tier_cache").TwoTierCache(
            kind(self._client, namespace="two"), listen, unheard_ttl=0.001
        )
        self._two_tier._subscription._retry_seconds = 0.005  # a test need not wait
        aside = module(twin, "cache_aside").CacheAside(self._client, prefix="aside", jitter=0, lease_seconds=1)
        self._caches = {"aside": aside, "shared": kind(self._client, namespace="shared"), "two": self._two_tier}

    async def start(self) -> None:
        await finished(self._two_tier.start())

    async def read(self, cache: str, key: str, loads: int) -> Any:
        """`loads` is what a load returns, where the cache does load."""
        if cache != "aside":
            return await finished(self._caches[cache].get(key))

        async def load() -> int:
            return loads

        return await finished(self._caches[cache].get_with_cache(key, load if self._asynchronous else lambda: loads))

    async def read_till(self, event: str, key: str, loads: int) -> Any:
        """From the cache that loads, which goes on until another process waits for it, or until Redis is away."""

        async def awaited() -> bool:
            try:
                begins = await finished(self._client.ask("GETRANGE", f"aside:{key}", 0, 1))
                return event == "awaited" and begins != b"c1"
            except CacheUnavailable:
                return True

        async def load() -> int:
            while not await awaited():
                pass
            return loads

        if self._asynchronous:
            return await self._caches["aside"].get_with_cache(key, load)
        return await asyncio.to_thread(self._caches["aside"].get_with_cache, key, lambda: asyncio.run(load()))

    async def everything(self, keys: list[str]) -> list[tuple[str, str, Any]]:
        """What each cache has of these keys, without loading."""
        return [(name, key, await finished(each.get(key))) for name, each in self._caches.items() for key in keys]

    async def write(self, cache: str, key: str, value: int) -> Any:
        return self._done(await finished(self._caches[cache].set(key, value, ttl=60)))

    async def delete(self, cache: str, key: str) -> Any:
        return self._done(await finished(self._caches[cache].delete(key)))

    async def invalidate(self, cache: str, key: str) -> Any:
        """The keys that begin like this one, up to the colon."""
        pattern = f"{key.partition(':')[0]}:*"
        return self._done(await finished(self._caches[cache].invalidate_pattern(pattern)))

    async def listens(self) -> bool:
        return bool(await finished(self._client.ping()) and self._two_tier.get_stats().listening)

    async def forget(self) -> None:
        """Here alone: an example knows nothing of the last one."""
        self._two_tier.local.clear()

    async def keep_token(self) -> None:
        self._two_tier.local.set(TOKEN, 1, ttl=60)

    async def take_token(self) -> bool:
        """From all processes."""
        return bool((await finished(self._two_tier.delete(TOKEN))).everywhere)

    async def has_token(self) -> bool:
        return self._two_tier.local.ttl(TOKEN) is not None

    @staticmethod
    def _done(told: Any) -> Any:
        return AWAY if getattr(told, "skipped", None) else None


async def main(twin: str, url: str) -> None:
    caches = Caches(twin, url)
    await caches.start()
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, *arguments = json.loads(line)
        try:
            answer = await getattr(caches, name)(*arguments)
        except CacheUnavailable:
            answer = AWAY
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main(*sys.argv[1:]))
