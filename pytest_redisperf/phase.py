"""What one phase of one test spent, as plain data: it travels on the TestReport from xdist's workers.

`repeats` are suspects of an N+1 that are not to be ignored, `ignored` how many others there were, `ignores` what was
to be ignored: filled in by `pytest_redisperf.suspects`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypedDict

from pytest_redisperf.fixture_accounts import FixtureSpending
from redis_perf import Trace
from redis_perf.analysis.tally import NONE, Tally, tallies
from redis_perf.analysis.waste import Waste, wastes
from redis_perf.trace import STORES as STORES
from redis_perf.trace import Store as Store

if TYPE_CHECKING:
    from redis_perf.suite import When


class Repeat(TypedDict):
    asked: str
    place: str
    count: int
    loop: str | None
    fix: str


class Ignored(TypedDict):
    """`used`: something matched."""

    what: str
    where: str
    used: bool


class Spent(TypedDict):
    round_trips: int
    operations: int
    setup: int
    connections: int
    lost: int


class Wasted(TypedDict):
    kind: str
    text: str
    saves: int


class Phase(TypedDict):
    redis: Spent
    postgres: Spent
    depth: int
    children: int
    problems: list[str]
    repeats: list[Repeat]
    ignored: int
    ignores: list[Ignored]
    named: dict[str, int]
    """Round trips of servers that have a name."""
    fixtures: list[FixtureSpending]
    wastes: list[Wasted]


def is_quiet(trace: Trace) -> bool:
    """Nothing was seen, and nothing kept from being seen."""
    return not (trace.round_trips or trace.opened or trace.children or trace.problems)


def phase_of(trace: Trace, when: When) -> Phase:
    """What fixtures waste is not told, so it is not looked for."""
    numbers, sent = tallies(trace), bool(trace.round_trips)
    found = wastes(trace) if sent and when == "call" else ()
    names = [trip.name for trip in trace.charged if trip.name and trip.answer == "complete"] if sent else []
    return Phase(
        redis=_spent(numbers.redis),
        postgres=_spent(numbers.postgres),
        depth=numbers.depth,
        children=trace.children,
        problems=list(trace.problems),
        named=dict(Counter(names)) if names else {},
        repeats=[],
        ignored=0,
        ignores=[],
        fixtures=[],
        wastes=[Wasted(kind=each.kind, text=each.text, saves=each.saves) for each in found if _is_told(each)],
    )


def _is_told(waste: Waste) -> bool:
    """Connections that a test opens are told as setup."""
    return waste.kind != "connecting"


_NOTHING = Spent(round_trips=0, operations=0, setup=0, connections=0, lost=0)


def round_trips(phase: Phase) -> int:
    return phase["redis"]["round_trips"] + phase["postgres"]["round_trips"]


def operations(phase: Phase) -> int:
    return phase["redis"]["operations"] + phase["postgres"]["operations"]


def _spent(numbers: Tally) -> Spent:
    if numbers is NONE:
        return _NOTHING.copy()
    return Spent(
        round_trips=numbers.round_trips,
        operations=numbers.operations,
        setup=numbers.setup,
        connections=numbers.connections,
        lost=numbers.lost,
    )
