"""What each call of the cache costs, counted on the wire and in calls of the model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.llm import LLMRequest

ISSUE = {"fields": {"summary": "Add a table", "description": {"type": "doc", "content": []}}}
REQUEST = LLMRequest("gpt-4o", ({"role": "user", "content": "Hello"},))
DIFF = '{"modifications": [{"line_start": 1, "line_end": 1, "new_content": "x"}]}'

TASKS = [
    ("# Specification", lambda cache, **options: cache.convert_issue_to_spec(ISSUE, **options), "# Specification"),
    (
        DIFF,
        lambda cache, **options: cache.generate_code_diff("a.py", "y", "do", {}, **options),
        [{"line_start": 1, "line_end": 1, "new_content": "x"}],
    ),
    (
        "Here it is:\n```python\nx = 1\n```\n",
        lambda cache, **options: cache.generate_new_file("a.py", "do", {}, **options),
        "x = 1\n",
    ),
    ("Hi", lambda cache, **options: cache.complete(REQUEST, **options).content, "Hi"),
]
tasks = pytest.mark.parametrize(("content", "call", "wanted"), TASKS, ids=["spec", "diff", "new file", "any request"])


@tasks
def test_a_miss_is_two_round_trips_and_a_hit_is_one(
    redisperf: RedisPerf, cache: Any, model: Any, content: str, call: Any, wanted: Any
) -> None:
    model.content = content
    with redisperf.budget(redis=exactly(2)):
        assert call(cache) == wanted
    with redisperf.budget(redis=exactly(1)):
        assert call(cache) == wanted
    assert model.calls == 1


@tasks
def test_a_refresh_is_one_round_trip_and_is_kept(
    redisperf: RedisPerf, cache: Any, model: Any, content: str, call: Any, wanted: Any
) -> None:
    model.content = content
    call(cache)
    with redisperf.budget(redis=exactly(1)):
        assert call(cache, refresh=True) == wanted
    call(cache)
    assert model.calls == 2


@tasks
def test_without_the_cache_no_round_trip(
    redisperf: RedisPerf, cache: Any, model: Any, content: str, call: Any, wanted: Any
) -> None:
    model.content = content
    with redisperf.budget(redis=0):
        assert [call(cache, use_cache=False) for _ in range(2)] == [wanted] * 2
    assert model.calls == 2


def test_an_answer_of_no_use_is_two_round_trips(redisperf: RedisPerf, cache: Any, model: Any) -> None:
    model.finish_reason = "length"
    with redisperf.budget(redis=exactly(2)):  # the second frees the lease
        assert cache.complete(REQUEST).finish_reason == "length"


def test_twenty_who_ask_at_once_are_21_round_trips_and_one_call_and_were_40_and_20(
    redisperf: RedisPerf, twin: Any, build: Any, naive: Any, model: Any, joined: Any
) -> None:
    cache = build()
    model.during = lambda: joined.until(20)
    with redisperf.record() as spent:
        twin.together([lambda: cache.convert_issue_to_spec(ISSUE)] * 20)
    assert (work_of(spent.trace, "EVALSHA"), model.calls) == (21, 1)
    model.during = Barrier(20).wait  # none of them waits for another
    with redisperf.record() as spent, ThreadPoolExecutor(20) as threads:
        list(threads.map(naive.convert_issue_to_spec, [ISSUE] * 20))
    assert (work_of(spent.trace, "GET", "SET"), model.calls) == (40, 21)


def work_of(trace: Any, *names: str) -> int:
    """Round trips with these commands: others make connections."""
    return sum(trip.operations[0].name in names for trip in trace.redis)


def test_the_naive_handler_costs_one_and_two_but_many_calls_of_the_model(redisperf: RedisPerf, naive: Any) -> None:
    for cost in (2, 1):
        with redisperf.budget(redis=exactly(cost)):
            assert naive.convert_issue_to_spec(ISSUE) == "# Specification\n"
