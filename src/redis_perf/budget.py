"""What a block of code may spend, and whether a trace kept to it.

A plain int is the most that may be spent. Numbers charge work and transaction control; setup (connecting, logging
in) is charged only with `setup=`. A budget over a store that saw no traffic at all fails, for it would prove
nothing, unless zero was asked for: `0`, `exactly(0)`, `at_most(0)`, `between(0, n)` (there the user wrote the zero;
`at_most(3)` only implies it), or `allow_nothing=True`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Final, TypeAlias

from redis_perf.errors import BudgetExceeded, NothingMeasured
from redis_perf.trace import EVERY_PURPOSE, Problem, StoreTrace, Trace

NETWORKS_NS: Final = (2_000_000, 30_000_000)
"""Round-trip times a failure is costed at: another availability zone, another region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one number may be. `low` is None where only the upper end was given."""

    low: int | None = None
    high: int

    def allows(self, seen: int) -> bool:
        return (self.low or 0) <= seen <= self.high

    @property
    def names_zero(self) -> bool:
        """Whether zero was asked for, not merely not excluded."""
        return self.high == 0 or self.low == 0

    def __str__(self) -> str:
        if self.low is None:
            return str(self.high)
        return f"exactly {self.high}" if self.low == self.high else f"{self.low} to {self.high}"


def exactly(n: int) -> Limit:
    """This many, neither more nor fewer. Raises TypeError or ValueError unless `n` is an int of 0 or more."""
    n = _number("exactly", "n", n)
    return Limit(low=n, high=n)


def at_most(n: int) -> Limit:
    """Up to this many; the same as the plain int. Raises TypeError or ValueError unless `n` is an int of 0 or more."""
    return Limit(high=_number("at_most", "n", n))


def between(a: int, b: int) -> Limit:
    """From `a` to `b`, both included. Raises TypeError or ValueError unless they are ints and 0 <= a <= b."""
    a, b = _number("between", "a", a), _number("between", "b", b)
    if a > b:
        raise ValueError(f"between({a}, {b}): expected the smaller number first")
    return Limit(low=a, high=b)


Amount: TypeAlias = int | Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One store's limits, each an int (at most) or a Limit; None does not limit.

    `operations` are Redis commands or Postgres statements; `commands` and `statements` are its names for one store.
    `connections` counts those opened in the block. `bytes` is both directions. `depth` is the longest chain of round
    trips that could not overlap. `setup` limits setup's own round trips; `setup=True` charges setup to all numbers.
    Raises TypeError or ValueError with a sentence that names the argument.
    """

    round_trips: Amount | None = None
    operations: Amount | None = None
    statements: Amount | None = None
    commands: Amount | None = None
    commits: Amount | None = None
    connections: Amount | None = None
    bytes: Amount | None = None
    sent_bytes: Amount | None = None
    received_bytes: Amount | None = None
    depth: Amount | None = None
    setup: Amount | bool | None = None

    def __post_init__(self) -> None:
        limits = dict(self.limits)
        if not limits:
            seen = f"setup={self.setup}" if self.setup is not None else ""
            raise ValueError(f"Spend({seen}) limits nothing: expected at least one of {', '.join(MEASURES)}")
        given = [name for name in ("operations", "statements", "commands") if name in limits]
        if len(given) > 1:
            raise ValueError(f"Spend: {' and '.join(given)} are the same number: expected one of them")

    @property
    def limits(self) -> Iterator[tuple[str, Limit]]:
        """Each measure that is limited."""
        for measure in fields(self):
            amount = getattr(self, measure.name)
            if amount is not None and not (measure.name == "setup" and isinstance(amount, bool)):
                yield measure.name, _limit("Spend", measure.name, amount)

    @property
    def names_zero(self) -> bool:
        """Whether no traffic at all was asked for. `commits=0` or `connections=0` do not say that."""
        return any(limit.names_zero and measure in _TRAFFIC for measure, limit in self.limits)


