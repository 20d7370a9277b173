"""When keys are loaded that were all filled at once: `python benchmarks/jitter.py`, which takes 75 seconds.

Requests come at a constant rate, whether or not earlier ones were answered, each for a random key. Counted is what
reaches the source behind the cache, where a load takes a while. `--write` renews plot and table in docs/expiry-herd.md.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from redis_perf import servers
from redis_perf_reference.asyncio.cache_aside import CacheAside
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.naive.cache_aside import get_with_cache

DOCS = Path(__file__).parents[1] / "docs"
KEYS = [f"key {number}" for number in range(100)]
TTL_SECONDS, LOAD_SECONDS, RUN_SECONDS, BIN_SECONDS = 4, 0.05, 14.0, 0.05
REQUESTS_PER_SECOND = 1500

CAPTION = f"loads begun in each {1000 * BIN_SECONDS:.0f} ms"

Get = Callable[[str, Callable[[], Awaitable[int]]], Awaitable[Any]]


@dataclass(frozen=True)
class Scenario:
    name: str
    options: dict[str, float] | None
    """Of CacheAside; None is the naive cache."""


SCENARIOS = (
    Scenario("naive: one time to live, no lease", None),
    Scenario("lease, no jitter", {"jitter": 0}),
    Scenario("lease, jitter 0.1 (the default)", {}),
    Scenario("lease, jitter 0.5", {"jitter": 0.5}),
    Scenario("lease, jitter 0.1, early refresh", {"early_refresh": 1}),
)


class Source:
    """What the cache is there for. Notes when each load began."""

    def __init__(self) -> None:
        self.begun, self.loads = monotonic(), Counter[int]()
        self.under_way = self.most = self.waited = self.requests = 0

    async def load(self) -> int:
        self.loads[int((monotonic() - self.begun) / BIN_SECONDS)] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(LOAD_SECONDS)
        self.under_way -= 1
        return 1

    async def request(self, get: Get) -> None:
        started = monotonic()
        await get(random.choice(KEYS), self.load)
        self.requests += 1
        self.waited += monotonic() - started > LOAD_SECONDS / 2

    def row(self, name: str) -> str:
        each, waited = self.loads.total() / len(KEYS), 100 * self.waited / self.requests
        return f"| {name} | {each:.2f} | {max(self.loads.values())} | {self.most} | {waited:.1f} % |"


async def run(url: str, scenario: Scenario) -> Source:
    client = RedisClient(url, timeout_seconds=5)
    if scenario.options is None:
        get: Get = lambda key, load: get_with_cache(Plain(client), key, load, TTL_SECONDS)  # noqa: E731
    else:
        get = CacheAside(client, ttl=TTL_SECONDS, **scenario.options).get_with_cache  # type: ignore[arg-type]
    filling = Source()
    await asyncio.gather(*(get(key, filling.load) for key in KEYS))
    source = Source()
    async with asyncio.TaskGroup() as requests:
        sent = 0
        while (passed := monotonic() - source.begun) < RUN_SECONDS:
            for _ in range(int(passed * REQUESTS_PER_SECOND) - sent):
                requests.create_task(source.request(get))
                sent += 1
            await asyncio.sleep(0.002)
    await client.ask("FLUSHDB")
    await client.close()
    return source


class Plain:
    """The two commands that the naive cache sends, over the same connections as the others'."""

    def __init__(self, client: RedisClient) -> None:
        self.get = client.get
        self._client = client

    async def set(self, key: str, value: str, ex: int) -> None:
        await self._client.set(key, value, ex)


def table(sources: list[Source]) -> str:
    head = "| | loads of each key | most in 50 ms | most at once | requests that waited |"
    rows = [source.row(scenario.name) for scenario, source in zip(SCENARIOS, sources, strict=True)]
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def plot(sources: list[Source]) -> str:
    """One panel for each scenario, all to the same scale."""
    width, height, left, gap = 700, 80, 40, 34
    most = max(max(source.loads.values()) for source in sources)
    lines = []
    for number, (scenario, source) in enumerate(zip(SCENARIOS, sources, strict=True)):
        base = (number + 1) * (height + gap)
        lines.append(f'<text x="{left}" y="{base - height - 8}" font-weight="bold">{scenario.name}</text>')
        lines.append(f'<text x="{left + width}" y="{base - height - 8}" text-anchor="end">{CAPTION}</text>')
        lines.append(f'<path d="M{left} {base - height}V{base}H{left + width}" fill="none" stroke="#888"/>')
        for value, y in ((most, base - height), (0, base)):
            lines.append(f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{value}</text>')
        for second in range(0, int(RUN_SECONDS) + 1, TTL_SECONDS):
            x = left + second / RUN_SECONDS * width
            lines.append(f'<path d="M{x:.1f} {base - height}V{base}" stroke="#ccc" stroke-dasharray="3 3"/>')
            lines.append(f'<text x="{x:.1f}" y="{base + 13}" text-anchor="middle">{second} s</text>')
        bar = BIN_SECONDS / RUN_SECONDS * width
        for at, loads in sorted(source.loads.items()):
            tall = loads / most * height
            place = f'x="{left + at * bar:.1f}" y="{base - tall:.1f}"'
            lines.append(f'<rect {place} width="{bar:.1f}" height="{tall:.1f}" fill="#b3321c"/>')
    bottom = len(sources) * (height + gap) + 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} {bottom}" font-size="11"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'{head} font-family="sans-serif">', ground, *lines, "</svg>", ""])


def main() -> int:
    server = servers.redis("embedded")
    try:
        sources = [asyncio.run(run(server.url, scenario)) for scenario in SCENARIOS]
    finally:
        server.stop()
    print(table(sources))
    if "--write" in sys.argv[1:]:
        page = DOCS / "expiry-herd.md"
        text = re.sub(r"(?m)^\| \|(.|\n)*?\n(?!\|)", f"{table(sources)}\n", page.read_text(), count=1)
        page.write_text(text)
        (DOCS / "expiry-herd.svg").write_text(plot(sources))
    return 0


if __name__ == "__main__":
    sys.exit(main())
