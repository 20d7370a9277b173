"""A call of working memory broken at every one of its round trips, on either side of the server's doing it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from redis_perf.proxy import FaultPoint, Proxy, fault_points
from redis_perf_reference import CacheUnavailable, ConsecutiveFailures, NotFlushed, Turn
from redis_perf_reference.entry import decode

HOLD_NS = 3_000_000
ONCE = {"socket_timeout": 10, "retry": None}
"""A client that tries once: what a retry would hide is to be seen."""
EXPECTED = (psycopg.OperationalError, CacheUnavailable, NotFlushed)


@pytest.fixture
def proxy(redis_url: str, dsn: str) -> Iterator[Proxy]:
    with Proxy(redis=redis_url, postgres=dsn, latency_ns=HOLD_NS) as proxy:
        yield proxy


def turns(count: int) -> list[Turn]:
    return [Turn("user", f"turn {n}", turn_id=str(n), created_at=datetime.now(UTC)) for n in range(count)]


def through(proxy: Proxy, world: Any) -> Any:
    """A memory of its own that reaches both servers through the proxy; a breaker would hide the second fault."""
    breaker = ConsecutiveFailures(threshold=100)
    return world.memory(proxy.url("redis"), proxy.url("postgres"), client=ONCE, breaker=breaker)


def broken(call: Any) -> None:
    with suppress(*EXPECTED):
        call()


def saved(world: Any, user: str) -> list[str]:
    return [turn_id for _, turn_id, _ in world.saved(user)]


def cached(world: Any, user: str) -> list[str]:
    return [decode(line).turn.turn_id for line in world.turns(user)]


def place(point: FaultPoint) -> tuple[str, str, str]:
    return (point.server, point.trip.operations[0].name, point.when)


def both_sides(*places: tuple[str, str]) -> list[tuple[str, str, str]]:
    return [(*place, when) for place in places for when in ("before", "after")]


def test_a_push_broken_anywhere_and_repeated_loses_and_doubles_no_turn(world: Any, proxy: Proxy) -> None:
    users, wanted = (f"user-{n}" for n in itertools.count()), turns(3)
    user, memory = "", None

    def start() -> None:
        nonlocal user, memory
        user, memory = next(users), through(proxy, world)
        memory.push_turns("warm", user, turns(1))  # connections are made
        world.redis.script_flush()  # so that sending the script is among the round trips

    def run() -> None:
        memory.push_turns(user, "s", wanted)

    start()
    points = []
    for point in fault_points(proxy, run):
        start()
        with point:
            broken(run)
        world.other().push_turns(user, "s", wanted)
        assert saved(world, user) == ["0", "1", "2"], str(point)
        assert world.other().history(user) == wanted, str(point)
        assert cached(world, user) == ["0", "1", "2"], str(point)
        points.append(place(point))
    assert points == both_sides(("postgres", "SELECT"), ("redis", "EVALSHA"), ("redis", "EVAL"))


def test_a_flush_broken_anywhere_and_repeated_loses_and_doubles_no_turn(world: Any, proxy: Proxy) -> None:
    users, wanted = (f"user-{n}" for n in itertools.count()), turns(3)
    user, memory = "", None

    def start() -> None:
        nonlocal user, memory
        user, memory = next(users), through(proxy, world)
        memory.push_turns(user, "s", wanted)
        world.redis.script_flush()  # so that sending the script is among the round trips
        world.postgres.execute("DELETE FROM messages WHERE user_id = %s AND turn_id <> '0'", [user])

    def run() -> None:
        memory.flush(user)

    start()
    points = []
    for point in fault_points(proxy, run):
        start()
        with point:
            broken(run)
        world.other().flush(user)
        assert (sorted(saved(world, user)), cached(world, user)) == (["0", "1", "2"], []), str(point)
        points.append(place(point))
    assert points == both_sides(("redis", "LRANGE"), ("postgres", "SELECT"), ("redis", "EVALSHA"), ("redis", "EVAL"))
