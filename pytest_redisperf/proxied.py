"""The wire proxy in tests: whatever client goes to a fixture's server through it is counted, in any process.

One proxy process stands before each server of the run, started when a URL through it is first asked for and kept to
the end of the run: databases come and go behind it, servers do not. Its start costs about 0.3 s, once for each server.
From outside nobody sees which line sent something: the sites of its round trips are not seen (None).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import pytest

from pytest_redisperf.options import Settings, latency_ns
from pytest_redisperf.servers import started
from pytest_redisperf.spending import Measuring
from redis_perf import Recording, ServerUnavailable, Tapped, Trace
from redis_perf.proxy import DEFAULT_HOLD_NS, Proxy
from redis_perf.proxy.client import Window
from redis_perf.proxy.upstream import Address, Upstream
from redis_perf.trace import Problem, Store

STORES: tuple[Store, Store] = ("redis", "postgres")
APART = 1_000_000
"""Each proxy numbers its connections from 1; here those of the next one begin so much higher."""


class WireRecording(Recording):
    """A window of time over what passes the proxies. Reads like the `Trace` it is turning into.

    A proxy that has died is a problem in the trace, which fails budgets on its store.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._windows: list[tuple[Store, AbstractContextManager[Window], Window]] = []
        self._runs = False

    def __enter__(self) -> Self:
        self._wire.begin(self)
        self._runs = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._runs:
            return
        for _, ending, _ in self._windows:
            with suppress(ServerUnavailable):  # the trace says so
                ending.__exit__(None, None, None)
        self._trace = self.trace
        self._runs = False
        self._wire.end(self)

    def join(self, store: Store, proxy: Proxy) -> None:
        """From now on hear this proxy too."""
        ending = proxy.record()
        self._windows.append((store, ending, ending.__enter__()))

    @property
    def trace(self) -> Trace:
        """What has been seen so far; final once the block has ended."""
        if not self._runs:
            return super().trace
        return _merged([_trace(store, window) for store, _, window in self._windows])


class Wire:
    """The proxies of one run and what is recorded through them."""

    def __init__(self, config: pytest.Config) -> None:
        own_ns = Settings.of(config).latency_ns
        self.usual_ns = DEFAULT_HOLD_NS if own_ns is None else own_ns
        """The latency of this run, where a test does not say otherwise."""
        self._latency_ns = self.usual_ns
        self._config = config
        self._proxies: dict[tuple[Store, Address], Proxy] = {}
        self._recordings: list[WireRecording] = []
        self._lock = threading.RLock()

    def through(self, store: Store, url: str) -> str:
        """The URL that leads to the same place through a proxy. Fails the test where there cannot be one."""
        try:
            upstream = Upstream.parse(store, url)
        except ServerUnavailable as error:
            pytest.fail(f"redisperf: {error}", pytrace=False)
        with self._lock:
            proxy = self._proxies.get((store, upstream.address)) or self._start(upstream)
        return upstream.through(proxy.address(store))

    def record(self) -> WireRecording:
        return WireRecording(self)

    def begin(self, recording: WireRecording) -> None:
        with self._lock:
            self._recordings.append(recording)
            for (store, _), proxy in self._proxies.items():
                recording.join(store, proxy)

    def end(self, recording: WireRecording) -> None:
        """What no recording looks at any more is forgotten, so that a long run stays small."""
        with self._lock:
            self._recordings.remove(recording)
            if not self._recordings:
                for proxy in self._proxies.values():
                    with suppress(ServerUnavailable):  # died: the recordings have said so
                        proxy.forget()

    @property
    def latency_ns(self) -> int:
        """What is added to each reply, now."""
        return self._latency_ns

    @latency_ns.setter
    def latency_ns(self, latency_ns: int) -> None:
        with self._lock:
            if latency_ns != self._latency_ns:
                for proxy in self._proxies.values():
                    proxy.latency(latency_ns)
            self._latency_ns = latency_ns

    def latency(self, text: str) -> Latency:
        return Latency(self, latency_ns(text))

    def stop(self) -> None:
        with self._lock:
            for proxy in self._proxies.values():
                proxy.stop()
            self._proxies.clear()

    def _start(self, upstream: Upstream) -> Proxy:
        url, store = upstream.url, upstream.store
        proxy = started(self._config, lambda: Proxy(upstreams={store: url}, latency_ns=self._latency_ns))
        self._proxies[store, upstream.address] = proxy
        for recording in self._recordings:
            recording.join(store, proxy)
        return proxy


