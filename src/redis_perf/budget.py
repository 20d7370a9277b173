"""What a block of code may spend.

A plain int is the most that may be spent. Numbers charge work and transaction control; setup (connecting, logging
in) is charged only with `setup=`. A budget over a store that saw no traffic at all fails, for it would prove
nothing, unless zero was asked for: `0`, `exactly(0)`, `at_most(0)`, `between(0, n)` (there the user wrote the zero;
`at_most(3)` only implies it), or `allow_nothing=True`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Final, TypeAlias

from redis_perf.limit import EXPECTED, Amount, LatencyLimit, Limit, as_limit


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
                yield measure.name, as_limit("Spend", measure.name, amount)

    @property
    def names_zero(self) -> bool:
        """Whether no traffic at all was asked for. `commits=0` or `connections=0` do not say that."""
        return any(limit.names_zero and measure in _TRAFFIC for measure, limit in self.limits)


_KEYWORDS: Final = ("redis", "postgres", "depth", "latency", "allow_nothing", "servers")
MEASURES: Final = tuple(measure.name for measure in fields(Spend))
_TRAFFIC = frozenset(MEASURES) - {"commits", "connections", "setup"}
Allowance: TypeAlias = int | Limit | Spend


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a block may spend: per store, per server (by address or by the name given to it), and across all.

    An int or Limit for a store is about its round trips. `depth` and `latency` are about both stores together:
    `latency="5ms@2ms"` allows the longest chain of round trips to take 5 ms where each takes 2 ms; it is reckoned from
    the depth, so it does not hang on how fast this machine is. Networks have names too, see `redis_perf.network`.
    Raises TypeError or ValueError as `Spend` does.
    """

    redis: Allowance | None = None
    postgres: Allowance | None = None
    depth: Amount | None = None
    latency: str | LatencyLimit | None = None
    servers: Mapping[str, Allowance] = field(default_factory=dict, hash=False)
    allow_nothing: bool = False

    @classmethod
    def of(
        cls,
        *,
        redis: Allowance | None = None,
        postgres: Allowance | None = None,
        depth: Amount | None = None,
        latency: str | LatencyLimit | None = None,
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
        return cls(
            redis=redis, postgres=postgres, depth=depth, latency=latency, servers=servers, allow_nothing=allow_nothing
        )

    def __post_init__(self) -> None:
        if not isinstance(self.allow_nothing, bool):
            raise TypeError(f"Budget(allow_nothing={self.allow_nothing!r}): expected True or False")
        if not isinstance(self.servers, Mapping):
            raise TypeError(f"Budget(servers={self.servers!r}): expected a mapping of server names to budgets")
        for measure in set(self.servers) & set(MEASURES):
            raise ValueError(f"Budget({measure}=...): that is no store or server: expected redis=Spend({measure}=...)")
        spends = dict(self.spends)
        if self.depth is not None:
            as_limit("Budget", "depth", self.depth)
        if self.latency is not None:
            LatencyLimit.of(self.latency)
        if not spends and self.depth is None and self.latency is None:
            raise ValueError("Budget() limits nothing: expected redis, postgres, depth, latency or a server's name")
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
                yield name, Spend(round_trips=as_limit("Budget", name, allowance))
            elif name in self.servers:
                raise TypeError(f"Budget({name}=None): {EXPECTED} or Spend(...)")
