"""The figures the working memory was asked for, as benchmarks that fail if they do not hold.

    python benchmarks/claims.py

At 1 ms a round trip, in one run, the naive code beside the reference: pushing to Redis takes 3 round trips of time
before and 1 after, saving 20 turns 20 and 1, a whole flush (with its reads and deletes in Redis) 23 and 3. Counts are
held exactly; ratios of times within what a busy machine needs. Needs pytest-benchmark.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import redis

from pytest_redisperf import Benchmark
from redis_perf import exactly
from redis_perf_reference import ConsecutiveFailures, OneConnection, Turn, WorkingMemory, create_schema
from redis_perf_reference.entry import Entry, encode
from redis_perf_reference.naive.working_memory import SCHEMA, NaiveTurn, NaiveWorkingMemory
from redis_perf_reference.sync.cache import Cache
from redis_perf_reference.sync.messages import Messages

TURNS = 20
ROUNDS = 9


@pytest.fixture
def postgres(redisperf_postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(redisperf_postgres_dsn, autocommit=True, prepare_threshold=None) as connection:
        create_schema(OneConnection(connection))
        connection.execute(SCHEMA)
        yield connection


def said(number: int) -> Turn:
    return Turn(role="user", content=f"turn {number}", channel_id="web", token_count=3)


def said_naively(number: int) -> NaiveTurn:
    return NaiveTurn(number, "user", f"turn {number}", "web", datetime.now(UTC).isoformat(), 3)


def numbered() -> Callable[[], int]:
    numbers = iter(range(1, 1_000_000))
    return lambda: next(numbers)


def test_pushing_to_redis_takes_1_ms_instead_of_3(redisperf_benchmark: Benchmark, redisperf_redis: redis.Redis) -> None:
    cache, position = Cache(redisperf_redis, ConsecutiveFailures()), numbered()

    def push() -> None:
        at = position()
        entry = encode(Entry(at, at - 1 or None, "s", said(at)))
        cache.run("push", ("working:{ada}:turns", "working:{ada}:gone"), 20, 3_600_000, entry)

    def push_naively() -> None:
        redisperf_redis.rpush("axel:working:bo:turns", "turn")
        redisperf_redis.ltrim("axel:working:bo:turns", -20, -1)
        redisperf_redis.expire("axel:working:bo:turns", 3600)

    push()  # loads the script
    redisperf_benchmark.pedantic(push, rounds=ROUNDS)
    redisperf_benchmark.max_round_trips(exactly(1))
    assert redisperf_benchmark.ratio_to(push_naively) == pytest.approx(1 / 3, rel=0.25)


def test_saving_20_turns_is_1_statement_and_1_round_trip_of_time_instead_of_20(
    redisperf_benchmark: Benchmark, redisperf_redis: redis.Redis, postgres: psycopg.Connection[Any]
) -> None:
    messages, number = Messages(OneConnection(postgres)), numbered()
    naive = NaiveWorkingMemory(redisperf_redis, postgres)

    def save() -> None:
        messages.save("ada", "s", [said(number()) for _ in range(TURNS)])

    def save_naively() -> None:
        for _ in range(TURNS):
            naive._insert("bo", said_naively(number()))

    redisperf_benchmark.pedantic(save, rounds=ROUNDS)
    redisperf_benchmark.max_round_trips(exactly(1))
    redisperf_benchmark.max_statements(exactly(1))
    assert redisperf_benchmark.ratio_to(save_naively) < 1 / 8


def test_a_flush_of_20_turns_takes_3_round_trips_of_time_instead_of_23(
    redisperf_benchmark: Benchmark, redisperf_redis: redis.Redis, postgres: psycopg.Connection[Any]
) -> None:
    memory, number = WorkingMemory(redisperf_redis, OneConnection(postgres)), numbered()
    naive = NaiveWorkingMemory(redisperf_redis, postgres)

    def fill() -> None:
        turns = [number() for _ in range(TURNS)]
        memory.push_turns("ada", "s", [said(turn) for turn in turns])
        for turn in turns:
            naive.push_turn("bo", said_naively(turn))

    fill()
    memory.flush("ada")  # loads the scripts
    naive.flush("bo")
    redisperf_benchmark.pedantic(lambda: memory.flush("ada"), setup=fill, rounds=ROUNDS)
    redisperf_benchmark.max_round_trips(exactly(3))
    redisperf_benchmark.max_statements(exactly(1))
    ratio = redisperf_benchmark.ratio_to(lambda: naive.flush("bo"), setup=fill)
    assert ratio < 1 / 4


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--redisperf-latency=1ms", __file__]))
