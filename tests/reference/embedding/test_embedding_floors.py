"""What each call of the embedding cache costs, counted on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import redis

from pytest_redisperf import RedisPerf
from redis_perf import exactly
from redis_perf_reference.naive.embedding_search import NaiveEmbeddingSearch


def texts(count: int, begin: int = 0) -> list[str]:
    return [f"text {number}" for number in range(begin, begin + count)]


@pytest.mark.parametrize("count", [1, 2, 50, 1000])
def test_any_number_of_new_texts_is_two_round_trips_and_of_known_ones_one(
    redisperf: RedisPerf, world: Any, encoder: Any, count: int
) -> None:
    cache = world.cache(encoder)
    with redisperf.budget(redis=exactly(2)):
        cold = cache.embed(texts(count))
    with redisperf.budget(redis=exactly(1)):
        warm = cache.embed(texts(count))
    assert np.array_equal(cold, encoder.vectors(texts(count)))
    assert np.array_equal(warm, cold)
    assert encoder.calls == [texts(count)]


def test_a_few_new_texts_among_known_ones_are_two_round_trips(redisperf: RedisPerf, world: Any, encoder: Any) -> None:
    cache = world.cache(encoder)
    cache.embed(texts(50))
    with redisperf.budget(redis=exactly(2)):
        cache.embed(texts(60))
    assert encoder.calls[1:] == [texts(10, 50)]


def test_a_search_is_two_round_trips_and_then_one(
    redisperf: RedisPerf, world: Any, encoder: Any, functions: Any
) -> None:
    cache = world.cache(encoder)
    with redisperf.budget(redis=exactly(2)):
        cache.find_similar_functions("query", functions)
    with redisperf.budget(redis=exactly(1)):
        cache.find_similar_functions("query", functions)
    with redisperf.budget(redis=exactly(2)):
        cache.find_similar_functions("another query", functions)
    assert [len(call) for call in encoder.calls] == [4, 1]


def test_nothing_to_embed_and_nothing_to_search_are_no_round_trip(
    redisperf: RedisPerf, world: Any, encoder: Any
) -> None:
    cache = world.cache(encoder)
    with redisperf.budget(redis=0):
        assert cache.embed([]).shape == (0, 16)
        assert cache.find_similar_functions("query", []) == []
    assert encoder.calls == []


def test_above_the_bound_each_chunk_is_two_round_trips_and_then_one(
    redisperf: RedisPerf, world: Any, encoder: Any
) -> None:
    cache = world.cache(encoder, chunk_bytes=10 * 72 + 71)  # 72 bytes of 16 dimensions
    with redisperf.budget(redis=exactly(6)):
        cold = cache.embed(texts(25))
    with redisperf.budget(redis=exactly(3)):
        assert np.array_equal(cache.embed(texts(25)), cold)
    assert np.array_equal(cold, encoder.vectors(texts(25)))
    assert [len(call) for call in encoder.calls] == [10, 10, 5]


def test_a_server_that_does_not_know_the_script_costs_one_more_once(
    redisperf: RedisPerf, world: Any, encoder: Any
) -> None:
    cache = world.cache(encoder)
    world.redis.script_flush()
    with redisperf.budget(redis=exactly(3)):
        cache.embed(["a"])
    with redisperf.budget(redis=exactly(2)):
        cache.embed(["b"])


def test_clearing_is_one_round_trip_and_one_for_each_thousand_keys(
    redisperf: RedisPerf, world: Any, encoder: Any
) -> None:
    cache = world.cache(encoder)
    cache.embed(texts(100))
    with redisperf.budget(redis=exactly(2)):
        assert cache.clear_cache() == 100
    cache.embed(texts(2500))
    with redisperf.record() as spent:
        assert cache.clear_cache() == 2500
    assert 3 <= spent.trace.redis.round_trips <= 5  # SCAN looks at 1000 or a few more each time


def test_the_naive_search_costs_as_many_round_trips_and_encodes_all_for_one_new_name(
    redisperf: RedisPerf, redis_url: str, new_encoder: Any, functions: Any
) -> None:
    encoder = new_encoder()
    encoder.encode = lambda given: encoder([given])[0] if isinstance(given, str) else encoder(given)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        search = NaiveEmbeddingSearch(client, encoder)
        for cost in (2, 1):
            with redisperf.budget(redis=exactly(cost)):
                search.find_similar_functions_cached("query", functions)
        with redisperf.budget(redis=exactly(2)):
            search.find_similar_functions_cached("query", [*functions, {"name": "new", "body": ""}])
    assert [len(call) for call in encoder.calls] == [3, 1, 1, 4, 1]


def test_a_vector_takes_less_room_than_in_the_naive_list(redis_url: str, world: Any, new_encoder: Any) -> None:
    encoder = new_encoder(384)
    encoder.encode = lambda given: encoder([given])[0] if isinstance(given, str) else encoder(given)
    functions = [{"name": str(number), "body": ""} for number in range(100)]
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        NaiveEmbeddingSearch(client, encoder).find_similar_functions_cached("query", functions)
        naive_bytes = client.strlen(client.keys("embedding:*")[0])
    world.cache(encoder, dimension=384).embed([str(number) for number in range(100)])
    raw_bytes = sum(world.redis.strlen(name) for name in world.records())
    assert (raw_bytes, naive_bytes > 1.3 * raw_bytes) == (100 * (8 + 4 * 384), True)
