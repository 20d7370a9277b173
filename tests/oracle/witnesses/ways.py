"""The ways to run cases and hear what is said of them: under strace, through two pipes, through the proxy, alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import proxied
import slope
import strace
from case import SLOPE, SYSTEM_CALLS, TURNS, TWIN, At
from stage import Share

HERE = Path(__file__).parent
CASES = str(HERE / "cases.py")

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
        "latencies_ms": cases[0]["latencies_ms"],
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


WAYS = {SYSTEM_CALLS: by_system_calls, TURNS: by_pipe, SLOPE: by_pipe, TWIN: by_twin}
