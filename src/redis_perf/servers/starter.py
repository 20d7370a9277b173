"""A process that starts servers for another one, which meanwhile has its interpreter to itself.

It has orders, each with a socket of its own. The server goes there once it answers, with what its first test needs: of
a Postgres the first database and connections to administer it, of a Redis what it is like when it is new. What went
wrong goes there instead. The other process says that it has taken the server; if it ends without, the server ends.
Then only the copy of the cluster for the next run is left to do here: a second later, or when the socket is closed.

It is nobody's child, so that no `os.wait()` of the other process ever meets it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
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
HANDED_OVER: dict[Store, tuple[str, ...]] = {
    "redis": ("redis_perf.servers.local_redis",),
    "postgres": ("redis_perf.servers.local_postgres", "redis_perf.servers.isolation.lending"),
}
"""The modules of what comes."""
WHILE_THEY_START = ("redis_perf.servers.isolation.lending", "redis_perf.servers.isolation.schema")
# Without the site's packages and what the environment tells Python: all else that is imported is found by the path
# given, where the tests' own directories may come first: a `secrets.py` there is not to hide Python's.
CODE = (
    "import os, sys; sys.path += [place for place in sys.argv[1].split(os.pathsep) if place not in sys.path]; "
    "from redis_perf.servers import starter; starter.main()"
)


class Order(NamedTuple):
    """A server to start: a choice of KINDS, and of a Postgres what the first test's database will be like."""

    store: Store
    choice: str
    isolation: str = "database"
    schema: str = ""
    """As `Schema.of` reads it, with the directory that its files are in."""
    root: str = ""


ORDER_WORDS = 1 + len(Order._fields)


class Ready(NamedTuple):
    """A server that answers, and a Postgres's databases."""

    server: LocalRedis | LocalPostgres
    lending: Lending | None = None


class Started:
    """That process, as the one sees it that has begun it."""

    def __init__(self, group: int, life: socket.socket, channels: list[socket.socket]) -> None:
        """`channels` are where each order's server will come; the other end of `life` is open while it lives."""
        self._group = group
        self._life = life
        self.channels = channels

    def ended(self, timeout_s: float) -> bool:
        """Whether it has, waiting so long for it."""
        self._life.settimeout(timeout_s)
        try:
            return not self._life.recv(1)
        except TimeoutError:
            return False

    def kill(self) -> None:
        """The guards of its servers, which are no part of its process group, then do what it should have done."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)

    def see_off(self, deadline_s: float) -> None:
        """Have it end what nobody has taken, and make the copies for later runs; return when it has ended.

        If it does not in time, it is killed.
        """
        for channel in self.channels:
            channel.close()
        with self._life:
            if not self.ended(deadline_s):
                self.kill()
                self.ended(deadline_s)


def start(orders: Sequence[Order]) -> Started:
    """Begin it. Raises OSError when it cannot be had."""
    if not sys.executable:
        raise FileNotFoundError("sys.executable does not say which Python to run")
    with contextlib.ExitStack() as kept, contextlib.ExitStack() as passed_on:
        pairs = [socket.socketpair() for _ in range(1 + len(orders))]
        life, *channels = [kept.enter_context(pair[0]) for pair in pairs]
        theirs = [passed_on.enter_context(pair[1]).fileno() for pair in pairs]
        words = [word for channel, order in zip(theirs[1:], orders, strict=True) for word in (str(channel), *order)]
        shell = _begun(words, theirs)
        for order in orders:  # while the shell is at work
            for module in HANDED_OVER[order.store]:
                import_module(module)
        shell.wait()
        kept.pop_all()
    return Started(shell.pid, life, channels)


def _begun(orders: list[str], sockets: list[int]) -> subprocess.Popen[bytes]:
    """A shell that ends as soon as it has begun it, in a process group that has the shell's id."""
    options = ["-B"] if sys.dont_write_bytecode else []
    if sys.pycache_prefix:
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    path = os.pathsep.join(place for place in sys.path if place)
    with own_children():
        return subprocess.Popen(
            ["sh", "-c", 'exec "$@" &', "sh", sys.executable, "-I", "-S", *options, "-c", CODE, path, *orders],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=sockets,
            start_new_session=True,  # out of reach of Ctrl-C
        )


def main() -> None:
    """Carry out the orders on the command line, all at once."""
    words: Any = iter(sys.argv[2:])
    orders = [
        (socket.socket(fileno=int(channel)), Order(*order))
        for channel, *order in zip(*[words] * ORDER_WORDS, strict=True)
    ]
    for _, order in orders:  # here, because two threads that import at once take longer than one of them
        import_module(f"redis_perf.servers.{_kind(order.choice)}")
    for channel, order in orders:
        threading.Thread(target=_carry_out, args=(channel, order)).start()
    for module in WHILE_THEY_START:
        import_module(module)


def _carry_out(channel: socket.socket, order: Order) -> None:
    with channel, contextlib.suppress(OSError):  # the other process has gone
        try:
            _hand_over(_redis(order.choice) if order.store == "redis" else _postgres(order), channel)
        except ServerUnavailable as error:
            handing_over.send(channel, ServerUnavailable(str(error)))


def _kind(choice: str) -> str:
    return choice.partition(":")[0]


def _redis(choice: str) -> Ready:
    server: Any = redis(choice)  # of KINDS, so it can be handed over
    try:
        server.look()
    except BaseException:
        server.stop()
        raise
    return Ready(server)


def _postgres(order: Order) -> Ready:
    from redis_perf.servers.isolation.lending import Lending

    server: Any = postgres(order.choice)  # likewise
    try:
        lending = Lending(server)
        with contextlib.suppress(ServerUnavailable):  # who asks for it will be told
            _make_ahead(lending, order)
    except BaseException:
        server.stop()
        raise
    return Ready(server, lending)


def _make_ahead(lending: Lending, order: Order) -> None:
    """The first database, unless programs have to fill it: a conftest.py may yet say how, in their environment."""
    schema = None
    if order.schema:
        from redis_perf.servers.isolation.schema import Schema

        schema = Schema.of(order.schema, Path(order.root))
    if schema is None or schema.only_sql:
        lending.begin(schema, order.isolation)


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
