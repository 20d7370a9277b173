"""What `--redisperf` prints: one header line and, after the tests, what they spent.

The process that prints gathers the phases from the TestReports, so its own tests and those of xdist's workers are
treated alike. The rest is text made of plain data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import pytest

from pytest_redisperf import fixture_accounts
from pytest_redisperf.fixture_accounts import FixtureSpending
from pytest_redisperf.header import servers
from pytest_redisperf.options import Settings
from pytest_redisperf.phase import STORES, Phase, Store, Wasted, operations, round_trips
from pytest_redisperf.suspects import ignore_lines, suspect_lines
from redis_perf import Tapped
from redis_perf.report.units import count, duration
from redis_perf.trace import NOT_IMPORTED

Spending: TypeAlias = "Mapping[str, Phase]"
"""What the phases of one test spent: `setup`, `call`, `teardown`."""


def header(taps: Iterable[Tapped], settings: Settings) -> str:
    found = [f"{tap.name} {tap.version or ''}".rstrip() + _problem(tap) for tap in taps if tap.version]
    seen = _wire(settings) if settings.tap == "proxy" else ", ".join(found) or "no client found"
    if settings.slow and settings.latency_ns:
        seen += f", {duration(settings.latency_ns)} a reply"
    named, passed_over = servers(settings)
    networks = ", ".join(duration(network_ns) for network_ns in settings.networks_ns)
    return "\n".join([f"redisperf: {seen} | {named} | network {networks}", *passed_over])


def _wire(settings: Settings) -> str:
    from redis_perf.proxy import DEFAULT_HOLD_NS

    added_ns = DEFAULT_HOLD_NS if settings.latency_ns is None else settings.latency_ns
    added = f"{duration(added_ns)} a reply" if added_ns else "no latency: counts are upper bounds"
    return f"wire proxy, {added}"


class Summary:
    """Gathers and prints."""

    def __init__(self, settings: Settings, crashes: Iterable[str] = ()) -> None:
        """`crashes` says, once the tests have run, what is missing."""
        self._settings = settings
        self._crashes = crashes
        self._tests: dict[str, dict[str, Phase]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        phase: Phase | None = getattr(report, "redisperf", None)
        if phase is not None:
            self._tests.setdefault(report.nodeid, {})[report.when] = phase

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._tests and not list(self._crashes):
            return
        terminalreporter.write_sep("=", "redisperf")
        try:
            lines = list(self.lines(terminalreporter.config.get_verbosity(), whole=_is_whole(terminalreporter)))
        except Exception as error:  # our own fault must not take the user's results with it
            lines = [f"redisperf internal error while writing this summary: {type(error).__name__}: {error}"]
        width = terminalreporter._tw.fullwidth if terminalreporter.isatty else None
        for line in lines:
            terminalreporter.write_line(_fitted(line, width), yellow=line.startswith(_DOUBTS))

    def lines(self, verbosity: int = 0, *, whole: bool = True) -> Iterator[str]:
        """`verbosity` as pytest's: with -q the sums alone, with -vv every test. `whole`: all tests there are ran."""
        network_ns = self._settings.networks_ns[0]
        incomplete = [f"incomplete: {sentence}" for sentence in self._crashes]
        yield from incomplete
        yield from _table(self._tests, None if verbosity > 1 else self._settings.top, network_ns, rows=verbosity >= 0)
        if verbosity >= 0:
            yield from _outside_the_call(self._tests)
            yield from _by_name(self._tests)
            yield from _connection_setup(self._tests)
            yield from fixture_accounts.lines(_fixtures(self._tests))
        yield from _suspects(self._tests, self._settings, whole=whole and not incomplete)
        yield from _wastes(self._tests)
        yield from _unseen(self._tests)


class PerTestColumn:
    """With `-v`: what each test spent beside its result. A hook that is called for each phase of every test."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        phase: Phase | None = getattr(report, "redisperf", None)
        told = report.when == "call" and (report.passed or report.failed) and not hasattr(report, "wasxfail")
        if phase is None or not told or not operations(phase):
            return None
        spent = ", ".join(f"{store} {phase[store]['round_trips']}" for store in STORES if phase[store]["operations"])
        letter = "." if report.passed else "F"
        return report.outcome, letter, f"{report.outcome.upper()} ({spent})"


_DOUBTS = ("incomplete", "suspected", "stale", "waste", "lost", "not counted")


def _is_whole(terminalreporter: pytest.TerminalReporter) -> bool:
    """Whether no tests were chosen or left out; those that ran say nothing of the others."""
    config, session = terminalreporter.config, terminalreporter._session
    chosen = config.args_source == pytest.Config.ArgsSource.ARGS or config.option.keyword or config.option.markexpr
    stopped = session is not None and (session.shouldstop or session.shouldfail)
    return not (chosen or stopped or terminalreporter.stats.get("deselected"))


def _fitted(line: str, width: int | None) -> str:
    """The line, cut to a terminal's width; where nobody reads it on one, whole."""
    return line if width is None or len(line) <= width else f"{line[: max(0, width - 3)]}..."


def _fixtures(tests: Mapping[str, Spending]) -> Iterator[FixtureSpending]:
    for spending in tests.values():
        for phase in spending.values():
            yield from phase["fixtures"]


