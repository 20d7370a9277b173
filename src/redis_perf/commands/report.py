"""`redisperf report suite.jsonl --html page.html`: reports of a run of tests, made afterwards from its suite file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from redis_perf.commands import CommandError
from redis_perf.commands.output import write
from redis_perf.commands.trace_file import STANDARD_INPUT, name_of, read_either
from redis_perf.report.baseline_file import Baseline, BaselineFileError, loads
from redis_perf.report.units import count, size
from redis_perf.report_formats import COMPARING, FORMATS, Reporting
from redis_perf.suite import Suite, Tested
from redis_perf.trace import Trace
from redis_perf.uncollected import uncollected
from redis_perf.whole_file import write_whole

STANDARD_OUTPUT = "-"
_COMPARING = ", ".join(f"--{form}" for form in COMPARING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suite",
        metavar="FILE",
        help="a suite file (pytest --redisperf-trace=FILE) or a trace file; - reads standard input",
    )
    parser.add_argument(
        "--baseline",
        metavar="BASELINE",
        help=f"also show what each test spent when this file was written ({_COMPARING})",
    )
    for form, about in FORMATS.items():
        parser.add_argument(f"--{form}", metavar="OUT", help=f"write {about}; - writes to standard output")


def run(arguments: argparse.Namespace) -> int:
    """Raises CommandError when the file cannot be read or a report cannot be written."""
    wanted = {form: getattr(arguments, form) for form in FORMATS if getattr(arguments, form) is not None}
    if sum(out == STANDARD_OUTPUT for out in wanted.values()) > 1:
        raise CommandError("only one report can go to standard output (-): give the others as files")
    for file in (arguments.suite, arguments.baseline):
        if file in wanted.values() and file != STANDARD_INPUT:
            raise CommandError(f"{file}: is the file to read: expected another one to write")
    if arguments.baseline is not None and wanted and not any(form in COMPARING for form in wanted):
        asked = ", ".join(f"--{form}" for form in wanted)
        raise CommandError(f"--baseline: {asked} cannot show it; ask for one of {_COMPARING}")
    with uncollected():  # around all of it, for after each such block Python looks for cycles once
        _make_all(arguments, wanted or {"text": STANDARD_OUTPUT})
    return 0


def _make_all(arguments: argparse.Namespace, wanted: Mapping[str, str]) -> None:
    suite = suite_of(read_either(arguments.suite), arguments.suite)
    for sentence in suite.incomplete:
        print(f"redisperf report: incomplete: {sentence}", file=sys.stderr)
    baseline = None if arguments.baseline is None else _baseline(arguments.baseline)
    reporting = Reporting(suite, baseline=baseline)
    for form, out in wanted.items():
        _make(form, out, reporting)


def _baseline(path: str) -> Baseline:
    try:
        return loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BaselineFileError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"--baseline {path}: {reason}") from error


def suite_of(read: Trace | Suite, path: str) -> Suite:
    """A trace alone is a suite of one test, called as its file is."""
    if isinstance(read, Suite):
        return read
    tested = Tested(nodeid=name_of(path), outcome="passed", phases={"call": read})
    return Suite(tests=(tested,), root=str(Path.cwd()), networks_ns=(2_000_000, 30_000_000))


def _make(form: str, out: str, reporting: Reporting) -> None:
    pieces = reporting.pieces(form)
    if out == STANDARD_OUTPUT:
        write(line for piece in pieces for line in piece.splitlines())
        return
    try:
        size_bytes = write_whole(Path(out), pieces)
    except OSError as error:
        raise CommandError(f"--{form} {out}: cannot be written: {error.strerror}") from error
    tests = count(len(reporting.suite.tests), "test")
    print(f"redisperf report: {form} of {tests}: {out} ({size(size_bytes)})", file=sys.stderr)
