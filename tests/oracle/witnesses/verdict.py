"""Holds what a tap counted against what a witness says. Exact, except the slope, which is a measured time."""

from __future__ import annotations

from typing import Any

import slope
from case import TURNS


def disagreements(case: dict[str, Any]) -> list[str]:
    """Every number on which tap, witness and server do not agree."""
    if "error" in case:
        return [case["error"]]
    found = [f"the tap could not read on: {problem}" for problem in case["problems"]]
    witness = "turns at the delay pipe" if case["witness"] == TURNS else case["witness"]
    found += differ("round trips", case["round_trips"] + case["unseen"], witness, case["says"])
    found += differ("TCP connects", case["connects"], witness, case["says_connects"])
    if case["slope"] is not None and not slope.agrees(case["slope"], case["depth"]):
        found.append(f"depth without connects: tap {case['depth']}, slope {case['slope']}")
    if case["counters"]:
        found += differ("operations", case["operations"], "server", case["server"]["operations"])
    if case["store"] == "postgres":
        # A session begins with a transaction of the server's own, in which it looks up its user and database.
        committed = case["server"]["commits"] - case["server"]["sessions"] - case["own_commits"]
        found += differ("commits", case["commits"], "server", committed)
    return found


def differ(what: str, counted: int, witness: str, says: int) -> list[str]:
    return [] if counted == says else [f"{what}: tap {counted}, {witness} {says}"]
