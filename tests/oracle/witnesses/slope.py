"""What a delay pipe tells: turns on each connection, and how the time of a case grows with the latency.

A case that takes T1 at latency L1 and T2 at L2 waited (T2 - T1) / (L2 - L1) times, one wait after another. Whatever
the case computes is in both times and falls out. Opening a connection is not delayed (the pipe accepts at once), so
the slope counts the waits for answers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TOLERANCE = 0.4
"""Waits; below one half, so only one whole number can agree."""
TOLERANCE_PER_WAIT = 0.01
"""Who has slept longer wakes up later, by some hundred microseconds per wait. So only beyond 10 waits can a second
whole number agree; counts are not judged by it there."""
REACHED_TWICE = 0.2
"""Waits; a machine that is busy with other things reaches its least time seldom."""


def turns(seen: Iterable[Sequence[object]]) -> tuple[int, int]:
    """Turns (a send, then a release, on one connection) and connections opened."""
    sending: set[object] = set()
    count = opened = 0
    for _, connection, kind in seen:
        if kind == "opened":
            opened += 1
        elif kind == "sent":
            sending.add(connection)
        elif connection in sending:
            sending.discard(connection)
            count += 1
    return count, opened


def slope(short_ns: Iterable[int], long_ns: Iterable[int], latencies_ms: tuple[int, int]) -> float:
    """Waits one after another. Noise only ever adds time, so the least of several times is the nearest."""
    return (min(long_ns) - min(short_ns)) / 1e6 / (latencies_ms[1] - latencies_ms[0])


def settled(short_ns: Sequence[int], long_ns: Sequence[int], latencies_ms: tuple[int, int]) -> bool:
    """Whether the least times are to be trusted: each was reached twice, and the slope is nearly a whole number."""
    if len(short_ns) < 2 or len(long_ns) < 2:
        return False
    apart_ns = max(sorted(times)[1] - min(times) for times in (short_ns, long_ns))
    measured = slope(short_ns, long_ns, latencies_ms)
    twice = apart_ns / 1e6 <= REACHED_TWICE * (latencies_ms[1] - latencies_ms[0])
    return twice and abs(measured - round(measured)) <= TOLERANCE / 2


def agrees(measured: float, depth: int) -> bool:
    """Whether a measured slope says this depth."""
    return abs(measured - depth) <= TOLERANCE + TOLERANCE_PER_WAIT * depth
