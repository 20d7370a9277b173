"""Runs every case of the oracle tests and writes `docs/truth.md`: what was counted, and what its witness says.

python docs/generate_truth.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RUN = ROOT / "tests/oracle/witnesses/run.py"

HEAD = """# Truth: what is counted, and who else says so

Written by `python docs/generate_truth.py`; no figure here was typed by hand.

With {versions}, on Python {python}: {cases} cases, {agreeing} agree with their witness on every number, \
{skipped} could not run here. {through} of them went through the proxy as well: {counted} agree there on every \
number, but for {explained} whose note says what the proxy cannot know; {unexplained} differences are unexplained.

A case opens its own connections, and everything they cost is counted: *round trips* is the tap's total (of a client
that has no tap: the proxy's), *setup* the part of it that a budget does not charge by default (TCP connect, TLS,
handshake). *The proxy says* what it counted when the same case ran through it with no tap anywhere, replies held back
for 3 ms, or for 30 ms in cases that do things side by side (or slowly, of their own accord); a reason where it was
not asked. It is held against the witness for round trips, connects and depth, against the tap for setup, operations
and commits; where it cannot know what a tap knows, the note says so. The witnesses know nothing of the taps or the
proxy:

- **system calls**: `strace` of the client process. On each socket a run of sends followed by a receive is one round
  trip, a TCP connect is one; peeking is not receiving. For a client that blocks in `recv` this is the truth.
- **delay pipe**: a pipe between client and server, ignorant of their protocol, that holds back whatever the server
  says. Nothing arrives early there, so on each connection a run of sends followed by a release is one round trip;
  connections accepted are the TCP connects. It is the witness on asyncio and for libpq's pipeline mode, where an
  answer that already lies ready is taken from the socket before anybody asks for it, so that system calls would
  split one wait in two.
- **slope**: the same case through two such pipes. (T2 - T1) / (L2 - L1) is the number of waits one after another;
  it must be the *depth* (of all that is not a TCP connect, which cannot be held back) to within {tolerance} plus
  {per_wait:.0%}. Every case that goes through the pipe is held against it too.
- **server**: calls of `INFO commandstats` and commands refused unheard; statements in Postgres's log under
  `log_statement = all`, and `pg_stat_database.xact_commit` without the one transaction in which a session starts.
  *Operations* (and commits) must be equal wherever the server counts the same thing; \
a dash says that it does not.
- **the same calls to a real server**: for fakeredis in its own process, which has no wire. Compared without setup.
"""
COLUMNS = (
    "Client", "Case", "Round trips", "of which setup", "Operations", "Depth", "Witness", "It says", "Slope",
    "Server counted", "The proxy says", "Agree", "Note",
)  # fmt: skip


def row(case: dict[str, Any]) -> list[str]:
    if case["skipped"]:
        return [case["client"], case["mode"], *["-"] * 4, case["witness"], *["-"] * 5, f"skipped: {case['skipped']}"]
    shown = ("round_trips", "setup", "operations", "depth", "witness", "says")
    numbers = [str(case.get(key, "-")) for key in shown]
    numbers[3] = str(case["depth"]) if case["slope"] is not None else "-"
    slope = "-" if case["slope"] is None else f"{case['slope']:.2f}"
    server = str(case["server"]["operations"]) if case["counters"] and "server" in case else "-"
    proxy = f"({case['around']})" if case["around"] else str(case["proxy"].get("round_trips", "-"))
    agree = "**no**" if disagreements(case) else "yes"
    return [case["client"], case["mode"], *numbers, slope, server, proxy, agree, noted(case)]


def noted(case: dict[str, Any]) -> str:
    return "; ".join(part for part in ("" if case["tap"] else "no tap: counted by the proxy", case["note"]) if part)


def disagreements(case: dict[str, Any]) -> list[str]:
    found: list[str] = case.get("disagreements", []) + case.get("disagreements_of_the_proxy", [])
    return found


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def document(outcome: dict[str, Any]) -> str:
    cases = outcome["cases"]
    ran = [case for case in cases if not case["skipped"]]
    through = [case for case in ran if not case["around"]]
    differing = sum(bool(case["disagreements_of_the_proxy"]) for case in through)
    head = HEAD.format(
        versions=", ".join(outcome["versions"]),
        python=sys.version.split()[0],
        cases=len(cases),
        agreeing=sum(not case["disagreements"] for case in ran),
        skipped=len(cases) - len(ran),
        through=len(through),
        counted=len(through) - differing,
        explained=sum(bool(case["looks_like_work"]) for case in through),
        unexplained=sum(len(case["disagreements_of_the_proxy"]) for case in through),
        **outcome["tolerance"],
    )
    table = [line(list(COLUMNS)), line(["---"] * len(COLUMNS)), *(line(row(case)) for case in cases)]
    return "\n".join([head, *table, ""])


def main() -> int:
    done = subprocess.run([sys.executable, str(RUN)], stdout=subprocess.PIPE, text=True, check=True)
    outcome = json.loads(done.stdout)
    if "unavailable" in outcome:
        print(outcome["unavailable"], file=sys.stderr)
        return 2
    (ROOT / "docs/truth.md").write_text(document(outcome))
    disagreeing = {case["name"]: disagreements(case) for case in outcome["cases"] if disagreements(case)}
    for name, found in disagreeing.items():
        print(name, *found, sep="\n    ", file=sys.stderr)
    return 1 if disagreeing else 0


if __name__ == "__main__":
    sys.exit(main())
