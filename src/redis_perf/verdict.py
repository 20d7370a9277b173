"""Whether a trace kept to a budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

from redis_perf.analysis.waste import is_cold
from redis_perf.budget import Budget, Spend
from redis_perf.limit import LatencyLimit, Limit, as_limit
from redis_perf.trace import EVERY_PURPOSE, Problem, StoreTrace, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A number outside its limit. `who` is the store or the server's name; `""` is all stores together.

    The measure `latency` is in nanoseconds.
    """

    who: str
    measure: str
    limit: Limit
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """A number the trace cannot tell: no traffic was seen at all, or (`measure` is about bytes) its size was not."""

    who: str
    measure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a budget failed."""

    breaches: tuple[Breach, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    problems: tuple[str, ...] = ()


def verdict(trace: Trace, budget: Budget) -> Verdict | None:
    """How the trace broke the budget, or None. A budgeted store that was not seen whole (a problem) fails as well."""
    breaches: list[Breach] = []
    unmeasured: list[Unmeasured] = []
    cold = is_cold(trace)
    for who, spend in budget.spends:
        if not share_of(trace.every, who).everything and not spend.names_zero and not budget.allow_nothing:
            unmeasured.append(Unmeasured(who=who))
            continue
        for measure, limit in spend.limits:
            seen = _seen(trace, who, spend, measure)
            if seen is None:
                unmeasured.append(Unmeasured(who=who, measure=measure))
            elif not limit.allows(seen, cold=cold):
                breaches.append(Breach(who=who, measure=measure, limit=limit, seen=seen))
    together = _together(budget)
    names_zero = any(measure == "depth" and limit.names_zero for measure, limit, _ in together)
    if together and not trace.round_trips and not names_zero and not budget.allow_nothing:
        unmeasured.append(Unmeasured(who=""))
    else:
        for measure, limit, times in together:
            if not limit.allows(trace.depth * times, cold=cold):
                breaches.append(Breach(who="", measure=measure, limit=limit, seen=trace.depth * times))
    problems = tuple(problem for problem in trace.problems if _concerns(problem, budget))
    if breaches or unmeasured or problems:
        return Verdict(breaches=tuple(breaches), unmeasured=tuple(unmeasured), problems=problems)
    return None


def _together(budget: Budget) -> list[tuple[str, Limit, int]]:
    """The limits across both stores, each with what one step of the longest chain counts for."""
    found = []
    if budget.depth is not None:
        found.append(("depth", as_limit("Budget", "depth", budget.depth), 1))
    if budget.latency is not None:
        latency = LatencyLimit.of(budget.latency)
        found.append(("latency", Limit(high=latency.most_ns), latency.round_trip_ns))
    return found


def _concerns(problem: str, budget: Budget) -> bool:
    whose = [who for who, _ in budget.spends] + ([""] if _together(budget) else [])
    return not isinstance(problem, Problem) or any(map(problem.concerns, whose))


def charged(trace: Trace, who: str, budget: Budget) -> StoreTrace:
    """The traffic this budget charges to a store or server: with its setup if the budget says so."""
    return share_of(_view(trace, dict(budget.spends).get(who)), who)


def _view(trace: Trace, spend: Spend | None) -> Trace:
    return replace(trace, purposes=EVERY_PURPOSE) if spend is not None and spend.setup is True else trace


def share_of(trace: Trace, who: str) -> StoreTrace:
    """One store's or server's part of a trace; `""` is all of it."""
    if not who:
        return StoreTrace(trace.charged, trace.opened)
    if who == "redis":
        return trace.redis
    return trace.postgres if who == "postgres" else trace.named(who)


def _seen(trace: Trace, who: str, spend: Spend, measure: str) -> int | None:
    if measure == "setup":
        return share_of(trace.setup, who).round_trips
    seen: int | None = getattr(share_of(_view(trace, spend), who), measure)
    return seen
