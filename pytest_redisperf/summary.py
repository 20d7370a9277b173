"""What `--redisperf` prints: one header line and, after the tests, what they spent.

The process that prints gathers the phases from the TestReports, so its own tests and those of xdist's workers are
treated alike. The rest is text made of plain data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import pytest

from pytest_redisperf.options import Settings
from pytest_redisperf.phase import STORES, Phase, Repeat, Store, operations, round_trips
from redis_perf import Tapped
from redis_perf.report.units import count, duration

Spending: TypeAlias = "Mapping[str, Phase]"
"""What the phases of one test spent: `setup`, `call`, `teardown`."""

REPEATS_SHOWN = 10


def header(taps: Iterable[Tapped], settings: Settings) -> str:
    found = [f"{tap.name} {tap.version or ''}".rstrip() + _problem(tap) for tap in taps if tap.version]
    seen = _wire(settings) if settings.tap == "proxy" else ", ".join(found) or "no client found"
    servers = f"redis {_choice(settings.redis)}, postgres {_choice(settings.postgres)} (not started yet)"
    networks = ", ".join(duration(network_ns) for network_ns in settings.networks_ns)
    return f"redisperf: {seen} | {servers} | network {networks}"


def _wire(settings: Settings) -> str:
    from redis_perf.proxy import DEFAULT_HOLD_NS

    added_ns = DEFAULT_HOLD_NS if settings.latency_ns is None else settings.latency_ns
    added = f"{duration(added_ns)} a reply" if added_ns else "no latency: counts are upper bounds"
    return f"wire proxy, {added}"


class Summary:
    """Gathers and prints."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tests: dict[str, dict[str, Phase]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        phase: Phase | None = getattr(report, "redisperf", None)
        if phase is not None:
            self._tests.setdefault(report.nodeid, {})[report.when] = phase

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._tests:
            return
        terminalreporter.write_sep("=", "redisperf")
        try:
            lines = list(self.lines())
        except Exception as error:  # our own fault must not take the user's results with it
            lines = [f"redisperf internal error while writing this summary: {type(error).__name__}: {error}"]
        for line in lines:
            terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        network_ns = self._settings.networks_ns[0]
        yield from _table(self._tests, self._settings.top, network_ns)
        yield from _outside_the_call(self._tests)
        yield from _connection_setup(self._tests)
        yield from _suspects(self._tests, network_ns)
        yield from _unseen(self._tests)


def _table(tests: Mapping[str, Spending], top: int, network_ns: int) -> Iterator[str]:
    calls = {test: spending["call"] for test, spending in tests.items() if "call" in spending}
    sent = {test: call for test, call in calls.items() if operations(call)}
    nothing = f", {len(calls) - len(sent)} of which sent nothing" if len(sent) < len(calls) else ""
    if not sent:
        yield f"{count(len(calls), 'test')}, none of which sent anything to Redis or Postgres while it ran"
        return
    dearest = sorted(sent, key=lambda test: (-sent[test]["depth"], -round_trips(sent[test]), test))
    by = "by test" if len(dearest) <= top else f"of the {top} most expensive of {len(dearest)} tests"
    yield f"round trips {by}, setup and teardown apart:"
    cost = f"at {duration(network_ns)}"
    yield f"{'redis':>7} {'postgres':>9} {'operations':>11} {'depth':>6} {cost:>10}"
    for test in dearest[:top]:
        yield _row(sent[test], network_ns, test)
    if len(dearest) > top:
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


def _connection_setup(tests: Mapping[str, Spending]) -> Iterator[str]:
    setup = {store: sum(_sum(tests, when, store, "setup") for when in WHEN) for store in STORES}
    opened = sum(_sum(tests, when, store, "connections") for when in WHEN for store in STORES)
    if opened or any(setup.values()):
        yield f"connecting, not charged: {_both(setup)}, for {count(opened, 'connection')} opened"


def _suspects(tests: Mapping[str, Spending], network_ns: int) -> Iterator[str]:
    repeats = [(repeat, test) for test, spending in tests.items() for repeat in _repeats(spending)]
    repeats.sort(key=lambda found: -found[0]["count"])
    for repeat, test in repeats[:REPEATS_SHOWN]:
        saved = repeat["count"] - 1
        yield f"suspected N+1: {repeat['count']} x {repeat['asked']}    {repeat['place']}"
        yield (
            f"    in {test}: asked at once they would be 1 round trip, "
            f"{saved} fewer ({duration(saved * network_ns)} at {duration(network_ns)})"
        )
    if len(repeats) > REPEATS_SHOWN:
        yield f"    ({len(repeats) - REPEATS_SHOWN} more suspected N+1 not shown)"


def _repeats(spending: Spending) -> list[Repeat]:
    return spending["call"]["repeats"] if "call" in spending else []


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
    return f" ({tap.problem})" if tap.problem else ""


def _choice(choice: str) -> str:
    return "by URL" if "://" in choice else choice
