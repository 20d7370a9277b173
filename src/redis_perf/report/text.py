"""Why a budget failed, and what was spent, as text for a terminal.

A failure leads with number, budget and unit; then the user's lines that spent it, what would cost less, and what it
costs on real networks. Nothing is stated that the trace did not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from redis_perf.analysis.depth import Chain, longest_chain
from redis_perf.analysis.projection import NETWORKS_NS, projection
from redis_perf.analysis.suggestion import keep_open, suggestions
from redis_perf.budget import Budget
from redis_perf.report.chain import chain_lines
from redis_perf.report.lines import spending_lines
from redis_perf.report.units import count, duration, plural, size
from redis_perf.report.unseen import not_counted, not_measured
from redis_perf.trace import StoreTrace, Trace
from redis_perf.verdict import Breach, Verdict, charged, share_of

FRIENDLY_BYTES = 1024


def failure_text(
    trace: Trace,
    found: Verdict,
    budget: Budget,
    *,
    networks_ns: Sequence[int] = NETWORKS_NS,
    verbosity: int = 0,
    root: str | None = None,
) -> str:
    """The whole message for a verdict on this trace."""
    lines: list[str] = []
    for who, breaches in groupby(found.breaches, key=lambda breach: breach.who):
        lines += _Account(trace, who, budget, tuple(breaches)).lines(networks_ns, verbosity, root)
    lines += not_measured(trace, found, budget)
    lines += [*not_counted(trace), *trace.notes]
    return "\n".join(lines)


def spent_line(trace: Trace) -> str:
    """`redis 3 round trips (3 commands), postgres 1 (1 statement), depth 4, setup 5`; stores without traffic are left
    out, and so is setup if there was none."""
    parts: list[str] = []
    for store, share in (("redis", trace.redis), ("postgres", trace.postgres)):
        if share.everything:
            trips = str(share.round_trips) if parts else count(share.round_trips, "round trip")
            parts.append(f"{store} {trips} ({operations(store, share)})")
    if parts:
        parts.append(f"depth {trace.depth}")
    setup = share_of(trace.setup, "").round_trips
    if setup:
        parts.append(f"setup {setup}" if parts else count(setup, "setup round trip"))
    return ", ".join(parts) or "nothing seen"


def operations(who: str, share: StoreTrace) -> str:
    """`3 commands`, `1 statement`, by the word the store uses."""
    return count(share.operations, _operation(who, share))


def _operation(who: str, share: StoreTrace) -> str:
    stores = {who} & {"redis", "postgres"} or {trip.store for trip in share}
    return {"redis": "command", "postgres": "statement"}[stores.pop()] if len(stores) == 1 else "operation"


@dataclass(frozen=True, slots=True)
class _Account:
    """One store's or server's share of a failure: its numbers, the lines behind them, then what to do."""

    trace: Trace
    who: str
    budget: Budget
    breaches: tuple[Breach, ...]

    @property
    def share(self) -> StoreTrace:
        return charged(self.trace, self.who, self.budget)

    @property
    def setup(self) -> StoreTrace:
        return share_of(self.trace.setup, self.who)

    @property
    def about_setup(self) -> bool:
        return any(breach.measure in ("setup", "connections") for breach in self.breaches)

    @property
    def about_depth(self) -> bool:
        """Only the longest chain matters."""
        return all(breach.measure in ("depth", "latency") for breach in self.breaches)

    @property
    def chain(self) -> Chain:
        return longest_chain(self.share, exact=any(tap.name.startswith("proxy") for tap in self.trace.taps))

    @property
    def charges_setup(self) -> bool:
        spend = dict(self.budget.spends).get(self.who)
        return spend is not None and spend.setup is True

    def lines(self, networks_ns: Sequence[int], verbosity: int, root: str | None) -> Iterator[str]:
        for breach in self.breaches:
            yield self._headline(breach, networks_ns)
        only_setup = all(breach.measure in ("setup", "connections") for breach in self.breaches)
        trips = () if only_setup else self.chain.trips if self.about_depth else self.share.everything
        if self.about_setup and (only_setup or not self.charges_setup):
            trips = tuple(sorted((*trips, *self.setup), key=lambda trip: trip.started_ns))
        yield from spending_lines(trips, verbosity=verbosity, root=root)
        if any(breach.seen > breach.limit.high for breach in self.breaches):
            yield from self._advice(only_setup=only_setup)

    def _headline(self, breach: Breach, networks_ns: Sequence[int]) -> str:
        if breach.measure == "latency":
            return self._latency(breach)
        text = f"{self._subject(breach.measure)}: budget {breach.limit}, spent {breach.seen}"
        aside = self._aside(breach.measure, networks_ns)
        return f"{text}   ({aside})" if aside else text

    def _latency(self, breach: Breach) -> str:
        """`latency: budget 5 ms, spent 6 ms   (depth 3 at 2 ms a trip, 4 round trips)`"""
        depth = self.share.depth
        trips = count(self.share.round_trips, "round trip")
        at = f"depth {depth} at {duration(breach.seen // depth)} a trip, {trips}"
        return f"latency: budget {duration(breach.limit.high)}, spent {duration(breach.seen)}   ({at})"

    def _subject(self, measure: str) -> str:
        subject = {
            "round_trips": "round trips",
            "connections": "connections opened",
            "bytes": "bytes both ways",
            "sent_bytes": "bytes sent",
            "received_bytes": "bytes received",
            "setup": "setup round trips",
            "operations": plural(2, _operation(self.who, self.share)),
        }.get(measure, measure)
        return f"{self.who} {subject}".strip()

    def _aside(self, measure: str, networks_ns: Sequence[int]) -> str:
        trips = count(self.share.round_trips, "round trip")
        if measure in ("operations", "statements", "commands", "commits"):
            return f"in {trips}"
        if measure.endswith("bytes"):
            seen: int = getattr(self.share, measure)
            return f"{size(seen)} in {trips}" if seen >= FRIENDLY_BYTES else f"in {trips}"
        if measure == "connections":
            return count(self.setup.round_trips, "setup round trip")
        if measure == "setup":
            return _costs(self.setup, networks_ns)
        told = operations(self.who, self.share)
        depth = f"depth {self.share.depth}" if measure == "round_trips" else trips
        with_setup = ", setup charged" if self.charges_setup else ""
        costs = _costs(self.share, networks_ns)
        return f"{told}, {depth}{with_setup}" + (f"; {costs}" if costs else "")

    def _advice(self, *, only_setup: bool) -> Iterator[str]:
        if self.about_depth:
            yield from chain_lines(self.chain)
        found = [] if only_setup else suggestions(self.share.everything)
        keep = keep_open(self.share.opened, self.trace.setup) if self.about_setup or self.charges_setup else None
        for suggestion in ([keep] if keep else []) + found[: 1 if keep else None]:
            yield f"{suggestion.text} (saves {suggestion.saves})" if suggestion.saves else suggestion.text


def _costs(share: StoreTrace, networks_ns: Sequence[int]) -> str:
    """`6 ms at 2 ms a trip, 90 ms at 30 ms`; if some could overlap, also what they cost one after another."""
    costs = [projection(share, network_ns) for network_ns in networks_ns]
    if not costs or not share.round_trips:
        return ""
    first, *others = [(duration(cost.floor_ns), duration(cost.round_trip_ns)) for cost in costs]
    text = ", ".join([f"{first[0]} at {first[1]} a trip", *(f"{floor} at {trip}" for floor, trip in others)])
    if share.depth == share.round_trips:
        return text
    return f"{text}; one after another {', '.join(duration(cost.total_ns) for cost in costs)}"
