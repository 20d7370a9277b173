"""`--redisperf-repeat=N`: each test is run N times, to see which counts are the same each time.

Fixtures of function scope are made anew for each run, those of wider scopes stay. A test has one result: that of its
first run that failed, else of its first run. Counts that vary are told with what only the dearer runs did.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from pytest_redisperf.faults import OwnFaults
from pytest_redisperf.spending import CALL
from redis_perf.analysis.repetition import Variation, variations
from redis_perf.report.units import count
from redis_perf.trace import Trace

RUNS = pytest.StashKey[list[Trace]]()


class Repeating:
    """In every process that runs tests."""

    def __init__(self, times: int) -> None:
        self._times = times

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.stash[RUNS] = []
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._chosen(item, nextitem):
            if report.when == "call":
                report.redisperf_varies = self._told(item)  # type: ignore[attr-defined]
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        del item.stash[RUNS]
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        result = yield
        with OwnFaults(item, "comparing its runs"):
            item.stash[RUNS].append(item.stash[CALL].trace)
        return result

    def _chosen(self, item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """The reports of the run that counts. Between runs only the test itself is torn down, not what it shares."""
        runs: list[list[pytest.TestReport]] = []
        for more in reversed(range(self._times)):
            following: Any = item.parent if more else nextitem
            runs.append(runtestprotocol(item, log=False, nextitem=following))
        failed = (reports for reports in runs if any(not report.passed for report in reports))
        return next(failed, runs[0])

    def _told(self, item: pytest.Item) -> list[str]:
        told: list[str] = []
        with OwnFaults(item, "comparing its runs"):
            traces = item.stash[RUNS]
            told = [_text(variation) for variation in variations(traces)]
        return told


class Telling:
    """In the process that prints."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._tests = 0
        self._varying: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told: list[str] | None = getattr(report, "redisperf_varies", None)
        if told is not None:
            self._tests += 1
            if told:
                self._varying[report.nodeid] = told

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_sep("=", "redisperf repeat")
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        for test, told in self._varying.items():
            yield from (f"varies: {test}: {line}" for line in told)
        varying = len(self._varying)
        runs = f"{count(self._tests, 'test')} run {count(self._times, 'time')}"
        yield f"{runs} each: {varying or 'none'} of them {'varies' if varying == 1 else 'vary'} in what was spent"


def register(config: pytest.Config, times: int) -> None:
    config.pluginmanager.register(Repeating(times), "redisperf-repeating")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Telling(times), "redisperf-repeat")


def _text(variation: Variation) -> str:
    counts = ", ".join(map(str, variation.counts))
    why = f": {' and '.join(variation.causes)}" if variation.causes else ": the traces do not tell why"
    return f"{variation.store} {variation.measure.replace('_', ' ')} {counts}{why}"
