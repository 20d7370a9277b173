"""The pytest plugin `redisperf`: the hooks every run pays for.

They declare options, fixtures and the marker, and look whether anything asks to be measured. Only then is the rest
imported: `metering`, a second plugin that measures. Until a marker, a fixture or an option asks, no client is
imported, nothing is patched and no hook of ours runs beside a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_redisperf import fixtures
from pytest_redisperf.options import MARKERS, OPTIONS, Settings, declare

if TYPE_CHECKING:
    from pytest_redisperf.metering import Metering


_ASKING = frozenset({"redisperf", "redisperf_proxy"})


def pytest_addoption(parser: pytest.Parser) -> None:
    declare(parser, OPTIONS)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(fixtures, "redisperf-fixtures")
    settings = Settings.of(config)
    if settings.metered or settings.budget:
        _metering(config, settings)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("redisperf") is not None]
    asking = [item for item in items if not _ASKING.isdisjoint(getattr(item, "fixturenames", ()))]
    if not (marked or asking):
        return
    try:
        _metering(config, Settings.of(config)).expect(marked, asking)
    except pytest.UsageError as error:
        if not hasattr(config, "workerinput"):
            raise
        config.pluginmanager.register(_Refusing({*marked, *asking}, str(error)))


def _metering(config: pytest.Config, settings: Settings) -> Metering:
    """The plugin that measures, registered on first need."""
    registered: Metering | None = config.pluginmanager.get_plugin("redisperf-metering")
    if registered is not None:
        return registered
    from pytest_redisperf.metering import Metering

    metering = Metering(config, settings)
    metering.start()
    config.pluginmanager.register(metering, "redisperf-metering")
    return metering


class _Refusing:
    """In a worker of xdist a UsageError would be lost with the worker, so it becomes these tests' error."""

    def __init__(self, items: set[pytest.Item], problem: str) -> None:
        self._items = items
        self._problem = problem

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item in self._items:
            pytest.fail(self._problem, pytrace=False)
