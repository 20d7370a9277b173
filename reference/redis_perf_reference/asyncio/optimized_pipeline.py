"""OptimizedPipeline: the persona pipeline, each step of it cached.

| call                                          | Redis round trips                                     |
|-----------------------------------------------|-------------------------------------------------------|
| process: known here                           | 0                                                     |
| process: known in Redis                       | 1                                                     |
| process: new                                  | 2: look for all keys and take the leases, fill        |
| ... meanwhile others with the same input here | 0                                                     |
| ... and others in another process             | 2 for them all                                        |
| preload_common_personas                       | 1                                                     |
| invalidate_cache_pattern, clear_cache         | 1 (patterns like `persona:lua:*`)                     |

A persona that is not among `personas` costs two more when its answer is new. Steps run once for all who ask for the
same input; what is invalidated meanwhile is not kept. Without Redis all this holds in this process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from redis_perf_reference.asyncio.background import OneEach
from redis_perf_reference.asyncio.cache import connect_redis
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.asyncio.flight import Flights
from redis_perf_reference.asyncio.leases import Leases
from redis_perf_reference.asyncio.pipeline import Pipeline, Processed, Steps
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.asyncio.two_tier_cache import TwoTierCache
from redis_perf_reference.cache_input import checked_ttl
from redis_perf_reference.cache_outcome import Told
from redis_perf_reference.missing import MISSING
from redis_perf_reference.persona_request import PersonaRequest, prompt_key
from redis_perf_reference.personas import COMMON_RESONANCE_KEYS, PERSONAS
from redis_perf_reference.pipeline_stats import PipelineStats, Tally


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds. Raises InvalidTtl."""

    routing: float = 3600
    prompt: float = 3600
    response: float = 600

    @property
    def longest(self) -> float:
        return max(checked_ttl(getattr(self, name), name) for name in ("routing", "prompt", "response"))


