"""The persona pipeline with its cache as it was found, rebuilt from its description to be measured. Do not copy it.

Costs: a new request is 6 round trips, as each step looks and writes for itself; preloading is one for each prompt.

Wrong answers: what was begun before an invalidation is written after it. The response does not depend on the persona,
as far as its key tells, so `persona:lua:*` leaves what Lua has said. The input is cut to 100 characters in the key: two
long ones that begin alike are answered alike. An empty response is a miss, for ever.

Faults: ten requests at once are ten runs of each step. Rates are text, and a hit in the second tier is a miss in the
first one, so the numbers cannot be added up.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from redis_perf_reference.naive.two_tier_cache import NaiveTwoTierCache
from redis_perf_reference.personas import COMMON_RESONANCE_KEYS, PERSONAS, persona_for, prompt_for, response_to


class NaivePipeline:
    """`redis` is a redis-py client; `respond(prompt, user_input)` the step that takes long."""

    def __init__(self, redis: Any, respond: Callable[[str, str], str] = response_to) -> None:
        self.cache = NaiveTwoTierCache(redis)
        self._respond = respond
        self._requests = self._hits = 0
        self._seconds = 0.0

    def process(self, user_input: str, resonance_key: str, use_cache: bool = True) -> dict[str, Any]:
        started = perf_counter()
        self._requests += 1
        request = f"{resonance_key}:{user_input[:100]}"
        persona = self._cached(f"routing:{request}", lambda: persona_for(user_input, resonance_key), 3600, use_cache)
        prompt_key = f"persona:{persona}:prompt:{resonance_key}"
        prompt = self._cached(prompt_key, lambda: prompt_for(persona, resonance_key), 3600, use_cache)
        response = self._cached(f"response:{request}", lambda: self._respond(prompt, user_input), 600, use_cache)
        self._seconds += perf_counter() - started
        return {"persona": persona, "response": response}

    def _cached(self, key: str, fetch: Callable[[], str], ttl: int, use_cache: bool) -> str:
        value = self.cache.get(key) if use_cache else None
        if value:
            self._hits += 1
            return str(value)
        fetched = fetch()
        if use_cache:
            self.cache.set(key, fetched, ttl)
        return fetched

    def preload_common_personas(self) -> None:
        for persona in PERSONAS:
            for resonance_key in COMMON_RESONANCE_KEYS:
                key = f"persona:{persona}:prompt:{resonance_key}"
                self.cache.set(key, prompt_for(persona, resonance_key), 3600)

    def invalidate_cache_pattern(self, pattern: str) -> int:
        return self.cache.delete_pattern(pattern)

    def get_cache_stats(self) -> dict[str, Any]:
        return {
            "total_requests": self._requests,
            "cache_hits": self._hits,
            "cache_misses": self._requests - self._hits,
            "hit_rate": f"{100 * self._hits / self._requests if self._requests else 0:.1f}%",
            "avg_time_ms": f"{1000 * self._seconds / self._requests if self._requests else 0:.1f}",
            **self.cache.get_stats(),
        }
