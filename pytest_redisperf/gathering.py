"""The run as one `Suite`, for every report about more than one test, and the files of those that were asked for.

The process that prints gathers what each process hands on (`handing`); it alone makes the suite and writes. What is
missing from it (a worker crashed, the run was stopped) stands in `Suite.incomplete`. Another report asks
`suite_of(config)` once the tests have run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic

import pytest

from pytest_redisperf.crashes import crashes_of
from pytest_redisperf.gathered_test import GatheredTest
from pytest_redisperf.handing import Handing
from pytest_redisperf.options import Settings
from pytest_redisperf.report_options import Reports
from redis_perf.analysis.baseline import Entry
from redis_perf.report.secrets import redacted
from redis_perf.report.units import size
from redis_perf.report_formats import Reporting
from redis_perf.suite import Suite
from redis_perf.uncollected import uncollected
from redis_perf.whole_file import write_whole

NAME = "redisperf-gathering"
SILENT_S = 2.0
"""Writing that takes longer says how far it is."""
FILES = ("html", "json", "sarif", "trace")
"""Fields of Reports that name a file, and the formats of `redis_perf.report_formats` that go into it."""


class Gathering:
    """In the process that prints."""

    def __init__(self, config: pytest.Config, handing: Handing, reports: Reports) -> None:
        self._config = config
        self._handing = handing
        self._files = {form: _target(config, form, reports) for form in FILES if getattr(reports, form)}
        self._github = bool(reports.github)
        self._tests: dict[str, GatheredTest] = {}
        self._crashes = crashes_of(config)
        self._stopped: str | None = None
        self._suite: Suite | None = None
        self._reporting: Reporting | None = None
        self._told: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self._tests.get(report.nodeid)
        if test is None:
            test = self._tests[report.nodeid] = GatheredTest(report)
        test.add(report, self._handing.take(report))

    @property
    def suite(self) -> Suite:
        """What has been gathered so far."""
        if self._suite is None:
            settings = Settings.of(self._config)
            tests = tuple([test.tested() for test in self._tests.values()])  # which finds out what is incomplete
            return Suite(
                tests=tests,
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
        yield from self._crashes
        yield from filter(None, (test.unread for test in self._tests.values()))
        if self._stopped is not None:
            yield f"the run ended before all tests had run: {self._stopped}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        stopped = session.shouldfail or session.shouldstop
        if exitstatus == pytest.ExitCode.INTERRUPTED and not stopped:
            stopped = "it was interrupted"
        self._stopped = str(stopped) if stopped else None
        with uncollected():  # around all of it, for after each such block Python looks for cycles once
            self._suite = self.suite
            if self._tests:
                self._write_files(session)
            else:
                self._told += [f"no test ran, so {path} was left as it is" for path in self._files.values()]

    def _write_files(self, session: pytest.Session) -> None:
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
