"""Real servers, both twins of the reference behind one face, and a relay that loses what it is told to lose."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from importlib import import_module
from inspect import iscoroutinefunction
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import redis.asyncio

import redis_perf_reference as sync_twin
import redis_perf_reference.asyncio as asyncio_twin
import redis_perf_reference.asyncio.flight as asyncio_flight
import redis_perf_reference.sync.flight as sync_flight
from redis_perf import ServerUnavailable, servers
from redis_perf.proxy import Proxy
from redis_perf.proxy.faults import Fault, Reset, Restart, When
from redis_perf.servers import topologies
from redis_perf.servers.redis_options import RedisOptions
from redis_perf_reference.resources import script

Server = TypeVar("Server", servers.RedisServer, servers.PostgresServer)


def started(start: Callable[[str], Server]) -> Server:
    try:
        return start("embedded")
    except ServerUnavailable as unavailable:
        if os.environ.get("REDISPERF_REQUIRE_SERVERS") == "1":
            raise
        pytest.skip(str(unavailable))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.RedisServer]:
    server = started(servers.redis)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lasting_redis_server() -> Iterator[servers.RedisServer]:
    """One that keeps an append-only log: what it executed is there again when it was killed and restarted."""
    server = started(lambda backend: topologies.redis_with(backend, RedisOptions(appendonly=True)))
    yield server
    server.stop()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """Before that Redis, a millisecond away."""
    with Proxy(redis=redis_url, latency_ns=1_000_000) as proxy:
        yield proxy


@pytest.fixture(params=["reset", "restart"])
def breaking(request: pytest.FixtureRequest, redis_server: Any) -> Callable[..., Fault]:
    """Makes the fault for one point."""

    def fault(server: str, side: Any, on: When) -> Fault:
        return Reset(side, on) if request.param == "reset" else Restart(redis_server, side, on)

    return fault


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    server = started(servers.postgres)
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: servers.RedisServer) -> str:
    """A Redis emptied before this test."""
    redis_server.reset()
    return redis_server.url


@pytest.fixture
def dsn(postgres_server: servers.PostgresServer) -> Iterator[str]:
    """A fresh database with the schema in it."""
    with postgres_server.database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            sync_twin.create_schema(sync_twin.OneConnection(connection))
        yield dsn


class World:
    """One twin on real servers. `redis` and `postgres` look at them from outside, past everything under test."""

    def __init__(self, twin: str, redis_url: str, dsn: str, stack: ExitStack) -> None:
        self.twin, self.redis_url, self.dsn, self._stack = twin, redis_url, dsn, stack
        self.redis = stack.enter_context(redis.Redis.from_url(redis_url))
        self.postgres = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        self._runner: Any = stack.enter_context(asyncio.Runner()) if twin == "asyncio" else None

    def memory(self, redis_url: str = "", dsn: str = "", client: dict[str, Any] | None = None, **options: Any) -> Any:
        """A WorkingMemory on connections of its own, to be called without await whichever twin it is.

        `client` are arguments for the Redis client; `before_postgres` is called before each statement.
        """
        redis_url, dsn = redis_url or self.redis_url, dsn or self.dsn
        build = self._sync if self._runner is None else self._asyncio
        return build(redis_url, dsn, client or {}, options)

    def other(self, **options: Any) -> Any:
        """A second, sync WorkingMemory, that may be called while the first one is at work."""
        return self._sync(self.redis_url, self.dsn, {}, options)

    def _sync(self, url: str, dsn: str, client: dict[str, Any], options: dict[str, Any]) -> Any:
        cache = redis.Redis.from_url(url, **client) if client else sync_twin.connect_redis(url, timeout_seconds=2)
        self._stack.callback(cache.close)
        connection = psycopg.connect(dsn, autocommit=True)
        self._stack.callback(connection.close)
        lender = Lender(connection, options.pop("before_postgres", None))
        return sync_twin.WorkingMemory(cache, lender, **options)

    def _asyncio(self, url: str, dsn: str, client: dict[str, Any], options: dict[str, Any]) -> Any:
        cache = (
            redis.asyncio.Redis.from_url(url, **client)
            if client
            else asyncio_twin.connect_redis(url, timeout_seconds=2)
        )
        self._stack.callback(lambda: self._runner.run(cache.aclose()))
        connection = self._runner.run(psycopg.AsyncConnection.connect(dsn, autocommit=True))
        self._stack.callback(lambda: self._runner.run(connection.close()))
        lender = AsyncLender(connection, options.pop("before_postgres", None))
        return Awaited(asyncio_twin.WorkingMemory(cache, lender, **options), self._runner)

    def turns(self, user_id: str) -> list[bytes]:
        return self.redis.lrange(f"working:{{{user_id}}}:turns", 0, -1)

    def saved(self, user_id: str) -> list[tuple[str, str, str]]:
        """(session, turn id, content) of every turn in Postgres, in order."""
        statement = "SELECT session_id, turn_id, content FROM messages WHERE user_id = %s ORDER BY position"
        return self.postgres.execute(statement, [user_id]).fetchall()


class Lender:
    """Lends one connection, and calls `before` each time."""

    def __init__(self, connection: Any, before: Callable[[], None] | None) -> None:
        self._connection, self._before = connection, before

    @contextmanager
    def connection(self) -> Iterator[Any]:
        if self._before is not None:
            self._before()
        yield self._connection


class AsyncLender(Lender):
    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:  # type: ignore[override]
        with super().connection() as connection:
            yield connection


class Awaited:
    """Calls an asyncio object's methods to the end, one at a time."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target, self._runner = target, runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not iscoroutinefunction(method):
            return method
        return lambda *args, **options: self._runner.run(method(*args, **options))


