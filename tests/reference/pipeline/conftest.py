"""Both twins of the persona pipeline behind one face, on a real server; asyncio's with a loop that is always on."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest
import redis

import redis_perf
import redis_perf_reference.asyncio.client as asyncio_clients
import redis_perf_reference.asyncio.optimized_pipeline as asyncio_optimized
import redis_perf_reference.asyncio.pipeline as asyncio_pipeline
import redis_perf_reference.asyncio.redis_cache as asyncio_shared
import redis_perf_reference.asyncio.two_tier_cache as asyncio_two_tier
import redis_perf_reference.sync.client as sync_clients
import redis_perf_reference.sync.optimized_pipeline as sync_optimized
import redis_perf_reference.sync.pipeline as sync_pipeline
import redis_perf_reference.sync.redis_cache as sync_shared
import redis_perf_reference.sync.two_tier_cache as sync_two_tier
from redis_perf_reference.personas import persona_for, prompt_for, response_to
from redis_perf_reference.resources import script

PATIENCE_SECONDS = 30
SYNC = (sync_clients, sync_shared, sync_two_tier, sync_pipeline, sync_optimized)
ASYNCIO = (asyncio_clients, asyncio_shared, asyncio_two_tier, asyncio_pipeline, asyncio_optimized)


async def ended() -> None:
    """Ends what goes on in the background of this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Twin:
    def __init__(self, kind: str, redis_url: str, stack: ExitStack) -> None:
        self.asynchronous, self.url, self._stack = kind == "asyncio", redis_url, stack
        self.redis = stack.enter_context(redis.Redis.from_url(redis_url))
        modules: Any = ASYNCIO if self.asynchronous else SYNC
        self._clients, self._shared, self._two_tier, self.plain, self.optimized = modules
        self._loop = asyncio.new_event_loop()
        stack.callback(self._loop.close)
        if self.asynchronous:
            thread = threading.Thread(target=self._loop.run_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
            stack.callback(lambda: self.finish(ended()))
        for name in ("cache_lease", "cache_settle", "cache_set", "cache_unlink", "cache_sweep"):
            self.redis.script_load(script(name).text)

    def finish(self, result: Any) -> Any:
        """The result itself, or what it comes to if it must be awaited."""
        return asyncio.run_coroutine_threadsafe(result, self._loop).result() if inspect.isawaitable(result) else result

    def cache(self, url: str = "", **options: Any) -> Any:
        """A TwoTierCache that hears nobody: copies live for a minute."""
        client = self._clients.RedisClient(url or self.url, timeout_seconds=5)
        self._stack.callback(lambda: self.finish(client.close()))
        return self._two_tier.TwoTierCache(self._shared.RedisCache(client), unheard_ttl=60, jitter=0, **options)

    def pipeline(self, steps: Counted | None = None, cache: Any = None, **options: Any) -> Any:
        """A process of its own, as far as the others can tell; its connection is there."""
        pipeline = self.optimized.OptimizedPipeline(cache or self.cache(), (steps or Counted()).of(self), **options)
        self.finish(pipeline.cache.get("connected"))
        return pipeline

    def step(self, plain: Callable[..., Any]) -> Any:
        """The plain function, which may block, as a step of this twin."""
        return (lambda *args: asyncio.to_thread(plain, *args)) if self.asynchronous else plain

    def spent(self, call: Callable[[], Any]) -> tuple[Any, int]:
        """What a call comes to, and its round trips."""
        with redis_perf.record() as trace:
            result = self.finish(call())
        return result, int(trace.redis.round_trips)

    def together(self, calls: list[Callable[[], Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(lambda call: self.finish(call()), calls))

    @staticmethod
    def eventually(condition: Callable[[], bool]) -> None:
        """Waits for what another thread is about to do."""
        pause, until = threading.Event(), monotonic() + PATIENCE_SECONDS
        while not condition():
            assert monotonic() < until, f"did not happen within {PATIENCE_SECONDS} s"
            pause.wait(0.005)


class Counted:
    """The default steps, which note that they were run; `meanwhile` is called while the response is made."""

    def __init__(self) -> None:
        self.run: list[str] = []
        self.route: Callable[[str, str], str] = persona_for
        self.respond: Callable[[str, str], str] = response_to
        self.meanwhile: Callable[[], Any] = lambda: None

    def _route(self, user_input: str, resonance_key: str) -> str:
        self.run.append("route")
        return self.route(user_input, resonance_key)

    def _prompt(self, persona: str, resonance_key: str) -> str:
        self.run.append("prompt")
        return prompt_for(persona, resonance_key)

    def _respond(self, prompt: str, user_input: str) -> str:
        self.run.append("respond")
        response = self.respond(prompt, user_input)
        self.meanwhile()
        return response

    def of(self, twin: Twin) -> Any:
        return twin.plain.Steps(twin.step(self._route), twin.step(self._prompt), twin.step(self._respond))


@pytest.fixture
def steps() -> Counted:
    return Counted()


@pytest.fixture(params=["sync", "asyncio"])
def twin(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Twin]:
    with ExitStack() as stack:
        yield Twin(request.param, redis_url, stack)
