"""A suspected N+1 as text: the number first, then the two lines, the fix, and what it costs in real life."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redis_perf.analysis.n_plus_one import Suspect
from redis_perf.analysis.projection import NETWORKS_NS
from redis_perf.report.lines import place
from redis_perf.report.units import duration


def suspects_text(
    suspects: Iterable[Suspect], *, networks_ns: Sequence[int] = NETWORKS_NS, root: str | None = None
) -> str:
    """The whole message of a failure for these."""
    return "\n".join(line for suspect in suspects for line in suspect_lines(suspect, networks_ns, root))


def suspect_lines(suspect: Suspect, networks_ns: Sequence[int], root: str | None = None) -> list[str]:
    costs = [f"{duration(suspect.saves * network_ns)} at {duration(network_ns)}" for network_ns in networks_ns]
    trips = len(suspect.trips)
    lines = [
        f"{suspect.store} N+1: {trips} round trips, 1 would do   (saves {suspect.saves}: {', '.join(costs)} a trip)",
        f"  {trips} x {suspect.shape}{_different(suspect)}",
    ]
    if suspect.loop is not None:
        lines.append(f"    loop  {place(suspect.loop, root)}")
    return [*lines, f"    call  {place(suspect.site, root)}", f"  {suspect.fix} would be 1 round trip"]


def _different(suspect: Suspect) -> str:
    """Where some were asked twice, which is told apart from a loop over as many."""
    if suspect.different is None or suspect.different == len(suspect.trips):
        return ""
    return f", with {suspect.different} different arguments"
