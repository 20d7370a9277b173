"""What passes the proxy of a run while a block runs, as a trace with the lines of this process's own clients in it.

From outside nobody sees which line sent something. What a client in this process sent its tap sees as well, and the
line is taken from there: see `redis_perf.analysis.call_sites`. Counts and times are the wire's alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from redis_perf import Recording, ServerUnavailable, Tapped, Trace
from redis_perf.analysis.call_sites import located
from redis_perf.proxy import Proxy
from redis_perf.proxy.client import Window
from redis_perf.recording import server_names
from redis_perf.trace import STORES, Problem, RoundTrip, Store

if TYPE_CHECKING:
    from pytest_redisperf.wire import Wire


class WireRecording(Recording):
    """A window of time over what passes the proxy. Reads like the `Trace` it is turning into.

    A proxy that has died is a problem in the trace, which fails budgets.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._ending: AbstractContextManager[Window] | None = None
        self._window: Window | None = None
        self._inside = Recording(strict=False)
        self._runs = False

    def __enter__(self) -> Self:
        self._inside.__enter__()
        self._wire.begin(self)
        self._runs = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._runs:
            return
        if self._ending is not None:
            with suppress(ServerUnavailable):  # the trace says so
                self._ending.__exit__(None, None, None)
        self._inside.__exit__(kind, error, traceback)
        self._trace = self.trace
        self._runs = False
        self._wire.end(self)

    def join(self, proxy: Proxy) -> None:
        """The proxy runs: from now on hear it."""
        self._ending = proxy.record()
        self._window = self._ending.__enter__()

    @property
    def trace(self) -> Trace:
        """What has been seen so far; final once the block has ended."""
        if not self._runs:
            return super().trace
        seen = Trace() if self._window is None else _seen(self._window)
        trips = _located(seen.round_trips, self._inside.trace.round_trips, self._wire.doors)
        return replace(
            seen,
            round_trips=tuple(sorted(trips, key=lambda trip: trip.started_ns)),
            opened=tuple(replace(opened, name=server_names().get(opened.server or "")) for opened in seen.opened),
            taps=(*seen.taps, *_not_asked_for({tap.store for tap in seen.taps})),
        )


def _seen(window: Window) -> Trace:
    try:
        return window.trace
    except ServerUnavailable as error:
        return Trace(taps=tuple(Tapped("proxy", store) for store in STORES), problems=(Problem(str(error), None),))


def _located(wire: Iterable[RoundTrip], inside: Iterable[RoundTrip], doors: Mapping[str, str]) -> Iterator[RoundTrip]:
    """With the lines of what the clients of this process sent to the door of the same server.

    The proxy's own names for servers give way to those that tests have given.
    """
    by_server: dict[str | None, list[RoundTrip]] = {}
    for trip in wire:
        by_server.setdefault(trip.server, []).append(replace(trip, name=server_names().get(trip.server or "")))
    for server, trips in by_server.items():
        port = doors.get(server or "", "").rpartition(":")[2]
        there = [trip for trip in inside if port and trip.server is not None and trip.server.endswith(f":{port}")]
        yield from located(trips, there)


def _not_asked_for(known: set[Store]) -> Iterator[Tapped]:
    for store in STORES:
        if store not in known:
            problem = "not started, for no fixture was asked for a URL; only what goes through it is seen"
            yield Tapped(f"proxy of {store}", store, problem=problem)
