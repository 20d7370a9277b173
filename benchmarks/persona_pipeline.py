"""The persona pipeline's figures, as they were claimed, as they should have been computed, and as they are measured.

    python benchmarks/persona_pipeline.py            prints the table
    python benchmarks/persona_pipeline.py --write    writes docs/persona-pipeline.md and docs/persona-pipeline.svg

The step that answers takes 95 ms, by sleeping; router and prompt are the small ones that come with the pipeline. Each
scenario begins with an empty Redis and an empty process, and is run three times; medians are shown.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import redis
from bars import Group, bars, shortly

import redis_perf
from redis_perf import servers
from redis_perf_reference import OptimizedPipeline, Pipeline, RedisCache, Steps, TwoTierCache, connect_redis
from redis_perf_reference.naive.persona_pipeline import NaivePipeline
from redis_perf_reference.personas import response_to

STEP_SECONDS, ROUNDS = 0.095, 3
STATE = "calm-medium-learning"
DOCS = Path(__file__).parents[1] / "docs"


class Step:
    """Answers after 95 ms, and counts how often."""

    def __init__(self) -> None:
        self.runs, self._lock = 0, threading.Lock()

    def __call__(self, prompt: str, user_input: str) -> str:
        with self._lock:
            self.runs += 1
        sleep(STEP_SECONDS)
        return response_to(prompt, user_input)


@dataclass(frozen=True)
class Scenario:
    """`claimed` is the seed's figure, `right` the one that follows from its own assumptions."""

    name: str
    inputs: list[str]
    claimed: str
    claimed_ms: float
    right: str
    at_once: bool = False


SCENARIOS = [
    Scenario("50 repeats", ["same"] * 50, "500 ms (elsewhere 250)", 500, "95 + 49 · 5 = 340 ms"),
    Scenario(
        "100 over 10 patterns",
        [f"input {n % 10}" for n in range(100)],
        "1,130 ms",
        1130,
        "10 · 95 + 90 · 2 = 1,130 ms",
    ),
    Scenario(
        "1,000 over 20 patterns",
        [f"input {n % 20}" for n in range(1000)],
        '3,860 ms, "1,000 a second"',
        3860,
        "20 · 95 + 980 · 2 = 3,860 ms, 259 a second",
    ),
    Scenario("10 at once", ["same"] * 10, "100 ms", 100, "113 ms, if one runs and nine hit", at_once=True),
]


@dataclass(frozen=True)
class Measured:
    ms: float
    runs: int
    round_trips: int


@contextmanager
def optimized(url: str, step: Step) -> Iterator[OptimizedPipeline]:
    with connect_redis(url, timeout_seconds=5) as client, TwoTierCache(RedisCache(client), client) as cache:
        pipeline = OptimizedPipeline(cache, Steps(respond=step))
        pipeline.process("connects, and the scripts are known then", "curious-medium-learning")
        yield pipeline


@contextmanager
def naive(url: str, step: Step) -> Iterator[NaivePipeline]:
    with redis.Redis.from_url(url) as client:
        client.ping()
        yield NaivePipeline(client, step)


def measured(pipeline: Any, scenario: Scenario, step: Step) -> Measured:
    def process(user_input: str) -> Any:
        return pipeline.process(user_input, STATE)

    runs = step.runs
    with ThreadPoolExecutor(len(scenario.inputs)) as threads, redis_perf.record() as trace:
        begun = perf_counter()
        list((threads.map if scenario.at_once else map)(process, scenario.inputs))
        taken = perf_counter() - begun
    return Measured(1000 * taken, step.runs - runs, int(trace.redis.round_trips))


