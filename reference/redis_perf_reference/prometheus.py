"""Prometheus metrics of caches. Needs prometheus_client, which is imported when the metrics are made.

    metrics = CacheMetrics()                                  # one for each registry
    users = CacheAside(redis, prefix="users", observer=metrics.observer("users"))

Hit rate of each cache:
    sum by (cache_type) (rate(cache_hits_total[5m]))
      / sum by (cache_type) (rate(cache_hits_total[5m]) + rate(cache_misses_total[5m]))

Both counters have the same labels, and all label values are created at the start, so the quotient has no holes.
Labels are the name of a cache and words from a fixed list, never keys. Processes that fork share their numbers only in
prometheus_client's multiprocess mode (PROMETHEUS_MULTIPROC_DIR).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from redis_perf_reference.observer import Operation, Reason

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

BUCKETS_SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),  # Redis
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),  # loaders: language models, jobs
)


class CacheMetrics:
    """The metric families of one registry (prometheus_client's own if not said), each of which takes them once."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY, Counter, Histogram

        place, by_cache = registry or REGISTRY, ("cache_type",)
        self.hits = Counter("cache_hits", "Reads answered with a value that was not due", by_cache, registry=place)
        self.misses = Counter("cache_misses", "Reads that had to load or to wait", by_cache, registry=place)
        self.stale = Counter("cache_stale", "Reads answered with a value past its time", by_cache, registry=place)
        self.loads = Counter("cache_loads", "Calls of the loader", by_cache, registry=place)
        self.errors = Counter("cache_errors", "What failed, by reason", (*by_cache, "reason"), registry=place)
        self.seconds = Histogram(
            "cache_operation_seconds",
            "How long an operation took",
            (*by_cache, "operation"),
            registry=place,
            buckets=BUCKETS_SECONDS,
        )

    def observer(self, cache_type: str) -> PrometheusObserver:
        """For one cache, under this name."""
        return PrometheusObserver(self, cache_type)


class PrometheusObserver:
    """Finds its children once: looking up labels costs more than counting."""

    def __init__(self, metrics: CacheMetrics, cache_type: str) -> None:
        self.hit = metrics.hits.labels(cache_type).inc
        self.miss = metrics.misses.labels(cache_type).inc
        self.stale = metrics.stale.labels(cache_type).inc
        self.load = metrics.loads.labels(cache_type).inc
        self._errors = {reason: metrics.errors.labels(cache_type, reason) for reason in get_args(Reason)}
        self._seconds = {operation: metrics.seconds.labels(cache_type, operation) for operation in get_args(Operation)}

    def error(self, reason: Reason) -> None:
        self._errors[reason].inc()

    def seconds(self, operation: Operation, seconds: float) -> None:
        self._seconds[operation].observe(seconds)
