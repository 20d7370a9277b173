"""The servers of one test run: started while tests are collected if they will be used, stopped when the run ends.

Each xdist worker is a run of its own here, so workers share nothing (but a server given by URL). A server that cannot
be had is not tried again: the first test that asks for it tells why, the others say which that was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import pytest

from pytest_redisperf.ahead import Ahead, Stoppable
from pytest_redisperf.options import Settings
from redis_perf import ServerUnavailable
from redis_perf.own_children import own_children

if TYPE_CHECKING:
    from redis_perf.servers import PostgresServer, RedisServer
    from redis_perf.trace import Store

Server = TypeVar("Server", bound=Stoppable)


class Servers(Generic[Server]):
    """As many servers of one kind as the neediest test asked for."""

    def __init__(self, config: pytest.Config, store: Store, start: Callable[[], Server]) -> None:
        self._config = config
        self._store = store
        self._starting = start
        self.begin: Callable[[Server], object] = lambda _: None
        """What else to do ahead, with the first one."""
        self._ahead: Ahead[Server] | None = None
        self._running: list[Server] = []
        self._failed_in = ""

    def start_ahead(self) -> None:
        """Begin to start the first one, without waiting for it."""
        if not self._running and self._ahead is None:
            self._ahead = Ahead(lambda: _ours(self._begun))

    def __getitem__(self, index: int) -> Server:
        while len(self._running) <= index:
            self._running.append(self._first() if not self._running else self.start())
        return self._running[index]

    def stop(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.stop()
        while self._running:
            self._running.pop().stop()

    def start(self) -> Server:
        """One that is not kept."""
        return started(self._config, self._starting)

    def _begun(self) -> Server:
        server = self._starting()
        try:
            self.begin(server)
        except BaseException:
            server.stop()
            raise
        return server

    def _first(self) -> Server:
        if self._failed_in:
            pytest.fail(f"redisperf: no {self._store} in this run, see the error of {self._failed_in}", pytrace=False)
        ahead, self._ahead = self._ahead, None
        try:
            return started(self._config, self._starting) if ahead is None else _had(ahead.result)
        except pytest.fail.Exception:
            self._failed_in = os.environ.get("PYTEST_CURRENT_TEST", "the first test that asked").partition(" (")[0]
            raise


class RunServers(NamedTuple):
    """Those of this run."""

    redis: Servers[RedisServer]
    postgres: Servers[PostgresServer]


_OF_RUN = pytest.StashKey[RunServers]()


def servers_of(config: pytest.Config) -> RunServers:
    """The ones of this run; none is started by asking."""
    running = config.stash.get(_OF_RUN, None)
    if running is None:
        from redis_perf import servers

        settings = Settings.of(config)
        strict, writes = settings.strict, settings.external_writes
        redis = Servers(config, "redis", lambda: servers.redis(settings.redis, strict=strict, external_writes=writes))
        postgres = Servers(
            config, "postgres", lambda: servers.postgres(settings.postgres, strict=strict, external_writes=writes)
        )
        running = config.stash[_OF_RUN] = RunServers(redis, postgres)
        config.add_cleanup(postgres.stop)
        config.add_cleanup(redis.stop)
    return running


def start_ahead(config: pytest.Config, stores: set[Store]) -> None:
    """Begin to start the servers of these stores; a fake one or one looked up by URL would gain nothing."""
    settings, running = Settings.of(config), servers_of(config)
    if "postgres" in stores and _takes_time(settings.postgres):
        from pytest_redisperf.isolation import isolation_of

        isolation = isolation_of(config)
        config.add_cleanup(isolation.close)
        running.postgres.begin = isolation.begin
        running.postgres.start_ahead()
    if "redis" in stores and _takes_time(settings.redis):
        running.redis.begin = _looked_at
        running.redis.start_ahead()


def _takes_time(choice: str) -> bool:
    """Imports what starting needs: here, because two threads that import at once take longer than one of them."""
    kind = choice.partition(":")[0]
    if kind in ("embedded", "system"):
        import_module(f"redis_perf.servers.{kind}")
        import_module("redis_perf.servers.isolation.lending")
    return choice != "fake" and "://" not in choice


def _looked_at(server: RedisServer) -> None:
    """The first reset asks what a new server is like."""
    if server.owned:
        server.reset()


def started(config: pytest.Config, start: Callable[[], Server]) -> Server:
    """One that answers. If it cannot be had the test fails, with the sentence that says why."""
    return _had(lambda: _ours(start))


def _had(get: Callable[[], Server]) -> Server:
    try:
        return get()
    except ServerUnavailable as error:
        problem = str(error)
    pytest.fail(f"redisperf: {problem}", pytrace=False)  # out here, or pytest would show what it was caused by as well


def _ours(start: Callable[[], Server]) -> Server:
    with own_children():
        return start()
