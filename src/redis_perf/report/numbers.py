"""A trace, and the difference of two, as plain data for JSON. Paths are those of Python's: `trace.setup.redis.commits`
is `setup`, `redis`, `commits`. `None` is a number that was not seen.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from redis_perf.analysis.asked import asked
from redis_perf.analysis.difference import changes, rises
from redis_perf.analysis.sites import spenders
from redis_perf.trace import STORES, StoreTrace, Trace

MEASURES: Final = (
    "round_trips", "operations", "statements", "commands", "commits", "connections", "depth",
    "sent_bytes", "received_bytes", "bytes", "lost",
)  # fmt: skip
PURPOSES: Final = ("setup", "transaction", "work")

Numbers: TypeAlias = dict[str, object]


def numbers(trace: Trace) -> Numbers:
    """Per store what is charged, then the same for each purpose, and what was not seen."""
    return {
        **_per_store(trace),
        **{purpose: _per_store(getattr(trace, purpose)) for purpose in PURPOSES},
        "servers": {server: _measures(trace.named(server)) for server in servers(trace.every)},
        "children": trace.children,
        "problems": list(trace.problems),
        "notes": list(trace.notes),
    }


def servers(trace: Trace) -> list[str]:
    """Who was talked to, by the user's name or else by address."""
    return list(dict.fromkeys(name for trip in trace.charged for name in [trip.name or trip.server] if name))


def _per_store(trace: Trace) -> Numbers:
    return {**{store: _measures(trace.store(store)) for store in STORES}, "depth": trace.depth}


def _measures(share: StoreTrace) -> Numbers:
    return {measure: getattr(share, measure) for measure in MEASURES}


def sites(trace: Trace) -> list[Numbers]:
    """The lines of code that spent what is charged, dearest first; those of a line not seen are None."""
    return [
        {
            "file": spender.site and spender.site.file,
            "line": spender.site and spender.site.line,
            "function": spender.site and spender.site.function,
            "round_trips": spender.spent.round_trips,
            "operations": spender.spent.operations,
            "shapes": list(dict.fromkeys(spender.spent.shapes)),
        }
        for spender in spenders(trace.charged)
    ]


def shapes(trace: Trace) -> list[Numbers]:
    """What was asked within what is charged, dearest first."""
    return [
        {"store": each.store, "shape": each.shape, "round_trips": each.round_trips, "operations": each.operations}
        for each in asked(trace.charged)
    ]


def difference(base: Trace, head: Trace) -> Numbers:
    """As `numbers`, with `base`, `head` and `change` for each; then the shapes that changed and the rises."""
    before, after = numbers(base), numbers(head)
    return {
        **{part: _differ(before[part], after[part]) for part in (*STORES, "depth", *PURPOSES)},
        "shapes": [
            {
                "store": change.base.store,
                "shape": change.base.shape,
                "kind": change.kind,
                "round_trips": _differ(change.base.round_trips, change.head.round_trips),
                "operations": _differ(change.base.operations, change.head.operations),
            }
            for change in changes(base, head)
        ],
        "increased": [".".join(filter(None, (rise.who, rise.measure))) for rise in rises(base, head)],
        "problems": {"base": list(base.problems), "head": list(head.problems)},
    }


def _differ(base: object, head: object) -> Numbers:
    if isinstance(base, dict) and isinstance(head, dict):
        return {name: _differ(base[name], head[name]) for name in base}
    change = head - base if isinstance(base, int) and isinstance(head, int) else None
    return {"base": base, "head": head, "change": change}
