"""The ways in which a cache of embeddings was seen to answer wrongly, dangerously or not at all; tests for each."""

from __future__ import annotations

import asyncio
import base64
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from redis_perf_reference.asyncio.client import RedisClient
from redis_perf_reference.asyncio.embedding_cache import EmbeddingCache
from redis_perf_reference.embedding_input import InvalidText
from redis_perf_reference.naive.embedding_search import NaiveEmbeddingSearch
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.vectors import NotFinite, WrongDimension, WrongDtype


class Bomb:
    """Whoever unpickles it makes this file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.fixture
def naive(redis_url: str, encoder: Any) -> Any:
    """A naive search with this encoder."""
    encoder.encode = lambda given: encoder([given])[0] if isinstance(given, str) else encoder(given)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield NaiveEmbeddingSearch(client, encoder)


def test_trap_70_a_pickle_in_redis_is_a_miss_and_never_executed(world: Any, encoder: Any, tmp_path: Path) -> None:
    cache, bomb = world.cache(encoder), Bomb(tmp_path / "executed")
    vectors = cache.embed(["a"])
    (name,) = world.records()
    for planted in (pickle.dumps(bomb), base64.b64encode(pickle.dumps(bomb))):
        world.redis.set(name, planted)
        assert np.array_equal(cache.embed(["a"]), vectors)
    assert (bomb.file.exists(), len(encoder.calls)) == (False, 3)


def test_trap_70_the_naive_search_executes_it(naive: Any, redis_url: str, functions: Any, tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "executed")
    naive.find_similar_functions_cached("query", functions)
    with redis.Redis.from_url(redis_url) as client:
        (name,) = client.keys("embedding:*")
        client.set(name, base64.b64encode(pickle.dumps(bomb)))
    naive.find_similar_functions_cached("query", functions)
    assert bomb.file.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: b"x" + raw[1:],
        lambda raw: raw[:2] + b"\x02" + raw[3:],
        lambda raw: raw[:3] + b"\x02" + raw[4:],
        lambda raw: raw[:4] + b"\x11" + raw[5:],
        lambda raw: raw[:8] + np.float32("nan").tobytes() + raw[12:],
        lambda raw: raw[:8] + np.float32("-inf").tobytes() + raw[12:],
    ],
    ids=["empty", "short", "long", "stranger", "version", "dtype", "dimension", "nan", "infinity"],
)
def test_trap_70_wrong_bytes_are_misses_and_replaced(world: Any, encoder: Any, counting: Any, damage: Any) -> None:
    cache = world.cache(encoder, observer=counting)
    vectors = cache.embed(["a", "b"])
    name = world.records()[0]
    sound = world.redis.get(name)
    world.redis.set(name, damage(sound))
    assert np.array_equal(cache.embed(["a", "b"]), vectors)
    assert world.redis.get(name) == sound
    assert 0 < world.redis.pttl(name) <= 86_400_000
    assert [len(call) for call in encoder.calls] == [2, 1]
    assert counting.counts["error undecodable"] == 1


def test_a_value_of_another_type_is_replaced_too(world: Any, encoder: Any) -> None:
    cache = world.cache(encoder)
    vectors = cache.embed(["a"])
    (name,) = world.records()
    world.redis.delete(name)
    world.redis.rpush(name, "a list")
    assert np.array_equal(cache.embed(["a"]), vectors)
    assert world.redis.type(name) == b"string"


def test_trap_71_a_changed_body_is_searched_by_its_new_text(world: Any, encoder: Any, functions: Any) -> None:
    cache = world.cache(encoder)
    cache.find_similar_functions("query", functions)
    functions[1]["body"] = "return msgspec.json.encode(value)"
    (found,) = cache.find_similar_functions("render\nreturn msgspec.json.encode(value)", functions, 1)
    assert (found["name"], found["similarity_score"]) == ("render", pytest.approx(1))


def test_trap_71_reordered_functions_keep_their_own_vectors(world: Any, encoder: Any, functions: Any) -> None:
    cache = world.cache(encoder)
    query = "connect\nreturn Redis.from_url(url)"
    for candidates in (functions, functions[::-1], functions[1:]):
        assert cache.find_similar_functions(query, candidates)[0]["name"] == "connect"
    assert sum(map(len, encoder.calls)) == 3


def test_trap_71_the_naive_search_answers_with_old_bodies_and_with_others_rows(naive: Any, functions: Any) -> None:
    naive.find_similar_functions_cached("query", functions)
    functions[1]["body"] = "another"
    assert naive.find_similar_functions_cached("render\nanother", functions, min_similarity=0.9) == []
    found = naive.find_similar_functions_cached("connect\nreturn Redis.from_url(url)", functions[::-1], 1)
    assert found[0]["name"] == "parse"


@pytest.mark.parametrize(
    "other",
    [{"model": "toy2"}, {"revision": "2"}, {"normalise": True}, {"model": "to", "revision": "y1"}],
    ids=["model", "revision", "normalise", "the same when joined"],
)
def test_trap_72_each_space_has_vectors_of_its_own(
    world: Any, encoder: Any, new_encoder: Any, other: dict[str, Any]
) -> None:
    one, two = world.cache(encoder), world.cache(new_encoder(salt="other"), **other)
    for cache, vectors in ((one, encoder.vectors(["a"])), (two, new_encoder(salt="other").vectors(["a"]))):
        for _ in range(2):
            found = cache.embed(["a"])[0]
            assert found @ vectors[0] == pytest.approx(np.linalg.norm(found) * np.linalg.norm(vectors[0]))
    assert len(world.records()) == 2


def test_trap_72_dimensions_do_not_meet(world: Any, new_encoder: Any) -> None:
    small, large = new_encoder(16), new_encoder(32)
    for encoder in (small, large, small):
        assert world.cache(encoder, dimension=encoder.dimension).embed(["a"]).shape == (1, encoder.dimension)
    assert [len(small.calls), len(large.calls)] == [1, 1]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (lambda v: v[:, :-1], WrongDimension, r"^encode: shape \(2, 15\), must be \(2, 16\)"),
        (lambda v: v[:-1], WrongDimension, r"^encode: shape \(1, 16\), must be \(2, 16\)"),
        (lambda v: v[0], WrongDimension, r"^encode: shape \(16,\), must be \(2, 16\)"),
        (lambda v: [[0.5] * 16, [0.5] * 15], WrongDimension, r"^encode: no array of shape \(2, 16\): "),
        (lambda v: v.astype("f8"), WrongDtype, r"^encode: ndarray of float64, must be float32"),
        (lambda v: v.astype("f2"), WrongDtype, r"^encode: ndarray of float16, must be float32"),
        (lambda v: v.astype("i4"), WrongDtype, r"^encode: ndarray of int32, must be float32"),
        (lambda v: v.astype(str).tolist(), WrongDtype, r"^encode: list of <U\d+, must be float32"),
        (lambda v: None, WrongDtype, r"^encode: NoneType of object, must be float32"),
        (lambda v: v * np.array([[1], [np.nan]], "f4"), NotFinite, r"^encode: a NaN or an infinity in vector 1 of 2"),
        (lambda v: [[1e300] * 16] * 2, NotFinite, r"^encode: a NaN or an infinity in vector 0 of 2"),
    ],
)
def test_trap_72_what_the_encoder_must_not_return_is_refused_and_nothing_is_written(
    world: Any, encoder: Any, counting: Any, changed: Any, error: type[Exception], message: str
) -> None:
    cache, encoder.changed = world.cache(encoder, observer=counting), changed
    with pytest.raises(error, match=message):
        cache.embed(["a", "b"])
    assert world.redis.keys() == []
    assert counting.counts["error load"] == 1


def test_lists_of_floats_become_float32(world: Any, encoder: Any) -> None:
    cache, encoder.changed = world.cache(encoder), lambda vectors: vectors.tolist()
    for _ in range(2):
        found = cache.embed(["a"])
        assert (found.dtype, np.array_equal(found, encoder.vectors(["a"]))) == (np.float32, True)


def test_the_other_byte_order_is_float32_as_well(world: Any, encoder: Any) -> None:
    cache, encoder.changed = world.cache(encoder), lambda vectors: vectors.astype(">f4")
    for _ in range(2):
        assert np.array_equal(cache.embed(["a", "b"]), encoder.vectors(["a", "b"]))


def test_trap_73_one_edit_encodes_one_text(world: Any, encoder: Any, functions: Any) -> None:
    cache = world.cache(encoder)
    cache.find_similar_functions("query", functions)
    functions[0]["body"] = "edited"
    functions.append({"name": "new", "body": "", "line": 7})
    cache.find_similar_functions("query", functions)
    functions[3]["line"] = 8
    cache.find_similar_functions("query", functions)
    assert encoder.calls[1:] == [["parse\nedited", "new\n"]]


def test_a_text_that_comes_twice_is_encoded_once_and_order_is_kept(world: Any, encoder: Any) -> None:
    cache, wanted = world.cache(encoder), ["b", "a", "b", "", "a", "ü"]
    for _ in range(2):
        assert np.array_equal(cache.embed(iter(wanted)), encoder.vectors(wanted))
    assert encoder.calls == [["b", "a", "", "ü"]]


def test_what_was_handed_out_may_be_changed(world: Any, encoder: Any) -> None:
    cache = world.cache(encoder)
    for texts in (["a"], ["a"], ["a", "a"]):
        found = cache.embed(texts)
        assert np.array_equal(found, encoder.vectors(texts))
        found[:] = 0


def test_trap_73_clearing_removes_every_vector_and_nothing_else(world: Any, encoder: Any, new_encoder: Any) -> None:
    cache = world.cache(encoder)
    cache.embed(["a", "b"])
    world.cache(new_encoder(), model="another").embed(["a"])
    world.cache(new_encoder(), namespace="other").embed(["a"])
    world.redis.set("embedding:queue", "someone else's")
    assert cache.clear_cache() == 3
    assert [name.partition(b"}")[0] for name in world.records()] == [b"{other"]
    assert world.redis.get("embedding:queue") == b"someone else's"
    assert (cache.clear_cache(), len(cache.embed(["a"])), len(encoder.calls)) == (0, 1, 2)
    assert all(world.redis.pttl(name) > 0 for name in world.redis.keys("{*"))


def test_trap_73_the_naive_clearing_clears_nothing(naive: Any, redis_url: str, functions: Any) -> None:
    naive.find_similar_functions_cached("query", functions)
    naive.clear_cache()
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 1


def test_vectors_that_were_being_computed_when_it_was_cleared_are_not_kept(
    world: Any, encoder: Any, new_encoder: Any
) -> None:
    cache, sound = world.cache(encoder), world.cache(new_encoder())

    def clearing(vectors: Any) -> Any:
        assert world.clear_elsewhere() == 0
        return vectors

    encoder.changed = clearing
    assert np.array_equal(cache.embed(["a"]), encoder.vectors(["a"]))
    assert world.records() == []
    sound.embed(["a"])
    assert len(world.records()) == 1


def test_trap_73_a_vector_of_length_0_is_like_nothing_and_no_nan(world: Any, encoder: Any, functions: Any) -> None:
    encoder.changed = lambda vectors: vectors * (np.arange(len(vectors)) != 1)[:, None].astype("f4")
    for normalise in (False, True):
        cache = world.cache(encoder, normalise=normalise)
        found = cache.find_similar_functions("query", functions, 4, min_similarity=-1)
        assert len(found) == 3
        assert {item["name"]: item["similarity_score"] for item in found}["parse"] == 0


def test_trap_73_the_naive_search_makes_nan_of_it(naive: Any, encoder: Any, functions: Any) -> None:
    encoder.changed = np.zeros_like
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert naive.find_similar_functions_cached("query", functions, min_similarity=-1) == []


def test_normalised_vectors_have_length_1_cold_and_warm(world: Any, encoder: Any) -> None:
    encoder.changed = lambda vectors: vectors * np.float32(1e30)  # whose squares are beyond float32
    cache = world.cache(encoder, normalise=True)
    cold, warm = cache.embed(["a", "b"]), cache.embed(["a", "b"])
    assert np.array_equal(cold, warm)
    assert np.linalg.norm(warm, axis=1) == pytest.approx([1, 1])


def test_vectors_do_not_expire_together(world: Any, encoder: Any) -> None:
    world.cache(encoder, ttl=1000, jitter=0.5).embed([str(number) for number in range(100)])
    left = [world.redis.pttl(name) for name in world.records()]
    assert 490_000 < min(left) < 600_000
    assert 900_000 < max(left) <= 1_000_000
    world.cache(encoder, ttl=1000, jitter=0, namespace="exact").embed(["a", "b"])
    assert all(990_000 < world.redis.pttl(name) <= 1_000_000 for name in world.redis.keys("{exact}:v:*"))


def test_without_redis_everything_is_encoded(world: Any, encoder: Any, counting: Any, redis_relay: Any) -> None:
    cache = world.cache(encoder, redis_relay.address, observer=counting, chunk_bytes=72)
    cache.embed(["a"])
    redis_relay.mode = "refuse"
    for _ in range(2):
        assert np.array_equal(cache.embed(["a", "b"]), encoder.vectors(["a", "b"]))
    with pytest.raises(CacheUnavailable):
        cache.clear_cache()
    assert len(encoder.calls) == 5
    assert counting.counts["error unavailable"] == 4
    assert counting.counts["seconds fill"] == 1


def test_what_the_encoder_raises_is_raised(world: Any, encoder: Any, counting: Any) -> None:
    def failing(vectors: Any) -> Any:
        raise LookupError("no such model")

    cache, encoder.changed = world.cache(encoder, observer=counting), failing
    with pytest.raises(LookupError, match="no such model"):
        cache.embed(["a"])
    assert (counting.counts["error load"], world.redis.keys()) == (1, [])


def test_the_observer_is_told_of_each_text(world: Any, encoder: Any, counting: Any) -> None:
    cache = world.cache(encoder, observer=counting)
    cache.embed(["a", "b"])
    cache.embed(["a", "b", "c"])
    counts = counting.counts
    assert (counts["hit"], counts["miss"], counts["load"]) == (2, 3, 2)
    assert (counts["seconds read"], counts["seconds fill"], counts["seconds load"]) == (2, 2, 2)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("text", r"^texts is str, must be several texts"),
        (None, r"^texts is NoneType, must be several texts"),
        (["a", b"b"], r"^texts\[1\] is bytes, must be str"),
        (["a", "\ud800"], r"^texts\[1\] holds a lone surrogate at 0"),
    ],
)
def test_texts_that_are_none_are_refused(world: Any, encoder: Any, texts: Any, message: str) -> None:
    with pytest.raises(InvalidText, match=message):
        world.cache(encoder).embed(texts)
    assert (encoder.calls, world.redis.keys()) == ([], [])


def test_searches_that_cannot_be_meant_are_refused(world: Any, encoder: Any, functions: Any) -> None:
    search = world.cache(encoder).find_similar_functions
    for arguments, message in (
        ((None, functions), r"^query is NoneType, must be str"),
        (("q", functions, 0), r"^top_k is 0: "),
        (("q", functions, True), r"^top_k is True: "),
        (("q", functions, 2.0), r"^top_k is 2.0: "),
        (("q", functions, 3, 1.5), r"^min_similarity is 1.5: "),
        (("q", functions, 3, float("nan")), r"^min_similarity is nan: "),
        (("q", functions, 3, "0.5"), r"^min_similarity is '0.5': "),
        (("q", [*functions, {"line": 1}]), r"^functions\[3\] has no text: "),
    ):
        with pytest.raises(ValueError, match=message):
            search(*arguments)
    with pytest.raises(InvalidText, match=r"^functions\[0\] is int, must be str"):
        search("q", [{"name": "a"}], text_of=lambda function: 1)
    assert (encoder.calls, world.redis.keys()) == ([], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, r"^model is empty: "),
        ({"model": b"toy"}, r"^model is bytes, must be str"),
        ({"revision": ""}, r"^revision is empty: "),
        ({"revision": None}, r"^revision is NoneType, must be str"),
        ({"dimension": 0}, r"^dimension is 0: "),
        ({"dimension": 384.0}, r"^dimension is 384.0: "),
        ({"ttl": 0}, r"^ttl is 0 seconds, "),
        ({"jitter": 1}, r"^jitter=1: "),
        ({"chunk_bytes": 0}, r"chunk_bytes=0: "),
        ({"namespace": "a b"}, r"^namespace is 'a b', "),
    ],
)
def test_a_cache_that_cannot_be_meant_is_refused(
    world: Any, encoder: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        world.cache(encoder, **options)


def test_a_search_returns_copies(world: Any, encoder: Any, functions: Any) -> None:
    cache = world.cache(encoder)
    found = cache.find_similar_functions("parse", iter(functions), text_of=lambda function: function["name"])
    assert (found[0]["name"], found[0]["similarity_score"]) == ("parse", pytest.approx(1))
    found[0]["body"] = "changed"
    assert "changed" not in [function["body"] for function in functions]
    assert all("similarity_score" not in function for function in functions)


def test_a_plain_encoder_does_not_hold_the_event_loop_and_an_async_one_is_awaited(redis_url: str, encoder: Any) -> None:
    went_on = threading.Event()

    def waiting(texts: list[str]) -> Any:
        assert went_on.wait(20), "the loop is held"
        return encoder(texts)

    async def asynchronous(texts: list[str]) -> Any:
        await asyncio.sleep(0)
        return encoder(texts)

    async def vectors_by(encode: Any) -> Any:
        cache = EmbeddingCache(client, encode, model="toy", revision=encode.__name__, dimension=16)
        return await cache.embed(["a"])

    async def both() -> Any:
        embedding = asyncio.create_task(vectors_by(waiting))
        asyncio.get_running_loop().call_later(0, went_on.set)
        try:
            return await embedding, await vectors_by(asynchronous)
        finally:
            await client.close()

    client = RedisClient(redis_url, timeout_seconds=5)
    for vectors in asyncio.run(both()):
        assert np.array_equal(vectors, encoder.vectors(["a"]))
