"""Both twins of the shared caches behind one face, on a real server. The asyncio twin has a loop that is always on."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

import redis_perf_reference.asyncio.cache as asyncio_connecting
import redis_perf_reference.asyncio.client as asyncio_clients
import redis_perf_reference.asyncio.redis_cache as asyncio_shared
import redis_perf_reference.asyncio.two_tier_cache as asyncio_two_tier
import redis_perf_reference.sync.cache as sync_connecting
import redis_perf_reference.sync.client as sync_clients
import redis_perf_reference.sync.redis_cache as sync_shared
import redis_perf_reference.sync.two_tier_cache as sync_two_tier

PATIENCE_SECONDS = 30


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self, stack: ExitStack) -> None:
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        stack.callback(self._loop.close)
        stack.callback(thread.join)
        stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)

    def finish(self, result: Any) -> Any:
        """The result itself, or what it comes to if it must be awaited."""
        return asyncio.run_coroutine_threadsafe(result, self._loop).result() if inspect.isawaitable(result) else result


class Face:
    """Calls an object's methods to the end, whichever twin it is."""

    def __init__(self, target: Any, loop: Loop | None) -> None:
        self.target, self._loop = target, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        if self._loop is None or not inspect.ismethod(found):
            return found
        loop = self._loop
        return lambda *args, **options: loop.finish(found(*args, **options))


class Caches:
    """`redis` looks at the server from outside, past everything under test."""

    def __init__(self, twin: str, redis_url: str, stack: ExitStack) -> None:
        self.twin, self.redis_url, self._stack = twin, redis_url, stack
        self.redis = stack.enter_context(redis.Redis.from_url(redis_url))
        self._loop = Loop(stack) if twin == "asyncio" else None
        asynchronous = self._loop is not None
        self._connecting: Any = asyncio_connecting if asynchronous else sync_connecting
        self._clients: Any = asyncio_clients if asynchronous else sync_clients
        self._shared: Any = asyncio_shared if asynchronous else sync_shared
        self._two_tier: Any = asyncio_two_tier if asynchronous else sync_two_tier

    def client(self, url: str = "", **options: Any) -> Any:
        client = self._connecting.connect_redis(f"{url or self.redis_url}?{urlencode(options)}", timeout_seconds=2)
        closing = client.aclose if self._loop else client.close
        self._stack.callback(lambda: self._loop.finish(closing()) if self._loop else closing())
        return client

    def shared(self, url: str = "", client: dict[str, Any] | None = None, **options: Any) -> Any:
        """A RedisCache on connections of its own."""
        return Face(self._shared.RedisCache(self.client(url, **(client or {})), **options), self._loop)

    def redis_client(self, url: str) -> Any:
        client = Face(self._clients.RedisClient(url, timeout_seconds=5), self._loop)
        self._stack.callback(client.close)
        return client

    def shared_by(self, client: Any) -> Any:
        return Face(self._shared.RedisCache(client.target), self._loop)

    def two_tier(
        self,
        url: str = "",
        *,
        client: dict[str, Any] | None = None,
        shared: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """A TwoTierCache on connections of its own, started: another process, as far as the others can tell.

        Its listener asks for a sign of life so seldom that no test has to count that.
        """
        options.setdefault("heartbeat_seconds", 60)
        redis = self.client(url, **(client or {}))
        cache = Face(
            self._two_tier.TwoTierCache(self._shared.RedisCache(redis, **(shared or {})), redis, **options),
            self._loop,
        )
        self._stack.callback(cache.close)
        cache.start()
        return cache

    def two_tier_on(self, shared: Any, **options: Any) -> Any:
        """A TwoTierCache on this RedisCache, that listens to nobody."""
        return Face(self._two_tier.TwoTierCache(shared.target, **options), self._loop)

    def alone(self, **options: Any) -> Any:
        """A TwoTierCache without Redis."""
        return Face(self._two_tier.TwoTierCache(**options), self._loop)

    def loader(self, fetch: Callable[[], Any]) -> Callable[[], Any]:
        """The plain function as this twin takes it; it may block."""
        return fetch if self._loop is None else lambda: asyncio.to_thread(fetch)

    @staticmethod
    def together(calls: list[Callable[[], Any]]) -> list[Any]:
        """Calls all of them at once, and returns what they return or raise."""
        with ThreadPoolExecutor(len(calls)) as threads:
            futures = [threads.submit(call) for call in calls]
        return [future.exception() or future.result() for future in futures]

    @staticmethod
    def eventually(condition: Callable[[], bool]) -> None:
        """Waits for what another thread is about to do."""
        pause, until = threading.Event(), monotonic() + PATIENCE_SECONDS
        while not condition():
            assert monotonic() < until, f"did not happen within {PATIENCE_SECONDS} s"
            pause.wait(0.005)

    def held(self, cache: Any, key: str, value: object) -> Any:
        """Reads until the cache holds a copy of this value: news of earlier writes may still be under way."""
        self.eventually(lambda: bool(cache.get(key) == value) and cache.local.ttl(key) is not None)
        return value


class Source:
    """A loader that counts its calls, does what it is told to do meanwhile, and returns, or raises, its value."""

    def __init__(self) -> None:
        self.value: Any = "loaded"
        self.loads = 0
        self.meanwhile: Callable[[], Any] = lambda: None

    def __call__(self) -> Any:
        self.loads += 1
        value = self.value
        self.meanwhile()
        if isinstance(value, BaseException):
            raise value
        return value


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(params=["sync", "asyncio"])
def caches(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Caches]:
    with ExitStack() as stack:
        yield Caches(request.param, redis_url, stack)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    return Caches.eventually
