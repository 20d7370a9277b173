"""The user's line on the stack: libraries are passed over, the event loop is where the search ends."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest

from redis_perf.site import WAYS, Trail, caller


def frames_of(module: str, count: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    """A call of `inner` through `count` frames of a module."""
    for number in range(count):
        source = "def through():\n    return inner()\n"
        names: dict[str, Any] = {"__name__": module, "inner": inner}
        exec(compile(source, f"/site-packages/{module.replace('.', '/')}_{number}.py", "exec"), names)
        inner = names["through"]
    return inner


def user_line(depth: int = 1) -> tuple[CodeType | None, int]:
    """Code object and line of whoever is found, from so many frames above the caller of this on."""
    who = caller(depth + 1)
    return who.code, who.line


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


def of_caller(trail: Trail) -> Callable[[], tuple[CodeType | None, int]]:
    """A look at who calls it, with a trail."""

    def look() -> tuple[CodeType | None, int]:
        who = caller(2, trail)
        return who.code, who.line

    return look


def test_a_trail_leads_to_what_a_full_walk_finds() -> None:
    look = frames_of("redis.client", 8, of_caller(Trail()))

    def first() -> Any:
        return look()

    def second() -> Any:
        return look()

    assert [function(find()) for find in (first, second, first)] == ["first", "second", "first"]


def test_two_lines_of_one_function_are_told_apart() -> None:
    look = frames_of("redis.client", 2, of_caller(Trail()))
    lines = []
    for _ in range(2):
        lines.append(look()[1])
        lines.append(look()[1])
    assert lines == [lines[0], lines[0] + 1] * 2


def test_one_line_in_two_functions_of_the_same_shape_is_told_apart() -> None:
    look = frames_of("redis.client", 2, of_caller(Trail()))
    finders = []
    for name in ("one", "two"):
        names: dict[str, Any] = {"__name__": "mine", "look": look}
        exec(compile(f"def {name}():\n    return look()\n", "/mine.py", "exec"), names)
        finders.append(names[name])
    assert [function(find()) for find in finders * 2] == ["one", "two"] * 2


@pytest.mark.parametrize("inside", range(7))
def test_a_user_in_place_of_a_librarys_frame_is_seen_wherever_it_is(inside: int) -> None:
    """An override that does not call what it overrides leaves the stack as deep as it was."""
    look = of_caller(Trail())
    plain = frames_of("redis.client", 7, look)
    nearer = frames_of("mine", 1, frames_of("redis.client", inside, look))
    overridden = frames_of("redis.client", 6 - inside, nearer)
    for _ in range(2):
        assert function(plain()) == sys._getframe().f_code.co_name
        assert function(overridden()) == "through"


@pytest.mark.parametrize("more", range(1, 4))
def test_a_user_further_in_on_a_longer_way_is_seen(more: int) -> None:
    look = of_caller(Trail())
    plain = frames_of("redis.client", 6, look)
    called_back = frames_of("redis.client", 6, frames_of("mine", 1, frames_of("redis.client", more, look)))
    for _ in range(2):
        assert function(plain()) == sys._getframe().f_code.co_name
        assert function(called_back()) == "through"


def test_a_stack_that_ends_where_a_trail_goes_on_has_no_user() -> None:
    trail = Trail()
    found: list[tuple[Any, ...]] = []

    def note() -> None:
        codes: list[CodeType] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            codes.append(frame.f_code)
            frame = frame.f_back
        for more in ((), codes[-1:]):
            trail.ways = (((*codes, *more), {}),)
            found.append(tuple(caller(2, trail))[:3])

    thread = threading.Thread(target=frames_of("redis.client", 3, note), name="alone")
    thread.start()
    thread.join()
    assert found == [(None, 0, "alone")] * 2


def test_the_same_calls_are_known_again_whatever_way_was_taken_meanwhile() -> None:
    trail = Trail()
    ways = [frames_of(f"redis.way{number}", 3, lambda: caller(2, trail)) for number in range(WAYS + 1)]
    first, *others = [[way() for way in ways] for _ in range(3)]
    assert [[id(who) for who in again] for again in others] == [[id(who) for who in first]] * 2
    assert len(trail.ways) == WAYS


def test_what_is_known_of_calls_is_known_for_another_connection_and_another_thread() -> None:
    found: list[Any] = []
    user = frames_of("mine", 1, frames_of("redis.client", 2, lambda: found.append(caller(2, Trail()))))
    for name in ("first", "first", "second"):
        thread = threading.Thread(target=user, name=name)
        thread.start()
        thread.join()
    one, same, elsewhere = found
    assert one is same
    assert (elsewhere.lane, elsewhere.calls) == ("second", one.calls)


def test_equal_code_of_another_file_is_another_caller() -> None:
    user = frames_of("mine", 1, frames_of("redis.client", 1, lambda: caller(2, Trail())))
    source = "def ask():\n    return user()\n"
    callers = []
    for file in ("one.py", "other.py"):
        names: dict[str, Any] = {"__name__": "mine", "user": user}
        exec(compile(source, file, "exec"), names)
        callers.append(names["ask"]())
    assert [who.calls.frames[0][0].co_filename for who in callers] == ["one.py", "other.py"]


def test_one_line_in_two_lanes_is_told_apart() -> None:
    trail, lanes = Trail(), []

    def note() -> None:
        lanes.append(caller(1, trail).lane)

    for name in ("first", "second", "first"):
        thread = threading.Thread(target=note, name=name)
        thread.start()
        thread.join()
    assert lanes == ["first", "second", "first"]


def test_a_lane_is_the_thread_or_the_task() -> None:
    async def main() -> str | None:
        return await asyncio.create_task(in_task(), name="refresh")

    async def in_task() -> str | None:
        return caller().lane

    assert caller().lane == threading.current_thread().name
    assert asyncio.run(main()) == "refresh"


def test_a_caller_is_line_and_lane() -> None:
    who = caller()
    assert who.code is sys._getframe().f_code
    assert who.line == sys._getframe().f_lineno - 2
    assert who.lane == threading.current_thread().name


def test_a_hook_of_the_users_as_deep_in_the_library_as_a_frame_of_its_own_is_found() -> None:
    nearest = frames_of("redis.client", 2, of_caller(Trail()))
    straight = frames_of("redis.client", 1, nearest)

    def hook() -> Any:
        return nearest()

    entry: Any = frames_of("redis.client", 1, straight)
    found = []
    for inner in (straight, hook, straight):
        entry.__globals__["inner"] = inner
        found.append(function(entry()))
    assert found == [sys._getframe().f_code.co_name, "hook", sys._getframe().f_code.co_name]
