"""Trace files and suite files from the disk or from standard input, and trace files to the disk."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from redis_perf.commands import CommandError
from redis_perf.report.file_kind import TraceFileError
from redis_perf.report.jsonl import dumps, loads
from redis_perf.suite import Suite
from redis_perf.trace import Trace
from redis_perf.uncollected import uncollected
from redis_perf.whole_file import write_whole

STANDARD_INPUT = "-"


def name_of(path: str) -> str:
    """What the file is called in what is printed."""
    return "standard input" if path == STANDARD_INPUT else path


def check_writable(path: str) -> None:
    """Before there is a trace, see that it can be put there; what is there stays. Raises CommandError."""
    file = Path(path)
    new = not file.exists()
    if not (new or file.is_file() or file.is_dir()):
        return  # a pipe, whose reader is not to be told that this was all
    try:
        file.open("a").close()
    except OSError as error:
        raise _unwritten(path, error) from error
    if new:
        file.unlink()


def write_trace(path: str, trace: Trace) -> None:
    """Raises CommandError; what was there before is there still."""
    try:
        write_whole(Path(path), dumps(trace))
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: str, error: OSError) -> CommandError:
    return CommandError(f"--out {path}: cannot be written: {error.strerror}")


def read_either(path: str) -> Trace | Suite:
    """What the file's header says it is.

    Raises CommandError when there is no such file, it cannot be opened, or it is of another kind or a newer version.
    """
    try:
        with uncollected():
            if path == STANDARD_INPUT:
                return _either(_lines(sys.stdin.buffer))
            with open(path, "rb") as file:
                return _either(_lines(file))
    except TraceFileError as error:
        raise CommandError(f"{name_of(path)}: {error}") from error
    except FileNotFoundError as error:
        raise CommandError(
            f"{path}: no such file, expected a trace; record one with `redisperf run --out FILE -- COMMAND` or "
            "`pytest --redisperf-trace=FILE`"
        ) from error
    except OSError as error:
        raise CommandError(f"{path}: cannot be read, expected a trace file: {error.strerror}") from error


def _either(lines: Iterable[str]) -> Trace | Suite:
    from redis_perf.report import suite_file

    rest = iter(lines)
    first = next(rest, "")
    whole = chain([first] if first else [], rest)
    return suite_file.loads(whole) if f'"{suite_file.KIND.format}"' in first[:60] else loads(whole)


def _lines(lines: Iterable[bytes]) -> Iterator[str]:
    """Bytes that are no UTF-8 are kept as they are: what is damaged is found where it matters, line by line."""
    return (str(line, "utf-8", "surrogateescape") for line in lines)
