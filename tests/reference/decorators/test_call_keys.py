"""Keys of calls: the same for the same call however it is written, another for any other."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from weakref import ref

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_perf_reference.cache_input import InvalidKey
from redis_perf_reference.call_keys import MOST_REMEMBERED, CallKeys, Unkeyable, segment


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Mood(Enum):
    CALM = "calm"


@dataclass
class Point:
    x: int
    y: object = None


class Persona(msgspec.Struct):
    name: str


class Session:
    cache_key = ("session", 7)

    def __repr__(self) -> str:  # the id of a test, the same in every process
        return "Session()"


def persona(persona_id: object, field: object = "name", *rest: object, limit: object = 10, **more: object) -> None: ...


def key(*args: Any, **kwargs: Any) -> str:
    return CallKeys(persona, "persona").of(args, kwargs)


def test_a_key_can_be_read() -> None:
    assert key("lua") == "persona:lua:name:(,):10:{}"
    assert key("lua", 7, True, None, limit=1.5, b=[1], a="x") == 'persona:lua:7:(true,null,):1.5:{"a"="x","b"=[1]}'
    assert CallKeys(persona).of(("lua",), {}).startswith(f"{__name__}.persona:lua:")


def test_trap_28_the_way_a_call_is_written_is_of_no_matter() -> None:
    assert key("lua", "name") == key("lua") == key(persona_id="lua") == key(field="name", persona_id="lua", limit=10)
    assert key("lua", a=1, b=2) == key("lua", b=2, a=1)
    assert key({"a": 1, "b": {2, 1}}) == key({"b": {1, 2}, "a": 1})


@pytest.mark.parametrize(
    "values",
    [
        [1, True, 1.0, "1", Level.ONE, Decimal(1), b"1", [1], (1,), {1}, {1: 1}, {"1": 1}, {1: "1"}],
        [0, False, 0.0, -0.0, "", None, "null", "false", "0", [], (), {}, set(), b""],
        ["red", Color.RED, "Color.RED", [Color.RED], ["red"], ("red",), "('red',)"],
        ["inf", float("inf"), float("-inf"), "-inf", "nan", float("nan")],
        ["a:b", "a%3Ab", "a%253Ab", ["a", "b"], ["a:b"], ["a,b"], ['a","b']],
        ["a*", "a", "a?", "a[b]", "a\\", "*"],
        ["x" * 64, "x" * 65, "x" * 66, "#" + "0" * 32],
        [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), "2026-01-01 00:00:00"],
        [UUID(int=1), str(UUID(int=1)), PurePosixPath("a"), "a", PurePosixPath('a"),b("')],
        [Point(1), Point(1, "1"), Point(True), Persona("lua"), {"name": "lua"}, Point, Persona],
        [Session(), ("session", 7), Session],
        ["é", "e\u0301", "日本", "\x7f", "\n"],
        [10**20, str(10**20), 1e20],
    ],
    ids=lambda values: repr(values[0]),
)
def test_trap_28_different_arguments_have_different_keys(values: list[object]) -> None:
    keys = [key(value) for value in values]
    assert len(set(keys)) == len(values), sorted(keys)
    again = [key(value) for value in values]
    assert keys == again


def test_arguments_stay_in_their_places() -> None:
    calls = [("a", "b"), ("a:b",), ("a", "b", "c"), ("a", "b:c"), ("a", ("b", "c")), ("b", "a")]
    assert len({key(*call) for call in calls}) == len(calls)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@given(one=values, other=values)
def test_segments_are_equal_if_and_only_if_values_are(one: object, other: object) -> None:
    assert (segment(one) == segment(other)) == (repr(sorted_in(one)) == repr(sorted_in(other)))
    assert ":" not in segment(one)
    assert not any(character < " " or character == "\x7f" for character in segment(one))


def sorted_in(value: object) -> object:
    """Dicts in order of their keys."""
    if isinstance(value, dict):
        return {name: sorted_in(value[name]) for name in sorted(value)}
    return type(value)(map(sorted_in, value)) if isinstance(value, list | tuple) else value


def test_remembering_confuses_nothing() -> None:
    keys = CallKeys(persona, "persona")
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}), ((True,), {}), (("1",), {}), ((1.0,), {}), ((0.0,), {}), ((-0.0,), {}), (("red",), {}),
        ((Color.RED,), {}), (("a", "b"), {}), (("a",), {"limit": "b"}), (("a",), {"limit": 1}),
        (("a",), {"limit": True}),
    ]  # fmt: skip
    for _ in range(2):
        assert [keys.of(*call) for call in calls] == [key(*args, **kwargs) for args, kwargs in calls]
    for number in range(2 * MOST_REMEMBERED):
        keys.of((number,), {})
    assert len(keys._known) <= MOST_REMEMBERED


def test_unhashable_and_long_arguments_are_not_remembered() -> None:
    keys = CallKeys(persona, "persona")
    for value in ([1], {"a": 1}, "x" * 1000, object, 1.5):
        assert keys.of((value,), {}) == key(value)
    assert keys._known == {}


def test_a_key_is_bounded_however_long_the_arguments_are() -> None:
    assert len(key("x" * 10**6, list(range(10**5)), *range(1000), more="y" * 10**6)) < 300


def test_ignored_arguments_and_a_key_of_one_s_own() -> None:
    assert CallKeys(persona, "p", ignore=["field", "rest", "limit", "more"]).of(("lua", object()), {}) == "p:lua"
    assert CallKeys(persona, "p", key=lambda who, **_: (who.x, "all")).of((Point(7),), {"limit": 1}) == "p:7:all"
    assert CallKeys(persona, "p", key=lambda who: who).of(("a:b",), {}) == "p:%22a%3Ab%22".replace("%22", '"')


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"^ignore: persona has no arguments \['fields'\]$"):
        CallKeys(persona, "p", ignore=["fields"])
    with pytest.raises(InvalidKey, match=r"^key_prefix holds a control character"):
        CallKeys(persona, "a\nb")
    with pytest.raises(TypeError, match="missing a required argument: 'persona_id'"):
        key()
    message = (
        r"^persona: no key can be made of field: builtins.object has no canonical form "
        r"\(give it a cache_key, ignore it, or say key=\)$"
    )
    with pytest.raises(Unkeyable, match=message):
        key("lua", [object()])
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(Unkeyable, match=r"^persona: no key can be made of persona_id: maximum recursion"):
        key(endless)


def test_a_key_that_looks_beyond_the_arguments_is_asked_each_time() -> None:
    tenant = ContextVar("tenant", default="first")
    keys = CallKeys(lambda user_id: None, "user", key=lambda user_id: (tenant.get(), user_id))
    assert keys.of((1,), {}) == "user:first:1"
    tenant.set("second")
    assert (keys.remembered((1,), {}), keys.of((1,), {})) == (None, "user:second:1")


def test_calls_written_in_other_ways_are_remembered_as_one() -> None:
    keys = CallKeys(persona, "persona")
    ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("lua",), {}), ((), {"persona_id": "lua"}), (("lua", "name"), {}), (("lua",), {"limit": 10, "field": "name"})
    ]  # fmt: skip
    assert keys.of(*ways[0]) == key("lua")
    assert [keys.remembered(*way) for way in ways] == [key("lua")] * 4
    assert len(keys._known) == 1


def test_what_follows_and_what_is_named_are_not_confused_when_remembered() -> None:
    keys = CallKeys(persona, "persona")
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("lua", "name", "x", 1), {}), (("lua", "name"), {"x": 1}), (("lua", "name", "x"), {"y": 1}),
        (("lua", "name"), {"x": "y"}), (("lua", "name", 1), {"x": True}), (("lua", "name", True), {"x": 1}),
    ]  # fmt: skip
    assert [keys.of(*call) for call in calls] == [key(*args, **kwargs) for args, kwargs in calls]
    assert [keys.remembered(*call) for call in calls] == [key(*args, **kwargs) for args, kwargs in calls]


def test_a_method_is_remembered_and_its_instance_is_not() -> None:
    class Store:
        def get(self, key: str) -> None: ...

    keys, store = CallKeys(Store.get, "get"), Store()
    assert keys.of((store, "a"), {}) == "get:a"
    assert keys.remembered((Store(),), {"key": "a"}) == "get:a"
    gone = ref(store)
    del store
    assert gone() is None


def test_a_self_that_is_not_the_first_is_an_argument_like_any() -> None:
    def follow(leader: str, self: str) -> None: ...

    keys = CallKeys(follow, "follow")
    assert [keys.of(("a", "b"), {}), keys.of(("a", "c"), {})] == ["follow:a:b", "follow:a:c"]


def test_a_cache_key_that_changes_is_looked_at_each_time() -> None:
    class Store:
        cache_key: object = "x"

        def get(self, key: str) -> None: ...

    keys, store, seen = CallKeys(Store.get, "get"), Store(), []
    for cache_key in ("x", 1, True, "x", [1]):
        store.cache_key = cache_key
        seen.append((keys.of((store, "a"), {}), keys.remembered((store, "a"), {})))
    assert seen == [*[(f"get:{part}:a",) * 2 for part in ("x", "1", "true", "x")], ("get:[1]:a", None)]


def test_arguments_may_have_any_name() -> None:
    def odd(type: int, /, map: int = 1, *getattr: int, ___key: int = 2, named: int = 3, **own: int) -> None: ...

    keys = CallKeys(odd, "odd")
    for _ in range(2):
        assert keys.of((1, 2, 3), {"___key": 4, "own": 5}) == 'odd:1:2:(3,):4:3:{"own"=5}'
    assert len(keys._known) == 1


def test_what_is_ignored_need_not_be_short_for_a_call_to_be_remembered() -> None:
    keys = CallKeys(persona, "p", ignore=["field"])
    assert keys.of(("lua", object()), {}) == keys.remembered(("lua", [object()]), {}) == "p:lua:(,):10:{}"
