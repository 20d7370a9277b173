"""`--redisperf-n-plus-one`: suspects of an N+1 in the call phase of each test, those that are to be ignored apart.

What is found travels as plain data on the phase (`pytest_redisperf.phase`) to the process that prints. An ignore that
matched nothing in the whole run is told there: what it was for is gone, or it never worked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

from pytest_redisperf.options import Settings
from pytest_redisperf.phase import Ignored, Phase, Repeat
from redis_perf.analysis.ignoring import Ignore
from redis_perf.analysis.n_plus_one import Suspect, n_plus_one
from redis_perf.recorder import now_ns
from redis_perf.report.lines import cut, place
from redis_perf.report.units import count, duration
from redis_perf.trace import Trace

if TYPE_CHECKING:
    from redis_perf.suite import Meant

MARKER = "redisperf_ignore"
INI = "redisperf_ignore"
SHOWN = 10


@dataclass(slots=True)
class Ignoring:
    """`with redisperf.ignore(...)`: what begins inside the block is meant to be so."""

    ignore: Ignore
    where: str
    since_ns: int | None = None
    until_ns: int | None = None

    def __enter__(self) -> None:
        self.since_ns, self.until_ns = now_ns(), None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.until_ns = now_ns()

    def covers(self, suspect: Suspect, root: str) -> bool:
        if not self.ignore.matches(suspect, root):
            return False
        since_ns, until_ns = self.since_ns, self.until_ns
        return since_ns is None or all(
            since_ns <= trip.started_ns and (until_ns is None or trip.started_ns < until_ns) for trip in suspect.trips
        )


IGNORING = pytest.StashKey[list[Ignoring]]()
"""The blocks of a test."""
FOUND = pytest.StashKey[list[Suspect]]()
"""What is suspected of a test, until it is held against it."""

MEANT: pytest.StashKey[list[Meant]] = pytest.StashKey()
"""What was suspected of a test and is to be ignored, until its report is made."""


def ignoring(item: pytest.Item, shape: str | None, site: str | None, depth: int = 2) -> Ignoring:
    """A block of the user's `depth` frames above."""
    frame = sys._getframe(depth)
    where = f"redisperf.ignore at {_relative(frame.f_code.co_filename, item.config)}:{frame.f_lineno}"
    block = Ignoring(Ignore(shape=_pattern("shape", shape), site=_pattern("site", site)), where)
    item.stash.setdefault(IGNORING, []).append(block)
    return block


def _relative(file: str, config: pytest.Config) -> str:
    root = f"{config.rootpath}/"
    return file.removeprefix(root)


