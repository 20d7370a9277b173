"""`redisperf show trace.jsonl`: what a trace holds, or a suite, or one test of a suite."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from difflib import get_close_matches

from redis_perf.commands import CommandError
from redis_perf.commands.output import write
from redis_perf.commands.trace_file import name_of, read_either
from redis_perf.report import numbers
from redis_perf.report.overview import overview, shape_lines, site_lines
from redis_perf.suite import Suite
from redis_perf.trace import Trace

TOP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a trace file or a suite file; - reads standard input")
    parser.add_argument("--test", metavar="ID", help="of a suite only what this test sent in its call phase")
    parser.add_argument("--sites", action="store_true", help="the lines of code that spent most")
    parser.add_argument("--shapes", action="store_true", help="the commands and statements that were asked most")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON, with --sites and --shapes as lists")
    parser.add_argument("--top", type=top, default=TOP, metavar="N", help=f"lines of a list (default {TOP}; 0: all)")


def run(arguments: argparse.Namespace) -> int:
    """Raises CommandError when the file cannot be read."""
    found = read_either(arguments.trace)
    name = name_of(arguments.trace)
    if arguments.test is not None:
        found, name = _of_test(found, name, arguments.test), arguments.test
    if isinstance(found, Suite):
        _show_suite(found, name, arguments)
    elif arguments.json:
        write([json.dumps(_numbers(found, sites=arguments.sites, shapes=arguments.shapes), indent=2)])
    else:
        write([*overview(found, name), *_lists(found, arguments)])
    return 0


def _of_test(suite: Trace | Suite, name: str, test: str) -> Trace:
    """Raises CommandError when there is no such test."""
    if not isinstance(suite, Suite):
        raise CommandError(f"--test {test}: {name} is the trace of no suite: leave --test out")
    for tested in suite:
        if tested.nodeid == test:
            return tested.call
    near = get_close_matches(test, [tested.nodeid for tested in suite], n=1, cutoff=0.3)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise CommandError(f"--test {test}: {name} has no such test{meant}")


def _show_suite(suite: Suite, name: str, arguments: argparse.Namespace) -> None:
    from redis_perf.analysis.analysed import analysed

    if arguments.json:
        from redis_perf.report.suite_json import summary

        write(line for piece in summary(analysed(suite)) for line in piece.splitlines())
        return
    from redis_perf.report.suite_text import suite_lines

    together = Trace(tuple(trip for tested in suite for trip in tested.call.round_trips))
    write([*suite_lines(analysed(suite), name, top=arguments.top), *_lists(together, arguments)])


def _lists(trace: Trace, arguments: argparse.Namespace) -> Iterator[str]:
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
