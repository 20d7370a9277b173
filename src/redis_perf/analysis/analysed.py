"""A suite with what its analysis found, so that several reports need analyse it only once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from redis_perf.analysis.findings import Finding, findings_of, together
from redis_perf.analysis.tally import Tallies, tallies
from redis_perf.suite import Suite, Tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """`calls` and `found` are of each test, in the order of the suite: what its call phase spent, and what to act on.
    `findings` are those of all tests, the same ones together."""

    suite: Suite
    calls: tuple[Tallies, ...]
    found: tuple[tuple[Finding, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def seen(self) -> Iterator[Seen]:
        """Of each test, in the order of the suite."""
        return map(Seen, self.calls, self.found)


class Seen(NamedTuple):
    """One test: what its call phase spent, and what to act on."""

    call: Tallies
    found: tuple[Finding, ...]


def seen(tested: Tested, threshold: int) -> Seen:
    return Seen(tallies(tested.call), tuple(findings_of(tested, threshold)))


def analysed(suite: Suite) -> Analysed:
    calls, found = zip(*(seen(tested, suite.threshold) for tested in suite), strict=True) if suite.tests else ((), ())
    return Analysed(
        suite=suite,
        calls=calls,
        found=found,
        findings=tuple(together(each for of_test in found for each in of_test)),
    )
