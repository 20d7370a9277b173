"""The proxy process: listens before each upstream, does what it is told over the control connection, ends with it.

The owner sends `(verb, *arguments)`; each is answered with `("done", value)` or `("failed", text)`.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic_ns
from typing import TypeAlias

from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.ambushed import AmbushedRelay
from redis_perf.proxy.armed import Ambush
from redis_perf.proxy.dial import plain
from redis_perf.proxy.end import RESET
from redis_perf.proxy.faults import Fault
from redis_perf.proxy.ledger import Ledger
from redis_perf.proxy.loop import READ, Loop
from redis_perf.proxy.upstream import Address, Upstream
from redis_perf.trace import Trace

BACKLOG = 512
Door: TypeAlias = "tuple[str, str, Address | None]"
"""An upstream's name and URL, and where to listen; None: anywhere on the loopback."""


class Server:
    """All doors, all relays."""

    def __init__(self, control: Connection) -> None:
        self.hold_ns = 0
        self._control = control
        self._stack = ExitStack()
        self._ambushes: dict[str, Ambush] = {}

    def run(self) -> None:
        """Serve until the owner has gone."""
        with self._stack:
            try:
                doors, hold_ns = self._control.recv()
                places = self._open(doors)
            except EOFError:
                return
            except (ServerUnavailable, OSError) as error:
                self._control.send(("failed", str(error)))
                return
            self.latency(hold_ns)
            self._control.send(("done", places))
            self._loop.watch(self._control.fileno(), READ, self._told, first=False)
            self._loop.run()

    def _open(self, doors: Sequence[Door]) -> list[Address]:
        upstreams = [Upstream.parse(name, url) for name, url, _ in doors]
        self._ledger = Ledger(upstreams)
        self._ambushes = {upstream.name: Ambush() for upstream in upstreams}
        self._loop = Loop(self._ledger)
        return [self._listen(upstream, place) for upstream, (_, _, place) in zip(upstreams, doors, strict=True)]

    def _listen(self, upstream: Upstream, place: Address | None) -> Address:
        door = self._stack.enter_context(_bound(upstream, place, self._stack))
        door.setblocking(False)
        self._loop.watch(door.fileno(), READ, partial(self._accept, door, upstream), first=False)
        name = door.getsockname()
        return name if isinstance(name, str) else (name[0], name[1])

    def _accept(self, door: socket.socket, upstream: Upstream, _events: int) -> None:
        try:
            client, _ = door.accept()
        except OSError as error:  # gone again, or no descriptor left for it
            self._ledger.note(f"{upstream.name}: a connection could not be accepted: {error.strerror}")
            return
        ambush = self._ambushes[upstream.name]
        if ambush.refuses():
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        AmbushedRelay(plain(client), upstream, self._loop, self._ledger, self, ambush)

    def _told(self, _events: int) -> None:
        try:
            self._do(*self._control.recv())
        except (EOFError, OSError):  # the owner has gone
            self._loop.running = False

    def _do(self, verb: str, *arguments: object) -> None:
        self._loop.drain()
        verbs: dict[str, Callable[..., object]] = {
            "trace": self.trace,
            "latency": self.latency,
            "forget": self.forget,
            "arm": self.arm,
            "fired": self.fired,
            "disarm": self.disarm,
        }
        self._control.send(("done", verbs[verb](*arguments)))

    def trace(self, since_ns: int, until_ns: int | None) -> Trace:
        return self._ledger.trace(since_ns, monotonic_ns() if until_ns is None else until_ns)

    def forget(self, before_ns: int) -> None:
        self._ledger.forget(before_ns)

    def arm(self, name: str, key: int, fault: Fault) -> None:
        self._ambushes[name].add(key, fault)

    def fired(self, name: str, key: int) -> int:
        return self._ambushes[name].fired(key)

    def disarm(self, name: str, key: int) -> int:
        return self._ambushes[name].remove(key)

    def latency(self, hold_ns: int) -> None:
        self.hold_ns = hold_ns
        if not hold_ns:
            self._ledger.note(
                "round trips are an upper bound while the latency is 0: a client that is still sending cannot be told "
                "from one that goes on; 1 ms is enough"
            )


def _bound(upstream: Upstream, place: Address | None, stack: ExitStack) -> socket.socket:
    """Listening there, or at an address of its own choice of the upstream's kind."""
    if place is None and isinstance(upstream.address, str):
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="redisperf-"))
        place = str(Path(directory, upstream.socket_name))
    try:
        if isinstance(place, str):
            door = socket.socket(socket.AF_UNIX)
            door.bind(place)
            stack.callback(os.unlink, place)
            door.listen(BACKLOG)
            return door
        return socket.create_server(place or ("127.0.0.1", 0), backlog=BACKLOG)
    except OSError as error:
        raise ServerUnavailable(f"{upstream.name}: cannot listen at {place}: {error.strerror or error}") from error
