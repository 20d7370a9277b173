"""Every place where a function's round trips can break: enumerated, not sampled."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Final, Literal, Protocol, Self, TypeAlias

from redis_perf.errors import NothingMeasured
from redis_perf.proxy.faults import Fault, Reset, When, nth_round_trip
from redis_perf.proxy.lying_in_wait import Lying
from redis_perf.trace import RoundTrip, Trace

_SHOWN_CHARS: Final = 60
Side: TypeAlias = Literal["before", "after"]
"""Of the server's executing the request."""
Breaking: TypeAlias = Callable[[str, Side, When], Fault]
"""What befalls this server, on which side, and when."""


def resetting(server: str, side: Side, on: When) -> Fault:
    """The connection is reset."""
    return Reset(side, on)


class Recorded(Protocol):
    @property
    def trace(self) -> Trace: ...


class Breakable(Protocol):
    """What faults can be put in: a `Proxy`, or several of them taken together."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def record(self) -> AbstractContextManager[Recorded]: ...
    def faulty(self, server: str, fault: Fault) -> AbstractContextManager[Lying]: ...


class FaultPoint:
    """One round trip of the function, broken before or after the server executed it: `with point: run()`.

    Leaving the block disarms it. If it never fired, and no exception says why, that is NothingMeasured: the function
    took another way than when its round trips were learnt. `str(point)` is a sentence.
    """

    def __init__(
        self, proxy: Breakable, server: str, trip: RoundTrip, number: int, when: Side, breaking: Breaking
    ) -> None:
        self.server = server
        self.number = number
        """Which round trip of that server, from 1, setup not counted."""
        self.when = when
        self.trip = trip
        self._proxy = proxy
        self._breaking = breaking

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        fault = self._breaking(self.server, self.when, nth_round_trip(self.number))
        self._lying = self._stack.enter_context(self._proxy.faulty(self.server, fault))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        if not self._lying.fired and kind is None:
            raise NothingMeasured(
                f"{self}: never reached. The function must do the same each time: give each run state of its own, and "
                "make connections outside of it or in each run"
            )

    def __str__(self) -> str:
        return f"{self.server} round trip {self.number} ({_shown(self.trip)}), {self.when} the server executed it"

    __repr__ = __str__


class FaultPoints(Iterator[FaultPoint]):
    """The points of one function, for `for`, or of one that is async, for `async for`."""

    def __init__(self, proxy: Breakable, run: Callable[[], object], breaking: Breaking) -> None:
        self._proxy = proxy
        self._run = run
        self._breaking = breaking
        self._points = self._learnt()

    def __next__(self) -> FaultPoint:
        return next(self._points)

    async def __aiter__(self) -> AsyncIterator[FaultPoint]:
        with self._proxy.record() as seen:
            done = self._run()
            if not inspect.isawaitable(done):
                raise TypeError("fault_points: the function is not async: `for point in ...`, without `async`")
            await done
        for point in _points(self._proxy, seen.trace, self._breaking):
            yield point

    def _learnt(self) -> Iterator[FaultPoint]:
        with self._proxy.record() as seen:
            done = self._run()
        if inspect.iscoroutine(done):
            done.close()
            raise TypeError("fault_points: the function is async: `async for point in ...`")
        yield from _points(self._proxy, seen.trace, self._breaking)


def fault_points(proxy: Breakable, run: Callable[[], object], *, breaking: Breaking = resetting) -> FaultPoints:
    """Runs it once to learn its round trips, then yields two points for each: before and after it was executed.

        for point in fault_points(proxy, run):
            with point:
                try_to(run)

    `run` may be async: `async for point in ...`. Setup traffic is left out. Raises NothingMeasured if it made no round
    trip through this proxy.

    `breaking` makes a fault other than `Reset`: `lambda server, side, on: Restart(servers[server], side, on)`.
    """
    return FaultPoints(proxy, run, breaking)


def _points(proxy: Breakable, trace: Trace, breaking: Breaking) -> Iterator[FaultPoint]:
    trips = [trip for trip in trace.round_trips if trip.purpose != "setup" and trip.answer == "complete"]
    if not trips:
        to = f"to {', '.join(proxy.names)} " if proxy.names else ""
        raise NothingMeasured(f"no round trip {to}passed the proxy: are its URLs in use?")
    addresses = {(trip.name or trip.store, trip.server) for trip in trips}
    shared = Counter(name for name, _ in addresses)
    numbers: Counter[str] = Counter()
    for trip in trips:
        server = trip.name or trip.store
        if shared[server] > 1 and trip.server is not None:
            server = trip.server
        numbers[server] += 1
        yield FaultPoint(proxy, server, trip, numbers[server], "before", breaking)
        yield FaultPoint(proxy, server, trip, numbers[server], "after", breaking)


def _shown(trip: RoundTrip) -> str:
    """What it asked, in a few words."""
    if not trip.operations:
        return "no operation"
    first, more = trip.operations[0].shape, len(trip.operations) - 1
    if len(first) > _SHOWN_CHARS:
        first = f"{first[:_SHOWN_CHARS].rpartition(' ')[0]} ...".replace(" ... ...", " ...")
    return f"{first} and {more} more" if more else first
