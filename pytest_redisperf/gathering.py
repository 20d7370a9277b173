"""The run as one `Suite`, for every report about more than one test, and the files of those that were asked for.

Each process that runs tests hands on what their phases sent: to this process directly, from a worker of xdist as plain
text on the TestReport. The process that prints gathers; it alone makes the suite and writes. What is missing from it (a
worker crashed, the run was stopped) stands in `Suite.incomplete`. Another report asks `suite_of(config)` once the tests
have run.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import astuple, replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import pytest

from pytest_redisperf.faults import OwnFaults
from pytest_redisperf.fixture_accounts import PHASE_RECORDING, PHASE_WINDOWS, Window
from pytest_redisperf.options import Settings
from pytest_redisperf.report_options import Reports
from pytest_redisperf.spending import VERDICT
from pytest_redisperf.suspects import MEANT
from redis_perf import BudgetExceeded, NothingMeasured, Problem, Recording, Site, Trace
from redis_perf.analysis.baseline import Entry
from redis_perf.report.compact import packed, unpacked
from redis_perf.report.secrets import redacted
from redis_perf.report.units import size
from redis_perf.report_formats import Reporting
from redis_perf.suite import WHENS, FixtureSpent, Meant, Outcome, Suite, Tested, When
from redis_perf.whole_file import write_whole

NAME = "redisperf-gathering"
SILENT_S = 2.0
"""Writing that takes longer says how far it is."""
FILES = ("html", "json", "sarif", "trace")
"""Fields of Reports that name a file, and the formats of `redis_perf.report_formats` that go into it."""


class Sent(NamedTuple):
    """What one phase sent. `verdict` is the text, if a budget failed it."""

    trace: Trace
    windows: tuple[Window, ...]
    verdict: str | None
    meant: tuple[Meant, ...] = ()

    def plain(self) -> str:
        """As ASCII text: what travels between processes cannot hold half a character, and a trace can."""
        meant = [[each.shape, *astuple(each.site)] for each in self.meant]
        return json.dumps([packed(self.trace), self.windows, self.verdict, meant], separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Sent:
        trace, windows, verdict, meant = json.loads(text)
        return cls(
            unpacked(trace),
            tuple(Window(*window) for window in windows),
            verdict,
            tuple(Meant(shape=shape, site=Site(*site)) for shape, *site in meant),
        )


class Handing:
    """In every process that runs tests."""

    def __init__(self, *, away: bool) -> None:
        self._away = away
        self._sent: WeakKeyDictionary[pytest.TestReport, Sent] = WeakKeyDictionary()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        with OwnFaults(item, f"handing on what its {call.when} phase sent"):
            recording = item.stash.get(PHASE_RECORDING, None)
            if recording is not None and _ended(recording) and call.when in WHENS:
                meant = item.stash.get(MEANT, []) if call.when == "call" else []
                windows = item.stash.get(PHASE_WINDOWS, ())
                sent = Sent(recording.trace, windows, _verdict(item, call), tuple(meant))
                if self._away:
                    report.redisperf_sent = sent.plain()  # type: ignore[attr-defined]
                else:
                    self._sent[report] = sent
                del item.stash[PHASE_RECORDING]
        return report

    def take(self, report: pytest.TestReport) -> Sent | None:
        """What came with the report, once."""
        text: str | None = report.__dict__.pop("redisperf_sent", None)
        return self._sent.pop(report, None) if text is None else Sent.of(text)


def _ended(recording: Recording) -> bool:
    """A phase may make reports on its way: those of its subtests."""
    return recording.recorder is None


def _verdict(item: pytest.Item, call: pytest.CallInfo[None]) -> str | None:
    verdict = item.stash.get(VERDICT, None)
    if verdict is not None:
        del item.stash[VERDICT]
    elif call.excinfo is not None and call.excinfo.errisinstance((BudgetExceeded, NothingMeasured)):
        verdict = str(call.excinfo.value)
    return verdict


class _Test:
    """One test while its reports come in."""

    def __init__(self, report: pytest.TestReport) -> None:
        self._nodeid = report.nodeid
        self._file, self._line, _ = report.location
        self._outcome: Outcome = "passed"
        self._phases: dict[When, Trace] = {}
        self._fixtures: list[FixtureSpent] = []
        self._verdict: str | None = None
        self._meant: tuple[Meant, ...] = ()

    def add(self, report: pytest.TestReport, sent: Sent | None) -> None:
        if report.when == "setup":  # anew, where another plugin runs it again
            self._phases, self._fixtures, self._verdict, self._meant = {}, [], None, ()
        self._outcome = _outcome(report, self._outcome)
        if sent is not None and report.when in WHENS:
            self._phases[report.when] = _redacted(sent.trace)
            self._fixtures += _fixtures(sent)
            self._verdict = sent.verdict or self._verdict
            self._meant += sent.meant

    def tested(self) -> Tested:
        return Tested(
            nodeid=redacted(self._nodeid),
            outcome=self._outcome,
            file=self._file.replace("\\", "/"),
            line=None if self._line is None else self._line + 1,
            phases=self._phases,
            fixtures=tuple(self._fixtures),
            verdict=None if self._verdict is None else redacted(self._verdict),
            meant=self._meant,
        )


def _outcome(report: pytest.TestReport, before: Outcome) -> Outcome:
    expected = hasattr(report, "wasxfail")
    if report.failed:
        return "failed" if report.when != "setup" and (report.when != "teardown" or before == "failed") else "error"
    if report.skipped:
        return "xfailed" if expected else "skipped"
    if report.when == "call":
        return "xpassed" if expected else "passed"
    return "passed" if report.when == "setup" else before


def _redacted(trace: Trace) -> Trace:
    if not trace.problems and not trace.notes:
        return trace
    problems = tuple(
        Problem(redacted(each), each.store, each.server, each.name) if isinstance(each, Problem) else redacted(each)
        for each in trace.problems
    )
    return replace(trace, problems=problems, notes=tuple(map(redacted, trace.notes)))


def _fixtures(sent: Sent) -> Iterator[FixtureSpent]:
    """Each round trip and connection goes to the fixture that was at work, the innermost if several were."""
    inner_first = sorted(sent.windows, key=lambda window: window.until_ns - window.since_ns)
    if not inner_first or not (sent.trace.round_trips or sent.trace.opened):
        return
    trips, opened = ({window: [] for window in inner_first} for _ in range(2))  # type: ignore[var-annotated]
    for into, seen in ((trips, sent.trace.round_trips), (opened, sent.trace.opened)):
        for each in seen:
            at_ns = each.at_ns if into is opened else each.started_ns  # type: ignore[union-attr]
            window = next((one for one in inner_first if one.since_ns <= at_ns < one.until_ns), None)
            if window is not None:
                into[window].append(each)
    for window in sorted(inner_first, key=lambda window: window.until_ns):
        if trips[window] or opened[window]:
            trace = Trace(tuple(trips[window]), tuple(opened[window]), purposes=sent.trace.purposes)
            yield FixtureSpent(name=window.name, scope=window.scope, when=window.when, trace=trace)  # type: ignore[arg-type]


class Gathering:
    """In the process that prints."""

    def __init__(self, config: pytest.Config, handing: Handing, reports: Reports) -> None:
        self._config = config
        self._handing = handing
        self._files = {form: _target(config, form, reports) for form in FILES if getattr(reports, form)}
        self._github = bool(reports.github)
        self._tests: dict[str, _Test] = {}
        self._crashed: dict[str, str | None] = {}
        self._stopped: str | None = None
        self._suite: Suite | None = None
        self._reporting: Reporting | None = None
        self._told: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self._tests.get(report.nodeid)
        if test is None:
            test = self._tests[report.nodeid] = _Test(report)
        test.add(report, self._handing.take(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            self._crashed.setdefault(node.gateway.id, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        self._crashed[report.node.gateway.id] = crashitem

    @property
    def suite(self) -> Suite:
        """What has been gathered so far."""
        if self._suite is None:
            settings = Settings.of(self._config)
            return Suite(
                tests=tuple(test.tested() for test in self._tests.values()),
                root=str(self._config.rootpath),
                networks_ns=settings.networks_ns,
                threshold=0 if settings.n_plus_one == "off" else settings.n_plus_one_threshold,
                incomplete=tuple(map(redacted, self._incomplete())),
            )
        return self._suite

    @property
    def reporting(self) -> Reporting:
        """The same one for all reports once the tests have run."""
        if self._reporting is None or self._suite is None:
            self._reporting = Reporting(self.suite, baseline=_baseline(self._config))
        return self._reporting

    def _incomplete(self) -> Iterator[str]:
        for worker, test in self._crashed.items():
            ran = "between two tests" if test is None else f"while it ran {test}"
            yield f"worker {worker} crashed {ran}: what it had sent in that time is missing"
        if self._stopped is not None:
            yield f"the run ended before all tests had run: {self._stopped}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        stopped = session.shouldfail or session.shouldstop
        if exitstatus == pytest.ExitCode.INTERRUPTED and not stopped:
            stopped = "it was interrupted"
        self._stopped = str(stopped) if stopped else None
        self._suite = self.suite
        if not self._tests:
            self._told += [f"no test ran, so {path} was left as it is" for path in self._files.values()]
            return
        progress, reporting = _Progress(self._config), self.reporting
        for form, path in self._files.items():
            try:
                size_bytes = write_whole(path, progress.through(path, reporting.pieces(form)))
            except Exception as error:
                self._told.append(f"--redisperf-{form}: {path} was not written: {type(error).__name__}: {error}")
                session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
            else:
                self._told.append(f"generated redisperf {form} report: {path} ({size(size_bytes)})")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._told:
            terminalreporter.write_sep("-", line)
        if self._github and self._tests:
            from pytest_redisperf.github import annotate

            annotate(self.reporting, terminalreporter)


class _Progress:
    """Tells how far the writing is, where that takes long."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
        self._told_s = monotonic()

    def through(self, path: Path, pieces: Iterable[str]) -> Iterator[str]:
        chars = 0
        for piece in pieces:
            chars += len(piece)
            if monotonic() - self._told_s > SILENT_S:
                self._told_s = monotonic()
                if self._reporter is not None:
                    self._reporter.write_line(f"redisperf: writing {path.name}: {size(chars)} so far")
            yield piece


