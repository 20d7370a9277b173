"""`redisperf show trace.jsonl`: what a trace holds."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator

from redis_perf.commands.output import write
from redis_perf.commands.trace_file import name_of, read_trace
from redis_perf.report import numbers
from redis_perf.report.overview import overview, shape_lines, site_lines
from redis_perf.trace import Trace

TOP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a trace file; - reads standard input")
    parser.add_argument("--sites", action="store_true", help="the lines of code that spent most")
    parser.add_argument("--shapes", action="store_true", help="the commands and statements that were asked most")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON, with --sites and --shapes as lists")
    parser.add_argument("--top", type=top, default=TOP, metavar="N", help=f"lines of a list (default {TOP}; 0: all)")


def run(arguments: argparse.Namespace) -> int:
    """Raises CommandError when the file cannot be read."""
    trace = read_trace(arguments.trace)
    if arguments.json:
        write([json.dumps(_numbers(trace, sites=arguments.sites, shapes=arguments.shapes), indent=2)])
    else:
        write(_lines(trace, arguments))
    return 0


def _lines(trace: Trace, arguments: argparse.Namespace) -> Iterator[str]:
    yield from overview(trace, name_of(arguments.trace))
    if arguments.sites:
        yield ""
        yield from site_lines(trace, top=arguments.top, root=os.getcwd())
    if arguments.shapes:
        yield ""
        yield from shape_lines(trace, top=arguments.top)


def _numbers(trace: Trace, *, sites: bool, shapes: bool) -> numbers.Numbers:
    found = numbers.numbers(trace)
    if sites:
        found["sites"] = numbers.sites(trace)
    if shapes:
        found["shapes"] = numbers.shapes(trace)
    return found


def top(text: str) -> int | None:
    """How many lines; 0 is all of them. Raises ArgumentTypeError for anything but such a number."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, found {text!r}")
    return int(text) or None
