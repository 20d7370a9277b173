"""The calls that led to a line, which of them stand in a loop, and which ways are the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from redis_perf.call_path import path_of
from redis_perf.site import Trail, caller
from redis_perf.trace import Path

TRAIL = Trail()


def ask(trail: Trail | None = None) -> Path:
    """How its caller came to call it."""
    who = caller(2, TRAIL if trail is None else trail)
    assert who.code is not None
    assert who.calls is not None
    return path_of(who.code, who.calls)


def line(function: Any, after: int) -> int:
    return function.__code__.co_firstlineno + after


def for_loop() -> Path:
    for _ in range(2):
        found = ask()
    return found


def while_loop() -> Path:
    times = 0
    while times < 2:
        times += 1
        found = ask()
    return found


def inner_loop() -> Path:
    for _ in range(2):
        for _ in range(2):
            found = ask()
    return found


def loop_with_inner_loop() -> Path:
    for _ in range(2):
        for _ in range(2):
            pass
        found = ask()
    return found


def comprehension() -> Path:
    return [ask() for _ in range(2)][1]


def helper() -> Path:
    return ask()


def through_helper() -> Path:
    for _ in range(2):
        found = helper()
    return found


async def a_helper() -> Path:
    await asyncio.sleep(0)
    return ask()


async def awaits() -> Path:
    for _ in range(2):
        async with asyncio.timeout(5):
            found = await a_helper()
    return found


async def async_for() -> Path:
    async def numbers() -> Any:
        yield 1
        yield 2

    async for _ in numbers():
        found = await a_helper()
    return found


LOOPS = [
    (for_loop, 1), (while_loop, 2), (inner_loop, 2), (loop_with_inner_loop, 1), (comprehension, 1), (through_helper, 1),
]  # fmt: skip


@pytest.mark.parametrize(("function", "after"), LOOPS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_innermost_loop_around_a_call_is_found(function: Callable[[], Path], after: int) -> None:
    loop = function().loop
    assert loop is not None
    assert loop.line == line(function, after)


@pytest.mark.parametrize(("function", "after"), [(awaits, 1), (async_for, 5)])
def test_a_loop_that_awaits_is_found(function: Any, after: int) -> None:
    loop = asyncio.run(function()).loop
    assert loop is not None
    assert (loop.line, loop.function) == (line(function, after), function.__name__)


def after_a_loop() -> Path:
    for number in ("1", "x"):
        try:
            int(number)
        except ValueError:
            continue
    return ask()


def until_it_works() -> Path:
    while True:
        try:
            return ask()
        except ValueError:
            continue


async def only_awaits() -> Path:
    return await a_helper()


@pytest.mark.parametrize("function", [helper, after_a_loop, until_it_works, lambda: asyncio.run(only_awaits())])
def test_what_runs_once_stands_in_no_loop(function: Callable[[], Path]) -> None:
    def outermost() -> Path:
        return function()

    # the stack of this test goes on into pytest, where the search ends
    assert outermost().loop is None


def test_callers_are_the_users_frames_the_nearest_first() -> None:
    found = through_helper()
    functions = [site.function for site in found.callers]
    assert functions[:2] == ["through_helper", sys._getframe().f_code.co_name]
    assert found.callers[0].line == line(through_helper, 2)


def test_a_loop_is_one_way_and_each_call_of_a_helper_another() -> None:
    looped = {helper().key for _ in range(3)}
    apart = {helper().key, helper().key}
    assert (len(looped), len(apart)) == (1, 2)


def test_two_calls_on_one_line_are_two_ways() -> None:
    first, second = helper(), helper()
    assert first.callers == second.callers
    assert first.key != second.key


def test_a_trail_does_not_hide_that_another_way_led_to_the_same_line() -> None:
    trail = Trail()

    def one() -> Path:
        return shared()

    def two() -> Path:
        return shared()

    def shared() -> Path:
        return ask(trail)

    found = [way().callers[0].function for way in (one, two, one, two)]
    assert found == ["one", "two", "one", "two"]


def test_the_same_calls_have_one_text() -> None:
    found = [helper() for _ in range(3)]
    assert found[0] is found[1] is found[2]


@pytest.mark.parametrize(
    ("file", "module", "through"),
    [
        ("/site-packages/sqlalchemy/orm/strategies.py", "sqlalchemy.orm.strategies", "sqlalchemy lazy load"),
        ("/site-packages/sqlalchemy/engine/base.py", "sqlalchemy.engine.base", "sqlalchemy"),
        ("/site-packages/django/db/models/query.py", "django.db.models.query", "django"),
        ("/site-packages/django/db/models/fields/related_descriptors.py", "django.db.models", "django lazy load"),
        ("/site-packages/redis/client.py", "redis.client", None),
    ],
)
def test_the_orm_in_between_is_known(file: str, module: str, through: str | None) -> None:
    names: dict[str, Any] = {"__name__": module, "inner": lambda: SimpleNamespace(who=caller(2, Trail()))}
    exec(compile("def through():\n    return inner()\n", file, "exec"), names)
    who = names["through"]().who
    assert who.code is sys._getframe().f_code
    assert path_of(who.code, who.calls).through == through


def test_equal_code_of_two_files_is_told_apart() -> None:
    source = "def loop(ask):\n    for _ in range(2):\n        found = ask()\n    return found\n"
    files = []
    for file in ("/one.py", "/two.py"):
        names: dict[str, Any] = {"__name__": "mine"}
        exec(compile(source, file, "exec"), names)
        loop = names["loop"](ask).loop
        files.append((loop.file, loop.line))
    assert files == [("/one.py", 2), ("/two.py", 2)]