_KEYWORDS: Final = ("redis", "postgres", "depth", "allow_nothing", "servers")
MEASURES: Final = tuple(measure.name for measure in fields(Spend))
_TRAFFIC = frozenset(MEASURES) - {"commits", "connections", "setup"}
Allowance: TypeAlias = int | Limit | Spend


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a block may spend: per store, per server (by address or by the name given to it), and across all (`depth`).

    An int or Limit for a store is about its round trips. Raises TypeError or ValueError as `Spend` does.
    """

    redis: Allowance | None = None
    postgres: Allowance | None = None
    depth: Amount | None = None
    servers: Mapping[str, Allowance] = field(default_factory=dict, hash=False)
    allow_nothing: bool = False

    @classmethod
    def of(
        cls,
        *,
        redis: Allowance | None = None,
        postgres: Allowance | None = None,
        depth: Amount | None = None,
        allow_nothing: bool = False,
        **servers: Allowance,
    ) -> Budget:
        """`Budget.of(redis=1, streams=2)`: any other keyword is a server's name, unless it looks like a slip."""
        for name in servers:
            for meant in get_close_matches(name, _KEYWORDS, n=1, cutoff=0.8):
                raise ValueError(
                    f"Budget({name}=...): did you mean {meant}? A server that is really called so goes into "
                    f"servers={{{name!r}: ...}}"
                )
        return cls(redis=redis, postgres=postgres, depth=depth, servers=servers, allow_nothing=allow_nothing)

    def __post_init__(self) -> None:
        if not isinstance(self.allow_nothing, bool):
            raise TypeError(f"Budget(allow_nothing={self.allow_nothing!r}): expected True or False")
        if not isinstance(self.servers, Mapping):
            raise TypeError(f"Budget(servers={self.servers!r}): expected a mapping of server names to budgets")
        for measure in set(self.servers) & set(MEASURES):
            raise ValueError(f"Budget({measure}=...): that is no store or server: expected redis=Spend({measure}=...)")
        spends = dict(self.spends)
        if self.depth is not None:
            _limit("Budget", "depth", self.depth)
        elif not spends:
            raise ValueError("Budget() limits nothing: expected redis, postgres, depth or a server's name")
        for store, foreign in (("redis", "statements"), ("postgres", "commands")):
            if store in spends and getattr(spends[store], foreign) is not None:
                raise ValueError(f"Budget({store}=Spend({foreign}=...)): {store} has no {foreign}: expected operations")

    @property
    def spends(self) -> Iterator[tuple[str, Spend]]:
        """Each store or server that is budgeted, with its limits."""
        for name, allowance in (("redis", self.redis), ("postgres", self.postgres), *self.servers.items()):
            if not isinstance(name, str):
                raise TypeError(f"Budget(servers={{{name!r}: ...}}): expected a server's name or address (str)")
            if isinstance(allowance, Spend):
                yield name, allowance
            elif allowance is not None:
                yield name, Spend(round_trips=_limit("Budget", name, allowance))
            elif name in self.servers:
                raise TypeError(f"Budget({name}=None): {_EXPECTED} or Spend(...)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A number outside its limit. `who` is the store or the server's name; `""` is all stores together."""

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
    for who, spend in budget.spends:
        if not share_of(trace.every, who).everything and not spend.names_zero and not budget.allow_nothing:
            unmeasured.append(Unmeasured(who=who))
            continue
        for measure, limit in spend.limits:
            seen = _seen(trace, who, spend, measure)
            if seen is None:
                unmeasured.append(Unmeasured(who=who, measure=measure))
            elif not limit.allows(seen):
                breaches.append(Breach(who=who, measure=measure, limit=limit, seen=seen))
    if budget.depth is not None:
        limit = _limit("Budget", "depth", budget.depth)
        if not trace.round_trips and not limit.names_zero and not budget.allow_nothing:
            unmeasured.append(Unmeasured(who=""))
        elif not limit.allows(trace.depth):
            breaches.append(Breach(who="", measure="depth", limit=limit, seen=trace.depth))
    problems = tuple(problem for problem in trace.problems if _concerns(problem, budget))
    if breaches or unmeasured or problems:
        return Verdict(breaches=tuple(breaches), unmeasured=tuple(unmeasured), problems=problems)
    return None


def _concerns(problem: str, budget: Budget) -> bool:
    whose = [who for who, _ in budget.spends] + ([""] if budget.depth is not None else [])
    return not isinstance(problem, Problem) or any(map(problem.concerns, whose))


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
    from redis_perf.report.text import failure_text  # the report reads this file's values

    found = verdict(trace, budget)
    if found is not None:
        text = failure_text(trace, found, budget, networks_ns=networks_ns, verbosity=verbosity, root=root)
        raise BudgetExceeded(text) if found.breaches else NothingMeasured(text)


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


_EXPECTED = "expected an int of 0 or more, exactly(n), at_most(n), between(a, b)"


def _number(function: str, argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{function}({argument}={value!r}): expected an int of 0 or more")
    if value < 0:
        raise ValueError(f"{function}({argument}={value!r}): expected an int of 0 or more")
    return value


def _limit(function: str, argument: str, value: object) -> Limit:
    if isinstance(value, Limit):
        return value
    or_spend = " or Spend(...)" if function == "Budget" and argument != "depth" else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{function}({argument}={value!r}): {_EXPECTED}{or_spend}")
    if value < 0:
        raise ValueError(f"{function}({argument}={value!r}): {_EXPECTED}{or_spend}")
    return Limit(high=value)
