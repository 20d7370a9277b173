"""What is called in which order, and what is refused; the recorder is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from redis_perf import NothingMeasured
from redis_perf.growing import async_growth, growth
from redis_perf.trace import Operation, RoundTrip, Trace


class World:
    """Rooms, a call for each of them, and a record of both."""

    def __init__(self) -> None:
        self.rooms = 0
        self.sent = 0
        self.calls: list[str] = []

    def send(self, times: int = 1) -> None:
        self.sent += times

    def populate(self, number: int) -> None:
        self.calls.append(f"populate {number}")
        self.rooms += number
        self.send()

    def reset(self) -> None:
        self.calls.append("reset")
        self.rooms = 0

    def run(self) -> None:
        self.calls.append("run")
        self.send(self.rooms)

    def record(self) -> Any:
        return _Window(self)


class _Window:
    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> _Window:
        self._before = self._world.sent
        return self

    def __exit__(self, *_: object) -> None:
        push = (Operation("RPUSH", "RPUSH a"),)
        trips = (RoundTrip("redis", 1, push, at, at, 1, 1) for at in range(self._world.sent - self._before))
        self.trace = Trace(round_trips=tuple(trips))


class _Always:
    """Records that one and the same command was sent."""

    def __init__(self, name: str, *, arguments: int, problems: tuple[str, ...] = ()) -> None:
        sent = RoundTrip("redis", 1, (Operation(name, f"{name} a"),), 0, 1, 1, 1, arguments=arguments)
        self.trace = Trace(round_trips=(sent,), problems=problems)

    def __call__(self) -> Any:
        return nullcontext(self)


@pytest.fixture
def world() -> World:
    return World()


def test_populate_adds_what_is_missing_to_each_size_and_the_first_run_is_a_warmup(world: World) -> None:
    measured = growth(world.run, populate=world.populate, sizes=(1, 10, 100), record=world.record)
    assert world.calls == ["populate 1", "run", "run", "populate 9", "run", "populate 90", "run"]
    assert measured.of().counts == (1, 10, 100)


def test_with_a_reset_populate_is_given_the_whole_size(world: World) -> None:
    measured = growth(
        world.run, populate=world.populate, reset=world.reset, sizes=(2, 3), warmup=False, record=world.record
    )
    assert world.calls == ["reset", "populate 2", "run", "reset", "populate 3", "run"]
    assert measured.of().counts == (2, 3)


def test_a_run_that_takes_an_argument_is_given_the_size(world: World) -> None:
    assert growth(lambda size: world.send(size), sizes=(4, 8), record=world.record).of().counts == (4, 8)


def test_async_functions_are_awaited(world: World) -> None:
    async def run() -> None:
        world.run()

    async def populate(number: int) -> None:
        world.populate(number)

    measured = asyncio.run(async_growth(run, populate=populate, sizes=(1, 2), record=world.record))
    assert measured.of().counts == (1, 2)


def test_an_async_function_in_the_sync_call_is_refused_and_not_left_unawaited(world: World) -> None:
    async def run() -> None: ...

    with pytest.raises(TypeError, match="to a sync call of growth: use `await async_growth"):
        growth(run, populate=world.populate, record=world.record)


def test_a_populate_that_sends_nothing_makes_the_test_worthless_and_says_so(world: World) -> None:
    with pytest.raises(NothingMeasured, match="populate sent nothing to Redis or Postgres between size 1 and 100"):
        growth(lambda: world.send(), populate=lambda number: None, record=world.record)


@pytest.mark.parametrize("name", ["GET", "SET"])
def test_a_populate_that_reads_or_writes_the_same_again_makes_the_test_worthless_and_says_so(name: str) -> None:
    with pytest.raises(NothingMeasured) as error:
        growth(lambda: None, populate=lambda number: None, record=_Always(name, arguments=1))
    assert str(error.value) == (
        "growth: populate only read, or wrote again what it had written, in Redis or Postgres between size 1 and 100, "
        "so nothing grew and this tests nothing: expected it to add items"
    )


def test_where_run_is_given_the_size_populate_may_prepare_the_same_each_time() -> None:
    growth(lambda size: None, populate=lambda number: None, record=_Always("SET", arguments=1))


def test_a_populate_that_may_have_changed_something_is_believed() -> None:
    growth(lambda: None, populate=lambda number: None, record=_Always("INCR", arguments=1))


def test_what_could_not_be_seen_may_have_changed_something() -> None:
    unseen = _Always("GET", arguments=1, problems=("connection 1: garbage",))
    growth(lambda: None, populate=lambda number: None, record=unseen)


def test_a_run_that_sends_nothing_at_any_size_makes_the_test_worthless_and_says_so(world: World) -> None:
    with pytest.raises(NothingMeasured, match="run sent nothing to Redis or Postgres at any size"):
        growth(lambda: None, populate=world.populate, record=world.record)


def test_without_populate_and_without_an_argument_nothing_would_grow(world: World) -> None:
    with pytest.raises(TypeError, match="nothing would grow: give populate=, or a run that takes the size"):
        growth(world.run, record=world.record)


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1), (10, 1), (-1, 1), (1, 2.5), (True, 2), ("1", "2")])
def test_sizes_that_make_no_sense_are_named(world: World, sizes: Any) -> None:
    with pytest.raises(ValueError, match=r"expected two or more different whole numbers, smallest first"):
        growth(world.run, populate=world.populate, sizes=sizes, record=world.record)


@pytest.mark.parametrize("broken", ["run", "populate"])
def test_what_the_functions_raise_is_not_swallowed_and_ends_the_recording(world: World, broken: str) -> None:
    ended: list[bool] = []

    class Window(_Window):
        def __exit__(self, *exit: object) -> None:
            ended.append(True)
            super().__exit__(*exit)

    def fail(*_: int) -> None:
        raise LookupError(broken)

    calls: dict[str, Callable[..., None]] = {"run": world.run, "populate": world.populate, broken: fail}
    with pytest.raises(LookupError, match=broken):
        growth(calls["run"], populate=calls["populate"], warmup=False, record=lambda: Window(world))  # type: ignore[arg-type, return-value]
    assert ended