def _baseline(config: pytest.Config) -> Mapping[str, Entry] | None:
    """What the tests spent before, where this run is held against it."""
    keeping = config.pluginmanager.get_plugin("redisperf-baseline-keeping")
    return None if keeping is None else keeping.known


def suite_of(config: pytest.Config) -> Suite | None:
    """What the run has spent; None in a process that does not gather."""
    gathering: Gathering | None = config.pluginmanager.get_plugin(NAME)
    return None if gathering is None else gathering.suite


def register(config: pytest.Config, reports: Reports) -> None:
    """Hand on, and in the process that prints gather. Raises UsageError for a file that cannot be."""
    if config.pluginmanager.has_plugin(NAME) or config.getoption("collectonly", False):
        return
    worker = hasattr(config, "workerinput")
    handing = Handing(away=worker)
    config.pluginmanager.register(handing, "redisperf-handing")
    if not worker:
        config.pluginmanager.register(Gathering(config, handing, reports), NAME)


def _target(config: pytest.Config, form: str, reports: Reports) -> Path:
    """Relative to where pytest was started, as its own reports are."""
    path = config.invocation_params.dir / Path(getattr(reports, form)).expanduser()
    if path.is_dir():
        raise pytest.UsageError(f"--redisperf-{form}: {path} is a directory, expected a file to write")
    above = next(each for each in path.parents if each.exists())
    if not above.is_dir():
        raise pytest.UsageError(f"--redisperf-{form}: {path} cannot be written: {above} is no directory")
    return path
