"""Every place where a function's round trips can break: enumerated, not sampled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final, Literal, Self

from redis_perf.errors import NothingMeasured
from redis_perf.proxy.client import Proxy
from redis_perf.proxy.faults import Reset, nth_round_trip
from redis_perf.trace import RoundTrip

_SHOWN_CHARS: Final = 60


class FaultPoint:
    """One round trip of the function, reset before or after the server executed it: `with point: run()`.

    Leaving the block disarms it. If it never fired, and no exception says why, that is NothingMeasured: the function
    took another way than when its round trips were learnt. `str(point)` is a sentence.
    """

    def __init__(self, proxy: Proxy, trip: RoundTrip, number: int, when: Literal["before", "after"]) -> None:
        self.server = trip.name or trip.store
        self.number = number
        """Which round trip of that server, from 1, setup not counted."""
        self.when = when
        self.trip = trip
        self._proxy = proxy

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        fault = Reset(self.when, on=nth_round_trip(self.number))
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


def fault_points(proxy: Proxy, run: Callable[[], object]) -> Iterator[FaultPoint]:
    """Runs it once to learn its round trips, then yields two points for each: before and after it was executed.

    Setup traffic is left out. Raises NothingMeasured if it made no round trip through this proxy.
    """
    with proxy.record() as window:
        run()
    trips = [trip for trip in window.trace.round_trips if trip.purpose != "setup" and trip.answer == "complete"]
    if not trips:
        raise NothingMeasured(f"no round trip to {', '.join(proxy.names)} passed the proxy: are its URLs in use?")
    numbers: Counter[str] = Counter()
    for trip in trips:
        server = trip.name or trip.store
        numbers[server] += 1
        yield FaultPoint(proxy, trip, numbers[server], "before")
        yield FaultPoint(proxy, trip, numbers[server], "after")


def _shown(trip: RoundTrip) -> str:
    """What it asked, in a few words."""
    if not trip.operations:
        return "no operation"
    first, more = trip.operations[0].shape, len(trip.operations) - 1
    if len(first) > _SHOWN_CHARS:
        first = f"{first[:_SHOWN_CHARS].rpartition(' ')[0]} ...".replace(" ... ...", " ...")
    return f"{first} and {more} more" if more else first
