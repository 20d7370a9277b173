"""The owner's side: starts the proxy process, knows its URLs, asks it for what it has seen."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.faults import Fault
from redis_perf.proxy.lying_in_wait import Faults, Lying
from redis_perf.proxy.upstream import Address, Upstream
from redis_perf.recorder import now_ns
from redis_perf.trace import Trace

DEFAULT_HOLD_NS: Final = 1_000_000
"""Enough to tell a client that is still sending from one that waits."""


class Window:
    """What passed while a block ran; `trace` is final once it has ended."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._since_ns = now_ns()
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        return self._trace or self._proxy._ask("trace", self._since_ns, None)

    def _end(self) -> None:
        self._trace = self._proxy._ask("trace", self._since_ns, now_ns())


class Proxy:
    """Stands before servers, each given by its URL under a name: `Proxy(redis="redis://127.0.0.1:6379/0")`, or with
    names only known at run time `Proxy(upstreams={"redis": "redis://..."})`.

    Starts at once and runs until `stop` or the end of this process, however that ends; also a context manager.
    `latency_ns` is added to each reply, and to be exact must not be 0. With `tls` it speaks TLS to its clients, with a
    certificate made for it which its URLs have them verify (needs the extra `tls`). Raises ServerUnavailable when a URL
    is none the proxy can serve, an address (`at`, by name) is taken or a certificate cannot be used; an upstream that
    is down is no error until used.
    """

    def __init__(
        self,
        *,
        latency_ns: int = DEFAULT_HOLD_NS,
        tls: bool = False,
        at: Mapping[str, Address] | None = None,
        upstreams: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        urls = {**(upstreams or {}), **more}
        self._upstreams = {name: Upstream.parse(name, url) for name, url in urls.items()}
        for name in at or {}:
            if name not in urls:
                raise ServerUnavailable(f"a place to listen was given for {name!r}, but no server of that name")
        self._lock = threading.Lock()
        self._lying: dict[int, Lying] = {}
        self._control, self._process = _start()
        self._stop = weakref.finalize(self, _stop, self._control, self._process)
        os.register_at_fork(after_in_child=_disowning(weakref.ref(self)))
        self._latency_ns = _checked(latency_ns)
        self._began_ns = now_ns()
        doors = [(name, url, (at or {}).get(name)) for name, url in urls.items()]
        try:
            places, ca_path = self._exchange((doors, latency_ns, tls))
        except BaseException:
            self.stop()
            raise
        self._ca_path: Path | None = ca_path
        self._places: dict[str, Address] = dict(zip(urls, places, strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._upstreams)

    def url(self, name: str) -> str:
        """The URL that leads to this server through the proxy. Raises KeyError for a name that was not given."""
        return self._upstreams[name].through(self._places[name], None if self._ca_path is None else str(self._ca_path))

    @property
    def ca_path(self) -> Path | None:
        """The certificate of the authority that clients must trust, if the proxy speaks TLS to them."""
        return self._ca_path

    def address(self, name: str) -> Address:
        """Where the proxy listens for it: host and port, or a Unix socket's path."""
        return self._places[name]

    def add(self, name: str, url: str, *, at: Address | None = None) -> str:
        """Stand before one more server from now on. Returns the URL that leads to it through the proxy.

        Raises ServerUnavailable as the constructor does, or when there is a server of that name already.
        """
        if name in self._upstreams:
            raise ServerUnavailable(f"{name}: the proxy stands before a server of that name already")
        upstream = Upstream.parse(name, url)
        self._places[name] = self._ask("add", name, url, at)
        self._upstreams[name] = upstream
        return self.url(name)

    def trace(self) -> Trace:
        """What has passed since the start, or since `forget`."""
        trace: Trace = self._ask("trace", self._began_ns, None)
        return trace

    @contextmanager
    def record(self) -> Iterator[Window]:
        """`with proxy.record() as window: ...`, then `window.trace`: what passed while the block ran."""
        window = Window(self)
        try:
            yield window
        finally:
            window._end()

    @property
    def faults(self) -> Faults:
        """`proxy.faults.add("redis", Stall())`, `proxy.faults.clear()`."""
        return Faults(self._upstreams, self._lying, self._ask)

    @contextmanager
    def faulty(self, server: str, fault: Fault) -> Iterator[Lying]:
        """`with proxy.faulty("redis", Reset("after")) as lying: ...`, then `lying.fired`: how often it fired."""
        lying = self.faults.add(server, fault)
        try:
            yield lying
        finally:
            lying.remove()

    def latency(self, latency_ns: int) -> None:
        """From now on add this much to each reply."""
        self._ask("latency", _checked(latency_ns))
        self._latency_ns = latency_ns

    @property
    def latency_ns(self) -> int:
        return self._latency_ns

    def forget(self) -> None:
        """Drop what has been seen up to now."""
        self._began_ns = now_ns()
        self._ask("forget", self._began_ns)

    def stop(self) -> None:
        """End it and return when it is gone. Calling it again does nothing."""
        self._stop()

    def _ask(self, *request: object) -> Any:
        return self._exchange(request)

    def _exchange(self, request: object) -> Any:
        with self._lock:
            try:
                self._control.send(request)
                outcome, value = self._control.recv()
            except (EOFError, OSError) as error:
                text = f"the proxy process has ended (status {self._process.wait()}); what it had seen is lost"
                raise ServerUnavailable(text) from error
        if outcome == "failed":
            raise ServerUnavailable(value)
        return value


def _checked(latency_ns: object) -> int:
    if isinstance(latency_ns, bool) or not isinstance(latency_ns, int) or latency_ns < 0:
        raise ValueError(f"latency_ns={latency_ns!r}: expected nanoseconds, an int of 0 or more")
    return latency_ns


def _start() -> tuple[Connection, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "redis_perf.proxy", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return Connection(ours.detach()), process


def _stop(control: Connection, process: subprocess.Popen[bytes]) -> None:
    control.close()
    process.wait()


def _disowning(proxy: weakref.ref[Proxy]) -> Callable[[], None]:
    """A forked child must not keep the proxy alive."""

    def disown() -> None:
        alive = proxy()
        if alive is not None and alive._stop.detach() is not None:
            alive._control.close()
            alive._process.returncode = 0

    return disown
