"""A call of working memory broken at every one of its round trips, on either side of the server's doing it.

Once by a reset of the connection, and once by the server's death: it is killed and started again. Redis keeps an
append-only log here, so both stores say that what they have answered is kept.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from redis_perf import ServerUnavailable, servers
from redis_perf.proxy import FaultPoint, Proxy, fault_points
from redis_perf.proxy.faults import Fault, Reset, Restart, When
from redis_perf.servers import topologies
from redis_perf.servers.redis_options import RedisOptions
from redis_perf_reference import CacheUnavailable, ConsecutiveFailures, NotFlushed, Turn
from redis_perf_reference.entry import decode

HOLD_NS = 3_000_000
ONCE = {"socket_timeout": 10, "retry": None}
"""A client that tries once: what a retry would hide is to be seen."""
EXPECTED = (psycopg.OperationalError, CacheUnavailable, NotFlushed)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[servers.RedisServer]:
    """In the place of the others' that keeps nothing."""
    try:
        server = topologies.redis_with("embedded", RedisOptions(appendonly=True))
    except ServerUnavailable as unavailable:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(unavailable))
    yield server
    server.stop()


@pytest.fixture(params=["reset", "restart"])
def breaking(request: pytest.FixtureRequest, redis_server: Any, postgres_server: Any) -> Callable[..., Fault]:
    """Makes the fault for one point."""
    ours = {"redis": redis_server, "postgres": postgres_server}

    def fault(server: str, side: Any, on: When) -> Fault:
        return Reset(side, on) if request.param == "reset" else Restart(ours[server], side, on)

    return fault


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


def look_again(world: Any) -> None:
    """The connection that looks from outside may have died with its server."""
    world.postgres.close()
    world.postgres = world._stack.enter_context(psycopg.connect(world.dsn, autocommit=True))


def saved(world: Any, user: str) -> list[str]:
    return [turn_id for _, turn_id, _ in world.saved(user)]


def cached(world: Any, user: str) -> list[str]:
    return [decode(line).turn.turn_id for line in world.turns(user)]


def place(point: FaultPoint) -> tuple[str, str, str]:
    return (point.server, point.trip.operations[0].name, point.when)


def both_sides(*places: tuple[str, str]) -> list[tuple[str, str, str]]:
    return [(*place, when) for place in places for when in ("before", "after")]


def test_a_push_broken_anywhere_and_repeated_loses_and_doubles_no_turn(
    world: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
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
    for point in fault_points(proxy, run, breaking=breaking):
        start()
        with point:
            broken(run)
        look_again(world)
        world.other().push_turns(user, "s", wanted)
        assert saved(world, user) == ["0", "1", "2"], str(point)
        assert world.other().history(user) == wanted, str(point)
        assert cached(world, user) == ["0", "1", "2"], str(point)
        points.append(place(point))
    assert points == both_sides(("postgres", "SELECT"), ("redis", "EVALSHA"), ("redis", "EVAL"))


def test_a_flush_broken_anywhere_and_repeated_loses_and_doubles_no_turn(
    world: Any, proxy: Proxy, breaking: Callable[..., Fault]
) -> None:
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
    for point in fault_points(proxy, run, breaking=breaking):
        start()
        with point:
            broken(run)
        look_again(world)
        world.other().flush(user)
        assert (sorted(saved(world, user)), cached(world, user)) == (["0", "1", "2"], []), str(point)
        points.append(place(point))
    assert points == both_sides(("redis", "LRANGE"), ("postgres", "SELECT"), ("redis", "EVALSHA"), ("redis", "EVAL"))
