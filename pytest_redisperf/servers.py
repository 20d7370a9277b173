"""The servers of one test run: started when first asked for, stopped when the run ends.

Each xdist worker is a run of its own here, so workers share nothing (but a server given by URL).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import pytest

from pytest_redisperf.options import Settings
from redis_perf import ServerUnavailable, record

OWN_CHILDREN = pytest.StashKey[int]()
"""Processes we started ourselves and no summary has left out yet."""


class Stoppable(Protocol):
    def stop(self) -> None: ...


Server = TypeVar("Server", bound=Stoppable)


class Servers(Generic[Server]):
    """As many servers of one kind as the neediest test asked for."""

    def __init__(self, config: pytest.Config, start: Callable[[], Server]) -> None:
        self._config = config
        self._starting = start
        self._running: list[Server] = []

    def __getitem__(self, index: int) -> Server:
        while len(self._running) <= index:
            self._running.append(self.start())
        return self._running[index]

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()

    def start(self) -> Server:
        """One that is not kept."""
        return started(self._config, self._starting)


def started(config: pytest.Config, start: Callable[[], Server]) -> Server:
    """One that answers. If it cannot be had the test fails, with the sentence that says why."""
    try:
        if not config.pluginmanager.has_plugin("redisperf-metering") or Settings.of(config).tap == "proxy":
            return start()  # nobody counts processes
        with record() as starting:
            server = start()
    except ServerUnavailable as error:
        pytest.fail(f"redisperf: {error}", pytrace=False)
    config.stash[OWN_CHILDREN] = config.stash.get(OWN_CHILDREN, 0) + starting.trace.children
    return server
