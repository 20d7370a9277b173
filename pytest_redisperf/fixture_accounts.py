"""What each fixture spends: in its setup and in its teardown, charged to the test whose phase ran it.

While the user's code runs only the time is noted; the round trips of the phase are then given to the fixture that was
at work when they began, the innermost if it had asked for others. `--setup-show` has the numbers in place, the summary
adds them up.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple, TypedDict

import pytest

from redis_perf import Recording, Trace
from redis_perf.recorder import now_ns
from redis_perf.report.units import count
from redis_perf.trace import STORES, Store

SHOWN = 10


class FixtureSpending(TypedDict):
    """As it travels on a TestReport. Round trips of every purpose: connecting is what fixtures are for."""

    name: str
    scope: str
    when: str
    redis: int
    postgres: int


class Window(NamedTuple):
    """When a fixture was at work."""

    name: str
    scope: str
    when: str
    since_ns: int
    until_ns: int


WINDOWS = pytest.StashKey[list[Window]]()
"""Of the phase that runs."""
PHASE_WINDOWS = pytest.StashKey[tuple[Window, ...]]()
"""Of the phase that ended last."""
PHASE_RECORDING = pytest.StashKey[Recording]()
"""Of the phase that runs, if it is recorded."""


def inner_first(windows: Iterable[Window]) -> list[Window]:
    """A fixture that another asked for was at work for a shorter time than that one."""
    return sorted(windows, key=lambda window: window.until_ns - window.since_ns)


def at_work(windows: Iterable[Window], at_ns: int) -> Window | None:
    """The first of these fixtures that was at work then."""
    return next((window for window in windows if window.since_ns <= at_ns < window.until_ns), None)


def fixtures_of(trace: Trace, windows: Iterable[Window]) -> list[FixtureSpending]:
    """The fixtures that spent something, in the order they ended."""
    trips = trace.round_trips
    began_ns, ended_ns = (trips[0].started_ns, trips[-1].started_ns) if trips else (0, -1)
    inner = inner_first(window for window in windows if window.since_ns <= ended_ns and began_ns < window.until_ns)
    sums: dict[Window, dict[Store, int]] = {}
    for trip in trace.every.charged if inner else ():
        window = at_work(inner, trip.started_ns) if trip.answer == "complete" else None
        if window is not None:
            sums.setdefault(window, dict.fromkeys(STORES, 0))[trip.store] += 1
    ended = sorted(sums, key=lambda window: window.until_ns)
    return [
        FixtureSpending(name=each.name, scope=each.scope, when=each.when, **sums[each])  # type: ignore[typeddict-item]
        for each in ended
    ]


class Accounting:
    """In every process that runs tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shows = config.getoption("setupshow", False)
        self._told: list[FixtureSpending] = []
        if self._shows:
            config.pluginmanager.register(_AtTheEnd(self), "redisperf-fixtures-shown")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        item: pytest.Item = request._pyfuncitem
        began: list[int] = []
        # What was added last is called first; what the fixture itself adds comes in between.
        fixturedef.addfinalizer(lambda: self._note(item, fixturedef, "teardown", began.pop()) if began else None)
        since_ns = now_ns()
        try:
            return (yield)
        finally:
            self._note(item, fixturedef, "setup", since_ns)
            fixturedef.addfinalizer(lambda: began.append(now_ns()))

    def _note(self, item: pytest.Item, fixturedef: pytest.FixtureDef[Any], when: str, since_ns: int) -> None:
        item = self._config.stash.get(RUNNING, item)
        window = Window(fixturedef.argname, fixturedef.scope, when, since_ns, now_ns())
        item.stash.setdefault(WINDOWS, []).append(window)
        if self._shows and PHASE_RECORDING in item.stash:
            self._told += fixtures_of(item.stash[PHASE_RECORDING].trace, [window])
            if when == "setup":
                self.show()

    def show(self) -> None:
        """Beside the line that `--setup-show` has printed."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is not None and capture is not None and self._told:
            with capture.global_and_fixture_disabled():
                reporter._tw.write("".join(f" ({numbers(spent)} in this {spent['when']})" for spent in self._told))
        self._told.clear()


class _AtTheEnd:
    """With `--setup-show`: a hook that every fixture pays for."""

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_post_finalizer(self) -> Generator[None, object, object]:
        result = yield
        self._accounting.show()
        return result


RUNNING = pytest.StashKey[pytest.Item]()
"""In the config: the test whose phase runs. A fixture of a wider scope is torn down after another test than it was set
up for."""


def numbers(spent: FixtureSpending) -> str:
    """`2 redis and 1 postgres round trips`."""
    parts = [f"{spent[store]} {store}" for store in STORES if spent[store]]
    return f"{' and '.join(parts)} {'round trip' if spent['redis'] + spent['postgres'] == 1 else 'round trips'}"


def lines(spendings: Iterable[FixtureSpending]) -> Iterator[str]:
    """The fixtures that spent most, over all tests; nothing where none did."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for spent in spendings:
        into = sums.setdefault((spent["name"], spent["scope"], spent["when"]), [0, 0, 0])
        for at, number in enumerate((spent["redis"], spent["postgres"], 1)):
            into[at] += number
    if sums:
        yield "by fixture, connecting included:"
    dearest = sorted(sums.items(), key=lambda one: (-one[1][0] - one[1][1], one[0]))
    for (name, scope, when), (redis, postgres, times) in dearest[:SHOWN]:
        yield f"{redis:>7} {postgres:>9}  {name} ({scope}), {when} {count(times, 'time')}"
    if len(dearest) > SHOWN:
        yield f"{'':19}... and {count(len(dearest) - SHOWN, 'more fixture')}"
