"""A budget enforced: the error to raise when a trace did not keep to it, with everything there is to say."""

from __future__ import annotations

from collections.abc import Sequence

from redis_perf.analysis.projection import NETWORKS_NS
from redis_perf.budget import Budget
from redis_perf.errors import BudgetExceeded, NothingMeasured
from redis_perf.report.text import failure_text
from redis_perf.trace import Trace
from redis_perf.verdict import verdict


def check(
    trace: Trace,
    budget: Budget,
    *,
    networks_ns: Sequence[int] = NETWORKS_NS,
    verbosity: int = 0,
    root: str | None = None,
) -> None:
    """Raise BudgetExceeded or NothingMeasured, with the full text, unless the trace kept to the budget.

    `networks_ns` are the round-trip times the text costs it at, `verbosity` as pytest's, `root` the directory the
    user's files are named relative to.
    """
    found = verdict(trace, budget)
    if found is not None:
        text = failure_text(trace, found, budget, networks_ns=networks_ns, verbosity=verbosity, root=root)
        raise BudgetExceeded(text) if found.breaches else NothingMeasured(text)
