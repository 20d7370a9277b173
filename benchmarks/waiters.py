"""What it costs to wait for a load in another process, which tells of it: `python benchmarks/waiters.py`.

Two caches with nothing in common but Redis stand for two processes. One loads for as long as the row says; the other
asks for the same key as soon as the lease is taken. Late is how long after the load it has the value. Medians.
"""

from __future__ import annotations

import sys
import threading
from statistics import median
from time import perf_counter_ns

import redis

from redis_perf import servers
from redis_perf_reference.sync.cache_aside import CacheAside
from redis_perf_reference.sync.client import RedisClient

LOADS_SECONDS = (0.01, 0.03, 0.095, 0.3, 1)
ROUNDS = 5


class Pair:
    def __init__(self, url: str) -> None:
        self._outside = redis.Redis.from_url(url)
        self._clients = [RedisClient(url, timeout_seconds=5) for _ in range(2)]
        self._loading, self._waiting = (CacheAside(client, lease_seconds=60) for client in self._clients)

    def waited(self, key: str, seconds: float) -> tuple[int, float]:
        """Round trips of the one who waits, and how many milliseconds late it was."""
        began, ended = threading.Event(), []

        def load() -> str:
            began.set()
            threading.Event().wait(seconds)
            ended.append(perf_counter_ns())
            return "value"

        def nothing() -> str:
            raise AssertionError("loaded twice")

        loader = threading.Thread(target=self._loading.get_with_cache, args=(key, load))
        self._outside.config_resetstat()
        loader.start()
        began.wait()
        self._waiting.get_with_cache(key, nothing)
        late_ms = (perf_counter_ns() - ended[0]) / 1e6
        loader.join()
        stats = self._outside.info("commandstats")
        trips = sum(stats[f"cmdstat_{command}"]["calls"] for command in ("evalsha", "xread"))
        return trips - 2, late_ms  # without the loader's look and fill


def main() -> int:
    server = servers.redis("embedded")
    try:
        pair = Pair(server.url)
        pair._waiting.get_with_cache("warm", lambda: "value")  # both scripts are known from here on
        print("| load | round trips of each process that waits | late |\n|---|---|---|")
        for seconds in LOADS_SECONDS:
            rounds = [pair.waited(f"{seconds} {number}", seconds) for number in range(ROUNDS)]
            trips, late = median(trips for trips, _ in rounds), median(late for _, late in rounds)
            print(f"| {seconds * 1000:.0f} ms | {trips:.0f} | {late:.1f} ms |")
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
