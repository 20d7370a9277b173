"""How the public names are used, for mypy to read; nothing here is run."""

from __future__ import annotations

from typing import assert_type

import pytest

import redis_perf
from pytest_redisperf import RedisPerf
from redis_perf import Budget, Limit, Recording, Spend, StoreTrace, Trace, at_most, between, exactly


def record_a_block() -> None:
    with redis_perf.record() as trace:
        assert_type(trace, Recording)
    assert_type(trace.trace, Trace)
    assert_type(trace.redis, StoreTrace)
    assert_type(trace.setup.redis.round_trips, int)
    assert_type(trace.postgres.statements, int)
    assert_type(trace.postgres.received_bytes, int | None)
    assert_type(trace.redis.shapes, list[str])
    assert_type(trace.redis.at("127.0.0.1:6379").depth, int)


def budgets() -> None:
    assert_type(exactly(1), Limit)
    Budget.of(redis=1, postgres=Spend(statements=exactly(1), commits=at_most(1)), depth=between(1, 2), streams=2)


def test_with_the_fixture(redisperf: RedisPerf) -> None:
    with redisperf.budget(redis=1, postgres=Spend(statements=exactly(1))) as spent:
        pass
    assert_type(spent.postgres.shapes, list[str])


@pytest.mark.redisperf(redis=3, postgres=2)
def test_with_the_marker() -> None:
    pass
