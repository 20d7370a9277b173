"""The same cases through the wire proxy, with no tap anywhere: what it says must be what tap and witness say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import Any

from case import TWIN, At
from figures import seen
from stage import Share, free_port

from redis_perf import Trace
from redis_perf.proxy import Proxy

RUNS = 2
"""As at the delay pipe: an idle moment can only make a count too large, so the least of several is the truth."""

Result = dict[str, Any]


def around(case: Result) -> str:
    """Why this case does not go through the proxy, or nothing."""
    if case["witness"] == TWIN:
        return "no wire"
    if "tls" in case["needs"]:
        return "TLS"
    if {"cluster", "cluster of three", "sentinel"} & set(case["needs"]):
        return "goes where the server tells it"
    return ""


@contextmanager
def before(at: At, hold_ms: int) -> Iterator[tuple[Proxy, At]]:
    """A proxy before all these servers, and where they are through it."""
    with tempfile.TemporaryDirectory(prefix="rp-") as directory:
        port = free_port()
        upstreams = {
            "redis": f"redis://127.0.0.1:{at.redis_port}/0",
            "redis_unix": f"unix://{at.redis_unix}",
            "postgres": f"postgresql://{at.postgres_host}:{at.postgres_port}/",
            "postgres_unix": f"postgresql:///?host={at.postgres_unix}&port={at.postgres_port}",
        }
        if at.fake_port:
            upstreams["fake"] = f"redis://127.0.0.1:{at.fake_port}/0"
        doors: dict[str, str | tuple[str, int]] = {
            "redis_unix": f"{directory}/redis.sock",
            "postgres": ("127.0.0.1", port),
            "postgres_unix": f"{directory}/.s.PGSQL.{port}",
        }
        with Proxy(latency_ns=hold_ms * 1_000_000, upstreams=upstreams, at=doors) as proxy:
            redis = int(proxy.address("redis")[1]), f"{directory}/redis.sock"
            at = replace(at, redis_port=redis[0], redis_unix=redis[1])
            at = replace(at, fake_port=int(proxy.address("fake")[1]) if at.fake_port else 0)
            yield proxy, replace(at, postgres_port=port, postgres_unix=directory)


def by_proxy(share: Share, cases: list[Result], start: Callable[[At], list[Result]]) -> dict[str, Result]:
    """What the proxy says of each case; `start` runs them all there, `RUNS` times each."""
    with before(share.at, cases[0]["hold_ms"]) as (proxy, at):
        runs = start(at)
        trace = proxy.trace()
    stores = {case["name"]: case["store"] for case in cases}
    said: dict[str, list[Result]] = {}
    for run, inside in windows(runs, trace):
        error = {"error": run["error"]} if "error" in run else {}
        said.setdefault(run["case"], []).append(seen(inside, stores[run["case"]]) | error)
    return {name: min(told, key=least) for name, told in said.items()}


def least(told: Result) -> tuple[bool, int, int]:
    """An error comes before any number."""
    return "error" not in told, told["round_trips"], told["depth"]


def windows(runs: Iterable[Result], trace: Trace) -> Iterator[tuple[Result, Trace]]:
    """Each run with what began in it: until the next, since what a case sends last may be noted after its end."""
    for run, following in pairwise([*runs, {"begun_ns": inf}]):
        since_ns, until_ns = run["begun_ns"], following["begun_ns"]
        trips = tuple(trip for trip in trace.round_trips if since_ns <= trip.started_ns < until_ns)
        yield run, replace(trace, round_trips=trips, opened=())
