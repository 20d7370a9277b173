"""What JUnit XML says of a test and of the whole suite: properties, which are names with numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from redis_perf.trace import STORES

BROKEN: Final = "redisperf_broken"
"""What failed a test, if it was one of ours: `budget`, `n-plus-one` or `ratchet`."""
MEASURES: Final = ("round_trips", "operations")


def properties(spent: Mapping[str, Mapping[str, int]], depth: int) -> Iterator[tuple[str, int]]:
    """`redisperf_redis_round_trips`, `..._operations` for both stores, and `redisperf_depth`."""
    for store in STORES:
        for measure in MEASURES:
            yield f"redisperf_{store}_{measure}", spent[store][measure]
    yield "redisperf_depth", depth
