"""get_with_cache of two tiers: what it costs, and that a value is loaded once and never an old one kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import redis_perf
from redis_perf_reference import Codec, InvalidKey, InvalidTtl, Unencodable
from redis_perf_reference.resources import script
from redis_perf_reference.sync.cache import connect_redis
from redis_perf_reference.sync.redis_cache import RedisCache
from redis_perf_reference.sync.two_tier_cache import TwoTierCache

MISSING = object()
CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda cache: cache.set("a:b", "new", ttl=60),
    "set_many": lambda cache: cache.set_many({"a:b": "new"}, ttl=60),
    "delete": lambda cache: cache.delete("a:b"),
    "invalidate_tags": lambda cache: cache.invalidate_tags("tag"),
    "invalidate_pattern": lambda cache: cache.invalidate_pattern("a:*"),
    "delete_pattern": lambda cache: cache.delete_pattern("?:b"),
    "clear": lambda cache: cache.clear(),
}


@pytest.fixture
def load(caches: Any, source: Any) -> Callable[..., Any]:
    """Gets "a:b", tagged, from the source if need be."""
    for name in ("cache_get", "cache_set", "cache_lease", "cache_settle", "cache_unlink"):
        caches.redis.script_load(script(name).text)

    def load(cache: Any, key: str = "a:b", **options: Any) -> Any:
        return cache.get_with_cache(key, caches.loader(source), **{"ttl": 60, "tags": ["tag"], **options})

    return load


def cost(call: Callable[[], Any]) -> int:
    with redis_perf.record() as trace:
        call()
    return int(trace.redis.round_trips)


def test_a_miss_is_two_round_trips_and_a_hit_here_none(caches: Any, load: Any, source: Any) -> None:
    cache = caches.two_tier()
    cache.get("warm")
    assert [cost(lambda: load(cache)) for _ in range(3)] == [2, 0, 0]
    assert source.loads == 1


def test_a_hit_in_redis_is_one_round_trip_and_the_next_one_none(caches: Any, load: Any, source: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    there.get("warm")
    load(here)
    assert [cost(lambda: load(there)) for _ in range(2)] == [1, 0]
    assert source.loads == 1


def test_a_load_that_fails_is_two_round_trips_and_the_next_one_may_try(caches: Any, load: Any, source: Any) -> None:
    cache, source.value = caches.two_tier(), LookupError("no such persona")
    cache.get("warm")

    def fails() -> None:
        with pytest.raises(LookupError, match="no such persona"):
            load(cache)

    assert [cost(fails), cost(fails)] == [2, 2]
    source.value = "found"
    assert (load(cache), source.loads) == ("found", 3)


@pytest.mark.parametrize("cached", [False, True], ids=["missing", "in Redis"])
def test_trap_16_fifty_at_once_in_a_process_are_one_look_and_one_load(
    caches: Any, load: Any, source: Any, cached: bool
) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    here.get("warm")
    if cached:
        load(there)
    all_ask = threading.Barrier(50)

    def ask() -> Any:
        all_ask.wait()
        return load(here)

    source.meanwhile = lambda: caches.eventually(lambda: here.local.get_stats().misses == 51)
    with redis_perf.record() as trace:
        assert caches.together([ask] * 50) == ["loaded"] * 50
    assert source.loads == 1
    if not cached:
        assert trace.redis.round_trips == 2
    stats = here.get_stats()
    assert stats.l1.misses == stats.l2.lookups + stats.joined
    assert stats.requests == 51


@pytest.mark.parametrize("value", [None, 0, "", [], False], ids=repr)
def test_trap_15_what_is_falsy_or_none_is_a_hit(caches: Any, load: Any, source: Any, value: Any) -> None:
    source.value = value
    here, there = caches.two_tier(), caches.two_tier()
    assert [load(here), load(here), load(there), load(there), there.get("a:b", MISSING)] == [value] * 5
    assert source.loads == 1


def test_trap_15_none_may_live_more_shortly(caches: Any, load: Any, source: Any) -> None:
    source.value = None
    cache = caches.two_tier(jitter=0)
    load(cache, negative_ttl=5)
    assert 0 < cache.local.ttl("a:b") <= 5
    assert 0 < caches.redis.pttl("{cache}:v:a:b") <= 5000
    source.value = "there"
    load(cache, "a:c", negative_ttl=5)
    assert caches.redis.pttl("{cache}:v:a:c") > 50_000


@pytest.mark.parametrize("by", ["another process", "this process"])
@pytest.mark.parametrize("change", CHANGES)
def test_trap_17_a_load_never_undoes_what_happened_meanwhile(
    caches: Any, load: Any, source: Any, change: str, by: str
) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    source.value = "old"
    source.meanwhile = lambda: CHANGES[change](here if by == "this process" else there)
    assert load(here) == "old"
    source.value, source.meanwhile = "loaded later", lambda: None
    wanted = "new" if change.startswith("set") else "loaded later"
    assert [load(here), load(there), load(here)] == [wanted] * 3


@pytest.mark.parametrize("change", CHANGES)
def test_trap_17_who_asks_after_a_change_does_not_get_what_was_loaded_before_it(
    caches: Any, load: Any, source: Any, change: str
) -> None:
    cache, answers = caches.two_tier(), []

    def meanwhile() -> None:
        source.value, source.meanwhile = "loaded later", lambda: None
        CHANGES[change](cache)
        costs.append(cost(lambda: answers.append(load(cache))))

    costs: list[int] = []
    source.value, source.meanwhile = "old", meanwhile
    assert load(cache) == "old"
    assert answers == ["new" if change.startswith("set") else "loaded later"]
    assert load(cache) == answers[0]
    kept_here_by_set = change.startswith("set")
    assert (source.loads, costs) == ((1, [0]) if kept_here_by_set else (2, [2]))  # the old lease kept nobody waiting


@pytest.mark.parametrize("change", CHANGES)
def test_trap_17_nothing_overtaken_is_kept_here_even_where_no_news_are_heard(
    caches: Any, load: Any, source: Any, change: str
) -> None:
    deaf, other = caches.two_tier_on(caches.shared(), unheard_ttl=60), caches.two_tier()
    source.meanwhile = lambda: CHANGES[change](other)
    load(deaf)
    assert deaf.local.ttl("a:b") is None
    source.meanwhile = lambda: None
    load(deaf)
    assert deaf.local.ttl("a:b") is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.delete("a:c"),
        lambda cache: cache.invalidate_tags("other"),
        lambda cache: cache.invalidate_pattern("b:*"),
        lambda cache: cache.delete_pattern("?:c"),
    ],
)
def test_a_change_of_something_else_ends_no_load(caches: Any, load: Any, source: Any, change: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()

    source.meanwhile = lambda: change(here)
    assert [load(here), load(there)] == ["loaded"] * 2
    assert source.loads == 1


def test_trap_18_what_is_loaded_together_does_not_expire_together(caches: Any, load: Any) -> None:
    cache = caches.two_tier(jitter=0.5)
    lives = []
    for number in range(10):
        load(cache, f"a:{number}")
        lives.append(caches.redis.pttl(f"{{cache}}:v:a:{number}"))
        assert cache.local.ttl(f"a:{number}") * 1000 <= lives[-1] + 1000
    assert all(29_000 < life <= 60_000 for life in lives)
    assert max(lives) - min(lives) > 1000


@pytest.mark.parametrize("damage", [b"\x01{", b"\x7f{}"], ids=["damaged", "another format's"])
def test_trap_19_what_cannot_be_read_is_loaded(caches: Any, load: Any, source: Any, damage: bytes) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    load(there)
    record = caches.redis.get("{cache}:v:a:b")
    caches.redis.set("{cache}:v:a:b", record.split(b"\n")[0] + b"\n" + damage, ex=60)
    source.value = "again"
    assert load(here) == "again"
    assert 0 < here.local.ttl("a:b") <= 1  # nobody may fill it: it is kept shortly
    assert here.get_stats().l2.undecodable == 1
    assert caches.redis.exists("{cache}:v:a:b") == 0
    assert load(caches.two_tier()) == "again"
    assert caches.redis.get("{cache}:v:a:b").endswith(b'\n\x01"again"')


def test_a_codec_of_another_format_loads_each_value_anew_once(caches: Any, load: Any, source: Any) -> None:
    load(caches.two_tier())
    caches_of_msgpack = [caches.two_tier(shared={"codec": Codec(format="msgpack")}) for _ in range(3)]
    assert [load(cache) for cache in caches_of_msgpack] == ["loaded"] * 3
    assert source.loads == 1 + 2  # who finds it there removes it, the next one fills


def test_trap_20_without_redis_a_value_is_loaded_once_and_kept_shortly(
    caches: Any, load: Any, source: Any, redis_relay: Any
) -> None:
    redis_relay.mode = "refuse"
    cache = caches.two_tier(redis_relay.address, unheard_ttl=30)
    source.meanwhile = lambda: caches.eventually(lambda: cache.local.get_stats().misses == 20)
    assert caches.together([lambda: load(cache)] * 20) == ["loaded"] * 20
    assert (load(cache), source.loads) == ("loaded", 1)
    assert 0 < cache.local.ttl("a:b") <= 30
    stats = cache.get_stats()
    assert stats.l1.misses == stats.l2.lookups + stats.joined
    assert stats.l2.errors == 1


def test_trap_20_redis_lost_while_loading_costs_no_value(caches: Any, load: Any, source: Any, redis_relay: Any) -> None:
    cache = caches.two_tier(redis_relay.address, unheard_ttl=30)
    source.meanwhile = lambda: setattr(redis_relay, "mode", "refuse")
    assert (load(cache), source.loads) == ("loaded", 1)


def test_a_cache_without_redis_loads_once_and_keeps_it(caches: Any, load: Any, source: Any) -> None:
    cache = caches.alone(jitter=0)
    assert [load(cache), load(cache)] == ["loaded"] * 2
    assert (source.loads, cache.local.ttl("a:b") > 50) == (1, True)
    cache.invalidate_tags("tag")
    load(cache)
    assert source.loads == 2


def test_trap_23_a_copy_of_what_was_found_lives_no_longer_than_that(caches: Any, load: Any, source: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    load(here)
    caches.redis.pexpire("{cache}:v:a:b", 20_000)
    load(there)
    assert 0 < there.local.ttl("a:b") <= 20
    caches.redis.persist("{cache}:v:a:b")
    assert load(caches.two_tier()) == "loaded"
    assert (source.loads, 0 < caches.redis.pttl("{cache}:v:a:b") <= 60_000) == (2, True)


@pytest.mark.parametrize(
    ("key", "ttl", "refusal", "words"),
    [
        ("a", -5, InvalidTtl, r"^ttl is -5 seconds"),
        ("a", 0, InvalidTtl, r"^ttl is 0 seconds"),
        ("a", float("nan"), InvalidTtl, r"^ttl is nan seconds"),
        ("other", 60, InvalidKey, r"^key is 'other', must be one of those"),
    ],
)
def test_a_fill_that_cannot_be_kept_is_refused_and_nothing_is_written(
    redis_url: str, key: str, ttl: float, refusal: type[Exception], words: str
) -> None:
    def fill(cache: TwoTierCache) -> None:
        with cache.leases({"a": (), "b": ()}, ttl=60) as leases:
            leases.fill("b", 1, ttl=60)
            leases.fill(key, 1, ttl=ttl)

    client = connect_redis(redis_url, timeout_seconds=5)
    with client, TwoTierCache(RedisCache(client)) as cache:
        with pytest.raises(refusal, match=words):
            fill(cache)
        assert cache.get_many(["a", "b", "other"]) == {}


def test_several_values_are_loaded_together_in_two_round_trips(redis_url: str) -> None:
    client = connect_redis(redis_url, timeout_seconds=5)
    keys = {f"a:{number}": ("tag",) for number in range(20)}
    with client, TwoTierCache(RedisCache(client), unheard_ttl=60) as here, TwoTierCache(RedisCache(client)) as there:
        with here.leases({"warm": ()}, ttl=60):
            pass

        def loaded(cache: TwoTierCache, but: str = "") -> dict[str, Any]:
            with cache.leases(keys, ttl=60) as leases:
                for key in leases.missing:
                    if key != but:
                        leases.fill(key, key.upper(), ttl=60)
            return leases.found

        assert cost(lambda: loaded(here, but="a:7")) == 2
        assert cost(lambda: loaded(there)) == 2
        assert there.get_many(keys) == {key: key.upper() for key in keys}
        assert cost(lambda: loaded(there)) == 1
        here.invalidate_tags("tag")
        assert here.get_many(keys) == {}


def test_trap_24_a_write_elsewhere_reaches_what_was_loaded_here(caches: Any, load: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    for change in CHANGES.values():
        load(here)
        caches.held(here, "a:b", here.get("a:b"))
        change(there)
        caches.eventually(lambda: here.local.ttl("a:b") is None)


def test_trap_24_filling_tells_nobody_as_no_copy_can_be_older(caches: Any, load: Any) -> None:
    cache = caches.two_tier()
    caches.redis.config_resetstat()
    load(cache)
    assert "cmdstat_publish" not in caches.redis.info("commandstats")


def test_trap_29_those_who_wait_share_nothing_that_can_change(caches: Any, load: Any, source: Any) -> None:
    cache, source.value = caches.two_tier(), {"list": [1]}
    source.meanwhile = lambda: caches.eventually(lambda: cache.local.get_stats().misses == 5)
    answers = caches.together([lambda: load(cache)] * 5)
    for answer in [source.value, *answers]:
        assert answer == {"list": [1]}
        answer["list"].append("mine")
    assert load(cache) == {"list": [1]}


def test_trap_31_the_numbers_add_up(caches: Any, load: Any, source: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    for cache in (here, here, there, there):
        load(cache)
    source.value = LookupError()
    for cache in (here, there):
        assert isinstance(caches.together([lambda cache=cache: load(cache, "a:c")])[0], LookupError)
    for stats in (here.get_stats(), there.get_stats()):
        assert stats.l1.misses == stats.l2.lookups + stats.joined
        assert (stats.requests, stats.joined) == (3, 0)
    assert [here.get_stats().hits, there.get_stats().hits] == [1, 2]


def test_a_lease_is_no_value_and_counts_as_none(caches: Any, load: Any, source: Any) -> None:
    here, there = caches.two_tier(), caches.two_tier()
    seen = []

    def meanwhile() -> None:
        seen.extend([there.get("a:b"), there.delete("a:b").count])

    source.meanwhile = meanwhile
    load(here)
    source.meanwhile = lambda: seen.append(there.delete_pattern("a:*").count)
    load(here)
    assert seen == [None, 0, 0]


def test_a_stamp_outlives_what_is_loaded(caches: Any, load: Any) -> None:
    cache = caches.two_tier(jitter=0)
    load(cache, ttl=600)
    for stamp in ("*", "a:", "#tag"):
        assert caches.redis.pttl("{cache}:g:" + stamp) > 600_000


def test_bad_input_is_refused_and_nothing_is_loaded(caches: Any, load: Any, source: Any) -> None:
    cache = caches.two_tier()

    def refused() -> None:
        for options in ({"key": ""}, {"key": "a\nb"}, {"tags": "tag"}, {"tags": [""]}):
            with pytest.raises(InvalidKey, match=r"^(key|tags)"):
                load(cache, **options)
        for options in ({"ttl": 0}, {"ttl": -1}, {"negative_ttl": 0}, {"ttl": "60"}):
            with pytest.raises(InvalidTtl, match=r"^(negative_)?ttl is "):
                load(cache, **options)

    assert (cost(refused), source.loads) == (0, 0)
    source.value = object()
    with pytest.raises(Unencodable, match=r"^value: no json of object"):
        load(cache)
    assert not caches.redis.exists("{cache}:v:a:b")
