"""Node's client libraries, fetched once by npm into a directory of their own under the system's temporary one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

LIBRARIES = {"ioredis": "5", "redis": "5", "pg": "8"}
FETCH_SECONDS, AGAIN_SECONDS = 60, 600
ROOT = Path(
    tempfile.gettempdir(),
    f"redisperf-node-{os.getuid()}-" + "-".join(f"{name}{version}" for name, version in LIBRARIES.items()),
)


def refusal() -> str | None:
    """Why there is no node with these libraries here, or None; fetches them if need be."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    ROOT.mkdir(mode=0o700, exist_ok=True)
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return None if len(versions()) == len(LIBRARIES) else _fetch_once()


def _fetch_once() -> str | None:
    """What could not be fetched a while ago is not waited for again."""
    failed = ROOT / "refusal"
    if failed.exists() and time.time() - failed.stat().st_mtime < AGAIN_SECONDS:
        return failed.read_text()
    refusal = _fetch()
    if refusal is not None:
        failed.write_text(refusal)
    return refusal


def _fetch() -> str | None:
    wanted = [f"{name}@{version}" for name, version in LIBRARIES.items()]
    command = ["npm", "install", "--prefix", str(ROOT), "--no-audit", "--no-fund", "--ignore-scripts", *wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        return f"npm could not fetch {', '.join(wanted)} within {FETCH_SECONDS} s"
    return f"npm could not fetch {', '.join(wanted)}: {done.stderr.strip()[-200:]}" if done.returncode else None


def versions() -> dict[str, str]:
    """What is there."""
    found = {name: ROOT / "node_modules" / name / "package.json" for name in LIBRARIES}
    return {name: str(json.loads(file.read_text())["version"]) for name, file in found.items() if file.exists()}


def environment() -> dict[str, str]:
    """For a node that is to find them."""
    return {**os.environ, "REDISPERF_NODE_LIBRARIES": str(ROOT)}