def _wastes(tests: Mapping[str, Spending]) -> Iterator[str]:
    """Each kind once, with the test that wastes most of it."""
    kinds: dict[str, list[tuple[Wasted, str]]] = {}
    for test, spending in tests.items():
        for waste in spending["call"]["wastes"] if "call" in spending else ():
            kinds.setdefault(waste["kind"], []).append((waste, test))
    for found in kinds.values():
        waste, test = max(found, key=lambda one: one[0]["saves"])
        more = f", and in {count(len(found) - 1, 'other test')}" if len(found) > 1 else ""
        yield f"waste: {waste['text']}"
        yield f"    in {test}{more}"


def _table(tests: Mapping[str, Spending], top: int | None, network_ns: int, *, rows: bool = True) -> Iterator[str]:
    calls = {test: spending["call"] for test, spending in tests.items() if "call" in spending}
    sent = {test: call for test, call in calls.items() if operations(call)}
    nothing = f", {len(calls) - len(sent)} of which sent nothing" if len(sent) < len(calls) else ""
    if not sent:
        yield f"{count(len(calls), 'test')}, none of which sent anything to Redis or Postgres while it ran"
        return
    dearest = sorted(sent, key=lambda test: (-sent[test]["depth"], -round_trips(sent[test]), test))
    top = len(dearest) if top is None else top
    by = "by test" if len(dearest) <= top else f"of the {top} most expensive of {len(dearest)} tests"
    yield f"round trips {by if rows else 'of all tests'}, setup and teardown apart:"
    cost = f"at {duration(network_ns)}"
    yield f"{'redis':>7} {'postgres':>9} {'operations':>11} {'depth':>6} {cost:>10}"
    for test in dearest[:top] if rows else ():
        yield _row(sent[test], network_ns, test)
    if len(dearest) > top and rows:
        yield f"{'':47} ({len(dearest) - top} more: --redisperf-top={len(dearest)})"
    yield _total(sent.values(), network_ns, f"in all, {count(len(calls), 'test')}{nothing}")


def _row(call: Phase, network_ns: int, name: str) -> str:
    depth = call["depth"]
    return _columns(
        call["redis"]["round_trips"], call["postgres"]["round_trips"], operations(call), depth, network_ns, name
    )


def _total(calls: Iterable[Phase], network_ns: int, name: str) -> str:
    calls = list(calls)
    redis, postgres = (sum(call[store]["round_trips"] for call in calls) for store in STORES)
    return _columns(
        redis, postgres, sum(map(operations, calls)), sum(call["depth"] for call in calls), network_ns, name
    )


def _columns(redis: int, postgres: int, asked: int, depth: int, network_ns: int, name: str) -> str:
    return f"{redis:>7} {postgres:>9} {asked:>11} {depth:>6} {duration(depth * network_ns):>10}  {name}"


def _outside_the_call(tests: Mapping[str, Spending]) -> Iterator[str]:
    parts = [
        f"{when} {_both({store: _sum(tests, when, store, 'round_trips') for store in STORES})}"
        for when in ("setup", "teardown")
        if any(_sum(tests, when, store, "operations") for store in STORES)
    ]
    if parts:
        yield f"around the tests: {'; '.join(parts)}"


def _by_name(tests: Mapping[str, Spending]) -> Iterator[str]:
    """Of the tests' own round trips those with servers that were given a name."""
    spent: Counter[str] = Counter()
    for spending in tests.values():
        spent.update(spending["call"]["named"] if "call" in spending else {})
    if spent:
        yield f"of these, by server: {', '.join(f'{name} {number}' for name, number in sorted(spent.items()))}"


def _connection_setup(tests: Mapping[str, Spending]) -> Iterator[str]:
    setup = {store: sum(_sum(tests, when, store, "setup") for when in WHEN) for store in STORES}
    opened = sum(_sum(tests, when, store, "connections") for when in WHEN for store in STORES)
    if opened or any(setup.values()):
        yield f"connecting, not charged: {_both(setup)}, for {count(opened, 'connection')} opened"


def _suspects(tests: Mapping[str, Spending], settings: Settings, *, whole: bool) -> Iterator[str]:
    calls = {test: spending["call"] for test, spending in tests.items() if "call" in spending}
    yield from suspect_lines(calls, settings.networks_ns[0])
    if settings.n_plus_one != "off":
        yield from ignore_lines(calls, settings.ignore, whole=whole)


def _unseen(tests: Mapping[str, Spending]) -> Iterator[str]:
    """What the numbers above do not hold."""
    for store in STORES:
        lost = sum(_sum(tests, when, store, "lost") for when in WHEN)
        if lost:
            yield f"lost: {count(lost, f'{store} request')} whose reply never came (not counted as round trips)"
    phases = [phase for spending in tests.values() for phase in spending.values()]
    children = sum(phase["children"] for phase in phases)
    if children:
        yield f"not counted: what {count(children, 'process')} started by the tests sent"
    for problem in dict.fromkeys(problem for phase in phases for problem in phase["problems"]):
        yield f"not counted from there on: {problem}"


WHEN = ("setup", "call", "teardown")


def _sum(tests: Mapping[str, Spending], when: str, store: Store, number: str) -> int:
    return sum(spending[when][store][number] for spending in tests.values() if when in spending)  # type: ignore[literal-required]


def _both(numbers: Mapping[Store, int]) -> str:
    return f"{numbers['redis']} redis and {numbers['postgres']} postgres round trips"


def _problem(tap: Tapped) -> str:
    return f" ({tap.problem})" if tap.problem and tap.problem != NOT_IMPORTED else ""
