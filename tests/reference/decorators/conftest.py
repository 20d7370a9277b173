"""Both twins of the decorators behind one face, on a real server. The asyncio twin has a loop that is always on."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import redis_perf
import redis_perf_reference.asyncio.cache_aside as asyncio_aside
import redis_perf_reference.asyncio.caching as asyncio_caching
import redis_perf_reference.asyncio.client as asyncio_clients
import redis_perf_reference.asyncio.redis_cache as asyncio_shared
import redis_perf_reference.asyncio.two_tier_cache as asyncio_two_tier
import redis_perf_reference.sync.cache_aside as sync_aside
import redis_perf_reference.sync.caching as sync_caching
import redis_perf_reference.sync.client as sync_clients
import redis_perf_reference.sync.redis_cache as sync_shared
import redis_perf_reference.sync.two_tier_cache as sync_two_tier

SYNC = (sync_clients, sync_shared, sync_two_tier, sync_aside, sync_caching)
ASYNCIO = (asyncio_clients, asyncio_shared, asyncio_two_tier, asyncio_aside, asyncio_caching)


async def ended() -> None:
    """Ends what goes on in the background of this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Twin:
    def __init__(self, kind: str, redis_url: str, stack: ExitStack) -> None:
        self.asynchronous, self._url, self._stack = kind == "asyncio", redis_url, stack
        modules: Any = ASYNCIO if self.asynchronous else SYNC
        self._clients, self._shared, self._two_tier, self._aside, self._caching = modules
        self._loop = asyncio.new_event_loop()
        stack.callback(self._loop.close)
        if self.asynchronous:
            thread = threading.Thread(target=self._loop.run_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
            stack.callback(lambda: self.finish(ended()))

    def finish(self, result: Any) -> Any:
        """The result itself, or what it comes to if it must be awaited."""
        return asyncio.run_coroutine_threadsafe(result, self._loop).result() if inspect.isawaitable(result) else result

    def client(self, url: str = "") -> Any:
        client = self._clients.RedisClient(url or self._url, timeout_seconds=5)
        self._stack.callback(lambda: self.finish(client.close()))
        return client

    def cache(self, url: str = "", **options: Any) -> Any:
        """A TwoTierCache that hears the others only shortly: copies live for a minute."""
        return self._two_tier.TwoTierCache(self._shared.RedisCache(self.client(url)), unheard_ttl=60, **options)

    def alone(self) -> Any:
        return self._two_tier.TwoTierCache()

    def cache_aside(self, url: str = "") -> Any:
        return self._aside.CacheAside(self.client(url))

    def caching(self, cache: Any = None) -> Any:
        return self._caching.Caching(self.cache() if cache is None else cache)

    def function(self, plain: Callable[..., Any]) -> Any:
        """The plain function as this twin takes it."""
        if not self.asynchronous:
            return plain

        @functools.wraps(plain)
        async def function(*args: Any, **kwargs: Any) -> Any:
            return plain(*args, **kwargs)

        return function

    def of_the_other_kind(self, plain: Callable[..., Any]) -> Any:
        async def function() -> None: ...

        return plain if self.asynchronous else function

    def spent(self, call: Callable[[], Any]) -> tuple[Any, int]:
        """What a call comes to, and its round trips."""
        with redis_perf.record() as trace:
            result = self.finish(call())
        return result, int(trace.redis.round_trips)


@pytest.fixture(params=["sync", "asyncio"])
def twin(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Twin]:
    with ExitStack() as stack:
        yield Twin(request.param, redis_url, stack)
