"""PipelineStats: what a pipeline has counted since it was made. Numbers, that add up."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from redis_perf_reference.cache_stats import LocalStats, RedisStats, TwoTierStats, rate


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """A hit was answered without running a step or waiting for one, a miss otherwise; `uncached` were asked to pass the
    cache by. `cache` has the look-ups of single keys, of which there are several for a request."""

    cache_hits: int
    cache_misses: int
    uncached: int
    seconds: float
    cache: TwoTierStats

    @property
    def total_requests(self) -> int:
        return self.cache_hits + self.cache_misses + self.uncached

    @property
    def hit_rate(self) -> float:
        return rate(self.cache_hits, self.cache_misses)

    @property
    def avg_time_ms(self) -> float:
        return 1000 * self.seconds / self.total_requests if self.total_requests else 0.0

    @property
    def l1(self) -> LocalStats:
        return self.cache.l1

    @property
    def l2(self) -> RedisStats | None:
        return self.cache.l2


class Tally:
    """Counts requests; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = self._misses = self._uncached = 0
        self._seconds = 0.0

    def add(self, seconds: float, hit: bool | None) -> None:
        """`hit` is None for a request that passed the cache by."""
        with self._lock:
            self._seconds += seconds
            self._hits += hit is True
            self._misses += hit is False
            self._uncached += hit is None

    def stats(self, cache: TwoTierStats) -> PipelineStats:
        with self._lock:
            return PipelineStats(self._hits, self._misses, self._uncached, self._seconds, cache)
