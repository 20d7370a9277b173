"""`--redisperf-baseline=FILE`: each test is held against what it spent when the file was written.

Every process reads the file and compares its own tests; the one that prints gathers and alone writes. With
`--redisperf-ratchet` a test that spends more than its baseline fails; without, the summary says so.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_redisperf.faults import OwnFaults
from pytest_redisperf.report_options import Reports
from pytest_redisperf.spending import CALL, Verdict, fail
from redis_perf.analysis.baseline import Difference, Entry, differences, entry_of
from redis_perf.report.baseline import headline, shape_lines
from redis_perf.report.baseline_file import Baseline, BaselineFileError, dumps, loads, plain, whole_entry
from redis_perf.report.units import count
from redis_perf.whole_file import write_whole

ENTRY = pytest.StashKey[Entry]()
WRITE = "--redisperf-update-baseline=yes writes it"


class Comparing:
    """In every process that runs tests."""

    def __init__(self, baseline: Baseline, *, ratchet: bool) -> None:
        self._baseline = baseline
        self._ratchet = ratchet

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        result = yield
        more: list[Difference] = []
        with OwnFaults(item, "comparing it with its baseline"):
            head = item.stash[ENTRY] = entry_of(item.stash[CALL].trace)
            base = self._baseline.get(item.nodeid)
            more = [each for each in differences(base, head) if each.risen] if base is not None else []
        if more and self._ratchet:
            fail(item, _risen(more, self._baseline[item.nodeid], item.stash[ENTRY]))
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        entry = item.stash.get(ENTRY, None)
        if call.when == "call" and entry is not None:
            report.redisperf_entry = plain(entry)  # type: ignore[attr-defined]
        return report


def _risen(more: list[Difference], base: Entry, head: Entry) -> Verdict:
    return Verdict("ratchet", "\n".join([headline(more), *shape_lines(base, head), f"if this is right, {WRITE}"]))


class Keeping:
    """In the process that prints."""

    def __init__(
        self, config: pytest.Config, file: Path, called: str, baseline: Baseline | None, *, update: bool
    ) -> None:
        """`called`: the file as the user gave it. `baseline` None: there is no file yet."""
        self._root = config.rootpath
        self._called = called
        self._whole_files = _takes_whole_files(config)
        self._file = file
        self._known = baseline or {}
        self._new_file = baseline is None
        self._update = update
        self._seen: Baseline = {}
        self._collected: set[str] = set()
        self._session: pytest.Session | None = None

    @property
    def known(self) -> Baseline | None:
        """What the file held when the run began."""
        return None if self._new_file else self._known

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected |= {item.nodeid for item in session.items}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._collected |= set(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        entry: Any = getattr(report, "redisperf_entry", None)
        if entry is not None:  # it passed, but for the ratchet
            self._seen[report.nodeid] = whole_entry(report.nodeid, entry)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_sep("=", "redisperf baseline")
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        compared = self._seen.keys() & self._known.keys()
        changed = {test: differences(self._known[test], self._seen[test]) for test in sorted(compared)}
        risen = {test: found for test, found in changed.items() if any(each.risen for each in found)}
        fallen = {test: found for test, found in changed.items() if found and test not in risen}
        for test, found in risen.items():
            yield f"more: {test}: {headline(found)}"
            yield from shape_lines(self._known[test], self._seen[test])
        for test, found in fallen.items():
            yield f"less: {test}: {headline(found)}"
        if fallen and not self._update:
            yield f"{count(len(fallen), 'test')} spent less than the baseline: {WRITE}, so that it stays so"
        new = self._seen.keys() - self._known.keys()
        stale = sorted(filter(self._is_stale, self._known))
        yield from (f"stale: {test}: there is no such test any more" for test in stale)
        yield from self._end(len(compared), len(risen) + len(fallen), len(new))

    def _end(self, compared: int, changed: int, new: int) -> Iterator[str]:
        if self._update:
            try:
                write_whole(self._file, [dumps({**self._known, **self._seen})])
            except OSError as error:
                yield f"{self._called} was not written: {error.strerror or error}"
                if self._session is not None:
                    self._session.exitstatus = self._session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
                return
            yield f"{self._called} written: {changed} changed, {new} new; what did not run or pass is as before"
        elif self._new_file:
            yield f"there is no {self._called} yet: {WRITE}"
        else:
            without = f"; {count(new, 'test')} without a baseline: {WRITE}" if new else ""
            yield f"{count(compared, 'test')} compared, {changed or 'none'} changed{without}"

    def _is_stale(self, test: str) -> bool:
        """Its file is gone; or all of its file was collected, and it was not in there."""
        file = test.partition("::")[0]
        if not (self._root / file).exists():
            return True
        return self._whole_files and test not in self._collected and file in self._files

    @cached_property
    def _files(self) -> set[str]:
        return {test.partition("::")[0] for test in self._collected}


def _takes_whole_files(config: pytest.Config) -> bool:
    """Whether every test of a file that is collected is selected."""
    options = ("keyword", "markexpr", "deselect", "lf", "stepwise")
    chosen = any(config.getoption(option, None) for option in options)
    return not chosen and not any("::" in argument for argument in config.args)


def register(config: pytest.Config, reports: Reports) -> None:
    """Compare, and in the process that prints keep. Raises UsageError for what makes no sense together."""
    if reports.baseline is None:
        raise pytest.UsageError("--redisperf-update-baseline and --redisperf-ratchet need --redisperf-baseline=FILE")
    file = config.rootpath / reports.baseline
    baseline, ratchet = read(file), bool(reports.ratchet)
    update = may_write(reports.update_baseline)
    if ratchet and not update and baseline is None:
        raise pytest.UsageError(f"--redisperf-ratchet: there is no {file}, so nothing can be more than it; {WRITE}")
    comparing = Comparing(baseline or {}, ratchet=ratchet and not update)
    config.pluginmanager.register(comparing, "redisperf-baseline-comparing")
    if not hasattr(config, "workerinput"):
        keeping = Keeping(config, file, reports.baseline, baseline, update=update)
        config.pluginmanager.register(keeping, "redisperf-baseline-keeping")


def read(file: Path) -> Baseline | None:
    """The baseline in the file; None if there is none. Raises UsageError when it cannot be read."""
    try:
        return loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, BaselineFileError) as error:
        raise pytest.UsageError(f"--redisperf-baseline: {file}: {error}") from error


def may_write(update: str | None) -> bool:
    """Whether the file is to be written. Raises UsageError in CI, unless that was meant."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    if update == "yes" and in_ci:
        raise pytest.UsageError(
            "--redisperf-update-baseline=yes: in CI (the variable CI is set) a baseline is not written, for nobody "
            "would review it; --redisperf-update-baseline=in-ci writes it all the same"
        )
    return update is not None
