"""What pytest's header says about the servers: which ones the choices give, found out without starting any."""

from __future__ import annotations

from pytest_redisperf.options import Settings
from redis_perf import ServerUnavailable
from redis_perf.servers.plan import Plan, planned
from redis_perf.trace import Store


def servers(settings: Settings) -> tuple[str, list[str]]:
    """`redis embedded (Valkey 9.1.2), postgres by URL`, and lines that tell why `auto` took what it did."""
    named, passed_over = [], []
    choices: tuple[tuple[Store, str], ...] = (("redis", settings.redis), ("postgres", settings.postgres))
    for store, choice in choices:
        plan = _planned(store, choice, settings)
        named.append(f"{store} {_named(plan)}" + (", chosen by auto" if choice == "auto" else ""))
        passed_over += [f"redisperf: passed over: {reason}" for reason in plan.passed_over]
    return ", ".join(named), passed_over


def _planned(store: Store, choice: str, settings: Settings) -> Plan:
    try:
        return planned(store, choice, strict=settings.strict)
    except ServerUnavailable:  # the first test that asks for it says why
        return Plan(choice, "there is none")


def _named(plan: Plan) -> str:
    if "://" in plan.choice:
        return "by URL"
    return f"{plan.choice} ({plan.program})" if plan.program else plan.choice
