"""Trace files from the disk or from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from redis_perf.commands import CommandError
from redis_perf.report.jsonl import TraceFileError, loads
from redis_perf.trace import Trace

STANDARD_INPUT = "-"


def name_of(path: str) -> str:
    """What the file is called in what is printed."""
    return "standard input" if path == STANDARD_INPUT else path


def read_trace(path: str) -> Trace:
    """Raises CommandError when there is no such file, it cannot be opened, or it is no trace of this version."""
    try:
        if path == STANDARD_INPUT:
            return _loads(sys.stdin.buffer)
        with open(path, "rb") as file:
            return _loads(file)
    except TraceFileError as error:
        raise CommandError(f"{name_of(path)}: {error}") from error
    except FileNotFoundError as error:
        raise CommandError(
            f"{path}: no such file, expected a trace; record one with `redisperf run --out FILE -- COMMAND`"
        ) from error
    except OSError as error:
        raise CommandError(f"{path}: cannot be read, expected a trace file: {error.strerror}") from error


def _loads(lines: Iterable[bytes]) -> Trace:
    """Bytes that are no UTF-8 are kept as they are: what is damaged is found where it matters, line by line."""
    return loads(str(line, "utf-8", "surrogateescape") for line in lines)
