"""The plugin object that measures; registered by `plugin` only when something asks for it.

It keeps the taps in place for the run, records the phases of the tests that are to be measured, hangs what each
spent on its TestReport and holds the call phase against the test's budget. A test's own failure always comes first.
A fault of this plugin itself becomes a pytest warning and changes no test's result; a tap that does not fit its
client is loud.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import ExceptionRepr

from pytest_redisperf.crashes import crashes_of
from pytest_redisperf.faults import OwnFaults
from pytest_redisperf.fixture_accounts import PHASE_RECORDING, PHASE_WINDOWS, RUNNING, WINDOWS, Accounting, fixtures_of
from pytest_redisperf.options import Limits, Settings
from pytest_redisperf.phase import Phase, is_quiet, operations, phase_of
from pytest_redisperf.spending import CALL, VERDICT, Record, Verdict, fail, recorder, verdict_of
from pytest_redisperf.summary import PerTestColumn, Summary, header
from pytest_redisperf.suspects import Suspects
from redis_perf import BudgetExceeded, NothingMeasured, TapError, Trace
from redis_perf.budget import Budget
from redis_perf.recording import pace, tapped
from redis_perf.report.junit import BROKEN, properties

if TYPE_CHECKING:
    from redis_perf.suite import When

BUDGET = pytest.StashKey[Budget]()
"""The budget of this test's own marker."""
PHASES = pytest.StashKey[dict[str, Phase]]()
"""What the phases spent, until their report is made; not of a setup or teardown that sent nothing. There from the start
if the call phase is to be recorded."""


