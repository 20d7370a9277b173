"""What each call costs, counted on the wire: the floors of the reference's table, and the naive numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

import redis_perf
from redis_perf_reference import ConsecutiveFailures, Turn
from redis_perf_reference.naive.working_memory import SCHEMA, NaiveTurn, NaiveWorkingMemory

NOW = datetime.now(UTC)
OPEN_AT_ONCE = {"threshold": 1, "open_seconds": 3600}


def turns(count: int, start: int = 0) -> list[Turn]:
    return [Turn("user", f"turn {n}", turn_id=str(n), created_at=NOW) for n in range(start, start + count)]


def cost(trace: Any) -> tuple[int, int, int, int]:
    """Redis round trips and commands, Postgres round trips and statements."""
    return trace.redis.round_trips, trace.redis.operations, trace.postgres.round_trips, trace.postgres.statements


@pytest.fixture
def memory(world: Any) -> Any:
    """A memory on a Redis that knows its scripts, after its first call."""
    memory = world.memory(max_turns=200)
    memory.push_turn("warm", "s", turns(1)[0])
    memory.set_summary("warm", "x")
    memory.flush("warm")
    memory.delete_user("warm")
    return memory


@pytest.mark.parametrize("count", [1, 2, 20, 200, 1000])
def test_a_push_of_any_number_of_turns_is_one_round_trip_to_each_store(memory: Any, count: int) -> None:
    with redis_perf.record() as trace:
        memory.push_turns("ada", "s", turns(count))
    assert (cost(trace), trace.postgres.commits) == ((1, 1, 1, 1), 1)


def test_a_push_of_nothing_costs_nothing(memory: Any) -> None:
    with redis_perf.record() as trace:
        assert memory.push_turns("ada", "s", []).cached
    assert cost(trace) == (0, 0, 0, 0)


def test_every_call_costs_what_the_first_one_did(memory: Any) -> None:
    with redis_perf.record() as trace:
        for turn in turns(50):
            memory.push_turn("ada", "s", turn)
            memory.history("ada")
    assert cost(trace) == (100, 100, 50, 50)


@pytest.mark.parametrize("window", [{}, {"last_turns": 5}, {"last_tokens": 0}, {"session_id": "s"}])
def test_a_history_hit_is_one_redis_round_trip(memory: Any, window: dict[str, Any]) -> None:
    memory.push_turns("ada", "s", turns(20))
    with redis_perf.record() as trace:
        assert len(memory.history("ada", **window)) == window.get("last_turns", 20)
    assert cost(trace) == (1, 1, 0, 0)


def test_a_history_miss_is_one_statement_and_a_refill(memory: Any) -> None:
    memory.push_turns("ada", "s", turns(20))
    memory.clear("ada")
    with redis_perf.record() as trace:
        assert memory.history("ada") == turns(20)
    assert cost(trace) == (2, 2, 1, 1)
    with redis_perf.record() as trace:
        assert memory.history("ada") == turns(20)
    assert cost(trace) == (1, 1, 0, 0)


def test_a_history_longer_than_the_list_refills_nothing_when_nothing_is_missing(memory: Any) -> None:
    memory.push_turns("ada", "s", turns(250))
    with redis_perf.record() as trace:
        assert memory.history("ada", last_turns=220) == turns(220, start=30)
    assert cost(trace) == (1, 1, 1, 1)


def test_summaries_cost_as_much_as_turns(memory: Any) -> None:
    costs = []
    for call in (lambda: memory.set_summary("ada", "x"), lambda: memory.summary("ada"), lambda: memory.clear("ada")):
        with redis_perf.record() as trace:
            call()
        costs.append(cost(trace))
    with redis_perf.record() as trace:
        assert memory.summary("ada") == "x"
    assert [*costs, cost(trace)] == [(1, 1, 1, 1), (1, 1, 0, 0), (1, 1, 0, 0), (2, 2, 1, 1)]


@pytest.mark.parametrize("count", [1, 20, 200])
def test_a_flush_of_any_size_is_one_statement_and_two_redis_round_trips(memory: Any, world: Any, count: int) -> None:
    memory.push_turns("ada", "s", turns(count))
    world.postgres.execute("TRUNCATE messages")
    with redis_perf.record() as trace:
        assert memory.flush("ada").added == count
    assert (cost(trace), trace.postgres.commits) == ((2, 2, 1, 1), 1)


def test_a_flush_of_nothing_is_one_redis_round_trip(memory: Any) -> None:
    with redis_perf.record() as trace:
        memory.flush("ada")
    assert cost(trace) == (1, 1, 0, 0)


@pytest.mark.parametrize(("count", "chunks"), [(10, 1), (11, 2), (20, 2), (25, 3)])
def test_a_flush_is_chunked_at_its_stated_bound(world: Any, memory: Any, count: int, chunks: int) -> None:
    memory.push_turns("ada", "s", turns(count))
    chunked = world.memory(flush_chunk=10)
    with redis_perf.record() as trace:
        assert chunked.flush("ada").known == count
    assert cost(trace) == (2 * chunks, 2 * chunks, chunks, chunks)
    assert world.turns("ada") == []


def test_clear_is_one_command_and_delete_one_round_trip_to_each_store(memory: Any) -> None:
    memory.push_turns("ada", "s", turns(20))
    with redis_perf.record() as trace:
        memory.clear("ada")
    assert (cost(trace), [operation.name for trip in trace.redis for operation in trip.operations]) == (
        (1, 1, 0, 0),
        ["UNLINK"],
    )
    with redis_perf.record() as trace:
        assert memory.delete_user("ada") == 20
    assert cost(trace) == (1, 1, 1, 1)


def test_a_script_the_server_does_not_know_costs_one_more_once(memory: Any, world: Any) -> None:
    world.redis.script_flush()
    costs = []
    for turn in turns(2):
        with redis_perf.record() as trace:
            memory.push_turn("ada", "s", turn)
        costs.append(cost(trace))
    assert costs == [(2, 2, 1, 1), (1, 1, 1, 1)]


def test_an_open_breaker_costs_redis_nothing(world: Any, redis_relay: Any) -> None:
    memory = world.memory(redis_url=redis_relay.address, breaker=ConsecutiveFailures(**OPEN_AT_ONCE))
    redis_relay.mode = "refuse"
    memory.push_turn("ada", "s", turns(1)[0])
    with redis_perf.record() as trace:
        memory.push_turn("ada", "s", turns(2)[1])
        memory.history("ada")
    assert (cost(trace), trace.redis.connections, trace.redis.lost) == ((0, 0, 2, 2), 0, 0)


def test_the_naive_memory_costs_what_it_is_said_to(world: Any) -> None:
    with psycopg.connect(world.dsn, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(SCHEMA)
        naive, costs = NaiveWorkingMemory(world.redis, connection), []
        naive_turns = [NaiveTurn(n, "user", "x", "c", NOW.isoformat(), 1) for n in range(20)]
        for turn in naive_turns[1:]:
            naive.push_turn("ada", turn)
        for call in (
            lambda: naive.push_turn("ada", naive_turns[0]),
            lambda: naive.flush("ada"),
            lambda: naive.clear("ada"),
        ):
            with redis_perf.record() as trace:
                call()
            costs.append(cost(trace))
    assert costs == [(3, 3, 1, 1), (3, 3, 20, 20), (2, 2, 0, 0)]
