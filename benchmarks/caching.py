"""What the shared caches take, beside a raw redis-py GET in the same run: `python benchmarks/caching.py`.

Each operation alternates with a GET on another connection of the same client, so that a busy machine slows both; the
ratio of the medians is what counts. Hits in the process are too short for that and are given in nanoseconds, the
median of several rounds of a thousand calls. Round trips are counted on the wire, in a pass of their own.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from itertools import count
from statistics import median
from time import perf_counter_ns
from typing import Any

import msgspec
import redis

import redis_perf
from redis_perf import servers
from redis_perf_reference.codec import Codec
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.lru import new_lru
from redis_perf_reference.naive.two_tier_cache import NaiveTwoTierCache
from redis_perf_reference.sync.cache import connect_redis
from redis_perf_reference.sync.redis_cache import RedisCache
from redis_perf_reference.sync.two_tier_cache import TwoTierCache

ROUNDS = 400
KEYS = [f"persona:lua:{number}" for number in range(1000)]


class Persona(msgspec.Struct, frozen=True):
    name: str
    resonance: str
    prompt: str
    traits: tuple[str, ...]


def persona(number: int) -> dict[str, Any]:
    """A value of the kind that a persona pipeline caches: about 2 kB of JSON."""
    prompt = f"{number}: " + "You are Lua, a calm companion who listens first. " * 40
    return {"name": "Lua", "resonance": "calm-medium-learning", "prompt": prompt, "traits": ["calm", "curious"]}


def spent(call: Callable[[], Any]) -> int:
    with redis_perf.record() as trace:
        call()
    return int(trace.redis.round_trips)


def ratio(call: Callable[[], Any], get: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """The medians' ratio, and the call's median in microseconds."""
    taken: dict[Callable[[], Any], list[int]] = {call: [], get: []}
    for _ in range(rounds):
        for each, times in taken.items():
            begun = perf_counter_ns()
            each()
            times.append(perf_counter_ns() - begun)
    return median(taken[call]) / median(taken[get]), median(taken[call]) / 1000


def nanoseconds(get: Callable[[str], Any]) -> float:
    """Of one call, the loop around it included."""
    rounds = []
    for _ in range(15):
        begun = perf_counter_ns()
        for key in KEYS:
            get(key)
        rounds.append((perf_counter_ns() - begun) / len(KEYS))
    return median(rounds)


def in_process() -> None:
    print(f"L1 hits, ns a call (store: {type(new_lru()).__name__})")
    struct = Codec(Persona)
    kinds: list[tuple[str, Codec, Callable[[int], object]]] = [
        ("LocalCache, text, shared", Codec(), lambda number: "x" * 50),
        ("LocalCache, frozen Struct, shared", struct, lambda n: msgspec.convert(persona(n), Persona)),
        ("LocalCache, small dict, copied", Codec(), lambda number: {"name": "Lua", "traits": ["calm"]}),
        ("LocalCache, 2 kB dict, copied", Codec(), persona),
    ]
    for name, codec, value in kinds:
        cache = LocalCache(1000, codec=codec)
        for number, key in enumerate(KEYS):
            cache.set(key, value(number), ttl=600)
        print(f"  {name:36} {nanoseconds(cache.get):6.0f}")
    two_tier = TwoTierCache()
    two_tier.set_many(dict.fromkeys(KEYS, "x" * 50), ttl=600)
    print(f"  {'TwoTierCache, text, shared':36} {nanoseconds(two_tier.get):6.0f}")
    tracemalloc.start()
    cache = LocalCache(1000)
    for number, key in enumerate(KEYS):
        cache.set(key, persona(number), ttl=600)
    traced = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    counted = cache.get_stats().used_bytes / 2**20
    print(f"L1 with 1000 of these: {traced:.2f} MB traced, {counted:.2f} MB by the cache's own count")


def over_the_wire(url: str) -> None:
    client, raw = connect_redis(url, timeout_seconds=5), redis.Redis.from_url(url)
    shared, fresh = RedisCache(client), count()
    value, many = persona(0), {key: persona(0) for key in KEYS[:50]}
    raw.set("raw", shared.codec.encode(value))

    def filled() -> None:
        shared.set_many({f"sweep:{number}": number for number in range(1000)}, ttl=600)

    with TwoTierCache(shared, client) as cache:
        naive = NaiveTwoTierCache(raw)
        shared.set_many(many, ttl=600, tags=["persona"])
        raw.mset({f"stranger:{number}": 1 for number in range(3900)})
        operations: list[tuple[str, Callable[[], Any], int]] = [
            ("raw GET", lambda: client.get("raw"), ROUNDS),
            ("L2 hit, with its time left and 4 groups", lambda: shared.get(KEYS[0]), ROUNDS),
            ("L2 miss", lambda: shared.get("nothing"), ROUNDS),
            ("set, others told", lambda: cache.set(f"persona:{next(fresh)}", value, ttl=600), ROUNDS),
            ("naive set, nobody told", lambda: naive.set(f"naive:{next(fresh)}", value, ttl=600), ROUNDS),
            ("delete, others told", lambda: cache.delete(f"persona:{next(fresh)}"), ROUNDS),
            ("get_many 50 (2 kB each)", lambda: shared.get_many(many), ROUNDS // 4),
            ("set_many 50 (2 kB each)", lambda: cache.set_many(many, ttl=600), ROUNDS // 4),
            ("invalidate_tags", lambda: cache.invalidate_tags("persona"), ROUNDS),
            ("invalidate_pattern", lambda: cache.invalidate_pattern("persona:*"), ROUNDS),
        ]
        print(f"{'Redis':44} trips  x GET   median us")
        for name, call, rounds in operations:
            call()
            trips, (times, us) = spent(call), ratio(call, lambda: raw.get("raw"), rounds)
            print(f"  {name:42} {trips:5}  {times:5.2f}   {us:9.1f}")
        for name, sweep in (
            ("delete_pattern, 1000 of 5000", lambda: cache.delete_pattern("sweep:*")),
            ("naive delete_pattern, 1000 of 5000", lambda: naive.delete_pattern("{cache}:v:sweep:*")),
        ):
            filled()
            trips = spent(sweep)
            rounds_us = []
            for _ in range(5):
                filled()
                begun = perf_counter_ns()
                sweep()
                rounds_us.append((perf_counter_ns() - begun) / 1000)
            get_us = ratio(lambda: raw.get("raw"), lambda: client.get("raw"), 100)[1]
            print(f"  {name:42} {trips:5}  {median(rounds_us) / get_us:5.1f}   {median(rounds_us):9.1f}")


def main() -> int:
    server = servers.redis("embedded")
    try:
        in_process()
        over_the_wire(server.url)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
