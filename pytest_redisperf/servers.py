"""The servers of one test run: started while tests are collected if they will be used, stopped when the run ends.

Each xdist worker is a run of its own here, so workers share nothing (but a server given by URL). A server that cannot
be had is not tried again: the first test that asks for it tells why, the others say which that was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pytest

from pytest_redisperf.elsewhere import HandedOver
from pytest_redisperf.options import Settings
from redis_perf import ServerUnavailable
from redis_perf.own_children import own_children
from redis_perf.servers import starter

if TYPE_CHECKING:
    import socket

    from pytest_redisperf.ahead import Ahead, Stoppable
    from redis_perf.servers import PostgresServer, RedisServer
    from redis_perf.servers.isolation.lending import Lending
    from redis_perf.trace import Store

Server = TypeVar("Server", bound="Stoppable")


SEEN_OFF_DEADLINE_S = 30.0
"""Far more than it takes to end servers that are just being started."""


class Servers(Generic[Server]):
    """As many servers of one kind as the neediest test asked for."""

    def __init__(self, config: pytest.Config, store: Store, start: Callable[[], Server]) -> None:
        self._config = config
        self._store = store
        self._starting = start
        self._ahead: Ahead[Server] | HandedOver[Server] | None = None
        self._running: list[Server] = []
        self._failed_in = ""
        self._when_asked = False

    @property
    def untouched(self) -> bool:
        """Whether none was begun, nor found to have to wait until it is asked for."""
        return not self._running and self._ahead is None and not self._when_asked

    def start_when_asked(self) -> None:
        """Nothing can be begun ahead, so it is not to be tried again."""
        self._when_asked = True

    def start_here(self, begin: Callable[[Server], object]) -> None:
        """Begin to start the first one in a thread, and what else is to be done with it ahead."""
        from pytest_redisperf.ahead import Ahead

        self._ahead = Ahead(lambda: _ours(lambda: self._begun(begin)))

    def expect(self, channel: socket.socket, lend: Callable[[Any], object]) -> None:
        """The first one is started by another process, which hands it over on this channel."""
        self._ahead = HandedOver(channel, lambda: _ours(self._starting), lend)

    def __getitem__(self, index: int) -> Server:
        while len(self._running) <= index:
            self._running.append(self._first() if not self._running else self.start())
        return self._running[index]

    def clean(self, index: int) -> Server:
        """This Redis, empty if it is ours. One that has just been started is, and a fake one would count what we do."""
        new = index >= len(self._running)
        server: Any = self[index]
        if server.owned and not server.fake:
            server.look() if new else server.reset()
        return server  # type: ignore[no-any-return]

    def stop(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.stop()
        while self._running:
            self._running.pop().stop()

    def start(self) -> Server:
        """One that is not kept."""
        return started(self._config, self._starting)

    def _begun(self, begin: Callable[[Server], object]) -> Server:
        server = self._starting()
        try:
            begin(server)
        except BaseException:
            server.stop()
            raise
        return server

    def _first(self) -> Server:
        if self._failed_in:
            pytest.fail(f"redisperf: no {self._store} in this run, see the error of {self._failed_in}", pytrace=False)
        try:
            return started(self._config, self._starting) if self._ahead is None else _had(self._ahead.result)
        except pytest.fail.Exception:
            self._failed_in = os.environ.get("PYTEST_CURRENT_TEST", "the first test that asked").partition(" (")[0]
            raise


class RunServers(NamedTuple):
    """Those of this run."""

    redis: Servers[RedisServer]
    postgres: Servers[PostgresServer]

    def of(self, store: Store) -> Servers[Any]:
        return self.redis if store == "redis" else self.postgres


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
    orders: list[starter.Order] = []
    for store in sorted(stores):
        servers, choice = running.of(store), settings.redis if store == "redis" else settings.postgres
        if not servers.untouched or choice == "fake" or "://" in choice:
            continue
        if choice == "auto":
            from redis_perf.servers.plan import at_hand

            choice = at_hand(store)
        if choice.startswith(starter.KINDS):
            root = str(config.rootpath)
            orders.append(starter.Order(store, choice, settings.isolation, settings.schema or "", root))
        elif "://" not in choice:  # an engine's client cannot be handed over, and `auto` may have to ask one
            servers.start_here(_looked_at if store == "redis" else _with_database(config))
    if orders:
        try:
            _start_elsewhere(config, running, orders)
        except OSError:
            for order in orders:
                running.of(order.store).start_when_asked()


def _start_elsewhere(config: pytest.Config, running: RunServers, orders: list[starter.Order]) -> None:
    begun = starter.start(orders)
    config.add_cleanup(partial(begun.see_off, SEEN_OFF_DEADLINE_S))
    for order, channel in zip(orders, begun.channels, strict=True):
        running.of(order.store).expect(channel, partial(_lend, config))


def _lend(config: pytest.Config, lending: Lending) -> None:
    from pytest_redisperf.isolation import isolation_of

    isolation_of(config).lend(lending)


def _looked_at(server: Any) -> None:
    if server.owned and not server.fake:
        server.look()


def _with_database(config: pytest.Config) -> Callable[[PostgresServer], None]:
    from pytest_redisperf.isolation import isolation_of

    return isolation_of(config).begin


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
