"""A process that starts servers for another one, which meanwhile has its interpreter to itself.

It has orders, each with a socket of its own. The server goes there once it answers, with what its first test needs: of
a Postgres the first database and connections to administer it, of a Redis what it is like when it is new. What went
wrong goes there instead. The other process says that it has taken the server; if it ends without, the server ends.
Then only the copy of the cluster for the next run is left to do here: a second later, or when the socket is closed.

What cannot be handed over is not started, and the socket is closed: the other process has to start it itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from redis_perf.errors import ServerUnavailable
from redis_perf.own_children import own_children
from redis_perf.servers import handing_over, postgres, redis

if TYPE_CHECKING:
    from redis_perf.servers.isolation.lending import Lending
    from redis_perf.servers.local_postgres import LocalPostgres
    from redis_perf.servers.local_redis import LocalRedis
    from redis_perf.trace import Store

KINDS = ("embedded", "system")
"""Of servers that can be handed over."""
TAKEN = b"T"
LATER_S = 1.0
# Without the site's packages and what the environment tells Python: all else that is imported is found by the path
# given, where the tests' own directories may come first: a `secrets.py` there is not to hide Python's.
CODE = (
    "import os, sys; sys.path += [place for place in sys.argv[1].split(os.pathsep) if place not in sys.path]; "
    "from redis_perf.servers import starter; starter.main()"
)


class Order(NamedTuple):
    """A server to start: arguments of `servers.redis` or `servers.postgres`."""

    store: Store
    choice: str
    strict: bool


class Ready(NamedTuple):
    """A server that answers, and a Postgres's databases."""

    server: LocalRedis | LocalPostgres
    lending: Lending | None = None


def start(orders: Sequence[Order]) -> tuple[subprocess.Popen[bytes], list[socket.socket]]:
    """The process, and the socket where each order's server will come. Raises OSError when it cannot be had."""
    if not sys.executable:
        raise FileNotFoundError("sys.executable does not say which Python to run")
    with contextlib.ExitStack() as kept, contextlib.ExitStack() as passed_on:
        pairs = [socket.socketpair() for _ in orders]
        ours = [kept.enter_context(pair[0]) for pair in pairs]
        theirs = [passed_on.enter_context(pair[1]).fileno() for pair in pairs]
        words = [f"{channel} {' '.join(map(str, order))}" for channel, order in zip(theirs, orders, strict=True)]
        process = _begun(words, theirs)
        kept.pop_all()
    return process, ours


def _begun(orders: list[str], channels: list[int]) -> subprocess.Popen[bytes]:
    options = ["-B"] if sys.dont_write_bytecode else []
    if sys.pycache_prefix:
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    path = os.pathsep.join(place for place in sys.path if place)
    with own_children():
        return subprocess.Popen(
            [sys.executable, "-I", "-S", *options, "-c", CODE, path, *orders],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=channels,
            start_new_session=True,  # out of reach of Ctrl-C
        )


def main() -> None:
    """Carry out the orders on the command line, all at once."""
    orders = [_order(words) for words in sys.argv[2:]]
    for _, order in orders:  # here, because two threads that import at once take longer than one of them
        import_module(f"redis_perf.servers.{'embedded' if order.choice == 'auto' else _kind(order.choice)}")
    for channel, order in orders:
        threading.Thread(target=_carry_out, args=(channel, order)).start()


def _order(words: str) -> tuple[socket.socket, Order]:
    descriptor, store, choice, strict = words.split(" ")
    return socket.socket(fileno=int(descriptor)), Order(
        "redis" if store == "redis" else "postgres", choice, strict == "True"
    )


def _carry_out(channel: socket.socket, order: Order) -> None:
    with channel, contextlib.suppress(OSError):  # the other process has gone
        try:
            choice = _planned(order)
            if _kind(choice) in KINDS:
                _hand_over(_redis(choice) if order.store == "redis" else _postgres(choice), channel)
        except ServerUnavailable as error:
            handing_over.send(channel, ServerUnavailable(str(error)))


def _kind(choice: str) -> str:
    return choice.partition(":")[0]


def _planned(order: Order) -> str:
    if order.choice != "auto":
        return order.choice
    from redis_perf.servers.plan import planned

    return planned(order.store, "auto", strict=order.strict).choice


def _redis(choice: str) -> Ready:
    server: Any = redis(choice)  # of KINDS, so it can be handed over
    try:
        server.reset()  # the first one asks what a new server is like
    except BaseException:
        server.stop()
        raise
    return Ready(server)


def _postgres(choice: str) -> Ready:
    from redis_perf.servers.isolation.lending import Lending

    server: Any = postgres(choice)  # likewise
    try:
        lending = Lending(server)
        lending.begin()
    except BaseException:
        server.stop()
        raise
    return Ready(server, lending)


def _hand_over(ready: Ready, channel: socket.socket) -> None:
    try:
        handing_over.send(channel, ready)
        if channel.recv(1) == TAKEN:
            _leave_to(ready, channel)
    finally:
        ready.server.stop()


def _leave_to(ready: Ready, channel: socket.socket) -> None:
    """The other process, which closes the channel as soon as it wants what is made for later runs."""
    ready.server.disown()
    if ready.lending is not None:
        ready.lending.close()
    channel.settimeout(LATER_S)
    with contextlib.suppress(TimeoutError):
        channel.recv(1)
