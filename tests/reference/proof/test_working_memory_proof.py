"""The reference working memory beside the one it replaces, on real servers: each call's cost, counted on the wire.

Connections are open and the scripts loaded before anything is counted; what the first call costs beyond that has a
test of its own. The numbers asserted here are the claims of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import redis

from pytest_redisperf import RedisPerf
from redis_perf import Spend, exactly
from redis_perf_reference import OneConnection, Turn, WorkingMemory, create_schema
from redis_perf_reference.naive.working_memory import SCHEMA, NaiveTurn, NaiveWorkingMemory

ONE_STATEMENT = Spend(round_trips=exactly(1), statements=exactly(1), commits=exactly(1))


@pytest.fixture
def postgres(redisperf_postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(redisperf_postgres_dsn, autocommit=True, prepare_threshold=None) as connection:
        create_schema(OneConnection(connection))
        connection.execute(SCHEMA)
        yield connection


@pytest.fixture
def naive(redisperf_redis: redis.Redis, postgres: psycopg.Connection[Any]) -> NaiveWorkingMemory:
    memory = NaiveWorkingMemory(redisperf_redis, postgres)
    memory.push_turn("warm", said_naively(0))
    return memory


@pytest.fixture
def memory(redisperf_redis: redis.Redis, postgres: psycopg.Connection[Any]) -> WorkingMemory:
    memory = WorkingMemory(redisperf_redis, OneConnection(postgres))
    memory.push_turn("warm", "s", said(0))
    memory.flush("warm")
    return memory


def said(number: int) -> Turn:
    return Turn(role="user", content=f"turn {number}", channel_id="web", token_count=3)


def said_naively(number: int) -> NaiveTurn:
    return NaiveTurn(number, "user", f"turn {number}", "web", datetime.now(UTC).isoformat(), 3)


def fill(naive: NaiveWorkingMemory, memory: WorkingMemory, turns: int) -> None:
    for number in range(turns):
        naive.push_turn("bo", said_naively(number))
    memory.push_turns("ada", "s", [said(number) for number in range(turns)])


def test_a_push_is_one_round_trip_to_each_store(
    redisperf: RedisPerf, proof: Any, naive: NaiveWorkingMemory, memory: WorkingMemory
) -> None:
    with redisperf.record() as before:
        naive.push_turn("bo", said_naively(1))
    with redisperf.budget(redis=exactly(1), postgres=ONE_STATEMENT) as after:
        memory.push_turn("ada", "s", said(1))
    proof.add("push a turn", before.trace, after.trace, floor=(1, 1))
    assert (before.redis.round_trips, before.postgres.round_trips) == (3, 1)


def test_a_pair_is_pushed_for_the_price_of_one(
    redisperf: RedisPerf, proof: Any, naive: NaiveWorkingMemory, memory: WorkingMemory
) -> None:
    with redisperf.record() as before:
        naive.push_turn("bo", said_naively(1))
        naive.push_turn("bo", said_naively(2))
    with redisperf.budget(redis=exactly(1), postgres=ONE_STATEMENT) as after:
        memory.push_turns("ada", "s", [said(1), said(2)])
    proof.add("push a pair", before.trace, after.trace, floor=(1, 1))
    assert (before.redis.round_trips, before.postgres.round_trips) == (6, 2)


@pytest.mark.parametrize("turns", [1, 20])
def test_a_flush_is_one_statement_for_any_number_of_turns(
    redisperf: RedisPerf, proof: Any, naive: NaiveWorkingMemory, memory: WorkingMemory, turns: int
) -> None:
    fill(naive, memory, turns)
    with redisperf.record() as before:
        naive.flush("bo")
    with redisperf.budget(redis=exactly(2), postgres=ONE_STATEMENT) as after:
        memory.flush("ada")
    proof.add(f"flush {turns:>2} turn{'s' if turns > 1 else ''}", before.trace, after.trace, floor=(2, 1))
    assert (before.redis.round_trips, before.postgres.statements) == (3, turns)


def test_clearing_is_one_round_trip(
    redisperf: RedisPerf, proof: Any, naive: NaiveWorkingMemory, memory: WorkingMemory
) -> None:
    fill(naive, memory, 3)
    with redisperf.record() as before:
        naive.clear("bo")
    with redisperf.budget(redis=exactly(1), postgres=0) as after:
        memory.clear("ada")
    proof.add("clear", before.trace, after.trace, floor=(1, 0))
    assert before.redis.round_trips == 2


@pytest.mark.parametrize("calls", [1, 100])
def test_the_hundredth_push_costs_what_the_first_did(redisperf: RedisPerf, memory: WorkingMemory, calls: int) -> None:
    with redisperf.budget(redis=exactly(calls), postgres=Spend(round_trips=exactly(calls), statements=exactly(calls))):
        for number in range(calls):
            memory.push_turn("ada", "s", said(number))


def test_a_server_that_does_not_know_the_script_costs_one_more_round_trip_once(
    redisperf: RedisPerf, redisperf_redis: redis.Redis, memory: WorkingMemory
) -> None:
    redisperf_redis.script_flush()
    with redisperf.budget(redis=exactly(2), postgres=exactly(1)):
        memory.push_turn("ada", "s", said(1))
    with redisperf.budget(redis=exactly(1), postgres=exactly(1)):
        memory.push_turn("ada", "s", said(2))


@pytest.fixture
def history(memory: WorkingMemory) -> Callable[[], list[Turn]]:
    return lambda: memory.history("ada", "s", last_turns=20)


def test_history_is_one_redis_round_trip_and_a_miss_reads_postgres_and_refills(
    redisperf: RedisPerf, memory: WorkingMemory, history: Callable[[], list[Turn]]
) -> None:
    pushed = [said(number) for number in range(20)]
    memory.push_turns("ada", "s", pushed)
    memory.clear("ada")
    with redisperf.budget(redis=exactly(2), postgres=ONE_STATEMENT):
        assert history() == pushed
    with redisperf.budget(redis=exactly(1), postgres=0):
        assert history() == pushed