class Metering:
    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._running = ExitStack()
        self._default = _suite_budget(settings.budget)
        self._record = recorder(config, settings)
        self._suspects = Suspects(config, settings) if settings.metered and settings.n_plus_one != "off" else None

    def start(self) -> None:
        """Put the taps in place. Raises UsageError when a client has not the hook points its tap needs."""
        try:
            self._running.enter_context(tapped(strict=self._settings.tap == "clients"))
        except TapError as error:
            raise pytest.UsageError(f"redisperf: {error}") from error
        if self._settings.slow:
            pace().latency_ns = self._settings.latency_ns or 0
            self._running.callback(setattr, pace(), "latency_ns", 0)
        if self._settings.metered:
            self._config.pluginmanager.register(Accounting(self._config), "redisperf-fixture-accounts")
            if not hasattr(self._config, "workerinput"):
                self._config.pluginmanager.register(
                    Summary(self._settings, crashes_of(self._config)), "redisperf-summary"
                )
                if self._config.get_verbosity() > 0:
                    self._config.pluginmanager.register(PerTestColumn(), "redisperf-per-test-column")
                if self._config.getoption("xmlpath", None):
                    from pytest_redisperf.junit import Totals

                    self._config.pluginmanager.register(Totals(self._config), "redisperf-junit")

    def expect(self, marked: list[pytest.Item], asking: list[pytest.Item]) -> None:
        """Read the markers; these and the tests that use the `redisperf` fixture have their call phase recorded."""
        problems = []
        for item in marked:
            for mark in reversed(list(item.iter_markers("redisperf"))):  # the closest comes last, and wins
                try:
                    item.stash[BUDGET] = _marked_budget(mark)
                except (TypeError, ValueError) as error:
                    problems.append(f"{item.nodeid}: @pytest.mark.redisperf: {error}")
        if problems:
            raise pytest.UsageError("\n".join(problems))
        for item in asking:
            item.stash.setdefault(PHASES, {})

    def pytest_collection_finish(self) -> None:
        """Test modules have imported their clients. In a worker of xdist its first test says what does not fit."""
        if self._settings.tap == "clients" and not hasattr(self._config, "workerinput"):
            try:
                with tapped():
                    pass
            except TapError as error:
                raise pytest.UsageError(f"redisperf: {error}") from error

    def pytest_report_header(self) -> str:
        with self._record() as nothing_yet:
            pass
        return header(nothing_yet.trace.taps, self._settings)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        with _Recorded(item, "setup", self._record) if self._settings.metered else nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        with _Recorded(item, "teardown", self._record) if self._settings.metered else nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        _begin_anew(item)
        call = _Recorded(item, "call", self._record, self._suspects)
        with call if self._call_matters(item) else nullcontext():
            result = yield
        if CALL in item.stash and not getattr(item, "_excinfo", None):  # where unittest keeps a test's failure
            self._hold_to_budget(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        phase = item.stash.get(PHASES, {}).pop(call.when, None)
        if phase is not None and self._settings.metered:
            report.redisperf = phase  # type: ignore[attr-defined]
        verdict = verdict_of(item, call)
        if verdict is not None:
            item.user_properties.append((BROKEN, verdict.broken))
            if call.when == "teardown":  # no other report follows, and this one was made with a copy
                report.user_properties = list(item.user_properties)
        if call.excinfo is not None and call.excinfo.errisinstance((BudgetExceeded, NothingMeasured)):
            _lead_with_the_number(report, call.excinfo)
        if call.when == "call" and VERDICT in item.stash:
            _point_at_the_test(report, item)
        if call.when == "teardown" and CALL in item.stash:
            del item.stash[CALL]  # the session keeps its items; it need not keep what each of them sent
        return report

    def pytest_unconfigure(self) -> None:
        self._running.close()

    def _call_matters(self, item: pytest.Item) -> bool:
        return self._settings.metered or self._default is not None or BUDGET in item.stash or PHASES in item.stash

    def _hold_to_budget(self, item: pytest.Item) -> None:
        found: Verdict | None = None
        with OwnFaults(item, "checking its budget"):
            overspent = self._overspent(item, item.stash[CALL].trace)
            suspected = self._suspects.verdict(item) if overspent is None and self._suspects is not None else None
            if overspent is not None:
                found = Verdict("budget", overspent)
            elif suspected is not None:
                found = Verdict("n-plus-one", suspected)
        if found is not None:
            fail(item, found)

    def _overspent(self, item: pytest.Item, trace: Trace) -> str | None:
        budget = item.stash.get(BUDGET, self._default)
        if budget is None:
            return None
        from redis_perf.check import check

        try:
            check(
                trace,
                budget,
                networks_ns=self._settings.networks_ns,
                verbosity=self._config.get_verbosity(),
                root=str(self._config.rootpath),
            )
        except (BudgetExceeded, NothingMeasured) as error:
            return str(error)
        return None


def _begin_anew(item: pytest.Item) -> None:
    """Where another plugin runs it again, what failed it before is forgotten."""
    if VERDICT in item.stash:
        del item.stash[VERDICT]
    item.user_properties[:] = [each for each in item.user_properties if each[0] != BROKEN]


class _Recorded:
    """One phase of one test, recorded."""

    def __init__(self, item: pytest.Item, when: When, record: Record, suspects: Suspects | None = None) -> None:
        self._item = item
        self._suspects = suspects
        self._when: When = when
        self._recording = record()

    def __enter__(self) -> None:
        with OwnFaults(self._item, f"recording its {self._when} phase"):
            self._recording.__enter__()
            self._item.stash[PHASE_RECORDING] = self._recording
            self._item.config.stash[RUNNING] = self._item
            if self._when == "call":
                self._item.stash[CALL] = self._recording

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with OwnFaults(self._item, f"reading what its {self._when} phase sent"):
            self._recording.__exit__(kind, error, traceback)
            trace = self._recording.trace
            windows = self._item.stash.setdefault(WINDOWS, [])
            self._item.stash[PHASE_WINDOWS] = tuple(windows)
            if self._when != "call" and is_quiet(trace):
                windows.clear()
                return
            phase = phase_of(trace, self._when)
            if self._suspects is not None:
                self._suspects.look(self._item, trace, phase, whole=kind is None)
            phase["fixtures"] = fixtures_of(trace, windows)
            windows.clear()
            self._item.stash.setdefault(PHASES, {})[self._when] = phase
            if self._when == "call" and operations(phase):
                self._item.user_properties += properties(phase, phase["depth"])  # type: ignore[arg-type]


def _lead_with_the_number(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Drop the exception's dotted name, which pytest puts before the message: the number is what matters."""
    if not isinstance(report.longrepr, ExceptionRepr) or report.longrepr.reprcrash is None:
        return
    name = f"{excinfo.type.__module__}.{excinfo.type.__qualname__}: "
    report.longrepr.reprcrash.message = report.longrepr.reprcrash.message.removeprefix(name)
    for entry in report.longrepr.reprtraceback.reprentries:
        entry.lines = [line.replace(name, "", 1) if line.startswith("E ") else line for line in entry.lines]


def _point_at_the_test(report: pytest.TestReport, item: pytest.Item) -> None:
    """`--tb=line` says where: for what a whole test spent that is the test, not the line of ours that failed it."""
    if isinstance(report.longrepr, ExceptionRepr) and report.longrepr.reprcrash is not None:
        file, line, _ = item.reportinfo()
        report.longrepr.reprcrash.path = str(file)
        report.longrepr.reprcrash.lineno = (line or 0) + 1


def _marked_budget(mark: pytest.Mark) -> Budget:
    if mark.args:
        raise TypeError(f"got {mark.args[0]!r} without a name; say what it limits, such as redis={mark.args[0]!r}")
    if not mark.kwargs:
        raise TypeError("got no limit; give at least one, such as redis=3")
    return Budget.of(**mark.kwargs)


def _suite_budget(limits: Limits | None) -> Budget | None:
    """The budget of every test; it says nothing about what a test does not use."""
    if not limits:
        return None
    counts = {name: limit for name, limit in limits.items() if isinstance(limit, int)}
    latency = limits.get("latency")
    try:
        return Budget.of(**counts, latency=None if latency is None else str(latency), allow_nothing=True)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"redisperf_budget: {error}") from error
