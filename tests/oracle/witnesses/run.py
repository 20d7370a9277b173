"""Runs every case under its witness and prints, as one JSON object, what was counted and what the witness says.

    python tests/oracle/witnesses/run.py [--untapped] [CASE ...]

First the traced cases, which keep the processors busy, then those through pipes, which mostly wait and are timed.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import npm
import proxied
import slope
import strace
from case import SLOPE, SYSTEM_CALLS, TURNS, TWIN, At
from stage import Share, stage
from verdict import at_the_proxy, disagreements

from redis_perf import ServerUnavailable

HERE = Path(__file__).parent
CASES = str(HERE / "cases.py")
SIDE_BY_SIDE = 8
PACKAGES = (
    "redis", "hiredis", "valkey", "fakeredis", "psycopg", "psycopg-binary", "psycopg-pool", "uvloop",
    "asyncpg", "psycopg2-binary", "SQLAlchemy", "coredis", "valkey-glide", "pg8000",
)  # fmt: skip

Result = dict[str, Any]


def listed() -> list[Result]:
    out = subprocess.run([sys.executable, CASES, "list"], check=True, capture_output=True, text=True).stdout
    return list(json.loads(out))


def start_cases(
    share: Share, cases: list[Result], through: list[At], tapped: bool, prefix: list[str], runs: int = 1
) -> list[Result]:
    """Run these cases in one process; every run of each."""
    request = {
        "direct": asdict(share.at),
        "through": [asdict(at) for at in through],
        "runs": runs,
        "tapped": tapped,
        "cases": [case["name"] for case in cases],
        "postgres_log": share.postgres_log,
    }
    command = [*prefix, sys.executable, CASES, "run"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_system_calls(share: Share, cases: list[Result], tapped: bool) -> dict[str, Result]:
    """One traced run of each case."""
    with tempfile.NamedTemporaryFile("r", prefix="redisperf-", errors="replace") as log:
        runs = start_cases(share, cases, [], tapped, strace.command(log.name))
        at = share.at
        sockets = [at.redis_unix, f"{at.postgres_unix}/.s.PGSQL.{at.postgres_port}"]
        ports = [at.redis_port, at.cluster_port, at.sentinel_port, at.master_port, at.tls_port, at.postgres_port]
        ports += [*at.cluster_ports, at.fake_port]
        spent = strace.read((line.rstrip("\n") for line in log), [*ports, *sockets])
    said = {name: {"says": spent[name].round_trips, "says_connects": spent[name].connects} for name in spent}
    return {run["case"]: run | said.get(run["case"], {}) for run in runs}


def by_twin(share: Share, cases: list[Result], tapped: bool) -> dict[str, Result]:
    """One run of each case on its own; what its twin says is filled in when that is known."""
    return {run["case"]: run for run in start_cases(share, cases, [], tapped, [])}


def fill_in_twins(cases: list[Result]) -> None:
    named = {case["name"]: case for case in cases}
    for case in cases:
        twin = named.get(case["twin"], {})
        if "says" in twin and "setup" in case and "setup" in twin:
            case["says"] = twin["says"] - twin["setup"] + case["setup"]
            case["says_connects"] = 0
        elif case["twin"] and not case["skipped"]:
            case["skipped"] = f"{case['twin']} did not run: {twin.get('skipped') or 'it was not chosen, or failed'}"


def by_pipe(share: Share, cases: list[Result], tapped: bool) -> dict[str, Result]:
    """Runs of each case through two pipes in turn, one slow, one slower."""
    with ExitStack() as stack:
        pipes, through = [], []
        for latency_ms in cases[0]["latencies_ms"]:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rp-")))
            at, routes = routed(share.at, directory)
            command = [sys.executable, str(HERE / "delay_pipe.py"), str(latency_ms), *routes]
            pipe = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(pipe.kill)
            assert pipe.stdout is not None
            redis, postgres, tls, _ = json.loads(pipe.stdout.readline())
            pipes.append(pipe)
            through.append(replace(at, redis_port=redis, postgres_port=postgres, tls_port=tls))
        runs = start_cases(share, cases, through, tapped, [])
        seen = []
        for pipe in pipes:
            pipe.send_signal(signal.SIGTERM)
            seen.append(json.loads(pipe.communicate()[0]))
    return {case["name"]: judged(case, [run for run in runs if run["case"] == case["name"]], seen) for case in cases}


def through_proxy(share: Share, cases: list[Result]) -> dict[str, Result]:
    """What the proxy says of each case, where no tap listens."""
    return proxied.by_proxy(share, cases, lambda at: start_cases(share, cases, [at], False, [], proxied.RUNS))


def routed(at: At, directory: Path) -> tuple[At, list[str]]:
    """The same servers through a pipe: its Unix socket by name, its ports to be chosen by it."""
    path = str(directory / "redis.sock")
    tls = at.tls_port or at.redis_port
    routes = [f"0={at.redis_port}", f"0={at.postgres_port}", f"0={tls}", f"{path}={at.redis_unix}"]
    return replace(at, redis_unix=path), routes


def judged(case: Result, runs: list[Result], seen: list[list[Any]]) -> Result:
    """What the runs say together.

    Of turns, and of a depth, seen several times the least is true: an idle moment can make what did not depend on
    an answer look as if it did, never the other way round.
    """
    errors = [run for run in runs if "error" in run]
    if errors:
        return errors[0]
    times: list[list[int]] = [[], []]
    slow = [run for run in runs if run["through"] == 1]
    for run in runs:
        times[run["through"]].append(run["end_ns"] - run["begin_ns"])
    for run in slow:
        run["turns"], run["opened"] = slope.turns(
            event for event in seen[1] if run["begin_ns"] <= event[0] <= run["end_ns"]
        )
    best = min(slow, key=lambda run: (run["turns"], run.get("depth", 0)))
    measured = slope.slope(times[0], times[1], case["latencies_ms"])
    says = best["turns"] if case["witness"] == TURNS else round(measured)
    return best | {"slope": round(measured, 2), "says": says + best["opened"], "says_connects": best["opened"]}


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


def main(names: list[str], tapped: bool) -> Result:
    chosen = [case for case in listed() if not names or case["name"] in names]
    refusal, tls = strace.refusal(), shutil.which("openssl") is not None
    no_node = npm.refusal() if any("node" in case["needs"] for case in chosen) else None
    for case in chosen:
        case["skipped"] = refused(case, refusal, tls, no_node)
        case["around"] = proxied.around(case)
    servers: dict[str, bool] = {}

    def run_share(cases: list[Result]) -> dict[str, Result]:
        with open_share({need for case in cases for need in case["needs"]}) as share:
            servers.update(dict.fromkeys(share.versions, True))
            return WAYS[cases[0]["witness"]](share, cases, tapped)

    def run_proxied(cases: list[Result]) -> dict[str, Result]:
        with open_share({"fake server"} & {need for case in cases for need in case["needs"]}) as share:
            return through_proxy(share, cases)

    results: dict[str, Result] = {}
    told: dict[str, Result] = {}
    able = [case for case in chosen if not case["skipped"]]
    busy, waiting = divided(able)
    with stage() as open_share:
        for running, side_by_side in (busy, os.cpu_count() or 1), (waiting, SIDE_BY_SIDE):
            with ThreadPoolExecutor(side_by_side) as workers:
                for share in workers.map(run_share, running):
                    results |= share
        if tapped:
            with ThreadPoolExecutor(os.cpu_count() or 1) as workers:  # no more: busy, they would look slower than held
                for said in workers.map(run_proxied, dealt([case for case in able if not case["around"]])):
                    told |= said
    versions = [*servers, *(f"{name} {version}" for name in PACKAGES if (version := installed(name)))]
    versions += [f"node's {name} {version}" for name, version in npm.versions().items() if no_node is None]
    unmeasured: Result = {"slope": None}
    cases = [unmeasured | case | results.get(case["name"], {}) | {"proxy": told.get(case["name"])} for case in chosen]
    fill_in_twins(cases)
    for case in cases:
        if tapped and not case["skipped"]:
            counted_by_the_proxy(case)
            case["disagreements"] = disagreements(case)
            case["disagreements_of_the_proxy"] = at_the_proxy(case)
    tolerance = {"tolerance": slope.TOLERANCE, "per_wait": slope.TOLERANCE_PER_WAIT}
    return {"versions": versions, "tolerance": tolerance, "cases": cases}


WAYS = {SYSTEM_CALLS: by_system_calls, TURNS: by_pipe, SLOPE: by_pipe, TWIN: by_twin}


if __name__ == "__main__":
    words = sys.argv[1:]
    try:
        outcome: Result = main([word for word in words if word != "--untapped"], "--untapped" not in words)
    except ServerUnavailable as unavailable:
        outcome = {"unavailable": str(unavailable)}
    print(json.dumps(outcome, indent=1))
