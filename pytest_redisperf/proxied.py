"""The `redisperf_proxy` fixture: one test's servers through the proxies of the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from pytest_redisperf.latency import Latency
from pytest_redisperf.options import Settings
from pytest_redisperf.spending import Measuring
from pytest_redisperf.wire import Wire
from redis_perf.proxy.faults import Fault
from redis_perf.proxy.lying_in_wait import Lying
from redis_perf.proxy.upstream import Upstream


class WireFaults:
    """Faults that lie in wait until they are removed, or the test ends: see `redis_perf.proxy.faults`.

    A server is named by its store, which means the one of this test's URL, or by its address.
    """

    def __init__(self, wire: Wire, asked: Callable[[str], str]) -> None:
        self._wire = wire
        self._asked = asked

    def add(self, server: str, fault: Fault) -> Lying:
        """From now on it lies in wait there. Raises ValueError if there is no such server, or it cannot be befallen."""
        return self._wire.lie_in_wait(self._asked(server), fault)

    def clear(self) -> None:
        """Remove all of them."""
        self._wire.clear_faults()


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

    @property
    def faults(self) -> WireFaults:
        """`redisperf_proxy.faults.add("redis", Stall())`, `.clear()`."""
        return WireFaults(self._wire, self._server)

    def faulty(self, server: str, fault: Fault) -> AbstractContextManager[Lying]:
        """`with redisperf_proxy.faulty("redis", Reset("after")) as lying: ...`, then `lying.fired`."""
        return self._wire.faulty(self._server(server), fault)

    def _server(self, name: str) -> str:
        """The address of this test's own, where only the store is named."""
        fixtures = {"redis": "_redisperf_direct_redis_url", "postgres": "_redisperf_direct_postgres_dsn"}
        if name not in fixtures:
            return name
        url = self._request.getfixturevalue(fixtures[name])
        self._wire.through(name, url)  # type: ignore[arg-type]
        return Upstream.parse(name, url).shown

    def latency(self, latency: str) -> Latency:
        """Add this much (`"2ms"`) to each reply: until the test ends or, after `with`, the block.

        Raises ValueError for what is no time. At `"0ms"` counts are upper bounds.
        """
        return self._wire.latency(latency)
