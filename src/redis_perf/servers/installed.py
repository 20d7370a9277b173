"""Choosing among the server programs found on this machine, by the version they say they are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from redis_perf.errors import ServerUnavailable

Version = tuple[int, ...]


def chosen(programs: Iterable[Path], asked: str, choice: str) -> Path | None:
    """The newest of the programs that is the version asked for: `16`, `7.2`, or any for ``""``; None if there is none.

    Raises ServerUnavailable, naming the versions there are, when none of them is the one asked for.
    """
    there = list(dict.fromkeys(programs))
    if len(there) < 2 and not asked:
        return there[0] if there else None
    versions = {program: version(program) for program in there}
    wanted = _numbers(asked)
    fitting = {program: found for program, found in versions.items() if found[: len(wanted)] == wanted}
    if there and not fitting:
        known = sorted({found for found in versions.values() if found})
        raise ServerUnavailable(
            f"{choice}: no version {asked} here; there {'is' if len(known) == 1 else 'are'} "
            f"{' and '.join('.'.join(map(str, found)) for found in known) or 'none that tells its version'}"
        )
    return max(fitting, key=lambda program: fitting[program]) if fitting else None


@cache
def version(program: Path) -> Version:
    """What `--version` says; empty where it says none. Costs the start of a process, 3 to 15 ms."""
    return _numbers(said(program))


@cache
def said(program: Path) -> str:
    """`PostgreSQL 18.4`, `Valkey 9.1.2`, `Redis 7.0.15`, as `--version` says; empty where it says nothing such."""
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"(PostgreSQL|Valkey|Redis)\b.*?(\d+(?:\.\d+)*)", output)
    return f"{found[1]} {found[2]}" if found else ""


def _numbers(text: str) -> Version:
    found = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
