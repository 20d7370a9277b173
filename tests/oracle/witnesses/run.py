"""Runs every case under its witness and prints, as one JSON object, what was counted and what the witness says.

    python tests/oracle/witnesses/run.py [--untapped] [CASE ...]

First the traced cases, which keep the processors busy, then those through pipes, which mostly wait and are timed. What
is doubtful then is measured again.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import npm
import proxied
import slope
import strace
from case import SLOPE, SYSTEM_CALLS, TURNS
from stage import Share, stage
from verdict import at_the_proxy, disagreements
from ways import WAYS, Result, listed, through_proxy

from redis_perf import ServerUnavailable

SIDE_BY_SIDE, PROCESSORS = 8, os.cpu_count() or 1
MOST_TIMES_AGAIN = 2
PACKAGES = (
    "redis", "hiredis", "valkey", "fakeredis", "psycopg", "psycopg-binary", "psycopg-pool", "uvloop",
    "asyncpg", "psycopg2-binary", "SQLAlchemy", "coredis", "valkey-glide", "pg8000",
)  # fmt: skip


def fill_in_twins(cases: list[Result]) -> None:
    named = {case["name"]: case for case in cases}
    for case in cases:
        twin = named.get(case["twin"], {})
        if "says" in twin and "setup" in case and "setup" in twin:
            case["says"] = twin["says"] - twin["setup"] + case["setup"]
            case["says_connects"] = 0
        elif case["twin"] and not case["skipped"]:
            case["skipped"] = f"{case['twin']} did not run: {twin.get('skipped') or 'it was not chosen, or failed'}"


def counted_by_the_proxy(case: Result) -> None:
    """Where no tap is, the proxy's numbers are the ones to be judged."""
    if not case["tap"] and "error" not in case:
        case |= case["proxy"]


def divided(cases: list[Result]) -> tuple[list[list[Result]], list[list[Result]]]:
    """Shares of cases for one process each: those that keep a processor busy, and those that mostly wait."""
    busy: dict[Any, list[Result]] = {}
    waiting: dict[Any, list[Result]] = {}
    turn = itertools.cycle(range(SIDE_BY_SIDE))
    for case in cases:
        if case["witness"] in (TURNS, SLOPE):
            waiting.setdefault((*case["latencies_ms"], next(turn)), []).append(case)
        else:
            busy.setdefault((case["witness"], case["store"]), []).append(case)
    return list(busy.values()), list(waiting.values())


def dealt(cases: list[Result]) -> list[list[Result]]:
    """Shares of cases for one proxy each."""
    hands: dict[Any, list[Result]] = {}
    for case in cases:
        hands.setdefault((case["hold_ms"], case["store"]), []).append(case)
    return list(hands.values())


def installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def refused(case: Result, refusal: str | None, tls: bool, no_node: str | None) -> str:
    """Why a case cannot run here, or nothing."""
    why = [f"{name} is not installed" for name in case["missing"]]
    if "tls" in case["needs"] and not tls:
        why.append("openssl is not installed: no certificate to serve")
    if "node" in case["needs"] and no_node:
        why.append(no_node)
    if refusal and case["witness"] == SYSTEM_CALLS:
        why.append(refusal)
    return "; ".join(why)


