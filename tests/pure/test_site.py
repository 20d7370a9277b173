"""The user's line on the stack: libraries are passed over, the event loop is where the search ends."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest

from redis_perf import site
from redis_perf.site import Anchors, caller, lane, user_line


def frames_of(module: str, count: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    """A call of `inner` through `count` frames of a module."""
    for number in range(count):
        source = "def through():\n    return inner()\n"
        names: dict[str, Any] = {"__name__": module, "inner": inner}
        exec(compile(source, f"/site-packages/{module.replace('.', '/')}_{number}.py", "exec"), names)
        inner = names["through"]
    return inner


def function(found: tuple[CodeType | None, int]) -> str | None:
    return found[0].co_name if found[0] else None


def test_the_callers_own_line_is_found() -> None:
    code, line = user_line()
    assert (code, line) == (sys._getframe().f_code, sys._getframe().f_lineno - 1)


@pytest.mark.parametrize(
    "module", ["redis.client", "valkey.x", "psycopg", "contextlib", "asyncio.tasks", "redis_perf.x"]
)
def test_frames_of_a_library_are_passed_over(module: str) -> None:
    def user() -> Any:
        return frames_of(module, 3, lambda: user_line(2))()

    assert function(user()) == "user"


def test_a_module_that_only_begins_like_a_library_is_the_users() -> None:
    assert function(frames_of("redistools.app", 1, lambda: user_line(2))()) == "through"


@pytest.mark.parametrize(
    "module", ["asyncio.events", "asyncio.base_events", "_pytest.python", "pytest_redisperf.plugin"]
)
def test_nothing_is_seen_beyond_the_event_loop_or_the_test_runner(module: str) -> None:
    assert frames_of(module, 1, lambda: user_line(2))() == (None, 0)


def test_the_bottom_of_the_stack_is_reached_without_a_user() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=frames_of("redis.client", 2, lambda: found.append(user_line(2))))
    thread.start()
    thread.join()
    assert found == [(None, 0)]


def test_code_without_a_file_is_judged_by_its_module_each_time() -> None:
    for module, expected in (
        ("redis.x", "test_code_without_a_file_is_judged_by_its_module_each_time"),
        ("mine", "run"),
    ):
        names: dict[str, Any] = {"__name__": module, "user_line": user_line}
        exec("def run():\n    return user_line(1)\n", names)
        assert function(names["run"]()) == expected


def test_an_anchored_walk_finds_what_a_full_one_finds() -> None:
    anchors: Anchors = {}
    look = frames_of("redis.client", site.ANCHOR_DEPTH + 3, lambda: user_line(2, anchors))

    def first() -> Any:
        return look()

    def second() -> Any:
        return look()

    assert [function(find()) for find in (first, second, first)] == ["first", "second", "first"]


def test_an_anchor_is_no_way_round_a_user_further_in() -> None:
    anchors: Anchors = {}
    deep = site.ANCHOR_DEPTH + 3

    def look() -> Any:
        return user_line(2, anchors)

    def overriding(inner: Callable[[], Any]) -> Callable[[], Any]:
        def override() -> Any:
            return inner()

        return override

    plain = frames_of("redis.client", deep, look)
    outside = frames_of("redis.client", 2, overriding(frames_of("redis.client", deep, look)))
    inside = frames_of("redis.client", deep, overriding(frames_of("redis.client", 2, look)))
    for _ in range(2):
        assert function(plain()) == "test_an_anchor_is_no_way_round_a_user_further_in"
        assert function(outside()) == "override"
        assert function(inside()) == "override"


def test_a_stack_shallower_than_an_anchor_is_walked() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(user_line(1, {})))
    thread.start()
    thread.join()
    assert function(found[0]) == "<lambda>"


def test_a_lane_is_the_thread_or_the_task() -> None:
    async def main() -> str:
        return await asyncio.create_task(in_task(), name="refresh")

    async def in_task() -> str:
        return lane()

    assert lane() == threading.current_thread().name
    assert asyncio.run(main()) == "refresh"


def test_a_caller_is_line_and_lane() -> None:
    who = caller()
    assert who.code is sys._getframe().f_code
    assert who.line == sys._getframe().f_lineno - 2
    assert who.lane == threading.current_thread().name