@pytest.fixture(params=["sync", "asyncio"])
def world(request: pytest.FixtureRequest, redis_url: str, dsn: str) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(request.param, redis_url, dsn, stack)


class Twin:
    """One twin's modules, called to the end without await. `redis` looks at the server from outside."""

    def __init__(self, name: str, redis_url: str, stack: ExitStack) -> None:
        self.name, self.redis_url, self._stack = name, redis_url, stack
        self.redis = stack.enter_context(redis.Redis.from_url(redis_url))
        self._runner: Any = stack.enter_context(asyncio.Runner()) if name == "asyncio" else None

    def module(self, name: str) -> Any:
        return import_module(f"redis_perf_reference.{self.name}.{name}")

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return function(*args, **options) if self._runner is None else self._runner.run(function(*args, **options))

    def face(self, target: Any) -> Any:
        return target if self._runner is None else Awaited(target, self._runner)

    def own(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The plain function, which may block, as this twin calls it."""
        return function if self._runner is None else lambda *args: asyncio.to_thread(function, *args)

    def closing(self, client: Any, close: str = "close") -> Any:
        """The client, closed at the end of the test."""
        self._stack.callback(lambda: self.run(getattr(client, close)))
        return client

    def client(self, redis_url: str = "", **options: Any) -> Any:
        """A RedisClient that waits long, as the machine may be busy."""
        client = self.module("client").RedisClient(redis_url or self.redis_url, **{"timeout_seconds": 5, **options})
        return self.closing(client)

    def together(self, calls: list[Callable[[], Any]]) -> list[Any]:
        """Begins all of these at once, and returns what they return or raise."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(call() for call in calls), return_exceptions=True)

        if self._runner is not None:
            return list(self._runner.run(gathered()))
        with ThreadPoolExecutor(len(calls)) as threads:
            futures = [threads.submit(call) for call in calls]
        return [future.exception() or future.result() for future in futures]

    def load_scripts(self, *names: str) -> None:
        for name in names:
            self.redis.script_load(script(name).text)

    def until_scripts_run(self, count: int) -> None:
        """Waits, within a loader, until the server has run so many since `config_resetstat`."""
        until = monotonic() + 20
        while self.redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"] < count:
            assert monotonic() < until, "it did not happen"

    def until(self, condition: Callable[[], Any]) -> None:
        """Looks again and again, while the background goes on; for what has no event."""
        until = monotonic() + 20
        while not condition():
            assert monotonic() < until, "it did not happen"
            if self._runner is not None:
                self._runner.run(asyncio.sleep(0.005))

    def until_ms_passed(self, ms: int) -> None:
        """Waits until so many have passed on the server's clock."""

        def now() -> float:
            seconds, microseconds = self.redis.time()
            return float(1000 * seconds + microseconds / 1000)

        until = now() + ms
        while now() < until:
            pass


@pytest.fixture(params=["sync", "asyncio"])
def twin(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Twin]:
    with ExitStack() as stack:
        yield Twin(request.param, redis_url, stack)


class Joined:
    """The callers that lead a load or wait for one. A reply that is on its way is not yet one of them."""

    def __init__(self) -> None:
        self._count = 0
        self._more = threading.Condition()

    def noting(self, found: Callable[..., tuple[bool, Any]]) -> Callable[..., tuple[bool, Any]]:
        def noted(flights: Any, name: Any) -> tuple[bool, Any]:
            known, flight = found(flights, name)
            with self._more:
                self._count += known
                self._more.notify_all()
            return known, flight

        return noted

    def until(self, count: int) -> None:
        """For loaders, which may block."""
        with self._more:
            assert self._more.wait_for(lambda: self._count >= count, 20), f"{self._count} have joined, not {count}"


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Joined:
    joined = Joined()
    for flights in (sync_flight.Flights, asyncio_flight.Flights):
        monkeypatch.setattr(flights, "_found", joined.noting(flights._found))
    return joined


class Relay:
    """Stands before a server on loopback. `mode` is read for each piece that passes:

    `pass`; `refuse` closes new and old connections; `hang` keeps what it reads; `lose_reply` hands requests on, and
    closes instead of handing back the reply, so the client never learns that its request was done.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.address = ""
        self._mode = "pass"
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = mode
        if mode == "refuse":
            self._close_all()

    def close(self) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                self._connect(self._listener.accept()[0])

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:  # which may be dead at this moment
            client.close()
            return
        self._sockets += [client, server]
        if self._mode == "refuse":  # looked at last: whoever sets it closes only what is among the sockets then
            self._close_all()
            return
        for source, target, replies in ((client, server, False), (server, client, True)):
            thread = threading.Thread(target=self._pump, args=(source, target, replies), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._mode == "hang":
                    self._ended.wait()
                if self._mode == "lose_reply" and replies:
                    break
                target.sendall(data)
        for end in (source, target):
            self._close(end)

    def _close_all(self) -> None:
        for end in self._sockets:
            self._close(end)

    @staticmethod
    def _close(end: socket.socket) -> None:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@pytest.fixture
def redis_relay(redis_url: str) -> Iterator[Relay]:
    """A relay before Redis; `redis_relay.address` leads through it."""
    server = urlsplit(redis_url)
    relay = Relay(server.hostname or "127.0.0.1", server.port or 6379)
    relay.address = f"redis://127.0.0.1:{relay.port}/0"
    yield relay
    relay.close()


@pytest.fixture
def postgres_relay(dsn: str) -> Iterator[Relay]:
    """A relay before Postgres; `postgres_relay.address` leads through it."""
    server = psycopg.conninfo.conninfo_to_dict(dsn)
    relay = Relay(str(server["host"]), int(server["port"] or 5432))
    relay.address = psycopg.conninfo.make_conninfo(dsn, host="127.0.0.1", port=relay.port)
    yield relay
    relay.close()
