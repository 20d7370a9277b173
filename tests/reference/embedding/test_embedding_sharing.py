"""Callers of one process who want the same new texts at the same time: each text is encoded once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from pytest_redisperf import RedisPerf
from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.asyncio.embedding_cache import EmbeddingCache
from redis_perf_reference.batches import Batches


class Claims:
    """Knows how many callers have looked and now encode or wait."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def until(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, 20), f"{self.count} came, not {count}"


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Claims:
    claims, claim = Claims(), Batches.claim

    def counted(self: Batches, names: Any) -> Any:
        claimed = claim(self, names)
        claims.add()
        return claimed

    monkeypatch.setattr(Batches, "claim", counted)
    return claims


def test_many_at_once_are_one_encoding_and_one_fill(
    redisperf: RedisPerf, world: Any, encoder: Any, claims: Claims
) -> None:
    def waiting(texts: list[str]) -> Any:
        claims.until(20)
        return encoder(texts)

    cache = world.cache(waiting)
    with redisperf.record() as spent:
        found = world.together([lambda: cache.target.embed(["a", "b"])] * 20)
    names = [operation.name for trip in spent.trace.redis for operation in trip.operations]
    assert (names.count("MGET"), names.count("EVALSHA")) == (20, 1)
    assert encoder.calls == [["a", "b"]]
    assert all(np.array_equal(vectors, encoder.vectors(["a", "b"])) for vectors in found)


def test_of_lists_that_overlap_each_text_is_encoded_once(world: Any, encoder: Any, claims: Claims) -> None:
    def waiting(texts: list[str]) -> Any:
        claims.until(4)
        return encoder(texts)

    cache = world.cache(waiting)
    lists = [["a", "b", "c"], ["c", "d"], ["d", "e", "a"], ["e", "f"]]
    found = world.together([lambda texts=texts: cache.target.embed(texts) for texts in lists])  # type: ignore[misc]
    assert sorted(text for call in encoder.calls for text in call) == list("abcdef")
    for texts, vectors in zip(lists, found, strict=True):
        assert np.array_equal(vectors, encoder.vectors(texts))


def test_if_the_one_who_encodes_fails_the_others_encode_for_themselves(
    world: Any, encoder: Any, claims: Claims
) -> None:
    def failing_once(texts: list[str]) -> Any:
        claims.until(3)
        vectors = encoder(texts)
        if len(encoder.calls) == 1:
            raise LookupError("too long")
        return vectors

    cache = world.cache(failing_once)
    found = world.together([lambda: cache.target.embed(["a"])] * 3)
    assert sorted(type(each).__name__ for each in found) == ["LookupError", "ndarray", "ndarray"]
    assert len(encoder.calls) == 3
    assert len(world.records()) == 1


def test_who_asks_after_a_clearing_does_not_get_what_was_begun_before(world: Any, encoder: Any) -> None:
    cache = world.cache(encoder)

    async def here() -> Any:
        return cache.target._batches.here()

    batches = world.run(here) if world.twin == "asyncio" else cache.target._batches.here()
    with batches.claim(["name"]) as before:
        cache.clear_cache()
        after = batches.claim(["name"])
    assert (before.mine, after.mine, after.others) == (["name"], ["name"], {})
    assert batches.claim(["name"]).mine == []


def test_who_is_cancelled_takes_nobody_along(redis_url: str, encoder: Any, claims: Claims) -> None:
    async def scenario() -> Any:
        client, begun = RedisClient(redis_url, timeout_seconds=5), asyncio.Event()

        async def encode(texts: list[str]) -> Any:
            if not begun.is_set():
                begun.set()
                await asyncio.Event().wait()
            return encoder(texts)

        cache = EmbeddingCache(client, encode, model="toy", revision="1", dimension=16)
        first = asyncio.create_task(cache.embed(["a"]))
        await begun.wait()
        second, third = (asyncio.create_task(cache.embed(["a"])) for _ in range(2))
        await asyncio.to_thread(claims.until, 3)
        second.cancel()
        await asyncio.wait([second])
        first.cancel()
        try:
            return await third
        finally:
            await client.close()

    assert np.array_equal(asyncio.run(scenario()), encoder.vectors(["a"]))