class OptimizedPipeline:
    """`personas` are those that usually answer: their keys are looked for before it is known which of them does.

    `cache` belongs to it alone, or to a namespace that has `routing:` and `persona:` for it. Let the cache's
    `lease_seconds` be longer than the steps take.
    """

    def __init__(
        self,
        cache: TwoTierCache,
        steps: Steps | None = None,
        *,
        personas: Iterable[str] = tuple(PERSONAS),
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self.cache = cache
        self._plain = Pipeline(steps)
        self._steps, self._personas = self._plain.steps, tuple(personas)
        self._lifetimes = lifetimes or Lifetimes()
        self._longest = self._lifetimes.longest
        self._flights, self._tally = OneEach(Flights), Tally()

    async def process(self, user_input: str, resonance_key: str, use_cache: bool = True) -> Processed:
        """Raises what a step raises; the next call tries again. Raises TypeError for what is no text."""
        request, started, hit = PersonaRequest(user_input, resonance_key), monotonic(), False if use_cache else None
        try:
            if not use_cache:
                return await self._plain.process(user_input, resonance_key)
            processed = self._known_here(request) or await self._processed_once(request)
            hit = processed.cached
            return processed
        finally:
            self._tally.add(monotonic() - started, hit)

    def get_cache_stats(self) -> PipelineStats:
        return self._tally.stats(self.cache.get_stats())

    async def invalidate_cache_pattern(self, pattern: str) -> Told:
        """Forgets what matches, such as `persona:lua:*` or `routing:*`. Raises PatternRefused."""
        return await self.cache.invalidate(pattern)

    async def clear_cache(self) -> Told:
        return await self.cache.clear()

    async def preload_common_personas(self, resonance_keys: Iterable[str] = COMMON_RESONANCE_KEYS) -> Told:
        """Has the prompts of all `personas` for these resonance keys, which are written anew."""
        prompts = {
            prompt_key(persona, resonance_key): await self._steps.prompt(persona, resonance_key)
            for resonance_key in resonance_keys
            for persona in self._personas
        }
        return await self.cache.set_many(prompts, self._lifetimes.prompt)

    def _known_here(self, request: PersonaRequest) -> Processed | None:
        persona = self.cache.local.held(request.routing)
        response: Any = MISSING if persona is None else self.cache.local.held(request.response(persona), MISSING)
        return None if response is MISSING else Processed(persona, response, cached=True)

    async def _processed_once(self, request: PersonaRequest) -> Processed:
        """Who asks after an invalidation is not answered with what was begun before it."""
        while True:
            name = f"{self.cache.invalidations} {request.routing}"
            processed = await self._flights.here().share(name, partial(self._processed, request))
            if isinstance(processed, Processed):
                return processed

    async def _processed(self, request: PersonaRequest) -> Processed:
        patience = self.cache.patience()
        while True:
            found: dict[str, Any] = {}
            async with self._look(request, found) as leases:
                found |= leases.found
                persona: str | None = found.get(request.routing)
                decisive = request.routing if persona is None else request.response(persona)
                if persona is not None and decisive in found:
                    return Processed(persona, found[decisive], cached=True)
                if patience.over or not leases.elsewhere(decisive):
                    return await self._run(request, found, leases)
                waiter = leases.waiter(decisive)
            await patience.pause(waiter)

    def _look(self, request: PersonaRequest, found: dict[str, Any]) -> Leases:
        """Looks here, which adds to `found`, and makes ready to look in Redis; for one persona if it is known which."""
        persona = self._here(request.routing, found)
        personas = self._personas if persona is MISSING else (persona,)
        keys = {key: one for one in personas for key in request.keys(one) if self._here(key, found) is MISSING}
        missing = [*([request.routing] if persona is MISSING else []), *keys]
        return self.cache.leases(dict.fromkeys(missing, ()), self._longest, keys if persona is MISSING else None)

    def _here(self, key: str, found: dict[str, Any]) -> Any:
        value = self.cache.local.get(key, MISSING)
        if value is not MISSING:
            found[key] = value
        return value

    async def _run(self, request: PersonaRequest, found: dict[str, Any], leases: Leases) -> Processed:
        persona: str | None = found.get(request.routing)
        routed = persona is not None
        if persona is None:
            persona = await self._steps.route(request.user_input, request.resonance_key)
            leases.fill(request.routing, persona, self._lifetimes.routing)
        if request.response(persona) in found or leases.asked(request.response(persona)):
            return Processed(persona, await self._response(request, persona, found, leases))
        async with self.cache.leases(dict.fromkeys(request.keys(persona), ()), self._longest) as more:
            cached = routed and request.response(persona) in more.found
            return Processed(persona, await self._response(request, persona, found | more.found, more), cached)

    async def _response(self, request: PersonaRequest, persona: str, found: dict[str, Any], leases: Leases) -> str:
        key, prompt_at = request.response(persona), request.prompt(persona)
        if key not in found:
            if prompt_at not in found:
                text = await self._steps.prompt(persona, request.resonance_key)
                found[prompt_at] = leases.fill(prompt_at, text, self._lifetimes.prompt)
            found[key] = leases.fill(
                key, await self._steps.respond(found[prompt_at], request.user_input), self._lifetimes.response
            )
        response: str = found[key]
        return response


class ConnectedPipeline(OptimizedPipeline):
    """With a cache, and connections, of its own. Call `close` in the end."""

    def __init__(self, url: str | None = None, steps: Steps | None = None) -> None:
        """Without a URL there is no Redis, and everything is kept in this process."""
        self._url, self._client = url, None if url is None else RedisClient(url)
        shared = None if self._client is None else RedisCache(self._client, namespace="pipeline")
        self._listen = None if url is None else connect_redis(url)
        super().__init__(TwoTierCache(shared, self._listen), steps)

    async def close(self) -> None:
        if _pipelines.here().get(self._url) is self:
            del _pipelines.here()[self._url]
        await self.cache.close()
        if self._client is not None:
            await self._client.close()
        if self._listen is not None:
            await self._listen.aclose()


_pipelines: OneEach[dict[str | None, ConnectedPipeline]] = OneEach(dict)


async def get_optimized_pipeline(url: str | None = None) -> ConnectedPipeline:
    """The same for the same URL, all over the process (in asyncio: the event loop)."""
    pipelines = _pipelines.here()
    if url not in pipelines:
        made = ConnectedPipeline(url)
        if pipelines.setdefault(url, made) is made:
            await made.cache.start()
    return pipelines[url]
