"""The pytest plugin `redisperf`: the hooks every run pays for.

They declare options, fixtures and the marker, and look whether anything asks to be measured. Only then is the rest
imported: `metering`, a second plugin that measures. Until a marker, a fixture or an option asks, no client is
imported, nothing is patched and no hook of ours runs beside a test.

Servers begin to start before the first test asks: when one that does is collected or, if pytest's cache remembers that
the same arguments led to tests with servers, before; with `-k` and the like, which leave tests out, when it is known
which are run.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from pytest_redisperf import fixtures, postgres_fixtures, redis_fixtures, topologies
from pytest_redisperf.option import declare
from pytest_redisperf.options import MARKERS, OPTIONS, Settings
from pytest_redisperf.report_options import REPORT_OPTIONS, Reports

if TYPE_CHECKING:
    from pytest_redisperf.metering import Metering
    from redis_perf.trace import Store

_SERVERS: dict[str, Store] = {"_redisperf_redis_servers": "redis", "_redisperf_postgres_servers": "postgres"}
_LEAVING_OUT = ("keyword", "markexpr", "lf", "deselect")
"""Options with which not all tests that are collected are run."""
_CLIENTS = {"redisperf_redis": "redis", "redisperf_postgres": "psycopg"}
_REMEMBERED = "redisperf/servers"
_MOST_REMEMBERED = 20

_ASKING = frozenset({"redisperf", "redisperf_proxy"})
_BEGUN = pytest.StashKey["set[Store]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    declare(parser, (*OPTIONS, *REPORT_OPTIONS))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before hypothesis is configured and looks for the profile it was told."""
    if config.getoption("--hypothesis-profile", None) == "redisperf":
        from redis_perf.grown_contents import register_profile

        register_profile()


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    for module in (fixtures, redis_fixtures, postgres_fixtures, topologies):
        config.pluginmanager.register(module, module.__name__.replace("pytest_redisperf.", "redisperf-"))
    settings = Settings.of(config)
    if settings.metered or settings.budget or settings.slow:
        _metering(config, settings)
    _report(config, Reports.of(config))
    if _will_run(config):
        _start_ahead(config, set(_remembered(config).get(_selection(config), ())))


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """The servers that `auto` took. Where something is measured, its own line names them."""
    settings = Settings.of(config)
    if config.pluginmanager.has_plugin("redisperf-metering") or "auto" not in (settings.redis, settings.postgres):
        return None
    from pytest_redisperf.header import servers

    named, passed_over = servers(settings)
    return [f"redisperf: {named}", *passed_over]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    if session.testsfailed or not _will_run(session.config):
        return
    stores = {store for item in session.items for store in _stores(item)}
    _start_ahead(session.config, stores)
    _remember(session.config, stores)
    _import_clients(session.items)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Who asks for our benchmark asks for `benchmark`: by that name `--benchmark-only` and pytest-codspeed select.

    Who asks for a server has it started.
    """
    names: list[str] = getattr(item, "fixturenames", [])
    if "redisperf_benchmark" in names and "benchmark" not in names:
        manager = item.session._fixturemanager
        if manager.getfixturedefs("benchmark", item):
            names.append("benchmark")
    stores = _stores(item) - _begun(item.config)
    if stores and _will_run(item.config) and not any(item.config.getoption(option, "") for option in _LEAVING_OUT):
        _start_ahead(item.config, stores)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("redisperf") is not None]
    asking = [item for item in items if not _ASKING.isdisjoint(getattr(item, "fixturenames", ()))]
    ignoring = [item for item in items if item.get_closest_marker("redisperf_ignore") is not None]
    if not (marked or asking or ignoring):
        return
    try:
        if marked or asking:
            _metering(config, Settings.of(config)).expect(marked, asking)
        if ignoring:
            from pytest_redisperf.suspects import check_markers

            check_markers(ignoring)
    except pytest.UsageError as error:
        if not hasattr(config, "workerinput"):
            raise
        config.pluginmanager.register(_Refusing({*marked, *asking, *ignoring}, str(error)))


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


def _report(config: pytest.Config, reports: Reports) -> None:
    """The plugins that make reports, each in the process that prints."""
    if reports.write_budgets is not None and not hasattr(config, "workerinput"):
        from pytest_redisperf.writing_budgets import WritingBudgets

        writing = WritingBudgets(config, write=reports.write_budgets == "write")
        config.pluginmanager.register(writing, "redisperf-writing-budgets")
    if reports.baseline is not None or reports.update_baseline is not None or reports.ratchet:
        from pytest_redisperf.baseline import register

        register(config, reports)
    if reports.repeat is not None:
        from pytest_redisperf import repeat

        repeat.register(config, reports.repeat)
    if reports.html or reports.json or reports.sarif or reports.trace or reports.github:
        from pytest_redisperf import gathering

        gathering.register(config, reports)


def _will_run(config: pytest.Config) -> bool:
    """Whether this process runs tests: it may only look at them, or have xdist's workers run them."""
    looks = ("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test")
    if any(config.getoption(option, False) for option in looks):
        return False
    distributes = config.getoption("dist", "no") != "no" and config.getoption("tx", None)  # as xdist decides it
    return hasattr(config, "workerinput") or not distributes


def _stores(item: pytest.Item) -> set[Store]:
    """Those whose servers it asks for."""
    names = getattr(item, "fixturenames", ())
    return {store for name, store in _SERVERS.items() if name in names}


def _start_ahead(config: pytest.Config, stores: set[Store]) -> None:
    if stores:
        from pytest_redisperf.servers import start_ahead

        start_ahead(config, stores)
        _begun(config).update(stores)


def _begun(config: pytest.Config) -> set[Store]:
    """Those that were told to start: most tests ask for what another one has asked for before."""
    return config.stash.setdefault(_BEGUN, set())


def _import_clients(items: list[pytest.Item]) -> None:
    """Those that fixtures will make, while the servers start: the first test would import them after waiting."""
    for fixture, module in _CLIENTS.items():
        if any(fixture in getattr(item, "fixturenames", ()) for item in items):
            with suppress(ImportError):  # the fixture says what to install
                import_module(module)


def _selection(config: pytest.Config) -> str:
    """What decides which tests are run, as far as we know before they are collected."""
    return " ".join([*config.args, config.getoption("keyword", ""), config.getoption("markexpr", "")])


def _remembered(config: pytest.Config) -> dict[str, list[Store]]:
    cache = getattr(config, "cache", None)  # -p no:cacheprovider
    remembered = cache.get(_REMEMBERED, None) if cache is not None else None
    return remembered if isinstance(remembered, dict) else {}


def _remember(config: pytest.Config, stores: set[Store]) -> None:
    """Which stores this selection of tests needs. A run without any writes nothing, but to forget."""
    remembered, selection = _remembered(config), _selection(config)
    if getattr(config, "cache", None) is None or set(remembered.get(selection, ())) == stores:
        return
    remembered.pop(selection, None)
    kept = dict([*remembered.items()][-_MOST_REMEMBERED:])
    if stores:
        kept[selection] = sorted(stores)
    config.cache.set(_REMEMBERED, kept)


class _Refusing:
    """In a worker of xdist a UsageError would be lost with the worker, so it becomes these tests' error."""

    def __init__(self, items: set[pytest.Item], problem: str) -> None:
        self._items = items
        self._problem = problem

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item in self._items:
            pytest.fail(self._problem, pytrace=False)
