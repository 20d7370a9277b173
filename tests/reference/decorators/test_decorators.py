"""`cached` and `invalidate_cache`: what they cost, and the ways in which such decorators were seen to go wrong."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from typing import Any

import pytest

from redis_perf_reference import PatternRefused
from redis_perf_reference.asyncio import Caching, RedisCache, RedisClient, TwoTierCache
from redis_perf_reference.cache_input import InvalidKey, InvalidTtl
from redis_perf_reference.cache_outcome import Told


class Calls:
    """A function that counts how often it was called."""

    def __init__(self, twin: Any) -> None:
        self.seen: list[Any] = []
        self.result: Any = "result"

        def persona(persona_id: str, field: str = "name") -> Any:
            """The field of a persona."""
            self.seen.append((persona_id, field))
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

        self.function = twin.function(persona)


@pytest.fixture
def calls(twin: Any) -> Calls:
    return Calls(twin)


def test_a_first_call_is_two_round_trips_and_the_next_none(twin: Any, calls: Calls) -> None:
    caching = twin.caching()
    cached = caching.cached
    twin.finish(caching._cache.get("warm"))
    persona = cached(ttl=600, key_prefix="persona")(calls.function)
    twin.finish(persona("scripts are known now"))
    assert [twin.spent(lambda: persona("lua")) for _ in range(3)] == [("result", 2), ("result", 0), ("result", 0)]
    assert twin.spent(lambda: persona(persona_id="lua", field="name")) == ("result", 0)
    assert calls.seen[1:] == [("lua", "name")]
    other = twin.caching().cached(ttl=600, key_prefix="persona")(calls.function)
    twin.finish(other("scripts are known now"))
    assert twin.spent(lambda: other("lua")) == ("result", 1)


def test_trap_28_none_is_a_result_and_calls_that_differ_are_kept_apart(twin: Any, calls: Calls) -> None:
    persona, calls.result = twin.caching().cached(ttl=600)(calls.function), None
    for args in ((1,), (True,), ("1",), ([1],), ({"a": 1},)):
        assert [twin.finish(persona(*args)), twin.finish(persona(*args))] == [None, None]
    assert len(calls.seen) == 5


def test_what_the_function_raises_is_raised_and_not_kept(twin: Any, calls: Calls) -> None:
    persona, calls.result = twin.caching().cached(ttl=600)(calls.function), LookupError("no such persona")
    for _ in range(2):
        with pytest.raises(LookupError, match="no such persona"):
            twin.finish(persona("lua"))
    assert len(calls.seen) == 2


def test_one_call_may_pass_the_cache_by(twin: Any, calls: Calls) -> None:
    persona = twin.caching().cached(ttl=600)(calls.function)
    twin.finish(persona("lua"))
    calls.result = "changed"
    assert twin.spent(lambda: persona.uncached("lua")) == ("changed", 0)
    assert twin.finish(persona("lua")) == "result"


def test_refresh_loads_anew_for_everybody(twin: Any, calls: Calls) -> None:
    caching, there = twin.caching(), twin.caching()
    persona = caching.cached(ttl=600, key_prefix="p")(calls.function)
    twin.finish(persona("lua"))
    calls.result = "changed"
    assert twin.finish(persona.refresh("lua")) == "changed"
    assert twin.finish(persona("lua")) == "changed"
    assert twin.finish(there.cached(ttl=600, key_prefix="p")(calls.function)("lua")) == "changed"
    assert len(calls.seen) == 2


def test_invalidate_forgets_one_call_in_one_round_trip(twin: Any, calls: Calls) -> None:
    persona = twin.caching().cached(ttl=600)(calls.function)
    for who in ("lua", "sol", "lua", "sol"):
        twin.finish(persona(who))
    twin.finish(persona.invalidate("lua"))
    assert twin.spent(lambda: persona.invalidate(persona_id="lua")) == (Told(0), 1)
    for who in ("lua", "sol"):
        twin.finish(persona(who))
    assert [who for who, _ in calls.seen] == ["lua", "sol", "lua"]
    assert persona.key("lua").endswith(":lua:name")


def test_a_cached_function_still_looks_like_itself(twin: Any, calls: Calls) -> None:
    persona = twin.caching().cached(ttl=600)(calls.function)
    assert (persona.__name__, persona.__doc__) == ("persona", "The field of a persona.")
    assert list(inspect.signature(persona).parameters) == ["persona_id", "field"]
    assert inspect.iscoroutinefunction(persona.__call__) == twin.asynchronous


def test_times_are_those_asked_for(twin: Any, calls: Calls) -> None:
    cache = twin.cache(jitter=0, ttl=100)
    caching = twin.caching(cache)
    for result, options, wanted in (
        ("x", {"ttl": 20}, 20),
        ("x", {}, 100),
        (None, {"ttl": 20, "negative_ttl": 5}, 5),
    ):
        calls.result = result
        persona = caching.cached(key_prefix=f"p{wanted}", **options)(calls.function)
        twin.finish(persona("lua"))
        assert wanted / 4 < cache.local.ttl(persona.key("lua")) <= wanted


def test_methods_leave_self_out_unless_it_has_a_cache_key(twin: Any) -> None:
    caching, seen = twin.caching(), []

    class Store:
        def __init__(self, name: str) -> None:
            self.name = name

        @caching.cached(ttl=600, key_prefix="get")
        @twin.function
        def get(self, key: str) -> str:
            seen.append((self.name, key))
            return f"{self.name}: {key}"

    class Named(Store):
        @property
        def cache_key(self) -> str:
            return self.name

    one, other = Store("one"), Store("other")
    assert [twin.finish(one.get("a")), twin.finish(other.get("a"))] == ["one: a", "one: a"]
    assert twin.finish(Store.get(other, "a")) == "one: a"
    assert (one.get.key("a"), Named("x").get.key("a")) == ("get:a", "get:x:a")
    assert [twin.finish(Named(name).get("a")) for name in ("x", "y", "x")] == ["x: a", "y: a", "x: a"]
    twin.finish(one.get.invalidate("a"))
    assert twin.finish(other.get("a")) == "other: a"
    assert twin.finish(other.get.uncached("b")) == "other: b"
    assert twin.finish(one.get.refresh("a")) == "one: a"
    assert isinstance(one.get, type(Store.get))


def test_class_and_static_methods(twin: Any) -> None:
    caching, seen = twin.caching(), []

    class Store:
        @staticmethod
        @caching.cached(ttl=600, key_prefix="static")
        @twin.function
        def double(number: int) -> int:
            seen.append(number)
            return 2 * number

        @classmethod
        @caching.cached(ttl=600, key_prefix="class")
        @twin.function
        def name(cls, suffix: str) -> str:
            seen.append(cls)
            return cls.__name__ + suffix

    class Other(Store):
        pass

    assert [twin.finish(Store.double(2)), twin.finish(Store().double(2))] == [4, 4]
    assert [twin.finish(kind.name("!")) for kind in (Store, Other, Store)] == ["Store!", "Other!", "Store!"]
    assert seen == [2, Store, Other]


def test_trap_27_an_update_forgets_what_it_is_about_and_no_more(twin: Any, calls: Calls) -> None:
    caching = twin.caching()
    persona = caching.cached(ttl=600, key_prefix="persona")(calls.function)

    @caching.invalidate_cache("persona:{persona_id}:*")
    @twin.function
    def update_persona(persona_id: Any, name: str) -> str:
        return name

    whos = ["lua", "lua2", "lu*", "*", "a:b", 7, "7"]
    for who in whos:
        twin.finish(persona(who))
    for who in whos:
        assert twin.finish(update_persona(who, name="x")) == "x"
        calls.seen.clear()
        for other in whos:
            twin.finish(persona(other))
        assert calls.seen == [(who, "name")]
    assert twin.spent(lambda: update_persona("lua", "x")) == ("x", 1)


def test_trap_27_nothing_is_forgotten_when_the_function_raised(twin: Any, calls: Calls) -> None:
    caching = twin.caching()
    persona = caching.cached(ttl=600, key_prefix="persona")(calls.function)

    @caching.invalidate_cache("persona:*")
    @twin.function
    def update() -> None:
        raise LookupError("not updated")

    twin.finish(persona("lua"))
    with pytest.raises(LookupError, match="not updated"):
        twin.finish(update())
    assert twin.spent(lambda: persona("lua")) == ("result", 0)


def test_patterns_of_any_kind_and_hand_made_keys(twin: Any) -> None:
    cache = twin.cache()

    class User:
        id = 7

    @twin.caching(cache).invalidate_cache("user:{user.id}:*", "page:{number!s}", "{kind!s}:?:end", "all:*")
    @twin.function
    def update(user: Any, number: Any, kind: str = "k*") -> None: ...

    kept = ["user:8:a", "user:70:a", "page:5", "ka:x:end", "k*:xx:end", "al"]
    gone = ["user:7:a", "page:4", "k*:x:end", "all:x"]
    twin.finish(cache.set_many(dict.fromkeys([*kept, *gone], 1), ttl=60))
    twin.finish(update(User(), "4"))
    assert list(twin.finish(cache.get_many([*kept, *gone]))) == kept


def test_tags_name_arguments_and_are_invalidated_together(twin: Any, calls: Calls) -> None:
    cache = twin.cache()
    persona = twin.caching(cache).cached(ttl=600, tags=["persona", "persona {persona_id}"])(calls.function)
    for who in ("lua", "sol", "lua"):
        twin.finish(persona(who))
    twin.finish(cache.invalidate_tags("persona lua"))
    for who in ("lua", "sol"):
        twin.finish(persona(who))
    assert [who for who, _ in calls.seen] == ["lua", "sol", "lua"]


def test_without_redis_a_change_is_made_and_forgotten_here(
    twin: Any, calls: Calls, redis_relay: Any, caplog: pytest.LogCaptureFixture
) -> None:
    redis_relay.mode = "refuse"
    caching = twin.caching(twin.cache(redis_relay.address))
    persona = caching.cached(ttl=600, key_prefix="persona")(calls.function)
    update = caching.invalidate_cache("persona:*")(twin.function(lambda: "done"))
    assert [twin.finish(persona("lua")), twin.finish(persona("lua"))] == ["result", "result"]
    assert twin.finish(update()) == "done"
    assert "lambda> not all is invalidated: Redis not asked" in caplog.text
    twin.finish(persona("lua"))
    assert len(calls.seen) == 2


def test_a_cache_without_redis_and_a_cache_aside_will_do(twin: Any, calls: Calls) -> None:
    for cache in (twin.alone(), twin.cache_aside()):
        persona = twin.caching(cache).cached(ttl=600, key_prefix="p")(calls.function)
        calls.seen.clear()
        assert [twin.finish(persona("lua")) for _ in range(2)] == ["result"] * 2
        assert twin.finish(persona.refresh("lua")) == "result"
        assert len(calls.seen) == 2
    with pytest.raises(TypeError, match=r"^tags: a CacheAside has none, a TwoTierCache has"):
        twin.caching(cache).cached(tags=["t"])(calls.function)
    with pytest.raises(TypeError, match=r"^invalidate_cache: a CacheAside has no patterns, a TwoTierCache has"):
        twin.caching(cache).invalidate_cache("a:*")


def test_the_numbers_add_up_and_observers_hear_of_hits(twin: Any, calls: Calls) -> None:
    cache = twin.cache()
    persona = twin.caching(cache).cached(ttl=600)(calls.function)
    for _ in range(5):
        twin.finish(persona("lua"))
    stats = cache.get_stats()
    assert (stats.requests, stats.hits, stats.l1.misses, stats.l2.lookups) == (5, 4, 1, 1)


def test_functions_of_the_other_kind_are_refused(twin: Any) -> None:
    caching = twin.caching()
    other = twin.of_the_other_kind(lambda: None)
    message = "is no async function, and this cache is asyncio's" if twin.asynchronous else "is an async function, and"
    for decorate in (caching.cached(), caching.invalidate_cache("a:*")):
        with pytest.raises(TypeError, match=message):
            decorate(other)


def test_bad_input_is_refused_when_the_function_is_decorated(twin: Any, calls: Calls) -> None:
    caching = twin.caching()
    with pytest.raises(InvalidTtl, match=r"^ttl is 0 seconds"):
        caching.cached(ttl=0)
    with pytest.raises(InvalidTtl, match=r"^negative_ttl is str"):
        caching.cached(negative_ttl="1")
    with pytest.raises(ValueError, match=r"^ignore: .*persona has no arguments \['x'\]$"):
        caching.cached(ignore=["x"])(calls.function)
    with pytest.raises(ValueError, match=r"^tags\[0\] '\{x\}' names 'x', must be one of field, persona_id$"):
        caching.cached(tags=["{x}"])(calls.function)
    for pattern, error, message in (
        (
            "persona:{x}:*",
            ValueError,
            r"^patterns\[0\] 'persona:\{x\}:\*' names 'x', must be one of field, persona_id$",
        ),
        ("p:{field!r}", ValueError, r"^patterns\[0\] .* only \{argument\} and \{argument!s\} can be filled in$"),
        ("p:{field:>9}", ValueError, r"^patterns\[0\] .* only \{argument\} and"),
        ("*", PatternRefused, "would match every key"),
        ("a[b]", PatternRefused, "character classes are not taken"),
    ):
        with pytest.raises(error, match=message):
            caching.invalidate_cache(pattern)(calls.function)
    with pytest.raises(TypeError, match=r"^invalidate_cache: name at least one pattern$"):
        caching.invalidate_cache()
    assert calls.seen == []


def test_a_decorated_function_can_be_decorated_again(twin: Any, calls: Calls) -> None:
    caching = twin.caching()
    persona = caching.invalidate_cache("x:*")(caching.cached(ttl=60)(calls.function))
    assert twin.finish(persona("lua")) == "result"
    assert pickle.dumps(calls.result)


@pytest.mark.parametrize("kind", ["cache", "cache_aside"])
def test_refresh_and_invalidate_get_by_without_redis_and_say_so(
    twin: Any, calls: Calls, redis_relay: Any, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    persona = twin.caching(getattr(twin, kind)(redis_relay.address)).cached(ttl=600)(calls.function)
    assert twin.finish(persona("lua")) == "result"
    redis_relay.mode, calls.result = "refuse", "changed"
    told = twin.finish(persona.invalidate("lua"))
    assert "Redis" in told.skipped
    assert f"is not invalidated everywhere: {told.skipped}" in caplog.text
    assert twin.finish(persona.refresh("lua")) == "changed"


def test_what_cannot_be_invalidated_is_refused_before_the_function_does_its_work(twin: Any, calls: Calls) -> None:
    caching = twin.caching()
    for pattern, error in (("x:{persona_id!s}", InvalidKey), ("x:{persona_id.name}", AttributeError)):
        with pytest.raises(error):
            twin.finish(caching.invalidate_cache(pattern)(calls.function)("a\nb"))
    assert calls.seen == []


def test_a_caller_who_is_cancelled_after_the_work_is_done_takes_no_invalidation_along(redis_url: str) -> None:
    async def scenario() -> None:
        client = RedisClient(redis_url, timeout_seconds=5)
        cache = TwoTierCache(RedisCache(client))
        await cache.set_many({"a:1": 1, "b:1": 1}, 60)

        @Caching(cache).invalidate_cache("a:*", "b:*")
        async def change() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(change())
        assert [await cache.get("a:1"), await cache.get("b:1")] == [None, None]
        await client.close()

    asyncio.run(scenario())