class Latency:
    """Added from the moment it is made to the end of the test or, as a context manager, of the block."""

    def __init__(self, wire: Wire, latency_ns: int) -> None:
        self._wire = wire
        self._before_ns = wire.latency_ns
        wire.latency_ns = latency_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.latency_ns = self._before_ns


class Proxied(Measuring):
    """The `redisperf_proxy` fixture: this test's servers through the proxy, and what passes it.

    Annotate with `pytest_redisperf.Proxied`. `budget` and `record` are as `redisperf`'s, but of the wire.
    A server starts when its URL is first asked for.
    """

    def __init__(self, request: pytest.FixtureRequest, wire: Wire) -> None:
        super().__init__(request.config, Settings.of(request.config), wire.record)
        self._request = request
        self._wire = wire

    @property
    def redis_url(self) -> str:
        """Of a Redis that was empty when first asked for in this test."""
        return self._wire.through("redis", self._request.getfixturevalue("_redisperf_direct_redis_url"))

    @property
    def postgres_dsn(self) -> str:
        """Of a Postgres database that was new and empty when first asked for in this test."""
        return self._wire.through("postgres", self._request.getfixturevalue("_redisperf_direct_postgres_dsn"))

    def latency(self, latency: str) -> Latency:
        """Add this much (`"2ms"`) to each reply: until the test ends or, after `with`, the block.

        Raises ValueError for what is no time. At `"0ms"` counts are upper bounds.
        """
        return self._wire.latency(latency)


_WIRE = pytest.StashKey[Wire]()


def wire_of(config: pytest.Config) -> Wire:
    """The one of this run."""
    wire = config.stash.get(_WIRE, None)
    if wire is None:
        wire = config.stash[_WIRE] = Wire(config)
        config.add_cleanup(wire.stop)
    return wire


def _trace(store: Store, window: Window) -> Trace:
    try:
        return window.trace
    except ServerUnavailable as error:
        return Trace(taps=(Tapped(f"proxy of {store}", store),), problems=(Problem(str(error), store),))


def _merged(traces: Sequence[Trace]) -> Trace:
    traces = [_numbered(trace, number * APART) for number, trace in enumerate(traces)]
    taps = [tap for trace in traces for tap in trace.taps]
    return Trace(
        round_trips=tuple(
            sorted((trip for trace in traces for trip in trace.round_trips), key=lambda trip: trip.started_ns)
        ),
        opened=tuple(opened for trace in traces for opened in trace.opened),
        taps=(*taps, *_not_asked_for({tap.store for tap in taps})),
        problems=tuple(problem for trace in traces for problem in trace.problems),
        notes=tuple(dict.fromkeys(note for trace in traces for note in trace.notes)),
    )


def _numbered(trace: Trace, from_number: int) -> Trace:
    if not from_number:
        return trace
    return replace(
        trace,
        round_trips=tuple(replace(trip, connection=trip.connection + from_number) for trip in trace.round_trips),
        opened=tuple(replace(opened, connection=opened.connection + from_number) for opened in trace.opened),
    )


def _not_asked_for(known: set[Store]) -> Iterator[Tapped]:
    for store in STORES:
        if store not in known:
            problem = "not started, for no fixture was asked for a URL; only what goes through it is seen"
            yield Tapped(f"proxy of {store}", store, problem=problem)