def of(kind: Callable[[str, Step], Any], scenario: Scenario, server: Any) -> Measured:
    """The median of the times, with the counts of that round."""
    rounds = []
    for _ in range(ROUNDS):
        server.reset()
        step = Step()
        with kind(server.url, step) as pipeline:
            rounds.append(measured(pipeline, scenario, step))
    return sorted(rounds, key=lambda each: each.ms)[ROUNDS // 2]


def hits_us(server: Any) -> tuple[float, float]:
    """A hit in the process, and one in Redis of another process, in microseconds."""
    server.reset()
    step, inputs = Step(), [f"input {number}" for number in range(10)]
    with optimized(server.url, step) as first, optimized(server.url, step) as other:
        for user_input in inputs:
            first.process(user_input, STATE)
        here = [timed(lambda: first.process("input 0", STATE)) for _ in range(2000)]
        there = []
        for _ in range(30):
            other.cache.local.clear()
            there += [timed(lambda text=text: other.process(text, STATE)) for text in inputs]
    assert step.runs == len(inputs) + 1
    return median(here), median(there)


def timed(call: Callable[[], Any]) -> float:
    begun = perf_counter()
    call()
    return (perf_counter() - begun) * 1e6


def table(results: list[tuple[Scenario, Measured, Measured]], each_ms: float, hits: tuple[float, float]) -> str:
    rows = [
        "| scenario | without cache | claimed | the right arithmetic | naive, measured | here, measured | saved |",
        "|---|---|---|---|---|---|---|",
    ]
    for scenario, before, after in results:
        plain = each_ms * len(scenario.inputs)
        rows.append(
            f"| {scenario.name} | {shortly(plain)} ms | {scenario.claimed} | {scenario.right} | {shown(before)} | "
            f"{shown(after)} | {1 - after.ms / plain:.1%} |"
        )
    average = results[1][2].ms / len(results[1][0].inputs)
    rows += [
        f"| average at 90 % hits | {each_ms:.1f} ms | 14.5 ms, 84 % | 0.1 · 95 + 0.9 · 5 = 14.0 ms, 85.3 % | | "
        f"{average:.1f} ms (100 over 10 patterns) | {1 - average / each_ms:.1%} |",
        f"| hit in the process | | 0.5 ms (elsewhere 1 to 2) | | | {hits[0]:.1f} us, 0 round trips | |",
        f"| hit in Redis | | 5 to 10 ms | | | {hits[1] / 1000:.2f} ms, 1 round trip | |",
    ]
    return "\n".join(rows)


def shown(one: Measured) -> str:
    runs = "1 run" if one.runs == 1 else f"{one.runs} runs"
    return f"{shortly(one.ms)} ms, {runs}, {one.round_trips} round trips"


def figure(results: list[tuple[Scenario, Measured, Measured]], each_ms: float) -> str:
    groups = [
        Group(scenario.name, (each_ms * len(scenario.inputs), scenario.claimed_ms, before.ms, after.ms))
        for scenario, before, after in results
    ]
    series = ("without cache", "claimed", "naive cache, measured", "OptimizedPipeline, measured")
    return bars("The persona pipeline: time for all requests of a scenario, 95 ms a run", "ms", series, groups)


PAGE = """# The persona pipeline, measured

Written by `python benchmarks/persona_pipeline.py --write`; no figure under *measured* was typed by hand. The step that
answers sleeps 95 ms. *Claimed* is what the pipeline's report said, *the right arithmetic* what follows from its own
assumptions; *naive cache* is `redis_perf_reference.naive.persona_pipeline`, *here* is `OptimizedPipeline` (sync), on a
real Valkey on loopback. *Without cache* is the number of requests times one that was measured.

{table}

![Time for all requests of each scenario]({figure})

- *10 at once*, in ten threads: a cache that does not know who is at it already runs the step ten times, which takes no
  longer here as sleeping costs nothing; a model does. *Without cache* is one after another. Here one runs the step, and
  nine wait for it without a round trip.
- 1,000 requests over 20 patterns save 980 runs of 95 ms: 93 seconds, not the 19 to 30 hours that were claimed (at the
  70 to 80 % hits assumed there it is 67 to 76 seconds).
- A new request is two round trips, however many steps are cached; the naive cache pays four to six. Here, on loopback,
  none of them has to travel: after a sleep of 95 ms either cache is cold code, and ours is the longer.
- A hit in the process is far below what was claimed, so the claimed totals are mostly hits that were thought too dear.
"""


def main(arguments: list[str]) -> int:
    server = servers.redis("embedded")
    try:
        step = Step()
        plain = measured(Pipeline(Steps(respond=step)), SCENARIOS[0], step)
        each_ms = plain.ms / len(SCENARIOS[0].inputs)
        results = [(each, of(naive, each, server), of(optimized, each, server)) for each in SCENARIOS]
        text = table(results, each_ms, hits_us(server))
    finally:
        server.stop()
    print(text)
    if "--write" in arguments:
        (DOCS / "persona-pipeline.svg").write_text(figure(results, each_ms))
        (DOCS / "persona-pipeline.md").write_text(PAGE.format(table=text, figure="persona-pipeline.svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
