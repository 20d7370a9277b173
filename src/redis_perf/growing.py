"""Measure the same code at several sizes of data, and say how its cost grows.

    growth(badge_total, populate=add_rooms, sizes=(1, 10, 100)).assert_constant()

`populate(n)` adds n items; it is called with what is missing to the next size, so that after it there are as many as
the size says. With `reset`, which empties the world, it is called before each size and `populate` with the whole size.
A `run` that takes an argument is given the size; then `populate` may be left out. What `populate` and `reset` send is
not counted.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from redis_perf.analysis.growth import MEASURES, Growth, Measured
from redis_perf.analysis.written import Written
from redis_perf.errors import NothingMeasured
from redis_perf.recording import Recording, record
from redis_perf.report.growth import growth_text
from redis_perf.trace import Store, Trace

SIZES: Final = (1, 10, 100)
Record: TypeAlias = Callable[[], Recording]
Steps: TypeAlias = Generator[Callable[[], Any], None, "GrowthMeasured"]


class GrowthExceeded(AssertionError):
    """A cost grows faster with the size of the data than it may."""


@dataclass(frozen=True, slots=True)
class GrowthMeasured:
    """What was measured. The assertions raise GrowthExceeded with a table per shape, ValueError for a measure that
    is none of `round_trips`, `operations`, `bytes`, `depth`."""

    measured: Measured
    root: str | None = None

    def of(self, measure: str = "round_trips", *, store: Store | None = None) -> Growth:
        """The numbers at each size. Raises NothingMeasured for bytes that were not seen."""
        if measure not in MEASURES:
            raise ValueError(f"growth of {measure!r}: expected one of {', '.join(MEASURES)}")
        growth = self.measured.growth(store, measure)
        if growth is None:
            raise NothingMeasured(f"growth of {measure}: its number was not seen at each size, so it proves nothing")
        return growth

    def assert_constant(self, measure: str = "round_trips", *, store: Store | None = None) -> None:
        """The number is the same at each size, for the given store or for both together."""
        __tracebackhide__ = True
        growth = self.of(measure, store=store)
        if growth.kind != "constant":
            self._fail(store, measure, growth, "the same at each size")

    def assert_at_most_linear(
        self, measure: str = "round_trips", *, per_item: float = 1, store: Store | None = None
    ) -> None:
        """The number rises by no more than `per_item` for each item, and that does not rise with the size."""
        __tracebackhide__ = True
        growth = self.of(measure, store=store)
        if growth.kind == "worse than linear" or growth.per_item > per_item:
            self._fail(store, measure, growth, f"at most {per_item:g} more for each item")

    def _fail(self, store: Store | None, measure: str, growth: Growth, allowed: str) -> None:
        __tracebackhide__ = True
        raise GrowthExceeded(growth_text(self.measured, store, measure, growth, allowed, root=self.root))


def growth(
    run: Callable[..., Any],
    *,
    populate: Callable[[int], Any] | None = None,
    reset: Callable[[], Any] | None = None,
    sizes: Sequence[int] = SIZES,
    warmup: bool = True,
    record: Record = record,
    root: str | None = None,
) -> GrowthMeasured:
    """Measure `run` at each size. `warmup` runs it once before, uncounted, at the smallest size.

    Raises ValueError for impossible sizes, TypeError for async functions (await `async_growth` for them), and
    NothingMeasured where nothing could have grown: after the first size `populate` sent nothing, or only read and wrote
    again what it had written, or `run` spent nothing at all.
    """
    __tracebackhide__ = True
    with closing(_steps(run, populate, reset, sizes, warmup, record, root)) as steps:
        while True:
            try:
                call = next(steps)
            except StopIteration as measured:
                return _measured(measured)
            refuse_awaitable(call(), "growth: use `await async_growth(...)`")


async def async_growth(
    run: Callable[..., Any],
    *,
    populate: Callable[[int], Any] | None = None,
    reset: Callable[[], Any] | None = None,
    sizes: Sequence[int] = SIZES,
    warmup: bool = True,
    record: Record = record,
    root: str | None = None,
) -> GrowthMeasured:
    """As `growth`; each of the functions may be async."""
    __tracebackhide__ = True
    with closing(_steps(run, populate, reset, sizes, warmup, record, root)) as steps:
        while True:
            try:
                call = next(steps)
            except StopIteration as measured:
                return _measured(measured)
            answer = call()
            if isinstance(answer, Awaitable):
                await answer


def _measured(end: StopIteration) -> GrowthMeasured:
    measured: GrowthMeasured = end.value
    return measured


def _steps(
    run: Callable[..., Any],
    populate: Callable[[int], Any] | None,
    reset: Callable[[], Any] | None,
    sizes: Sequence[int],
    warmup: bool,
    record: Record,
    root: str | None,
) -> Steps:
    """What to call one after another, by whoever can. A call that raises ends it with `close`."""
    __tracebackhide__ = True
    sizes = checked_sizes("growth", sizes)
    takes_size = _takes_size(run)
    if populate is None and not takes_size:
        raise TypeError("growth: nothing would grow: give populate=, or a run that takes the size as its argument")
    traces, before, growing = dict[int, Trace](), 0, _Growing(by_populate=not takes_size)
    for size in sizes:
        if reset is not None:
            yield reset
            before = 0
        if populate is not None:
            with record() as populating:
                yield _with(populate, size - before)
            growing.populated(populating.trace)
            before = size
        once = _with(run, size) if takes_size else run
        if warmup and not traces:
            yield once
        with record() as running:
            yield once
        traces[size] = running.trace
    if populate is not None:
        growing.check(sizes)
    if not any(trace.charged for trace in traces.values()):
        raise NothingMeasured("growth: run sent nothing to Redis or Postgres at any size, so this tests nothing")
    return GrowthMeasured(Measured(traces), root)


class _Growing:
    """What `populate` has sent. Not `by_populate`: the size is `run`'s, so it may prepare the same for each."""

    def __init__(self, *, by_populate: bool) -> None:
        self._by_populate = by_populate
        self._written = Written()
        self._times = 0
        self._sent = self._grew = False

    def populated(self, trace: Trace) -> None:
        """At one more size. What was not seen may have changed something."""
        changed = self._written.add(trace) or trace.children > 0 or bool(trace.problems)
        if self._times:
            self._sent = self._sent or bool(trace.charged)
            self._grew = self._grew or changed or (self._sent and not self._by_populate)
        self._times += 1

    def check(self, sizes: Sequence[int]) -> None:
        """Raises NothingMeasured if it was the same at each size."""
        if self._grew:
            return
        found = "sent nothing to" if not self._sent else "only read, or wrote again what it had written, in"
        raise NothingMeasured(
            f"growth: populate {found} Redis or Postgres between size {sizes[0]} and {sizes[-1]}, "
            "so nothing grew and this tests nothing: expected it to add items"
        )


def _with(function: Callable[[int], Any], argument: int) -> Callable[[], Any]:
    return lambda: function(argument)


def checked_sizes(whose: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Raises ValueError, in the name of `whose` they are."""
    numbers: tuple[Any, ...] = tuple(sizes)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in numbers)
    if not whole or len(numbers) < 2 or list(numbers) != sorted(set(numbers)):
        raise ValueError(f"{whose}: sizes={numbers!r}: expected two or more different whole numbers, smallest first")
    return numbers


def _takes_size(run: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(run).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in positional and each.default is each.empty for each in parameters)


def refuse_awaitable(answer: object, instead: str) -> None:
    """Raises TypeError for what an async function answers where nobody awaits it."""
    if isinstance(answer, Awaitable):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"an async function was given to a sync call of {instead}")
