"""The persona pipeline: what it costs, and the ways in which such pipelines were seen to go wrong."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import redis_perf
from redis_perf_reference import InvalidTtl, PatternRefused
from redis_perf_reference.naive.persona_pipeline import NaivePipeline
from redis_perf_reference.persona_request import PersonaRequest
from redis_perf_reference.personas import COMMON_RESONANCE_KEYS, PERSONAS

CALM = "calm-medium-learning"
ALL = ["route", "prompt", "respond"]


def test_a_new_request_is_two_round_trips_and_a_known_one_none(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)
    (first, cost), (second, none) = (twin.spent(lambda: pipeline.process("Hello", CALM)) for _ in range(2))
    assert (cost, none, steps.run) == (2, 0, ALL)
    assert (first.persona, first.response, first.cached) == ("lua", "Lua hears: Hello", False)
    assert (second.persona, second.response, second.cached) == ("lua", "Lua hears: Hello", True)


def test_a_request_that_another_process_knows_is_one_round_trip(twin: Any, steps: Any) -> None:
    here, there = twin.pipeline(), twin.pipeline(steps)
    twin.finish(here.process("Hello", CALM))
    processed, cost = twin.spent(lambda: there.process("Hello", CALM))
    assert (processed.cached, cost, steps.run) == (True, 1, [])
    assert twin.spent(lambda: there.process("Hello", CALM))[1] == 0


def test_a_new_input_for_a_known_persona_is_two_round_trips_and_no_new_prompt(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)
    twin.finish(pipeline.process("Hello", CALM))
    assert twin.spent(lambda: pipeline.process("Good night", CALM))[1] == 2
    assert steps.run == [*ALL, "route", "respond"]


def test_a_persona_that_is_not_among_the_usual_costs_two_more_once(twin: Any, steps: Any) -> None:
    steps.route = lambda user_input, resonance_key: "a stranger: *"
    here, there = twin.pipeline(steps), twin.pipeline(steps)
    costs = [twin.spent(lambda one=one: one.process("Hello", CALM)) for one in (here, here, there, there)]
    assert [cost for _, cost in costs] == [4, 0, 2, 0]
    assert [processed.cached for processed, _ in costs] == [False, True, True, True]
    assert steps.run == ALL
    twin.finish(here.invalidate_cache_pattern("persona:*"))
    costs = [twin.spent(lambda: here.process("Hello", CALM)) for _ in range(2)]
    assert [(cost, processed.cached) for processed, cost in costs] == [(2, False), (0, True)]


def test_trap_32_preloading_is_one_round_trip(twin: Any, steps: Any) -> None:
    pipeline, there = twin.pipeline(), twin.pipeline(steps)
    told, cost = twin.spent(lambda: pipeline.preload_common_personas())
    assert (told.count, cost) == (len(PERSONAS) * len(COMMON_RESONANCE_KEYS), 1)
    assert twin.spent(lambda: there.process("Hello", CALM))[1] == 2
    assert steps.run == ["route", "respond"]
    lives = [twin.redis.pttl(key) for key in twin.redis.scan_iter()]
    assert all(life > 0 for life in lives)


@pytest.mark.parametrize(
    ("pattern", "run"),
    [
        ("persona:lua:*", ["prompt", "respond"]),
        ("routing:*", ["route"]),
        ("persona:*", ["prompt", "respond"]),
        ("persona:sol:*", []),
        ("persona:lua:response:*", ["respond"]),
    ],
)
def test_trap_27_a_pattern_forgets_what_depends_on_it_and_no_more_in_one_round_trip(
    twin: Any, steps: Any, pattern: str, run: list[str]
) -> None:
    pipeline = twin.pipeline(steps)
    twin.finish(pipeline.process("Hello", CALM))
    steps.run.clear()
    assert twin.spent(lambda: pipeline.invalidate_cache_pattern(pattern))[1] == 1
    processed = twin.finish(pipeline.process("Hello", CALM))
    assert (steps.run, processed.cached) == (run, not run)


def test_clearing_forgets_all_in_one_round_trip_and_nothing_of_others(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)
    twin.redis.set("queue", "job")
    twin.finish(pipeline.process("Hello", CALM))
    assert twin.spent(pipeline.clear_cache)[1] == 1
    twin.finish(pipeline.process("Hello", CALM))
    assert (steps.run, twin.redis.get("queue")) == (ALL * 2, b"job")


def test_trap_16_ten_at_once_are_one_run_and_two_round_trips(twin: Any, steps: Any) -> None:
    pipeline, asked = twin.pipeline(steps), threading.Barrier(10)
    misses = pipeline.cache.local.get_stats().misses
    entered: list[int] = []

    def ask() -> Any:
        asked.wait()
        entered.append(1)
        return pipeline.process("Hello", CALM)

    steps.meanwhile = lambda: twin.eventually(lambda: len(entered) == 10)
    with redis_perf.record() as trace:
        answers = twin.together([ask] * 10)
    assert {answer.response for answer in answers} == {"Lua hears: Hello"}
    assert (steps.run, trace.redis.round_trips) == (ALL, 2)
    assert pipeline.cache.local.get_stats().misses - misses == 1 + 2 * len(PERSONAS)


def test_trap_16_two_processes_at_once_are_one_run(twin: Any, steps: Any) -> None:
    here, there, answers = twin.pipeline(steps), twin.pipeline(steps), []
    waiter = threading.Thread(target=lambda: answers.append(twin.finish(there.process("Hello", CALM))))

    def meanwhile() -> None:
        lookups = there.cache.get_stats().l2.lookups
        waiter.start()
        twin.eventually(lambda: there.cache.get_stats().l2.lookups > lookups)

    steps.meanwhile = meanwhile
    answers.append(twin.finish(here.process("Hello", CALM)))
    waiter.join()
    assert [answer.response for answer in answers] == ["Lua hears: Hello"] * 2
    assert steps.run == ALL


@pytest.mark.parametrize("by", ["this process", "another process"])
def test_trap_17_what_is_invalidated_meanwhile_is_not_kept(twin: Any, steps: Any, by: str) -> None:
    here, there = twin.pipeline(steps), twin.pipeline()
    changing = here if by == "this process" else there
    steps.meanwhile = lambda: twin.finish(changing.invalidate_cache_pattern("persona:lua:*"))
    twin.finish(here.process("Hello", CALM))
    steps.meanwhile = lambda: None
    assert twin.finish(here.process("Hello", CALM)).cached is False
    assert steps.run == [*ALL, "prompt", "respond"]
    assert twin.finish(here.process("Hello", CALM)).cached is True


@pytest.mark.parametrize("pattern", ["persona:*", "one response", "one routing"])
def test_trap_17_who_asks_after_an_invalidation_is_not_answered_with_what_was_begun_before(
    twin: Any, steps: Any, pattern: str
) -> None:
    request = PersonaRequest("Hello", CALM)
    pattern = {"one response": request.response("lua"), "one routing": request.routing}.get(pattern, pattern)
    pipeline, answers = twin.pipeline(steps, cache=twin.cache(lease_seconds=0.05)), []

    def meanwhile() -> None:
        steps.meanwhile, steps.respond = lambda: None, lambda prompt, user_input: "new"
        twin.finish(pipeline.invalidate_cache_pattern(pattern))
        answers.append(twin.finish(pipeline.process("Hello", CALM)).response)

    steps.meanwhile, steps.respond = meanwhile, lambda prompt, user_input: "old"
    assert twin.finish(pipeline.process("Hello", CALM)).response == "old"
    assert answers == ["new"]


def test_trap_15_an_empty_response_is_kept(twin: Any, steps: Any) -> None:
    pipeline, steps.respond = twin.pipeline(steps), lambda prompt, user_input: ""
    assert [twin.finish(pipeline.process("Hello", CALM)).response for _ in range(2)] == ["", ""]
    assert steps.run == ALL


def test_trap_31_the_numbers_are_numbers_and_add_up(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)
    for number in range(10):
        twin.finish(pipeline.process(f"input {number % 2}", CALM))
    twin.finish(pipeline.process("input 0", CALM, use_cache=False))
    stats = pipeline.get_cache_stats()
    assert (stats.total_requests, stats.cache_hits, stats.cache_misses, stats.uncached) == (11, 8, 2, 1)
    assert stats.hit_rate == 0.8
    assert 0 < stats.avg_time_ms == 1000 * stats.seconds / 11
    assert stats.l1.misses == stats.l2.lookups
    assert (stats.l1.max_size, stats.l2.available) == (1000, True)


def test_a_request_may_pass_the_cache_by(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)
    for _ in range(2):
        assert twin.spent(lambda: pipeline.process("Hello", CALM, use_cache=False))[1] == 0
    assert steps.run == ALL * 2


def test_a_step_that_fails_fails_the_request_and_the_next_one_tries_again(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)

    def fail(prompt: str, user_input: str) -> str:
        raise LookupError("no model")

    respond, steps.respond = steps.respond, fail
    with pytest.raises(LookupError, match="no model"):
        twin.finish(pipeline.process("Hello", CALM))
    steps.respond = respond
    assert twin.finish(pipeline.process("Hello", CALM)).response == "Lua hears: Hello"
    assert pipeline.get_cache_stats().cache_misses == 2


def test_without_redis_it_works_in_this_process(twin: Any, steps: Any, redis_relay: Any) -> None:
    redis_relay.mode = "refuse"
    for cache in (twin.cache(redis_relay.address), twin._two_tier.TwoTierCache()):
        pipeline = twin.pipeline(steps, cache=cache)
        steps.run.clear()
        assert [twin.finish(pipeline.process("Hello", CALM)).cached for _ in range(2)] == [False, True]
        assert steps.run == ALL
        twin.finish(pipeline.preload_common_personas())
        twin.finish(pipeline.invalidate_cache_pattern("persona:lua:*"))
        assert twin.finish(pipeline.process("Hello", CALM)).cached is False


def test_redis_lost_in_the_middle_costs_no_answer(twin: Any, steps: Any, redis_relay: Any) -> None:
    pipeline = twin.pipeline(steps, cache=twin.cache(redis_relay.address))
    steps.meanwhile = lambda: setattr(redis_relay, "mode", "refuse")
    assert [twin.finish(pipeline.process("Hello", CALM)).cached for _ in range(2)] == [False, True]


def test_inputs_that_differ_are_never_answered_alike(twin: Any) -> None:
    pipeline = twin.pipeline()
    inputs = ["x" * 200 + "1", "x" * 200 + "2", "a", "a ", "", "\0", "*", "persona:lua:*", "é", "e\u0301", "日本"]
    for text in inputs:
        assert twin.finish(pipeline.process(text, CALM)).response == f"Lua hears: {text}"
    assert len({twin.finish(pipeline.process(text, CALM)).response for text in inputs}) == len(inputs)
    pairs = [("a", "b:c"), ("a:b", "c"), ("", "a-b"), ("a", "-b")]
    for user_input, resonance_key in pairs:
        assert twin.finish(pipeline.process(user_input, resonance_key)).cached is False


def test_the_one_for_all_is_one_for_each_url_and_the_old_one_still_there(twin: Any) -> None:
    optimized, finish = twin.optimized.get_optimized_pipeline, twin.finish
    pipeline = finish(optimized(twin.url))
    assert finish(optimized(twin.url)) is pipeline
    assert finish(optimized()) is not pipeline
    twin.eventually(lambda: pipeline.cache.get_stats().listening)
    assert finish(pipeline.process("Hello", CALM)).cached is False
    finish(pipeline.close())
    assert finish(optimized(twin.url)) is not pipeline
    finish(finish(optimized(twin.url)).close())
    finish(finish(optimized()).close())
    assert finish(twin.plain.get_pipeline().process("Hello", CALM)).response == "Lua hears: Hello"


def test_bad_input_is_refused_in_words(twin: Any, steps: Any) -> None:
    pipeline = twin.pipeline(steps)
    with pytest.raises(TypeError, match=r"^user_input is int, must be str$"):
        twin.finish(pipeline.process(1, CALM))
    with pytest.raises(TypeError, match=r"^resonance_key is NoneType, must be str$"):
        twin.finish(pipeline.process("a", None))
    with pytest.raises(PatternRefused, match="would match every key"):
        twin.finish(pipeline.invalidate_cache_pattern("*"))
    with pytest.raises(InvalidTtl, match=r"^response is 0 seconds"):
        twin.pipeline(lifetimes=twin.optimized.Lifetimes(response=0))
    assert (steps.run, pipeline.get_cache_stats().total_requests) == ([], 0)


def test_the_naive_pipeline_costs_and_fails_as_it_is_said_to(twin: Any) -> None:
    naive = NaivePipeline(twin.redis)
    costs = []
    for call in (
        lambda: naive.process("Hello", CALM),
        lambda: naive.process("Hello", CALM),
        naive.preload_common_personas,
    ):
        with redis_perf.record() as trace:
            call()
        costs.append(trace.redis.round_trips)
    assert costs == [6, 0, len(PERSONAS) * len(COMMON_RESONANCE_KEYS)]
    long = "x" * 100
    assert naive.process(long + "1", CALM) == naive.process(long + "2", CALM)
    stats = naive.get_cache_stats()
    assert (stats["hit_rate"], stats["cache_hits"] > stats["total_requests"]) == ("175.0%", True)


def test_a_redis_that_hangs_costs_the_connected_pipeline_one_timeout(
    twin: Any, redis_relay: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = twin.finish(twin.optimized.get_optimized_pipeline(redis_relay.address))
    twin.finish(pipeline.process("Hello", CALM))
    twin.eventually(lambda: pipeline.cache.get_stats().l2.available)  # again, where the machine was too slow for it
    caplog.clear()
    redis_relay.mode = "hang"
    for number in range(3):
        assert twin.finish(pipeline.process(f"Hello {number}", CALM)).cached is False
    assert caplog.text.count("Redis did not answer") == 1
    redis_relay.mode = "refuse"  # else its listener would wait for a sign of life, as long as it does
    twin.finish(pipeline.close())
