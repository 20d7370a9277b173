"""How a case is measured: round trips on the wire, and the time beside that of a raw GET that takes turns with it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter_ns
from typing import Any, NamedTuple

from caches import case
from caches.case import Case, Contender, finished

import redis_perf

ROUNDS = 300
SLOW_ROUNDS = 15
"""For what takes milliseconds."""
L1_ROUNDS, L1_CALLS = 15, 1000
HERD = 50
LOAD_SECONDS = 0.03
"""Long enough for all to have looked."""


class Measured(NamedTuple):
    """`times_get` and `ns` are medians; the latter is one machine's."""

    round_trips: int
    times_get: float
    ns: float


async def measured(row: str, each: Case, get: Callable[[], Any]) -> Measured:
    trips = await round_trips(each)
    if row in case.IN_THE_PROCESS:
        ns = await in_a_loop(each.call)
        return Measured(trips, ns / await in_a_loop(get, 300), ns)
    rounds = SLOW_ROUNDS if row in (case.SCAN, case.AT_ONCE, case.TAGS) else ROUNDS
    return Measured(trips, *await beside(each, get, rounds))


async def round_trips(each: Case) -> int:
    """Of one call, when everything is warm."""
    for _ in range(2):
        await prepared(each)
        await finished(each.call())
    await prepared(each)
    with redis_perf.record() as trace:
        await finished(each.call())
    return int(trace.redis.round_trips)


async def beside(each: Case, get: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """The medians' ratio, and the call's median in nanoseconds."""
    taken, gets = [], []
    for _ in range(rounds):
        await prepared(each)
        begun = perf_counter_ns()
        result = each.call()
        if inspect.isawaitable(result):
            await result
        taken.append(perf_counter_ns() - begun)
        begun = perf_counter_ns()
        get()
        gets.append(perf_counter_ns() - begun)
    return median(taken) / median(gets), median(taken)


async def in_a_loop(call: Callable[[], Any], calls: int = L1_CALLS) -> float:
    """Nanoseconds of one call, the loop around it included: for what a clock read would drown."""
    waits, rounds = inspect.isawaitable(first := call()), []
    await finished(first)
    for _ in range(L1_ROUNDS):
        begun = perf_counter_ns()
        if waits:
            for _ in range(calls):
                await call()
        else:
            for _ in range(calls):
                call()
        rounds.append((perf_counter_ns() - begun) / calls)
    return median(rounds)


async def prepared(each: Case) -> None:
    if each.prepare is not None:
        await finished(each.prepare())


async def loads_of_a_herd(contender: Contender) -> int | None:
    """How often a value is loaded that fifty callers of one process want at once; None where that is no feature."""
    if contender.herd is None:
        return None
    loads = 0

    async def load_async() -> dict[str, Any]:
        nonlocal loads
        loads += 1
        await asyncio.sleep(LOAD_SECONDS)
        return case.VALUE

    def load() -> dict[str, Any]:
        nonlocal loads
        loads += 1
        threading.Event().wait(LOAD_SECONDS)
        return case.VALUE

    herd, key = contender.herd, f"herd:{contender.name}"
    if contender.waits:
        await asyncio.gather(*(herd(key, load_async) for _ in range(HERD)))
    else:
        with ThreadPoolExecutor(HERD) as threads:
            list(threads.map(lambda _: herd(key, load), range(HERD)))
    return loads
