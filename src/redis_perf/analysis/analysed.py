"""A suite with what its analysis found, so that several reports need analyse it only once."""

from __future__ import annotations

from dataclasses import dataclass

from redis_perf.analysis.findings import Finding, findings_of, together
from redis_perf.analysis.tally import Tallies, tallies
from redis_perf.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """`calls` and `found` are of each test, in the order of the suite: what its call phase spent, and what to act on.
    `findings` are those of all tests, the same ones together."""

    suite: Suite
    calls: tuple[Tallies, ...]
    found: tuple[tuple[Finding, ...], ...]
    findings: tuple[Finding, ...]


def analysed(suite: Suite) -> Analysed:
    found = tuple(tuple(findings_of(tested, suite.threshold)) for tested in suite)
    return Analysed(
        suite=suite,
        calls=tuple(tallies(tested.call) for tested in suite),
        found=found,
        findings=tuple(together(each for of_test in found for each in of_test)),
    )
