"""`redisperf diff base.jsonl head.jsonl`: what changed from one trace, or one suite, to another."""

from __future__ import annotations

import argparse
import json
import sys

from redis_perf.commands import CommandError
from redis_perf.commands.output import write
from redis_perf.commands.show import TOP, top
from redis_perf.commands.trace_file import STANDARD_INPUT, name_of, read_either
from redis_perf.report.changed import change_lines, rise_text
from redis_perf.report.numbers import difference
from redis_perf.report.suites_changed import compared, suite_change_lines, suite_difference
from redis_perf.suite import Suite
from redis_perf.trace import Trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="the trace from before; - reads standard input")
    parser.add_argument("head", metavar="HEAD", help="the trace from after; - reads standard input")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON")
    parser.add_argument("--top", type=top, default=TOP, metavar="N", help=f"shapes shown (default {TOP}; 0: all)")
    parser.add_argument(
        "--fail-on-increase",
        action="store_true",
        help="exit status 1 when charged round trips, operations, commits or depth rose",
    )


def run(arguments: argparse.Namespace) -> int:
    """Raises CommandError when a file cannot be read."""
    if arguments.base == arguments.head == STANDARD_INPUT:
        raise CommandError("only one of BASE and HEAD can be standard input (-): give the other as a file")
    base, head = read_either(arguments.base), read_either(arguments.head)
    if isinstance(base, Suite) or isinstance(head, Suite):
        return _suites(base, head, arguments)
    if arguments.json:
        write([json.dumps(difference(base, head), indent=2)])
    else:
        write(change_lines(base, head, (name_of(arguments.base), name_of(arguments.head)), top=arguments.top))
    return _failed(base, head, name_of(arguments.head)) if arguments.fail_on_increase else 0


def _suites(base: Trace | Suite, head: Trace | Suite, arguments: argparse.Namespace) -> int:
    if not isinstance(base, Suite) or not isinstance(head, Suite):
        raise CommandError("one file is of a suite, the other of a single trace: expected two of a kind")
    names = name_of(arguments.base), name_of(arguments.head)
    if arguments.json:
        write([json.dumps(suite_difference(base, head), indent=2)])
    else:
        write(suite_change_lines(base, head, names, top=arguments.top))
    risen = compared(base, head).risen if arguments.fail_on_increase else ()
    if risen:
        print(f"redisperf diff: increased: {', '.join(risen)}", file=sys.stderr)
    elif arguments.fail_on_increase and head.incomplete:
        print(f"redisperf diff: {names[1]} is incomplete, so it proves no absence of an increase", file=sys.stderr)
    return int(bool(arguments.fail_on_increase and (risen or head.incomplete)))


def _failed(base: Trace, head: Trace, name: str) -> int:
    """A head that was not seen whole proves nothing, as with budgets."""
    risen = rise_text(base, head)
    if risen:
        print(f"redisperf diff: increased: {risen}", file=sys.stderr)
    elif head.problems:
        print(f"redisperf diff: {name} was not seen whole, so it proves no absence of an increase", file=sys.stderr)
    return int(bool(risen or head.problems))
