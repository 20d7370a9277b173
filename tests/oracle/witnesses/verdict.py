"""Holds what tap and proxy counted against what a witness says. Exact, except the slope, which is a measured time."""

from __future__ import annotations

from typing import Any

import slope
from case import TURNS


def disagreements(case: dict[str, Any]) -> list[str]:
    """Every number on which tap (the proxy, where there is none), witness and server do not agree."""
    if "error" in case:
        return [case["error"]]
    found = [f"the tap could not read on: {problem}" for problem in case["problems"]]
    witness = witness_of(case)
    found += differ("round trips", case["round_trips"] + case["unseen"], witness, case["says"])
    found += differ("TCP connects", case["connects"], witness, case["says_connects"])
    if case["slope"] is not None and not slope.agrees(case["slope"], case["depth"]):
        found.append(f"depth without connects: counted {case['depth']}, slope {case['slope']}")
    if case["counters"]:
        found += differ("operations", case["operations"], "server", case["server"]["operations"])
    if case["store"] == "postgres":
        # A session begins with a transaction of the server's own, in which it looks up its user and database.
        committed = case["server"]["commits"] - case["server"]["sessions"] - case["own_commits"]
        found += differ("commits", case["commits"], "server", committed)
    return found


def at_the_proxy(case: dict[str, Any]) -> list[str]:
    """Every number on which the proxy does not agree with the witness or, where that says nothing, with the tap."""
    told = case["proxy"]
    if case["around"] or "error" in case:
        return []
    if "error" in told:
        return [f"through the proxy: {told['error']}"]
    found = [f"the proxy could not read on: {problem}" for problem in told["problems"]]
    witness = witness_of(case)
    found += differ("round trips", told["round_trips"], witness, case["says"], "proxy")
    found += differ("TCP connects", told["connects"], witness, case["says_connects"], "proxy")
    setup = case["setup"] + case["unseen"] - case["looks_like_work"]
    found += differ("setup", told["setup"], "tap", setup, "proxy")
    for what in ("operations", "commits"):
        found += differ(what, told[what], "tap", case[what], "proxy")
    if case["slope"] is not None and not slope.agrees(case["slope"], told["depth"]):
        found.append(f"depth without connects: proxy {told['depth']}, slope {case['slope']}")
    return found


def witness_of(case: dict[str, Any]) -> str:
    return "turns at the delay pipe" if case["witness"] == TURNS else str(case["witness"])


def differ(what: str, counted: int, witness: str, says: int, who: str = "counted") -> list[str]:
    return [] if counted == says else [f"{what}: {who} {counted}, {witness} {says}"]