class Suspects:
    """Looks at what each test sent."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._root = str(config.rootpath)
        self._threshold = settings.n_plus_one_threshold
        self._fails = settings.n_plus_one == "fail"
        self._networks_ns = settings.networks_ns
        self._everywhere = [Ignoring(ignore, INI) for ignore in settings.ignore]

    def look(self, item: pytest.Item, trace: Trace, phase: Phase, *, whole: bool) -> None:
        """Note on the phase what is suspected. Not `whole`: the test failed, so an ignore may not have come to it."""
        known = [*self._everywhere, *_of_markers(item), *item.stash.get(IGNORING, [])]
        used: set[int] = set()
        ignored = 0
        found = item.stash[FOUND] = []
        meant = item.stash[MEANT] = []
        for suspect in n_plus_one(trace, self._threshold):
            by = [number for number, each in enumerate(known) if each.covers(suspect, self._root)]
            used.update(by)
            ignored += bool(by)
            if by:
                from redis_perf.suite import Meant

                meant.append(Meant(shape=suspect.shape, site=suspect.site))
            else:
                found.append(suspect)
        phase["repeats"] = [self._repeat(suspect) for suspect in found]
        phase["ignored"] = ignored
        phase["ignores"] = [
            Ignored(what=str(each.ignore), where=each.where, used=number in used)
            for number, each in enumerate(known)
            if number in used or (whole and each.where != INI)
        ]

    def _repeat(self, suspect: Suspect) -> Repeat:
        return Repeat(
            asked=suspect.shape,
            place=place(suspect.site, self._root),
            count=len(suspect.trips),
            loop=None if suspect.loop is None else place(suspect.loop, self._root),
            fix=suspect.fix,
        )

    def verdict(self, item: pytest.Item) -> str | None:
        """Why the test fails, if it does. Ask once."""
        found = item.stash.get(FOUND, [])
        item.stash[FOUND] = []
        if not self._fails or not found:
            return None
        from redis_perf.report.suspect import suspects_text

        return suspects_text(found, networks_ns=self._networks_ns, root=self._root)


def check_markers(items: Iterable[pytest.Item]) -> None:
    """Raises UsageError for a marker that cannot be read."""
    for item in items:
        try:
            list(_of_markers(item))
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{MARKER}: {error}") from None


def _of_markers(item: pytest.Item) -> Iterator[Ignoring]:
    for node, mark in item.iter_markers_with_node(MARKER):
        unknown = set(mark.kwargs) - {"shape", "site"}
        if mark.args or unknown:
            wrong = f"{mark.args[0]!r} without a name" if mark.args else repr(min(unknown))
            raise TypeError(f"got {wrong}; give shape=..., site=..., both, or nothing for all of the test's")
        ignore = Ignore(**{name: _pattern(name, pattern) for name, pattern in mark.kwargs.items()})
        yield Ignoring(ignore, f"@pytest.mark.{MARKER} of {node.nodeid.partition('[')[0] or 'the session'}")


def _pattern(name: str, pattern: object) -> str | None:
    if pattern is None or (isinstance(pattern, str) and pattern.strip()):
        return pattern
    raise ValueError(f"{name}={pattern!r} is no pattern; give one such as {name}={_SUCH_AS[name]!r}")


_SUCH_AS = {"shape": "GET user:*", "site": "app/legacy.py"}


# --- the summary


def suspect_lines(calls: Mapping[str, Phase], network_ns: int) -> Iterator[str]:
    """One for the same lines in several tests, the greatest first."""
    groups: dict[tuple[str, str, str | None], list[tuple[Repeat, str]]] = {}
    for test, phase in calls.items():
        for repeat in phase["repeats"]:
            groups.setdefault((repeat["asked"], repeat["place"], repeat["loop"]), []).append((repeat, test))
    worst = [max(found, key=lambda one: one[0]["count"]) for found in groups.values()]
    also = [len({test for _, test in found}) - 1 for found in groups.values()]
    ranked = sorted(zip(worst, also, strict=True), key=lambda one: -one[0][0]["count"])
    for (repeat, test), others in ranked[:SHOWN]:
        saved = repeat["count"] - 1
        yield f"suspected N+1: {repeat['count']} x {cut(repeat['asked'])}    {repeat['place']}"
        if repeat["loop"]:
            yield f"    in the loop of {repeat['loop']}"
        more = f" and {count(others, 'other test')}" if others else ""
        cost = f"{duration(saved * network_ns)} at {duration(network_ns)}"
        yield f"    in {test}{more}: {repeat['fix']} would be 1 round trip, {saved} fewer ({cost})"
    if len(ranked) > SHOWN:
        yield f"    ({len(ranked) - SHOWN} more suspected N+1 not shown)"


def ignore_lines(calls: Mapping[str, Phase], everywhere: Iterable[Ignore], *, whole: bool) -> Iterator[str]:
    """How much was ignored, and what ignored nothing. `whole`: all tests ran, so it is known of those of the ini."""
    ignored = sum(phase["ignored"] for phase in calls.values())
    if ignored:
        yield f"ignored: {ignored} suspected N+1"
    used: dict[tuple[str, str], bool] = {(str(ignore), INI): False for ignore in everywhere} if whole else {}
    for phase in calls.values():
        for each in phase["ignores"]:
            key = each["what"], each["where"]
            used[key] = used.get(key, False) or each["used"]
    for (what, where), matched in used.items():
        if not matched:
            yield f"stale: {where} ignores {what}, which nothing matched in this run"
