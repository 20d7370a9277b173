"""What of a test the page shows as a finding, and what kind it calls it; a verdict has a place of its own."""

from __future__ import annotations

from typing import Final

from redis_perf.analysis.analysed import Seen
from redis_perf.analysis.findings import BROKEN, Finding

N_PLUS_ONE: Final = "N+1"
_NAMES: Final = {"n-plus-one": N_PLUS_ONE, "keys": "KEYS"}


def problems(seen: Seen) -> list[Finding]:
    """The greatest saving first."""
    return sorted((each for each in seen.found if each.rule not in BROKEN), key=lambda each: -each.saves)


def kind_of(problem: Finding) -> str:
    return _NAMES.get(problem.rule, problem.rule.replace("-", " "))
