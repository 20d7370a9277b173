"""What the cache in the process takes, and how well it keeps to its bound: `python benchmarks/local_memory.py`.

Measured is what a process of its own grows by (resident memory, /proc/self/statm): Python's objects, the map of
cachebox, which tracemalloc cannot see, and whatever the allocators cannot use again.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import msgspec

from redis_perf_reference.codec import Codec
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.lru import Lru, PlainLru, new_lru

MB, BOUND_MB = 2**20, 16


class Persona(msgspec.Struct, frozen=True):
    name: str
    resonance: str
    prompt: str
    traits: tuple[str, ...]


def persona(number: int) -> dict[str, Any]:
    """A value of the kind that a persona pipeline caches: about 2 kB of JSON."""
    prompt = f"{number:07}: " + "You are Lua, a calm companion who listens first. " * 40
    return {"name": "Lua", "resonance": "calm-medium-learning", "prompt": prompt, "traits": ["calm", "curious"]}


def korean(number: int) -> dict[str, Any]:
    return {"prompt": f"{number:07}: " + "너는 루아, 먼저 귀 기울이는 차분한 친구다. " * 40}


def of_any_size(number: int) -> dict[str, str]:
    return {"prompt": "x" * random.Random(number).randrange(100, 4000)}


KINDS: dict[str, tuple[Codec, Callable[[int], object]]] = {
    "dict, 2 kB (the seed's kind)": (Codec(), persona),
    "dict, 3 kB, Korean": (Codec(), korean),
    "dict, 0.1 to 4 kB": (Codec(), of_any_size),
    "dict, 10 bytes": (Codec(), lambda number: {"id": number}),
    "frozen Struct, 2 kB": (Codec(Persona), lambda number: msgspec.convert(persona(number), Persona)),
    "bytes, 2 kB": (Codec(bytes), lambda number: bytes([number % 256]) * 2000),
    "text, 2 kB": (Codec(), lambda number: f"{number:07}" * 300),
    "text, 7 bytes": (Codec(), lambda number: f"{number:07}"),
    "float": (Codec(), lambda number: number * 1.5),
}
STORES: dict[str, Callable[[], Lru]] = {"cachebox": new_lru, "OrderedDict": PlainLru}


class Growth:
    """Of this process since it was made."""

    def __init__(self) -> None:
        self._before = 0
        self._before = self.bytes

    @property
    def bytes(self) -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") - self._before


def measure(kind: str, store: str) -> None:
    """Prints one row; in a process that has done nothing else."""
    codec, value = KINDS[kind]

    def fill(cache: LocalCache, begin: int, end: int) -> None:
        for number in range(begin, end):
            cache.set(f"persona:lua:{number:07}", value(number), ttl=600 + number % 13)

    warm = LocalCache(codec=codec, lru=STORES[store]())
    fill(warm, 0, 10)
    growth = Growth()
    cache = LocalCache(10**6, max_bytes=BOUND_MB * MB, codec=codec, lru=STORES[store]())
    fill(cache, 0, end := 1000)
    thousand = growth.bytes
    while not cache.get_stats().evicted:
        fill(cache, end, end := end + 100)
    items, full = len(cache), growth.bytes
    fill(cache, end, end + 2 * items)
    percents = [f"{100 * grown / (BOUND_MB * MB):.0f} %" for grown in (full, growth.bytes)]
    print(f"| {kind} | {store} | {thousand / MB:.2f} | {items} | {' | '.join(percents)} |")


def main(arguments: list[str]) -> int:
    if arguments:
        measure(*arguments)
        return 0
    print(f"| value | map | MB for 1,000 | in {BOUND_MB} MB | grown when full | grown when all were replaced twice |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind in KINDS:
        for store in STORES:
            run([sys.executable, __file__, kind, store], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
