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

from redis_perf.certificates import Certificates
from redis_perf.endpoint import named
from redis_perf.errors import ServerUnavailable
from redis_perf.proxy.ambushed import AmbushedRelay
from redis_perf.proxy.armed import Ambush
from redis_perf.proxy.dial import plain
from redis_perf.proxy.door import Door
from redis_perf.proxy.end import RESET
from redis_perf.proxy.faults import Fault
from redis_perf.proxy.ledger import Ledger
from redis_perf.proxy.loop import READ, Loop
from redis_perf.proxy.secrecy import Secrecy
from redis_perf.proxy.upstream import Address, Upstream
from redis_perf.trace import Trace

BACKLOG = 512
Place: TypeAlias = "tuple[str, str, Address | None]"
"""An upstream's name and URL, and where to listen; None: anywhere on the loopback."""


class Server:
    """All doors, all relays."""

    def __init__(self, control: Connection) -> None:
        self.hold_ns = 0
        self._control = control
        self._stack = ExitStack()
        self._ambushes: dict[str, Ambush] = {}
        self._secrecies: dict[str, Secrecy] = {}
        self._certificates: Certificates | None = None

    def run(self) -> None:
        """Serve until the owner has gone."""
        with self._stack:
            try:
                doors, hold_ns, tls = self._control.recv()
                places = self._open(doors, tls=tls)
            except EOFError:
                return
            except (ServerUnavailable, OSError) as error:
                self._control.send(("failed", str(error)))
                return
            self.latency(hold_ns)
            self._control.send(("done", (places, self._certificates and self._certificates.ca_path)))
            self._loop.watch(self._control.fileno(), READ, self._told, first=False)
            self._loop.run()

    def _open(self, doors: Sequence[Place], *, tls: bool) -> list[Address]:
        if tls:
            hosts = [place[0] for _, _, place in doors if isinstance(place, tuple)]
            self._certificates = self._stack.enter_context(Certificates.temporary(*hosts))
        self._ledger = Ledger()
        self._loop = Loop(self._ledger)
        return [self.add(*door) for door in doors]

    def add(self, name: str, url: str, place: Address | None) -> Address:
        """Stand before one more. Returns where."""
        upstream = Upstream.parse(name, url)
        secrecy = Secrecy.of(upstream, self._certificates)
        sock = self._stack.enter_context(_bound(upstream, place, self._stack, tls=self._certificates is not None))
        self._secrecies[name], self._ambushes[name] = secrecy, Ambush()
        self._ledger.add(upstream)
        Door(sock, self._loop, partial(self._come, upstream), lambda text: self._ledger.note(f"{name}: {text}"))
        address = sock.getsockname()
        return address if isinstance(address, str) else (address[0], address[1])

    def _come(self, upstream: Upstream, client: socket.socket) -> None:
        ambush = self._ambushes[upstream.name]
        if ambush.refuses():
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        secrecy = self._secrecies[upstream.name]
        AmbushedRelay(plain(client), upstream, self._loop, self._ledger, self, secrecy, ambush)

    def _told(self, _events: int) -> None:
        try:
            self._do(*self._control.recv())
        except (EOFError, OSError):  # the owner has gone
            self._loop.running = False

    def _do(self, verb: str, *arguments: object) -> None:
        self._loop.drain()
        verbs: dict[str, Callable[..., object]] = {
            "add": self.add,
            "trace": self.trace,
            "latency": self.latency,
            "forget": self.forget,
            "arm": self.arm,
            "fired": self.fired,
            "disarm": self.disarm,
        }
        try:
            answer = "done", verbs[verb](*arguments)
        except (ServerUnavailable, OSError) as error:
            answer = "failed", str(error)
        self._control.send(answer)

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
        self._ledger.holds(hold_ns)


def _bound(upstream: Upstream, place: Address | None, stack: ExitStack, *, tls: bool) -> socket.socket:
    """Listening there, or at an address of its own choice of the upstream's kind; TLS is spoken on TCP alone."""
    if tls and isinstance(place, str):
        raise ServerUnavailable(
            f"{upstream.name}: TLS is not spoken on a Unix socket ({place}); give a host and a port"
        )
    if place is None and isinstance(upstream.address, str) and not tls:
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
        where = place if isinstance(place, str) else named(place)
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ServerUnavailable(
            f"{upstream.name}: cannot listen at {where or 'any port'}: {why}; give another place, or none"
        ) from error
