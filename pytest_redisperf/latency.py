"""How much longer replies take in this run, whoever sees to it: the proxy, or the client where it can itself.

In process only blocking clients of redis-py can be slowed down; everything else takes the way through the proxy. What
goes through it is not slowed down twice. Counts come from where `--redisperf-tap` says, slow or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import pytest

from pytest_redisperf.options import Settings, latency_ns
from redis_perf import Recording, RoundTrip
from redis_perf.recording import pace

if TYPE_CHECKING:
    from pytest_redisperf.wire import Wire


class Slow(Protocol):
    """What takes longer."""

    latency_ns: int


class Latency:
    """Added from the moment it is made to the end of the test or, as a context manager, of the block."""

    def __init__(self, slow: Slow, latency_ns: int) -> None:
        self._slow = slow
        self._before_ns = slow.latency_ns
        slow.latency_ns = latency_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._slow.latency_ns = self._before_ns


class Network:
    """Both ways to the stores, the proxy's and the straight one, when tests are counted in the clients."""

    def __init__(self, config: pytest.Config, wire: Wire) -> None:
        self._usual_ns = Settings.of(config).latency_ns or 0
        self._wire = wire
        self._latency_ns = self._usual_ns
        self._slowing: list[Slowing] = []

    @property
    def latency_ns(self) -> int:
        return self._latency_ns

    @latency_ns.setter
    def latency_ns(self, latency_ns: int) -> None:
        self._latency_ns = self._wire.latency_ns = pace().latency_ns = latency_ns

    def latency(self, text: str) -> Latency:
        """Raises ValueError for what is no time."""
        slowing = Slowing(self, latency_ns(text))
        self._slowing.append(slowing)
        return slowing

    def settle(self) -> None:
        """The test has ended: as it was before. Raises UsageError as `Slowing` does."""
        slowing, self._slowing = self._slowing, []
        self.latency_ns = self._usual_ns
        self._wire.latency_ns = self._wire.usual_ns
        for each in slowing:
            each.check()

    def slowed(self, trip: RoundTrip) -> bool:
        return trip.connection in pace().slowed or trip.server in self._wire.doors.values()


class Slowing(Latency):
    """One that looks whether all did take longer. If something did not: UsageError when it ends, which says how to."""

    def __init__(self, network: Network, latency_ns: int) -> None:
        super().__init__(network, latency_ns)
        self._network = network
        self._asked_ns = latency_ns
        self._recording: Recording | None = Recording().__enter__()

    def __exit__(self, *error: object) -> None:
        __tracebackhide__ = True
        super().__exit__()
        if error[0] is None:
            self.check()

    def check(self) -> None:
        """Once."""
        __tracebackhide__ = True
        recording, self._recording = self._recording, None
        if recording is None:
            return
        recording.__exit__(None, None, None)
        trips = [trip for trip in recording.trace.charged if trip.answer == "complete"]
        fast = [trip for trip in trips if not self._network.slowed(trip)]
        if fast and self._asked_ns:
            raise pytest.UsageError(_not_slowed(fast))


def _not_slowed(fast: list[RoundTrip]) -> str:
    shapes = [operation.shape for operation in fast[0].operations]
    such_as = f" ({shapes[0]})" if shapes else ""
    return (
        f"redisperf.latency: {len(fast)} {fast[0].store} round trips{such_as} took no longer than ever: in this "
        "process only blocking redis-py clients can be slowed down; run with --redisperf-tap=proxy, or with "
        "--redisperf-latency=0ms, so that the fixtures' URLs lead through the proxy"
    )