class Measuring:
    """What is counted of cases on one stage, and what witnesses and servers say."""

    def __init__(self, open_share: Callable[[set[str]], AbstractContextManager[Share]], tapped: bool) -> None:
        self._open_share, self._tapped = open_share, tapped
        self.servers: dict[str, bool] = {}

    def cases(self, chosen: list[Result], side_by_side: int = SIDE_BY_SIDE) -> list[Result]:
        """Each with its numbers and, if tapped, all on which they disagree."""
        able = [case for case in chosen if not case["skipped"]]
        busy, waiting = divided(able)
        results = self._together(self._witnessed, busy, PROCESSORS)
        results |= self._together(self._witnessed, waiting, side_by_side)
        through = dealt([case for case in able if not case["around"]]) if self._tapped else []
        told = self._together(self._proxied, through, PROCESSORS)  # no more: busy, they would look slower than held
        unmeasured: Result = {"slope": None}
        cases = [
            unmeasured | case | results.get(case["name"], {}) | {"proxy": told.get(case["name"])} for case in chosen
        ]
        fill_in_twins(cases)
        for case in cases:
            if self._tapped and not case["skipped"]:
                counted_by_the_proxy(case)
                case["disagreements"] = disagreements(case)
                case["disagreements_of_the_proxy"] = at_the_proxy(case)
        return cases

    def again(self, cases: list[Result], chosen: list[Result]) -> list[Result]:
        """Those that are doubtful measured anew, fewer at a time, with all that is held back held longer.

        What an idle moment of a busy machine has added is not there then; what is counted wrongly is so again.
        """
        names = {case["name"] for case in cases if doubtful(case)}
        names |= {case["name"] for case in chosen if case["twin"] in names}
        if not names:
            return cases
        anew = self.cases([longer(case) for case in chosen if case["name"] in names], side_by_side=PROCESSORS)
        by_name = {case["name"]: case for case in anew}
        return [by_name.get(case["name"], case) for case in cases]

    def _together(self, work: Callable[[list[Result]], dict[str, Result]], shares: Any, workers: int) -> Any:
        results: dict[str, Result] = {}
        with ThreadPoolExecutor(workers) as pool:
            for share in pool.map(work, shares):
                results |= share
        return results

    def _witnessed(self, cases: list[Result]) -> dict[str, Result]:
        with self._open_share({need for case in cases for need in case["needs"]}) as share:
            self.servers.update(dict.fromkeys(share.versions, True))
            return WAYS[cases[0]["witness"]](share, cases, self._tapped)

    def _proxied(self, cases: list[Result]) -> dict[str, Result]:
        with self._open_share({"fake server"} & {need for case in cases for need in case["needs"]}) as share:
            return through_proxy(share, cases)


def doubtful(case: Result) -> bool:
    """Whether a busy machine may be what disagrees: at the pipe and at the proxy it can; system calls have no time."""
    if case["skipped"] or "error" in case:
        return False
    timed = case["witness"] in (TURNS, SLOPE) and bool(case.get("disagreements"))
    return timed or bool(case.get("disagreements_of_the_proxy"))


def longer(case: Result) -> Result:
    latencies_ms = [2 * latency_ms for latency_ms in case["latencies_ms"]]
    return case | {"latencies_ms": latencies_ms, "hold_ms": 10 * case["hold_ms"]}


def main(names: list[str], tapped: bool) -> Result:
    chosen = [case for case in listed() if not names or case["name"] in names]
    refusal, tls = strace.refusal(), shutil.which("openssl") is not None
    no_node = npm.refusal() if any("node" in case["needs"] for case in chosen) else None
    for case in chosen:
        case["skipped"] = refused(case, refusal, tls, no_node)
        case["around"] = proxied.around(case)
    with stage() as open_share:
        measuring = Measuring(open_share, tapped)
        cases = measuring.cases(chosen)
        for _ in range(MOST_TIMES_AGAIN):
            cases = measuring.again(cases, chosen)
    versions = [*measuring.servers, *(f"{name} {version}" for name in PACKAGES if (version := installed(name)))]
    versions += [f"node's {name} {version}" for name, version in npm.versions().items() if no_node is None]
    tolerance = {"tolerance": slope.TOLERANCE, "per_wait": slope.TOLERANCE_PER_WAIT}
    return {"versions": versions, "tolerance": tolerance, "cases": cases}


if __name__ == "__main__":
    words = sys.argv[1:]
    try:
        outcome: Result = main([word for word in words if word != "--untapped"], "--untapped" not in words)
    except ServerUnavailable as unavailable:
        outcome = {"unavailable": str(unavailable)}
    print(json.dumps(outcome, indent=1))
