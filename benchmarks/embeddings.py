"""What finding vectors takes: `OPENBLAS_NUM_THREADS=1 python benchmarks/embeddings.py`.

Each operation alternates with what it is compared to, so that a busy machine slows both; the ratio of the medians is
what counts. The encoder takes no time, so what is left is the cache's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import redis

from redis_perf import servers
from redis_perf_reference.naive.embedding_search import NaiveEmbeddingSearch
from redis_perf_reference.similarity import most_similar
from redis_perf_reference.sync.client import RedisClient
from redis_perf_reference.sync.embedding_cache import EmbeddingCache

DIMENSION, ROUNDS = 384, 200
VECTORS = np.random.default_rng(1).standard_normal((10_000, DIMENSION), np.float32)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)


class Instant:
    """An encoder that has all its vectors already."""

    def encode(self, texts: str | list[str]) -> Any:
        return VECTORS[0] if isinstance(texts, str) else VECTORS[: len(texts)]


def ratio(call: Callable[[], Any], to: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, float]:
    """Of the medians, and the call's median in microseconds."""
    taken: dict[Callable[[], Any], list[int]] = {call: [], to: []}
    for _ in range(rounds):
        for each, times in taken.items():
            begun = perf_counter_ns()
            each()
            times.append(perf_counter_ns() - begun)
    return median(taken[call]) / median(taken[to]), median(taken[call]) / 1000


def search() -> None:
    query = UNIT[0]
    print("| the 3 of 10,000 x 384 most like a vector | x `vectors @ query` | us |")
    print("|---|---|---|")
    for name, call in (
        ("the product again", lambda: UNIT @ query),
        ("`most_similar`, vectors of length 1", lambda: most_similar(query, UNIT, unit=True)),
        ("`most_similar`, vectors of any length", lambda: most_similar(query, VECTORS)),
        ("the naive one", lambda: naive_search(query)),
    ):
        times, us = ratio(call, lambda: VECTORS @ query)
        print(f"| {name} | {times:.2f} | {us:.0f} |")


def naive_search(query: Any) -> Any:
    similarities = np.dot(VECTORS, query) / (np.linalg.norm(VECTORS, axis=1) * np.linalg.norm(query))
    return np.argsort(similarities[np.where(similarities >= 0.5)[0]])[::-1][:3]


def over_the_wire(url: str) -> None:
    client, raw = RedisClient(url, timeout_seconds=5), redis.Redis.from_url(url)
    options: dict[str, Any] = {"model": "none", "revision": "1", "dimension": DIMENSION}
    cache, numbers = EmbeddingCache(client, Instant().encode, **options), count()
    naive = NaiveEmbeddingSearch(redis.Redis.from_url(url, decode_responses=True), Instant())
    functions = [{"name": f"function {number}", "body": "pass"} for number in range(100)]
    texts = [function["name"] for function in functions]
    raw.set("raw", "x" * 100)

    def fresh() -> list[str]:
        return [f"{next(numbers)}: {text}" for text in texts]

    many = [{"name": f"function {number}", "body": "pass"} for number in range(10_000)]
    print("| vectors of 384 dimensions | x GET | us |")
    print("|---|---|---|")
    for name, call in (
        ("`embed` 100, all known", lambda: cache.embed(texts)),
        ("`embed` 100, all new", lambda: cache.embed(fresh())),
        ("`find_similar_functions` of 100, all known", lambda: cache.find_similar_functions("", functions)),
        ("naive search of 100, all known", lambda: naive.find_similar_functions_cached("", functions)),
    ):
        call()
        times, us = ratio(call, lambda: raw.get("raw"))
        print(f"| {name} | {times:.1f} | {us:.0f} |")
    ours, theirs = (
        partial(search, "", many) for search in (cache.find_similar_functions, naive.find_similar_functions_cached)
    )
    ours()
    theirs()
    times, us = ratio(ours, theirs, rounds=10)
    print(f"| `find_similar_functions` of 10,000, all known | {times:.2f} of the naive search | {us:.0f} |")


def main() -> int:
    search()
    print()
    server = servers.redis("embedded")
    try:
        over_the_wire(server.url)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
