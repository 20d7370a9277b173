"""The proxy of one run: whatever client goes to a fixture's server through it is counted, in any process.

It is one process, started when a URL through it is first asked for (about 0.3 s) and kept to the end of the run. It
stands before each server that is asked for; databases come and go behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pytest_redisperf.latency import Latency, Network
from pytest_redisperf.options import Settings, latency_ns
from pytest_redisperf.servers import started
from pytest_redisperf.wire_recording import WireRecording
from redis_perf import ServerUnavailable
from redis_perf.endpoint import named
from redis_perf.proxy import DEFAULT_HOLD_NS, Proxy
from redis_perf.proxy.faults import Fault
from redis_perf.proxy.lying_in_wait import Lying
from redis_perf.proxy.upstream import Address, Upstream
from redis_perf.recording import pace
from redis_perf.trace import STORES, Store


class Wire:
    """The proxy of one run and what is recorded through it."""

    def __init__(self, config: pytest.Config) -> None:
        own_ns = Settings.of(config).latency_ns
        self.usual_ns = DEFAULT_HOLD_NS if own_ns is None else own_ns
        """The latency of this run, where a test does not say otherwise."""
        self._latency_ns = self.usual_ns
        self._config = config
        self._proxy: Proxy | None = None
        self._servers: dict[tuple[Store, Address], tuple[str, str]] = {}
        """What the proxy calls each server, and its address as a trace shows it."""
        self._recordings: list[WireRecording] = []
        self._lock = threading.RLock()

    def through(self, store: Store, url: str) -> str:
        """The URL that leads to the same place through the proxy. Fails the test where there cannot be one."""
        try:
            upstream = Upstream.parse(store, url)
            with self._lock:
                proxy, name = self._standing_before(upstream)
            return upstream.through(proxy.address(name))
        except ServerUnavailable as error:
            why = f"redisperf: {error}"
        pytest.fail(why, pytrace=False)

    def record(self) -> WireRecording:
        return WireRecording(self)

    def begin(self, recording: WireRecording) -> None:
        with self._lock:
            self._recordings.append(recording)
            if self._proxy is not None:
                recording.join(self._proxy)

    def end(self, recording: WireRecording) -> None:
        """What no recording looks at any more is forgotten, so that a long run stays small."""
        with self._lock:
            self._recordings.remove(recording)
            if not self._recordings and self._proxy is not None:
                with suppress(ServerUnavailable):  # died: the recordings have said so
                    self._proxy.forget()

    @property
    def latency_ns(self) -> int:
        """What is added to each reply, now."""
        return self._latency_ns

    @latency_ns.setter
    def latency_ns(self, latency_ns: int) -> None:
        with self._lock:
            if latency_ns != self._latency_ns and self._proxy is not None:
                self._proxy.latency(latency_ns)
            self._latency_ns = latency_ns

    def latency(self, text: str) -> Latency:
        return Latency(self, latency_ns(text))

    @property
    def names(self) -> tuple[str, ...]:
        """What may be given for `server` below: each store with one server, and the addresses of all servers."""
        stores = [store for store, _ in self._servers]
        return (
            *(store for store in STORES if stores.count(store) == 1),
            *(shown for _, shown in self._servers.values()),
        )

    def lie_in_wait(self, server: str, fault: Fault) -> Lying:
        """Raises ValueError if there is no such server, or several, or the fault cannot befall it."""
        found = [name for (store, _), (name, shown) in self._servers.items() if server in (store, shown)]
        if len(found) != 1 or self._proxy is None:
            names = ", ".join(self.names) or "none: no fixture was asked for a URL through it"
            raise ValueError(
                f"{server!r} names {len(found) or 'no'} servers before which a proxy stands; there is {names}"
            )
        return self._proxy.faults.add(found[0], fault)

    @contextmanager
    def faulty(self, server: str, fault: Fault) -> Iterator[Lying]:
        """A fault lies in wait while the block runs."""
        lying = self.lie_in_wait(server, fault)
        try:
            yield lying
        finally:
            lying.remove()

    def clear_faults(self) -> None:
        if self._proxy is not None:
            with suppress(ServerUnavailable):  # died, and its faults with it
                self._proxy.faults.clear()

    @property
    def doors(self) -> dict[str, str]:
        """Where the proxy listens for each server, by that one's address; Unix sockets left out."""
        if self._proxy is None:
            return {}
        doors = {shown: named(self._proxy.address(name)) for name, shown in self._servers.values()}
        return {shown: door for shown, door in doors.items() if door is not None}

    def stop(self) -> None:
        with self._lock:
            pace().elsewhere.difference_update(self.doors.values())
            self._servers.clear()
            if self._proxy is not None:
                self._proxy.stop()
                self._proxy = None

    def _standing_before(self, upstream: Upstream) -> tuple[Proxy, str]:
        """The proxy, and what it calls this server. Raises ServerUnavailable."""
        key, store = (upstream.store, upstream.address), upstream.store
        if key in self._servers and self._proxy is not None:
            return self._proxy, self._servers[key][0]
        number = 1 + sum(known == store for known, _ in self._servers)
        name = store if number == 1 else f"{store} {number}"
        if self._proxy is None:
            self._proxy = proxy = self._start(name, upstream.url)
        else:
            proxy = self._proxy
            proxy.add(name, upstream.url)
        self._servers[key] = name, upstream.shown
        pace().elsewhere.update(self.doors.values())
        return proxy, name

    def _start(self, name: str, url: str) -> Proxy:
        proxy = started(self._config, lambda: Proxy(upstreams={name: url}, latency_ns=self._latency_ns))
        for recording in self._recordings:
            recording.join(proxy)
        return proxy


_WIRE = pytest.StashKey[Wire]()
_NETWORK = pytest.StashKey[Network]()


def wire_of(config: pytest.Config) -> Wire:
    """The one of this run."""
    wire = config.stash.get(_WIRE, None)
    if wire is None:
        wire = config.stash[_WIRE] = Wire(config)
        config.add_cleanup(wire.stop)
    return wire


def network_of(config: pytest.Config) -> Network:
    """The one of this run, if its tests are counted in the clients."""
    network = config.stash.get(_NETWORK, None)
    if network is None:
        network = config.stash[_NETWORK] = Network(config, wire_of(config))
    return network


def settle(config: pytest.Config) -> None:
    """What a test has done to the network ends with it."""
    wire = config.stash.get(_WIRE, None)
    network = config.stash.get(_NETWORK, None)
    if wire is not None:
        wire.clear_faults()
        wire.latency_ns = wire.usual_ns
    if network is not None:
        network.settle()
