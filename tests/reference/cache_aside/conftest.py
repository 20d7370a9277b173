"""Both twins of the cache behind one face: called without await, with plain functions as loaders."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest
import redis

import redis_perf_reference.asyncio.batch_cache_aside as asyncio_batch
import redis_perf_reference.asyncio.cache_aside as asyncio_twin
import redis_perf_reference.asyncio.client as asyncio_client
import redis_perf_reference.sync.batch_cache_aside as sync_batch
import redis_perf_reference.sync.cache_aside as sync_twin
import redis_perf_reference.sync.client as sync_client
from redis_perf_reference.resources import script

PATIENCE_SECONDS = 20


class Counting:
    """An observer that counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in ("hit", "miss", "stale", "load"):
            raise AttributeError(name)
        return lambda: self.counts.update([name])

    def error(self, reason: str) -> None:
        self.counts[f"error: {reason}"] += 1

    def seconds(self, operation: str, seconds: float) -> None:
        assert seconds >= 0
        self.counts[f"seconds: {operation}"] += 1

    def of(self, *names: str) -> list[int]:
        return [self.counts[name] for name in names]


class World:
    """One twin on a real server. `redis` looks at it from outside."""

    def __init__(self, twin: str, redis_url: str, stack: ExitStack) -> None:
        self.twin, self.redis_url, self._stack = twin, redis_url, stack
        self.redis = stack.enter_context(redis.Redis.from_url(redis_url))
        self._runner: Any = stack.enter_context(asyncio.Runner()) if twin == "asyncio" else None

    def client(self, redis_url: str = "", **options: Any) -> Any:
        """A RedisClient that waits long, as the machine may be busy."""
        options.setdefault("timeout_seconds", 5)
        module = sync_client if self._runner is None else asyncio_client
        client = module.RedisClient(redis_url or self.redis_url, **options)
        self._stack.callback(lambda: self.run(client.close))
        return client

    def cache(self, redis_url: str = "", client: Any = None, **options: Any) -> Any:
        """A CacheAside, without jitter unless said."""
        options.setdefault("jitter", 0)
        module = sync_twin if self._runner is None else asyncio_twin
        return Face(self, module.CacheAside(client or self.client(redis_url), **options))

    def batch_cache(self, client: Any = None, **options: Any) -> Any:
        """A BatchCacheAside, without jitter unless said."""
        options.setdefault("jitter", 0)
        module = sync_batch if self._runner is None else asyncio_batch
        return Face(self, module.BatchCacheAside(client or self.client(), **options))

    def sync_cache(self, lease_seconds: float = 10) -> sync_twin.CacheAside:
        """A sync one in any case, for use within a loader."""
        client = sync_client.RedisClient(self.redis_url, timeout_seconds=5)
        self._stack.callback(client.close)
        return sync_twin.CacheAside(client, jitter=0, lease_seconds=lease_seconds)

    def load_scripts(self) -> None:
        for name in ("lease", "fill", "release", "delete"):
            self.redis.script_load(script(name).text)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Calls a function of this twin to its end."""
        return function(*args, **options) if self._runner is None else self._runner.run(function(*args, **options))

    def loader(self, fetch: Callable[..., Any]) -> Callable[..., Any]:
        """The plain function as this twin takes it; it may block."""
        return fetch if self._runner is None else lambda *args: asyncio.to_thread(fetch, *args)

    def together(self, calls: list[Callable[[], Any]]) -> list[Any]:
        """Calls all of them at once, in threads or tasks, and returns what they return or raise."""
        if self._runner is not None:

            async def gathered() -> list[Any]:
                return await asyncio.gather(*(call() for call in calls), return_exceptions=True)

            return list(self._runner.run(gathered()))
        with ThreadPoolExecutor(len(calls)) as threads:
            futures = [threads.submit(call) for call in calls]
        return [future.exception() or future.result() for future in futures]

    def until(self, condition: Callable[[], bool]) -> None:
        """Looks again and again, while the background goes on; for what has no event."""
        until = monotonic() + PATIENCE_SECONDS
        while not condition():
            assert monotonic() < until, "it did not happen"
            if self._runner is not None:
                self._runner.run(asyncio.sleep(0.005))

    def scripts_run(self) -> int:
        """Since the last `config_resetstat`."""
        return int(self.redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])

    def until_scripts_run(self, count: int) -> None:
        """For loaders, which may block."""
        until = monotonic() + PATIENCE_SECONDS
        while self.scripts_run() < count:
            assert monotonic() < until, f"{self.scripts_run()} scripts were run, not {count}"


class Face:
    """Calls a cache's methods to the end. `cache` is the cache itself."""

    def __init__(self, world: World, cache: Any) -> None:
        self._world, self.cache = world, cache

    def get_with_cache(self, key: str, fetch: Callable[[], Any], *args: Any, **options: Any) -> Any:
        return self._world.run(self.cache.get_with_cache, key, self._world.loader(fetch), *args, **options)

    def get_many_with_cache(self, keys: list[str], fetch: Callable[[str], Any], *args: Any, **options: Any) -> Any:
        return self._world.run(self.cache.get_many_with_cache, keys, self._world.loader(fetch), *args, **options)

    def together(self, count: int, key: str, fetch: Callable[[], Any]) -> list[Any]:
        loader = self._world.loader(fetch)
        return self._world.together([lambda: self.cache.get_with_cache(key, loader)] * count)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self._world.run(getattr(self.cache, name), *args, **options)


class Source:
    """A loader that counts its calls and returns, or raises, what it has been told last."""

    def __init__(self, value: Any = "value") -> None:
        self.value, self.loads = value, 0

    def __call__(self) -> Any:
        self.loads += 1
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture(params=["sync", "asyncio"])
def caches(request: pytest.FixtureRequest, redis_url: str) -> Iterator[World]:
    with ExitStack() as stack:
        world = World(request.param, redis_url, stack)
        world.load_scripts()
        yield world
